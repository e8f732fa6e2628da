package failover_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

// A rule has one name: in the code, as condition reason and as a heading of the docs.
func TestDocsNameTheRules(t *testing.T) {
	text, err := os.ReadFile("../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(text), "\n## Rules\n")
	if !ok {
		t.Fatal("docs/failover.md has no chapter Rules")
	}
	var documented []failover.RuleName
	for _, m := range regexp.MustCompile(`(?m)^#### (\w+)$`).FindAllStringSubmatch(rules, -1) {
		documented = append(documented, failover.RuleName(m[1]))
	}
	if diff := cmp.Diff(failover.RuleNames, documented); diff != "" {
		t.Errorf("rules of the code and headings of docs/failover.md (-code +docs):\n%s", diff)
	}
	for _, section := range strings.Split(rules, "\n#### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		isDoubt := slices.Contains(failover.DoubtRules, failover.RuleName(name))
		if strings.Contains(body, "*Doubt.*") != isDoubt {
			t.Errorf("rule %s: docs and code differ about whether it is a doubt", name)
		}
	}
}

// The tables of proofs name every kind, the strongest first. docs/concepts.md is about a failover,
// for which NeverHeld is no proof.
func TestDocsNameTheProofs(t *testing.T) {
	inFailovers := slices.DeleteFunc(slices.Clone(fencing.Kinds), func(k fencing.Kind) bool { return k == fencing.NeverHeld })
	for file, want := range map[string][]fencing.Kind{
		"../../docs/failover.md": fencing.Kinds,
		"../../docs/concepts.md": inFailovers,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		header := regexp.MustCompile(`(?m)^\| proof \| .*\n\| --- \| --- \|\n`).FindIndex(text)
		if header == nil {
			t.Fatalf("%s has no table of proofs", file)
		}
		table, _, _ := strings.Cut(string(text[header[1]:]), "\n\n")
		var documented []fencing.Kind
		for _, m := range regexp.MustCompile("(?m)^\\| `?(\\w+)`? \\|").FindAllStringSubmatch(table, -1) {
			documented = append(documented, fencing.Kind(m[1]))
		}
		if diff := cmp.Diff(want, documented); diff != "" {
			t.Errorf("proofs of the code and in the table of %s (-code +docs):\n%s", file, diff)
		}
	}
}

func TestEveryDoubtHasARunbook(t *testing.T) {
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range files {
		have = append(have, strings.TrimSuffix(filepath.Base(f), ".md"))
	}
	for _, r := range failover.DoubtRules {
		if !slices.Contains(have, string(r)) {
			t.Errorf("doubt %s has no page in docs/runbooks", r)
		}
	}
}
