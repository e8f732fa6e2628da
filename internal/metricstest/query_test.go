package metricstest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAQueryNamesItsMetricsAndTheLabelsThatItUses(t *testing.T) {
	query := Query{
		Expr:   `sum by (pair) (rate(gap_bucket{trigger="Drain"}[5m])) / on (pair) group_left (role) max without (pod) (info)`,
		Legend: nil,
	}
	metrics, err := query.metrics()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"gap_bucket": "pair, role, trigger", "info": "pair, pod, role"} {
		if got := metrics[name].names(); got != want {
			t.Errorf("%s: labels %s, want %s", name, got, want)
		}
	}
}

func TestAQueryIsRefused(t *testing.T) {
	for what, query := range map[string]Query{
		"that does not parse":                      {Expr: "sum(rate(x[5m])"},
		"that names no metric":                     {Expr: "1 + 1"},
		"that reads every series":                  {Expr: `{job="dbpair"}`},
		"whose legend has what it aggregates away": {Expr: "sum by (pair) (x)", Legend: []string{"member"}},
	} {
		if _, err := query.metrics(); err == nil {
			t.Errorf("a query %s is accepted", what)
		}
	}
}

func TestASeriesOfAHistogramIsFoundByItsBase(t *testing.T) {
	registered := Registered(t, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gap_seconds"}, []string{"trigger", "pair"}))
	for name, want := range map[string]int{"gap_seconds_bucket": 3, "gap_seconds_sum": 2, "gap_seconds": 2} {
		if labels, ok := lookup(registered, name); !ok || len(labels) != want {
			t.Errorf("%s: %v, %t", name, labels, ok)
		}
	}
	if _, ok := lookup(registered, "gap_seconds_total"); ok {
		t.Error("a series that there is not is found")
	}
}
