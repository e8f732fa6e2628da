// Command settings-rule writes the validation rule about owned settings of mysqld into the
// API types, from the table in internal/mycnf, so that the API server refuses what an agent
// would refuse at its next start. It is idempotent; `make generate` runs it.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbpair/dbpair/internal/mycnf"
)

const (
	target = "api/v1alpha1/databasepair_types.go"
	begin  = "\t// +kubebuilder:validation:XValidation:rule=\"self.all(k, !k.lowerAscii().replace('-', '_').matches('"
	end    = "'))\",message=\"spec.mysql.config: this option is owned by the operator (internal/mycnf/owned.go lists them with the reasons); remove it\""
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: settings-rule <root of the repository>")
		os.Exit(2)
	}
	if err := write(filepath.Join(os.Args[1], target)); err != nil {
		fmt.Fprintln(os.Stderr, "settings-rule:", err)
		os.Exit(1)
	}
}

func write(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	found := 0
	for i, line := range lines {
		if strings.HasPrefix(line, begin) {
			lines[i] = begin + mycnf.OwnedPattern() + end
			found++
		}
	}
	if found != 1 {
		return errors.New(path + " has not exactly one rule about owned settings")
	}
	if made := strings.Join(lines, "\n"); made != string(text) {
		return os.WriteFile(path, []byte(made), 0o644)
	}
	return nil
}
