package tablesql

import (
	"strings"
	"testing"
)

const packet = 64 << 20

func tableOf(columns ...Column) *Table {
	return &Table{
		TableName: TableName{Schema: "s", Name: "t"},
		Columns:   columns,
		Key:       keyOf("PRIMARY", columns[0]),
		Engine:    "InnoDB",
		MaxPacket: packet,
	}
}

func nullable(c Column) Column {
	c.Nullable = true
	return c
}

// Two rows share a text only if they are equal: where a column ends is known by the separator, by
// its length, or because it is the last.
func TestTheTextOfARowTellsItsColumnsApart(t *testing.T) {
	note := Column{Name: "n", Type: "text", Charset: "utf8mb4"}
	other := Column{
		Name:      "o",
		Type:      "varchar",
		Charset:   "latin1",
		Collation: "latin1_bin",
	}
	for name, tc := range map[string]struct {
		columns []Column
		want    string
	}{
		"numbers":                       {[]Column{integer("a"), nullable(integer("b"))}, "`a`,IFNULL(`b`,'N')"},
		"the last text needs no length": {[]Column{integer("a"), text("b")}, "`a`,`b`"},
		"the one before does":           {[]Column{text("b"), text("c"), integer("a")}, "`a`,LENGTH(`b`),`b`,`c`"},
		"NULL is not an empty text":     {[]Column{integer("a"), nullable(text("b"))}, "`a`,IFNULL(LENGTH(`b`),'N'),`b`"},
		"of a long text the hash":       {[]Column{integer("a"), note}, "`a`,LENGTH(`n`),IF(LENGTH(`n`)<=8192,`n`,SHA2(`n`,256))"},
		"texts of two collations":       {[]Column{text("b"), other}, "LENGTH(`b`),CAST(`b` AS BINARY),CAST(`o` AS BINARY)"},
		"a vector is hashed by itself":  {[]Column{integer("a"), nullable(Column{Name: "v", Type: "vector"})}, "`a`,IFNULL(SHA2(`v`,224),'N')"},
	} {
		got, err := tableOf(tc.columns...).rowText()
		if want := "CONCAT_WS('#'," + tc.want + ")"; err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
}

// 1 and 1.0 have one text in some documents, and are two values.
func TestTheKindsOfADocumentCount(t *testing.T) {
	doc := Column{Name: "d", Type: "json"}
	got, err := tableOf(integer("a"), doc).rowText()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(doc.jsonKinds(), "SHA2(`d`,224)") {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}

func TestQueriesForDigests(t *testing.T) {
	table := tableOf(integer("a"), text("b"))
	keyless := tableOf(integer("a"))
	keyless.Key = nil
	for name, tc := range map[string]struct {
		query func() (string, error)
		want  string
	}{
		"of a chunk": {
			func() (string, error) { return table.ChunkDigest("TRUE") },
			"SELECT COUNT(*), HEX(BIT_XOR(UNHEX(SHA2(CONCAT_WS('#',`a`,`b`),224)))) FROM `s`.`t` FORCE INDEX (`PRIMARY`) WHERE TRUE",
		},
		"of each row": {
			func() (string, error) { return table.RowDigests("`a` = 1") },
			"SELECT `a`, `a`, LEFT(SHA2(CONCAT_WS('#',`a`,`b`),224),32) FROM `s`.`t` FORCE INDEX (`PRIMARY`) WHERE `a` = 1",
		},
		"without a key": {
			keyless.CopyDigests,
			"SELECT LEFT(SHA2(CONCAT_WS('#',`a`),224),32) h, COUNT(*) FROM `s`.`t` GROUP BY h",
		},
		"of each column": {
			func() (string, error) { return table.ColumnsOf("TRUE", Column.Exact), nil },
			"SELECT `a`, `a`, SHA2(`b`, 256) FROM `s`.`t` FORCE INDEX (`PRIMARY`) WHERE TRUE",
		},
	} {
		got, err := tc.query()
		if err != nil || got != tc.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, tc.want)
		}
	}
}

// Equal rows cancel out in an exclusive or.
func TestAChunkWithoutAKeyHasNoDigest(t *testing.T) {
	table := tableOf(integer("a"))
	table.Key = nil
	if got, err := table.ChunkDigest("TRUE"); err == nil || !strings.Contains(err.Error(), "s.t has no key") {
		t.Errorf("%s, %v, want an error", got, err)
	}
}

func TestTheTextOfARowFitsIntoAPacket(t *testing.T) {
	large := func(n int) []Column {
		columns := []Column{integer("a")}
		for range n {
			columns = append(columns, Column{Name: "n", Type: "longtext", Charset: "utf8mb4"})
		}
		return columns
	}
	for name, tc := range map[string]struct {
		columns []Column
		packet  int64
		want    int64
	}{
		"a large packet":             {large(1), packet, wantLarge},
		"what a packet leaves":       {large(1), 2 * (rowLimit + 2*90 + 1000), 1000},
		"is divided between columns": {large(4), 2 * (rowLimit + 5*90 + 1000), 250},
	} {
		table := tableOf(tc.columns...)
		table.MaxPacket = tc.packet
		if got, err := table.largeLimit(); err != nil || got != tc.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tc.want)
		}
	}
	table := tableOf(large(1)...)
	table.MaxPacket = rowLimit
	if err := table.Check(); err == nil || !strings.Contains(err.Error(), "max_allowed_packet") || !strings.Contains(err.Error(), "raise it") {
		t.Errorf("a packet that is too small: %v, want an error that names the setting", err)
	}
}
