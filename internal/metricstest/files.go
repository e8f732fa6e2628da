package metricstest

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// Rule is an alert of config/prometheus/alerts.yaml.
type Rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Alerts reads the alerts from config/prometheus.
func Alerts(tb testing.TB) []Rule {
	tb.Helper()
	var file struct {
		Spec struct {
			Groups []struct {
				Rules []Rule `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(Read(tb, "config/prometheus/alerts.yaml"), &file); err != nil {
		tb.Fatal(err)
	}
	var rules []Rule
	for _, group := range file.Spec.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// Queries returns every query of the alerts and of the dashboards.
func Queries(tb testing.TB) []Query {
	tb.Helper()
	var queries []Query
	for _, rule := range Alerts(tb) {
		queries = append(queries, Query{Where: "alert " + rule.Alert, Expr: rule.Expr})
	}
	for _, d := range Dashboards(tb) {
		queries = append(queries, d.Queries()...)
	}
	return queries
}

// Read returns a file of the repository, whichever package's test asks for it.
func Read(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(root(tb), path))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// root is the nearest directory above the test's own that has a go.mod: a test runs in the directory of its package.
// A binary built with -trimpath does not know the path of its source.
func root(tb testing.TB) string {
	tb.Helper()
	directory, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			tb.Fatal("no directory above this test has a go.mod")
		}
		directory = parent
	}
}
