package failover

import (
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
