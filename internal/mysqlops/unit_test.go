package mysqlops

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/mycnf"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	secret := NewSecret("hunter2")
	type holder struct{ Password Secret }
	encoded, err := json.Marshal(holder{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%s %v %+v %#v %q %x", secret, secret, secret, secret, secret, secret),
		fmt.Sprintf("%v %+v %#v", holder{secret}, holder{secret}, &holder{secret}), string(encoded),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
			t.Errorf("printed: %s", text)
		}
	}
	if secret.Reveal() != "hunter2" || secret.IsZero() || !(Secret{}).IsZero() {
		t.Error("the secret itself is lost")
	}
}

func TestErrorsOfSecretStatementsKeepTheNumberOnly(t *testing.T) {
	err := wrapSecret("set password", &mysql.MySQLError{Number: 1064, Message: "syntax error near 'hunter2'"})
	if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "1064") {
		t.Errorf("error %v", err)
	}
	err = wrapSecret("set password", &mysql.MySQLError{Number: 1290, Message: "hunter2"})
	if strings.Contains(err.Error(), "hunter2") || !errors.Is(err, ErrReadOnly) {
		t.Errorf("error %v", err)
	}
	if err := wrap("look", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}); errors.Is(err, ErrRefused) {
		t.Errorf("a missing file is taken for a mysqld that does not listen: %v", err)
	}
}

func TestOwnedTransactionsAreParsed(t *testing.T) {
	const a = "0a0a0a0a-0000-1111-2222-333333333333"
	for text, want := range map[string]string{
		"":                           "",
		a + ":23#42":                 a + ":23",
		a + ":23#42:24#7":            a + ":23-24",
		a + ":t:5#8":                 a + ":t:5",
		a + ":1#2,\n" + a + ":x:3#4": a + ":1:x:3",
	} {
		got, err := ParseOwned(text)
		if err != nil || got.String() != want {
			t.Errorf("%q is %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestWhatTheApplierOwnsIsToldFromTheRest(t *testing.T) {
	const a, b = "0a0a0a0a-0000-1111-2222-333333333333", "0b0b0b0b-0000-1111-2222-333333333333"
	cases := map[string]struct{ text, appliers, others, applying string }{
		"nothing is owned":             {"", "[7, 8]", "", ""},
		"no applier runs":              {a + ":23#42", "", a + ":23", ""},
		"one of each":                  {a + ":23#42:24#7", "[7, 8]", a + ":23", a + ":24"},
		"a tag that holds for several": {a + ":1#7:t:5#8:6#42", "[7, 8]", a + ":t:6", a + ":1:t:5"},
		"a tag of nothing wanted":      {a + ":1#42:t:5#8", "[7, 8]", a + ":1", a + ":t:5"},
		"two servers":                  {a + ":1#7,\n" + b + ":9#42", "[7]", b + ":9", a + ":1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			others, applying, err := splitOwned(c.text, c.appliers)
			if err != nil || others.String() != c.others || applying.String() != c.applying {
				t.Errorf("others %q, applying %q, %v; want %q and %q", others, applying, err, c.others, c.applying)
			}
		})
	}
	if _, _, err := splitOwned(a+":1#7", "seven"); err == nil {
		t.Error("a list that cannot be read is taken for an empty one")
	}
}

func TestValuesCompareAsMysqldMeansThem(t *testing.T) {
	values := map[string]string{"a": "ON", "b": "0", "c": "/data/mysql/", "d": "after_sync", "e": "4294967295", "f": ""}
	want := []mycnf.Expectation{
		{Variable: "a", Want: "1"}, {Variable: "b", Want: "OFF"}, {Variable: "c", Want: "/data/mysql"}, {Variable: "d", Want: "AFTER_SYNC"},
		{Variable: "e", Want: "4294967295"}, {Variable: "f", Want: ""},
	}
	if got := compareOwned(values, want); len(got) > 0 {
		t.Errorf("differ: %v", got)
	}
	got := compareOwned(values, []mycnf.Expectation{{Variable: "z", Want: "ON"}, {Variable: "c", Want: "/Data/mysql"}, {Variable: "a", Want: "OFF"}})
	want3 := []Difference{{Variable: "a", Want: "OFF", Got: "ON"}, {Variable: "c", Want: "/Data/mysql", Got: "/data/mysql/"}, {Variable: "z", Want: "ON", Missing: true}}
	if diff := cmp.Diff(want3, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// unquote is how a server reads a literal under our sql_mode.
func unquote(t *rapid.T, literal string) string {
	inner := literal[1 : len(literal)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '\\':
			i++
			b.WriteByte(inner[i])
		case '\'':
			if i++; i >= len(inner) || inner[i] != '\'' {
				t.Fatalf("the literal ends early: %s", literal)
			}
			b.WriteByte('\'')
		default:
			b.WriteByte(inner[i])
		}
	}
	return b.String()
}

func TestQuotedTextStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune(`ab'"\;%_`+"`é\n\x00"))).Draw(t, "text")
		literal, err := quote(text)
		if strings.ContainsAny(text, "\n\x00") {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("a control character gave %v", err)
			}
			return
		}
		if err != nil || unquote(t, literal) != text {
			t.Fatalf("%q became %s, %v", text, literal, err)
		}
	})
}
