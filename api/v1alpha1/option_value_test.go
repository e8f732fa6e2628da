package v1alpha1

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestValuesMayBeWrittenWithoutQuotes(t *testing.T) {
	for given, want := range map[string]string{
		`"200"`:                  "200",
		`200`:                    "200",
		`-1`:                     "-1",
		`0.5`:                    "0.5",
		`1e6`:                    "1000000",
		`1E-2`:                   "0.01",
		`9223372036854775807`:    "9223372036854775807",
		`true`:                   "ON",
		`false`:                  "OFF",
		`"true"`:                 "true",
		`"2G"`:                   "2G",
		`""`:                     "",
		`" ANSI , STRICT "`:      " ANSI , STRICT ",
		`"18446744073709551615"`: "18446744073709551615",
	} {
		var v MySQLOptionValue
		if err := json.Unmarshal([]byte(given), &v); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if string(v) != want || v.Invalid() != "" {
			t.Errorf("%s is %q (%s), want %q", given, v, v.Invalid(), want)
		}
	}
}

// One pair that cannot be decoded would keep the operator from seeing any.
func TestWhatIsNoValueIsDecodedAndNamed(t *testing.T) {
	for given, says := range map[string]string{
		`null`:                 "null",
		`[1, 2]`:               "list",
		`{"a": {"b": null}}`:   "object",
		`18446744073709552000`: "in quotes",
		`1e300`:                "in quotes",
	} {
		var options map[string]MySQLOptionValue
		if err := json.Unmarshal([]byte(`{"x": `+given+`}`), &options); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if why := options["x"].Invalid(); !strings.Contains(why, says) {
			t.Errorf("%s: %q lacks %q", given, why, says)
		}
		back, err := json.Marshal(options["x"])
		if err != nil || !json.Valid(back) || back[0] == '"' {
			t.Errorf("%s becomes %s, %v", given, back, err)
		}
	}
}
