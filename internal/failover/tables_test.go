package failover

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryRowSaysWhatItIsFor(t *testing.T) {
	notAsked := []string{"Writes that fail", "Schedules", "Comparison of the members' tables"}
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
			if !strings.HasSuffix(r.until, ".") || strings.Count(r.until, "\n") > 0 || r.until == r.says {
				t.Errorf("%s: %s ends by %q, want what leads to another decision", table.title, r.name, r.until)
			}
			if (r.apply == nil) != slices.Contains(notAsked, table.title) {
				t.Errorf("%s: %s cannot be asked", table.title, r.name)
			}
		}
	}
}

// docs/failover.md has the tables with their sentences, in the order in which they are evaluated.
func TestDocsHaveTheTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Rules\n")
	for _, table := range tables {
		var want strings.Builder
		fmt.Fprintf(&want, "\n### %s\n\n", table.title)
		for i, r := range table.rules {
			fmt.Fprintf(&want, "%d. [%s](#%s): %s\n", i+1, r.name, strings.ToLower(string(r.name)), r.says)
		}
		want.WriteString("\n")
		_, after, ok := strings.Cut(rest, want.String())
		if !ok {
			t.Errorf("docs/failover.md lacks this, below the heading Rules and behind the tables before it:\n%s", want.String())
			continue
		}
		rest = after
	}
}

// docs/failover.md quotes each course of events at least once; hack/lint compares the excerpts.
func TestDocsQuoteTheTranscripts(t *testing.T) {
	text, err := os.ReadFile("../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		if !strings.Contains(string(text), "quote=internal/failover/"+f+"\n") {
			t.Errorf("docs/failover.md quotes nothing of %s", f)
		}
	}
}

// A rule that stands in several tables is explained by the one that is asked in the situation.
func TestExplain(t *testing.T) {
	held := Situation{Begun: true, Held: true}
	between := Situation{Begun: true}
	first := Situation{}
	for _, c := range []struct {
		name  RuleName
		in    Situation
		rules []rule
	}{
		{RuleNoTrustedCopy, held, revokingRules},
		{RuleNoTrustedCopy, between, betweenRules},
		{RulePrimaryDataRolledBack, held, holderRules},
		{RulePrimaryDataRolledBack, between, betweenRules},
		{RuleBootstrapStalled, first, bootstrapRules},
		{RuleBootstrapStalled, held, bootstrapRules},
		{RuleOperationRefused, first, refusalRules},
		{RuleDrift, held, statusRules},
	} {
		want := c.rules[slices.IndexFunc(c.rules, func(r rule) bool { return r.name == c.name })]
		got, ok := Explain(c.name, c.in)
		if !ok || got.Says != want.says || got.Until != want.until || got.Doubt != want.doubts {
			t.Errorf("%s in %+v: got %+v, %t; want %q", c.name, c.in, got, ok, want.says)
		}
	}
	if got, ok := Explain("Sometimes", held); ok {
		t.Errorf("a rule that does not exist is explained by %+v", got)
	}
}
