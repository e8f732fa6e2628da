package failover

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestEveryRowSaysWhatItIsFor(t *testing.T) {
	for _, table := range tables {
		names := map[RuleName]bool{}
		for _, r := range table.rules {
			if names[r.name] {
				t.Errorf("%s: %s stands there twice", table.title, r.name)
			}
			names[r.name] = true
			if !strings.HasSuffix(r.says, ".") || strings.Count(r.says, "\n") > 0 {
				t.Errorf("%s: %s says %q, want one sentence", table.title, r.name, r.says)
			}
			if (r.apply == nil) != (table.title == "Comparison of the members' tables") {
				t.Errorf("%s: %s cannot be asked", table.title, r.name)
			}
		}
	}
}

// docs/failover.md has the tables with their sentences, in the order in which they are asked.
func TestDocsHaveTheTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&want, "**%s**\n\n", table.title)
		for i, r := range table.rules {
			fmt.Fprintf(&want, "%d. [%s](#%s): %s\n", i+1, r.name, strings.ToLower(string(r.name)), r.says)
		}
		want.WriteString("\n")
	}
	if !strings.Contains(string(text), want.String()) {
		t.Errorf("docs/failover.md lacks this, below the heading Rules:\n%s", want.String())
	}
}
