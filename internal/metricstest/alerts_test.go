package metricstest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/internal/metricstest"
)

// promtool runs the cases of config/prometheus/alerts_test.yaml (make check-alerts); this says that none is missing.
func TestEveryAlertHasACaseInWhichItFiresAndOneInWhichItDoesNot(t *testing.T) {
	var cases struct {
		Tests []struct {
			Rules []struct {
				Alert    string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(metricstest.Read(t, "config/prometheus/alerts_test.yaml"), &cases); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	quiet := map[string]bool{}
	for _, test := range cases.Tests {
		for _, rule := range test.Rules {
			if len(rule.Expected) > 0 {
				fires[rule.Alert] = true
			} else {
				quiet[rule.Alert] = true
			}
		}
	}
	known := map[string]bool{}
	for _, rule := range metricstest.Alerts(t) {
		known[rule.Alert] = true
		if !fires[rule.Alert] || !quiet[rule.Alert] {
			t.Errorf("%s: a case in which it fires: %t; one in which it does not: %t", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
		}
	}
	for name := range maps.Keys(fires) {
		if !known[name] {
			t.Errorf("there are cases of %s, which is no alert", name)
		}
	}
}

func TestEveryAlertHasARunbookAndSaysWhatIsWrong(t *testing.T) {
	const base = "https://github.com/dbpair/dbpair/blob/main/"
	seen := map[string]bool{}
	for _, rule := range metricstest.Alerts(t) {
		if seen[rule.Alert] {
			t.Errorf("two alerts are called %s", rule.Alert)
		}
		seen[rule.Alert] = true
		if !slices.Contains([]string{"critical", "warning"}, rule.Labels["severity"]) {
			t.Errorf("%s: severity %q", rule.Alert, rule.Labels["severity"])
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s: no summary or no description", rule.Alert)
		}
		path, ours := strings.CutPrefix(rule.Annotations["runbook_url"], base)
		file, anchor, _ := strings.Cut(path, "#")
		if !ours || anchor != strings.ToLower(rule.Alert) {
			t.Errorf("%s: its runbook is %q", rule.Alert, rule.Annotations["runbook_url"])
			continue
		}
		if !strings.Contains(string(metricstest.Read(t, file)), "\n### "+rule.Alert+"\n") {
			t.Errorf("%s: %s has no heading of that name", rule.Alert, file)
		}
	}
	if len(seen) == 0 {
		t.Error("there is no alert")
	}
}
