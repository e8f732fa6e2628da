package controllers

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/internal/metricstest"
)

// TestAlertsAndDashboardsNameMetricsThatThereAre: those of the operator; the agent's are checked beside them.
func TestAlertsAndDashboardsNameMetricsThatThereAre(t *testing.T) {
	registry, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry does not describe its metrics")
	}
	metricstest.Check(t, metricstest.Registered(t, registry), func(name string) bool {
		return !strings.HasPrefix(name, "dbpair_agent_")
	})
}
