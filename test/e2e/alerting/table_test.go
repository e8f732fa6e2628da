package alerting

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const repository = "../../.."

// TestEveryAlertHasItsFault: an alert without a fault needs a reason, and the table names no alert that is not there.
func TestEveryAlertHasItsFault(t *testing.T) {
	names, err := Names(repository)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Fatalf("only %d alerts were found", len(names))
	}
	for _, name := range names {
		_, fired := Fired[name]
		reason := RuleTestOnly[name]
		if fired == (reason != "") {
			t.Errorf("%s: want a fault that fires it or a reason why there is none, and not both", name)
		}
	}
	for name := range Fired {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
	for name := range RuleTestOnly {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
	for _, name := range Counting {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// TestTheRulesWaitShortly: the expressions are those that users have.
func TestTheRulesWaitShortly(t *testing.T) {
	text, err := Rules(repository)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	groups, _ := file["groups"].([]any)
	original, err := groupsOf(repository)
	if err != nil {
		t.Fatal(err)
	}
	for i, rule := range rulesOf(original) {
		short := rulesOf(groups)[i]
		if short["expr"] != rule["expr"] {
			t.Errorf("%s has the expression %s, want %s", rule["alert"], short["expr"], rule["expr"])
		}
	}
	if long := strings.Count(string(text), "for: ") - strings.Count(string(text), "for: "+Soon); long != 0 {
		t.Errorf("%d alerts wait for long:\n%s", long, text)
	}
	if err := yaml.Unmarshal([]byte(Config("ns", "shop", "dbpair-system", "operator")), &file); err != nil {
		t.Errorf("the configuration is no YAML: %v", err)
	}
}
