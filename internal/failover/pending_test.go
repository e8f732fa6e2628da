package failover_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestAPendingPodFollowsTheTemplate(t *testing.T) {
	pending := func(change func(*failover.Observation)) func(*testing.T, *failover.Observation) {
		return func(_ *testing.T, o *failover.Observation) {
			m := &o.Members[1]
			m.Reach = failover.NoPodIP
			m.State = nil
			m.Pod.IP = ""
			m.Pod.NeverRan = true
			m.Pod.Outdated = "pod template"
			m.Pod.Problem = "Unschedulable"
			delete(m.Pod.Labels, pair.LabelReadable)
			change(o)
		}
	}
	check(t, map[string]decision{
		"in which mysqld never ran is replaced": {
			from:  solo,
			rule:  "ReplacePendingPod",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with:  pending(func(*failover.Observation) {}),
		},
		"one by the present template is waited for": {
			from: solo,
			rule: "PassiveAway",
			kind: failover.Holds,
			with: pending(func(o *failover.Observation) { o.Members[1].Pod.Outdated = "" }),
		},
		"one that ran is left alone": {
			from: solo,
			rule: "PassiveAway",
			kind: failover.Holds,
			with: pending(func(o *failover.Observation) { o.Members[1].Pod.NeverRan = false }),
		},
		"one that is being deleted is waited for": {
			from: solo,
			rule: "PassiveAway",
			kind: failover.Holds,
			with: pending(func(o *failover.Observation) { o.Members[1].Pod.Deleting = true }),
		},
		"not while paused": {
			from: solo,
			rule: "Paused",
			kind: failover.Holds,
			with: pending(func(o *failover.Observation) { o.Settings.Paused = true }),
		},
	})
}
