package mycnf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// Whatever value passes the checks, MySQL's own reader has to see it as it is
// and nothing else beside it.
func TestValuesAreReadAsTheyWereGiven(t *testing.T) {
	program := filepath.Join(mysqldtest.Require(t).Dir, "my_print_defaults")
	if _, err := os.Stat(program); err != nil {
		t.Skip("SKIPPED: no my_print_defaults beside mysqld")
	}
	path := filepath.Join(t.TempDir(), "my.cnf")
	const checks = 60 // each starts a program
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		if runs++; runs > checks {
			return
		}
		value := rapid.StringOf(rapid.RuneFrom([]rune(`ab =#;\"'[]!,/ntsé%-$`+"`"))).Draw(r, "value")
		m := member()
		m.Settings = map[string]string{"sql_mode": value}
		text, err := mycnf.Render(m)
		if err != nil {
			r.Skip("refused")
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			r.Fatal(err)
		}
		out, err := exec.Command(program, "--defaults-file="+path, "mysqld").Output()
		if err != nil {
			r.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		if !slices.Contains(lines, "--sql_mode="+value) {
			r.Fatalf("%q is read as %v", value, slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "sql_mode") }))
		}
		if want := strings.Count(text, " = "); len(lines)-1 < want-strings.Count(value, " = ") {
			r.Fatalf("%d options of %d were read", len(lines)-1, want)
		}
	})
}
