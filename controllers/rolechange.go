package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/status"
)

// What became of the sessions of a drain, in the metric.
const (
	sessionsClosed = "closed"
	sessionsCut    = "cut"
)

// countRoleChange counts a failover or a planned switchover that has ended, by the rule that
// began it. Other operations are left out.
func countRoleChange(name types.NamespacedName, op *v1alpha1.DatabasePairOperation) {
	if op.Spec.Type != v1alpha1.OperationFailover && op.Spec.Type != v1alpha1.OperationSwitchover {
		return
	}
	s := &op.Status
	trigger := s.Rule
	roleChanges.WithLabelValues(name.Namespace, name.Name, trigger, string(s.Phase)).Inc()
	if s.WriteGap != nil && s.Phase == v1alpha1.OperationSucceeded {
		writeGapSeconds.WithLabelValues(trigger).Observe(s.WriteGap.Seconds())
	}
	if took, drained := drainTime(s); drained {
		drainSeconds.WithLabelValues(trigger).Observe(took.Seconds())
	}
	if s.Drain != nil {
		drainedSessions.WithLabelValues(name.Namespace, name.Name, trigger, sessionsClosed).Add(float64(s.Drain.Closed))
		drainedSessions.WithLabelValues(name.Namespace, name.Name, trigger, sessionsCut).Add(float64(s.Drain.Cut))
	}
	if status.IsDrill(op) {
		drillTotal.WithLabelValues(name.Namespace, name.Name, string(s.Phase)).Inc()
	}
}

// drainTime is how long the primary was drained, from the begin of the operation to the
// revocation; false when the operation has no drain, or none that led to a revocation.
func drainTime(s *v1alpha1.OperationStatus) (time.Duration, bool) {
	if s.Drain == nil || s.StartTime == nil {
		return 0, false
	}
	for i := range s.Timeline {
		if e := &s.Timeline[i]; e.Step == string(authority.ChangeRevoke) {
			return max(e.Time.Sub(s.StartTime.Time), 0), true
		}
	}
	return 0, false
}
