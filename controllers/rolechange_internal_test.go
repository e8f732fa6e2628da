package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// counted is what the metrics say about one trigger: counters by name and the label that tells
// their series apart, histograms by the sum of what they observed.
func counted(t *testing.T, trigger string) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["trigger"] == trigger {
				key := family.GetName() + " " + labels["result"] + labels["outcome"]
				out[key] = m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
			}
		}
	}
	return out
}

func TestRoleChangesAreCountedByTrigger(t *testing.T) {
	start := metav1.NewMicroTime(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))
	after := func(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(start.Add(d)) }
	whole := v1alpha1.OperationStatus{
		Phase:     v1alpha1.OperationSucceeded,
		WriteGap:  &metav1.Duration{Duration: 50 * time.Millisecond},
		StartTime: &start,
		Drain:     &v1alpha1.OperationDrain{Closed: 16, Cut: 2},
		Timeline: []v1alpha1.OperationEvent{
			{Step: "Drain", Time: after(time.Second)},
			{Step: "Revoke", Time: after(2 * time.Second)},
			{Step: "Appoint", Time: after(3 * time.Second)},
		},
	}
	notRevoked := *whole.DeepCopy()
	notRevoked.Phase = v1alpha1.OperationAbandoned
	notRevoked.Timeline = notRevoked.Timeline[:1]
	for name, c := range map[string]struct {
		kind   v1alpha1.OperationType
		status v1alpha1.OperationStatus
		want   map[string]float64
	}{
		"a switchover": {v1alpha1.OperationSwitchover, whole, map[string]float64{
			"dbpair_role_changes_total Succeeded":  1,
			"dbpair_write_gap_seconds ":            0.05,
			"dbpair_drain_seconds ":                2,
			"dbpair_drained_sessions_total closed": 16,
			"dbpair_drained_sessions_total cut":    2,
		}},
		"one that was given up": {v1alpha1.OperationSwitchover, notRevoked, map[string]float64{
			"dbpair_role_changes_total Abandoned":  1,
			"dbpair_drained_sessions_total closed": 16,
			"dbpair_drained_sessions_total cut":    2,
		}},
		"a failover": {v1alpha1.OperationFailover, v1alpha1.OperationStatus{Phase: v1alpha1.OperationSucceeded, StartTime: &start}, map[string]float64{
			"dbpair_role_changes_total Succeeded": 1,
		}},
		"a copy": {v1alpha1.OperationReseed, whole, map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			op := &v1alpha1.DatabasePairOperation{Spec: v1alpha1.OperationSpec{Type: c.kind}, Status: c.status}
			op.Status.Rule = "Trigger of " + name
			countRoleChange(types.NamespacedName{Namespace: "ns", Name: "shop"}, op)
			got := counted(t, op.Status.Rule)
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for key, value := range c.want {
				if got[key] != value {
					t.Errorf("%s is %v, want %v", key, got[key], value)
				}
			}
		})
	}
}
