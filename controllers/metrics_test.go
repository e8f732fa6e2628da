package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// An alert is about what is so now: with spec.backup a failed backup and its conditions go, and with a member's answers its lag.
func TestMetricsEndWithWhatTheySpeakOf(t *testing.T) {
	name := types.NamespacedName{Namespace: "metrics-that-end", Name: "shop"}
	t.Cleanup(func() { forgetMetrics(name) })
	var o failover.Observation
	o.Members[1].Name = "shop-1"
	o.Members[1].Reach = failover.Answered
	o.Members[1].State = &agentapi.State{Server: &agentapi.Server{LagSeconds: 90}}
	status := v1alpha1.DatabasePairStatus{
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue},
		},
		Backup: &v1alpha1.BackupStatus{LastCompletionTime: &metav1.MicroTime{Time: time.Unix(1, 0)}, LastFailure: "no room"},
	}
	ends := []string{"dbpair_backup_last_failed", "dbpair_member_lag_seconds"}
	for _, kind := range v1alpha1.OptionalConditionTypes {
		status.Conditions = append(status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionFalse})
		ends = append(ends, "dbpair_pair_condition "+kind)
	}
	setMetrics(name, o, status)
	for _, want := range append([]string{"dbpair_pair_condition Ready"}, ends...) {
		if !served(t, name)[want] {
			t.Errorf("%s is not served: %v", want, served(t, name))
		}
	}
	status.Conditions = status.Conditions[:1]
	o.Members[1].State = nil
	setMetrics(name, o, status)
	for _, gone := range ends {
		if served(t, name)[gone] {
			t.Errorf("%s is served still", gone)
		}
	}
	if !served(t, name)["dbpair_pair_condition Ready"] {
		t.Error("the condition that the pair has is not served")
	}
}

// served are the names of the metrics of a pair, with the condition that they speak of.
func served(t *testing.T, name types.NamespacedName) map[string]bool {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range m.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["namespace"] == name.Namespace {
				out[strings.TrimSpace(family.GetName()+" "+labels["condition"])] = true
			}
		}
	}
	return out
}
