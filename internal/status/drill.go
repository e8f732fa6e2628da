package status

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// IsDrill reports whether the schedule of drills made an operation.
func IsDrill(op *v1alpha1.DatabasePairOperation) bool {
	return op.Spec.Type == v1alpha1.OperationSwitchover && !ScheduledAt(op).IsZero()
}

// Drills is what the operator knows of a pair's drills beside their operations.
type Drills struct {
	// Schedule is in force by the spec; empty for none.
	Schedule string
	// Problem says why the schedule of the spec is not in force.
	Problem string
	// Skipped is the newest time for which no drill was begun, and why.
	Skipped SkippedDrill
}

// SkippedDrill is a time of the schedule for which no drill was begun; the zero value is none.
type SkippedDrill struct {
	At     time.Time
	Reason string
}

// Drilled adds to what is known of a pair's drills what has happened since. old may be nil and
// is not modified; the result is nil when there is nothing to say.
func Drilled(old *v1alpha1.DrillStatus, operations []v1alpha1.DatabasePairOperation, d Drills, now time.Time) *v1alpha1.DrillStatus {
	out := &v1alpha1.DrillStatus{}
	if old != nil {
		out = old.DeepCopy()
	}
	out.Problem = d.Problem
	if out.Schedule != d.Schedule {
		out.Schedule = d.Schedule
		out.Since = nil
		if d.Schedule != "" {
			out.Since = &metav1.Time{Time: now.Truncate(time.Second)}
		}
	}
	for i := range operations {
		op := &operations[i]
		if !IsDrill(op) {
			continue
		}
		noteScheduled(out, ScheduledAt(op))
		noteEnded(out, op)
	}
	if at := d.Skipped.At; !at.IsZero() && (out.SkippedTime == nil || out.SkippedTime.Time.Before(at)) {
		noteScheduled(out, at)
		out.SkippedTime = &metav1.Time{Time: at}
		out.SkippedReason = d.Skipped.Reason
	}
	if *out == (v1alpha1.DrillStatus{}) {
		return nil
	}
	return out
}

func noteScheduled(s *v1alpha1.DrillStatus, at time.Time) {
	if s.LastScheduleTime == nil || s.LastScheduleTime.Time.Before(at) {
		s.LastScheduleTime = &metav1.Time{Time: at}
	}
}

// noteEnded takes over the result of a drill that ended after the one that is known.
func noteEnded(s *v1alpha1.DrillStatus, op *v1alpha1.DatabasePairOperation) {
	if !op.Status.Phase.Terminal() || op.Status.CompletionTime == nil {
		return
	}
	at := metav1.NewTime(op.Status.CompletionTime.Truncate(time.Second))
	if s.Time != nil && !s.Time.Before(&at) {
		return
	}
	s.Time = &at
	s.Operation = op.Name
	s.Result = op.Status.Phase
	s.WriteGap = op.Status.WriteGap.DeepCopy()
}
