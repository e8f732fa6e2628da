package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/metricstest"
)

// TestAlertsAndDashboardsNameMetricsThatThereAre: those of the agent. Prometheus adds whose they are when it scrapes a pod.
func TestAlertsAndDashboardsNameMetricsThatThereAre(t *testing.T) {
	state := newTestBoard()
	m := newMetrics(func() int64 { return 0 }, state.snapshot)
	m.registry.MustRegister(volumeGauges(state, dataVolume)...)
	metricstest.Check(t, metricstest.Registered(t, m.registry), func(name string) bool {
		return strings.HasPrefix(name, "dbpair_agent_")
	}, "namespace", "pair", "member")
}

// TestEveryFigureIsDocumented keeps docs/metrics.md and the registry together.
func TestEveryFigureIsDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(func() int64 { return 0 }, newTestBoard().snapshot)
	m.vouches.WithLabelValues("given").Inc()
	m.leaseReads.WithLabelValues("Found").Inc()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "dbpair_") {
			continue
		}
		seen++
		if !strings.Contains(string(docs), "`"+family.GetName()+"`") {
			t.Errorf("docs/metrics.md does not name %s", family.GetName())
		}
	}
	if seen < 10 {
		t.Errorf("only %d figures", seen)
	}
}

// TestARevisionIsNewsOnly: ages and positions change all the time and wake nobody.
func TestARevisionIsNewsOnly(t *testing.T) {
	state := newTestBoard()
	state.bump()
	before := state.snapshot().Revision
	state.bump()
	if got := state.snapshot().Revision; got != before {
		t.Errorf("revision %d after nothing happened, was %d", got, before)
	}
	state.problem(agentapi.ProblemVolumeFull, "full")
	raised := state.snapshot().Revision
	if raised == before {
		t.Error("a problem is no news")
	}
	state.problem(agentapi.ProblemVolumeFull, "full")
	if got := state.snapshot().Revision; got != raised {
		t.Error("the same problem again is news")
	}
	state.resolve(agentapi.ProblemVolumeFull)
	if got := state.snapshot().Revision; got == raised {
		t.Error("its end is no news")
	}
}
