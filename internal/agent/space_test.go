package agent

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dbpair/dbpair/internal/agent/volume"
)

func TestTheVolumesFiguresAreThoseMeasuredLast(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	state := newTestBoard()
	registry := prometheus.NewRegistry()
	registry.MustRegister(volumeGauges(state, dataVolume)...)
	state.measured(dataVolume, volume.Space{Used: 10, Free: 90})
	before := state.snapshot()
	state.measured(dataVolume, volume.Space{Used: 85, Free: 15})
	after := state.snapshot()
	if before.VolumeLow != 0 || after.VolumeLow != 20 || after.Revision == before.Revision {
		t.Errorf("low %d, then %d; revisions %d, %d", before.VolumeLow, after.VolumeLow, before.Revision, after.Revision)
	}
	state.measured(binlogVolume, volume.Space{Used: 95, Free: 5})
	if both := state.snapshot(); both.VolumeLow != 20 || both.BinlogVolumeLow != 10 || both.Revision == after.Revision {
		t.Errorf("low %d and %d of the binary logs; revisions %d, %d", both.VolumeLow, both.BinlogVolumeLow, after.Revision, both.Revision)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if !strings.Contains(string(docs), "`"+family.GetName()+"`") {
			t.Errorf("docs/metrics.md does not name %s", family.GetName())
		}
		got[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
	}
	days, found := got["dbpair_agent_volume_full_days"]
	if got["dbpair_agent_volume_used_bytes"] != 85 || got["dbpair_agent_volume_free_bytes"] != 15 || !found || !math.IsNaN(days) {
		t.Errorf("figures %v", got)
	}
}
