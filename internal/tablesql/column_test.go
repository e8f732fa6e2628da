package tablesql

import "testing"

func TestAValueSurvivesAsALiteral(t *testing.T) {
	for name, tc := range map[string]struct {
		column  Column
		source  string
		value   string
		literal string
	}{
		"an integer":                  {Column{Name: "a", Type: "bigint"}, "`a`", "-12", "-12"},
		"a decimal":                   {Column{Name: "a", Type: "decimal"}, "`a`", "1.50", "1.50"},
		"a float without an exponent": {Column{Name: "a", Type: "float"}, "`a`*1E0", "0.1", "0.1E0"},
		"a double with an exponent":   {Column{Name: "a", Type: "double"}, "`a`*1E0", "1e-300", "1e-300"},
		"a negative zero":             {Column{Name: "a", Type: "double"}, "`a`*1E0", "-0", "-0E0"},
		"a date":                      {Column{Name: "a", Type: "date"}, "`a`", "0000-00-00", "'0000-00-00'"},
		"a member of an ENUM":         {Column{Name: "a", Type: "enum", Charset: "utf8mb4"}, "CAST(`a` AS UNSIGNED)", "3", "3"},
		"bits":                        {Column{Name: "a", Type: "bit"}, "CAST(`a` AS UNSIGNED)", "5", "5"},
		"a text":                      {Column{Name: "a", Type: "varchar", Charset: "latin1"}, "HEX(`a`)", "E4", "_latin1 X'E4'"},
		"bytes":                       {Column{Name: "a", Type: "varbinary"}, "HEX(`a`)", "00FF", "X'00FF'"},
		"a document":                  {Column{Name: "a", Type: "json"}, "HEX(`a`)", "7B7D", "CONVERT(X'7B7D' USING utf8mb4)"},
		"a point":                     {Column{Name: "a", Type: "point"}, "HEX(CAST(`a` AS BINARY))", "00", "X'00'"},
		"a type of a later server":    {Column{Name: "a", Type: "uuid"}, "HEX(`a`)", "0A", "X'0A'"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.column.Source(); got != tc.source {
				t.Errorf("source %s, want %s", got, tc.source)
			}
			if got := tc.column.Literal([]byte(tc.value)); got != tc.literal {
				t.Errorf("literal %s, want %s", got, tc.literal)
			}
			if got := tc.column.Literal(nil); got != "NULL" {
				t.Errorf("literal of NULL: %s", got)
			}
		})
	}
}

func TestAnEmptyTextIsNotNULL(t *testing.T) {
	if got := (Column{Name: "a", Type: "varbinary"}).Literal([]byte{}); got != "X''" {
		t.Errorf("literal of an empty text: %s", got)
	}
}

// The values of a key match as its index compares them, those of other columns as they are stored.
func TestAKeyMatchesByItsCollation(t *testing.T) {
	for name, tc := range map[string]struct {
		column Column
		want   string
	}{
		"trailing spaces do not count": {Column{
			Name:     "a",
			Type:     "char",
			Charset:  "latin1",
			PadSpace: true,
		}, "HEX(WEIGHT_STRING(RTRIM(`a`)))"},
		"trailing spaces count": {Column{Name: "a", Type: "char", Charset: "utf8mb4"}, "HEX(WEIGHT_STRING(`a`))"},
		"both zeros are one":    {Column{Name: "a", Type: "double"}, "`a`*1E0+0E0"},
		"bytes":                 {Column{Name: "a", Type: "binary"}, "HEX(`a`)"},
		"a number":              {Column{Name: "a", Type: "int"}, "`a`"},
	} {
		if got := (&Key{Columns: []Column{tc.column}}).Match(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestExactSaysWhatIsStored(t *testing.T) {
	for kind, want := range map[string]string{
		"int":     "`a`",
		"double":  "`a`*1E0",
		"varchar": "SHA2(`a`, 256)",
		"point":   "SHA2(`a`, 256)",
	} {
		if got := (Column{Name: "a", Type: kind}).Exact(); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

func TestNamesAndTextsAreQuoted(t *testing.T) {
	if got := (TableName{Schema: "a`b", Name: "c.d"}).SQL(); got != "`a``b`.`c.d`" {
		t.Errorf("name: %s", got)
	}
	if got := Text("it's \\"); got != "_utf8mb4 X'69742773205c'" {
		t.Errorf("text: %s", got)
	}
}
