// Command settings-rule writes what follows from the tables of mysqld's options in
// internal/mycnf: the expressions of the admission policy, so that the API server refuses what
// an agent would refuse at its next start, and the tables of docs/settings.md. It is
// idempotent; `make generate` runs it.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/internal/mycnf"
)

const (
	policy = "config/admission/settings.yaml"
	docs   = "docs/settings.md"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: settings-rule <root of the repository>")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "settings-rule:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	return errors.Join(
		replacePattern(filepath.Join(root, policy), "owned", "config", mycnf.OwnedPattern()),
		replacePattern(filepath.Join(root, policy), "birthOnly", "configBefore", mycnf.BirthPattern()),
		replacePattern(filepath.Join(root, policy), "birthOnlyNow", "config", mycnf.BirthPattern()),
		replaceBlock(filepath.Join(root, docs), "birth-only options", birthTable()),
		replaceBlock(filepath.Join(root, docs), "owned options", ownedTable()),
	)
}

// replacePattern writes the variable of the policy that has the keys of a map whose names match.
func replacePattern(path, variable, of, pattern string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	at := slices.Index(lines, "  - name: "+variable)
	if at < 0 || at+1 >= len(lines) {
		return fmt.Errorf("%s has no variable %s", path, variable)
	}
	lines[at+1] = `    expression: "variables.` + of + `.filter(k, k.lowerAscii().replace('-', '_').matches('` + pattern + `'))"`
	return replace(path, string(text), strings.Join(lines, "\n"))
}

// replaceBlock writes what stands between the two marks of this name in a Markdown file.
func replaceBlock(path, name, body string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin := "<!-- " + name + ": made by hack/settings-rule -->\n"
	end := "<!-- end -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no block %q", path, name)
	}
	return replace(path, string(text), before+begin+body+end+after)
}

func replace(path, old, made string) error {
	if made == old {
		return nil
	}
	return os.WriteFile(path, []byte(made), 0o644)
}

func ownedTable() string {
	var out strings.Builder
	out.WriteString("| option | why | instead |\n| --- | --- | --- |\n")
	for _, row := range mycnf.OwnedSettings() {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", row.Name, row.Why, row.Instead)
	}
	return out.String()
}

func birthTable() string {
	var out strings.Builder
	out.WriteString("| option | default | what it fixes |\n| --- | --- | --- |\n")
	for _, row := range mycnf.BirthSettings() {
		fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", row.Name, row.Default, row.Fixes)
	}
	return out.String()
}
