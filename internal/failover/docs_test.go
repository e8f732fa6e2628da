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
	for _, kind := range []fencing.Kind{
		fencing.ProcessStopped, fencing.Demoted, fencing.PodTerminated, fencing.AuthorityExpired,
		fencing.NodeOutOfService, fencing.HumanAck, fencing.AckFenced, fencing.NeverHeld,
	} {
		if !strings.Contains(string(text), "| "+string(kind)+" |") {
			t.Errorf("proof %s is not in the table of docs/failover.md", kind)
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
