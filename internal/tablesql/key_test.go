package tablesql

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func keyOf(name string, columns ...Column) *Key { return &Key{Name: name, Columns: columns} }

func integer(name string) Column { return Column{Name: name, Type: "int"} }

func text(name string) Column {
	return Column{
		Name:      name,
		Type:      "varchar",
		Charset:   "utf8mb4",
		Collation: "utf8mb4_0900_ai_ci",
	}
}

func TestRangesOfAKey(t *testing.T) {
	one := keyOf("PRIMARY", integer("a"))
	three := keyOf("PRIMARY", integer("a"), integer("b"), integer("c"))
	for name, tc := range map[string]struct {
		got  string
		want string
	}{
		"above one column":       {one.After([]string{"1"}), "(`a` > 1)"},
		"up to one column":       {one.Upto([]string{"1"}), "(`a` <= 1)"},
		"without bounds":         {one.Within(nil, nil), "TRUE"},
		"without a lower bound":  {one.Within(nil, []string{"9"}), "(`a` <= 9)"},
		"without an upper bound": {one.Within([]string{"1"}, nil), "(`a` > 1)"},
		"between two bounds":     {one.Within([]string{"1"}, []string{"9"}), "(`a` > 1) AND (`a` <= 9)"},
		"above three columns": {
			three.After([]string{"1", "2", "3"}),
			"(`a` >= 1 AND (`a` > 1 OR `a` = 1 AND (`b` >= 2 AND (`b` > 2 OR `b` = 2 AND (`c` > 3)))))",
		},
		"up to three columns": {
			three.Upto([]string{"1", "2", "3"}),
			"(`a` <= 1 AND (`a` < 1 OR `a` = 1 AND (`b` <= 2 AND (`b` < 2 OR `b` = 2 AND (`c` <= 3)))))",
		},
		"some keys of one column": {one.In([][]string{{"1"}, {"2"}}), "`a` IN (1, 2)"},
		"some keys of more": {
			keyOf("k", integer("a"), text("b")).In([][]string{{"1", "X''"}, {"2", "X'41'"}}),
			"(`a`, `b`) IN ((1, X''), (2, X'41'))",
		},
		"members of an ENUM": {
			keyOf("k", integer("a"), Column{Name: "b", Type: "enum"}).In([][]string{{"1", "2"}, {"3", "4"}}),
			"((`a` = 1 AND `b` = 2) OR (`a` = 3 AND `b` = 4))",
		},
	} {
		// How blanks stand around an operator is of no account.
		if got := squeeze(tc.got); got != squeeze(tc.want) {
			t.Errorf("%s: %s, want %s", name, tc.got, tc.want)
		}
	}
}

// squeeze takes the blanks out.
func squeeze(condition string) string {
	var out []byte
	for i := range len(condition) {
		if condition[i] != ' ' {
			out = append(out, condition[i])
		}
	}
	return string(out)
}

func TestTheBetterKey(t *testing.T) {
	for name, tc := range map[string]struct{ better, worse *Key }{
		"the primary key, of however many columns": {keyOf("PRIMARY", text("a"), text("b")), keyOf("k", integer("a"))},
		"fewer columns":                {keyOf("z", text("a")), keyOf("k", integer("a"), integer("b"))},
		"numbers rather than texts":    {keyOf("z", integer("a")), keyOf("k", text("a"))},
		"the first by name, otherwise": {keyOf("k", integer("a")), keyOf("z", integer("b"))},
	} {
		if !tc.better.isBetter(tc.worse) || tc.worse.isBetter(tc.better) {
			t.Errorf("%s: %v is not preferred to %v", name, tc.better, tc.worse)
		}
	}
}

func TestWhatAKeyIsFitFor(t *testing.T) {
	type fitness struct{ Primary, Exact, Integer bool }
	for name, tc := range map[string]struct {
		key  *Key
		want fitness
	}{
		"an integer":       {keyOf("PRIMARY", integer("a")), fitness{Primary: true, Exact: true, Integer: true}},
		"two integers":     {keyOf("k", integer("a"), integer("b")), fitness{Exact: true}},
		"a text":           {keyOf("k", text("a")), fitness{Exact: true}},
		"a floating point": {keyOf("k", Column{Name: "a", Type: "float"}), fitness{}},
	} {
		got := fitness{
			Primary: tc.key.IsPrimary(),
			Exact:   tc.key.IsExact(),
			Integer: tc.key.IsInteger(),
		}
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestAKeyIsReadAsLiterals(t *testing.T) {
	key := keyOf("PRIMARY", integer("a"), text("b"))
	if got := key.Select(); got != "`a`, HEX(`b`)" {
		t.Errorf("select: %s", got)
	}
	want := []string{"7", "_utf8mb4 X'41'"}
	if diff := cmp.Diff(want, key.Literals([]sql.RawBytes{[]byte("7"), []byte("41")})); diff != "" {
		t.Errorf("literals (-want +got):\n%s", diff)
	}
}

func TestQueriesForTheEndOfAChunk(t *testing.T) {
	table := &Table{TableName: TableName{Schema: "s", Name: "t"}, Key: keyOf("PRIMARY", integer("a"))}
	want := "SELECT `a` FROM `s`.`t` FORCE INDEX (`PRIMARY`) WHERE (`a`> 5) ORDER BY `a` LIMIT 1 OFFSET 99"
	if got := table.Boundary([]string{"5"}, nil, 100); squeeze(got) != squeeze(want) {
		t.Errorf("boundary: %s, want %s", got, want)
	}
	want = "SELECT `a` FROM `s`.`t` FORCE INDEX (`PRIMARY`) ORDER BY `a` DESC LIMIT 1"
	if got := table.Last(); got != want {
		t.Errorf("last: %s, want %s", got, want)
	}
}
