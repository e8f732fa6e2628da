package controllers

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/status"
)

// ending is how an operation ends.
type ending struct {
	phase   v1alpha1.OperationPhase
	message string
	result  *v1alpha1.OperationResult
}

// overtaken says whether something makes the operation moot: the roles move, its time is
// over, or it may not be done at all.
func (r *JobReconciler) overtaken(v *jobVisit, op *v1alpha1.DatabasePairOperation) (bool, ending) {
	end := func(phase v1alpha1.OperationPhase, format string, args ...any) (bool, ending) {
		return true, ending{phase: phase, message: fmt.Sprintf(format, args...)}
	}
	now := r.Now()
	asked := op.CreationTimestamp.Time
	running := op.Status.Phase == v1alpha1.OperationRunning
	if way := madeWay(v, op); way != "" {
		return end(v1alpha1.OperationAbandoned, "%s", way)
	}
	moved := v.pair.Status.Epoch != op.Status.Epoch || v.pair.Status.Primary != op.Status.From
	impossible := cmp.Or(ofFormerPair(op, v.pair), noDestination(v, op))
	switch {
	case running && moved && needsRoles(op):
		return end(v1alpha1.OperationAbandoned, "the roles changed: epoch %d with primary %s became epoch %d; ask again when they are settled",
			op.Status.Epoch, op.Status.From, v.pair.Status.Epoch)
	case now.Sub(asked) > deadlineOf(op):
		return end(v1alpha1.OperationFailed, "not done after %s (spec.deadline)%s", deadlineOf(op), waitedFor(op))
	case impossible != "":
		return end(v1alpha1.OperationFailed, "%s", impossible)
	case running:
		return false, ending{}
	}
	limit, field := startingDeadline(v.pair, op)
	if at := status.ScheduledAt(op); !at.IsZero() && now.Sub(at) > limit {
		return end(v1alpha1.OperationAbandoned, "left out: it could not begin within %s (%s)%s", limit, field, waitedFor(op))
	}
	want := fmt.Sprintf("%s/%d", v.pair.Name, v.pair.Status.Epoch)
	if op.Spec.Confirm != "" && op.Spec.Confirm != want {
		return end(v1alpha1.OperationFailed, "its confirmation %s is not %s: nothing was done", op.Spec.Confirm, want)
	}
	return false, ending{}
}

func waitedFor(op *v1alpha1.DatabasePairOperation) string {
	if op.Status.Message == "" {
		return ""
	}
	return ": " + op.Status.Message
}

func deadlineOf(op *v1alpha1.DatabasePairOperation) time.Duration {
	if op.Spec.Deadline != nil {
		return op.Spec.Deadline.Duration
	}
	return jobDeadline
}

// idles: nothing is begun for this pair by a schedule.
func idles(p *v1alpha1.DatabasePair) bool { return p.Spec.Paused || p.Spec.Hibernate }

// notNow says why an operation has to wait; empty when it may begin.
func notNow(v *jobVisit, op *v1alpha1.DatabasePairOperation) string {
	if v.pair.Spec.Paused {
		return "waits: the pair is paused"
	}
	if v.pair.Spec.Hibernate {
		return "waits: the pair hibernates, or is about to (spec.hibernate)"
	}
	if !needsRoles(op) {
		return ""
	}
	for i := range v.all {
		if other := &v.all[i]; !other.Spec.Type.ByJob() && !other.Status.Phase.Terminal() {
			return fmt.Sprintf("waits for %s (%s)", other.Name, other.Spec.Type)
		}
	}
	needs := []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionReplicating}
	if op.Spec.Type == v1alpha1.OperationExpire {
		needs = nil // no member is asked for anything
	}
	if op.Spec.Repair != nil && !op.Spec.Repair.DryRun {
		needs = append(needs, v1alpha1.ConditionFailoverReady)
	}
	for _, kind := range needs {
		c := meta.FindStatusCondition(v.pair.Status.Conditions, kind)
		if c == nil || c.Status != "True" {
			why := "not known yet"
			if c != nil {
				why = c.Message
			}
			return fmt.Sprintf("waits until the pair is %s: %s", kind, why)
		}
	}
	if v.pair.Status.Primary == "" {
		return "waits until someone is the primary"
	}
	return ""
}

// The rules by which an operation begins.
const (
	ruleRequested = "Requested"
	ruleScheduled = "Scheduled"
	// ruleAfterGap: the archive of binary logs has a gap, behind which only a new backup leads on.
	ruleAfterGap = "AnchorAfterGap"
)

func ruleOf(op *v1alpha1.DatabasePairOperation) string {
	switch {
	case !status.ScheduledAt(op).IsZero():
		return ruleScheduled
	case op.Annotations[status.AnnotationGap] != "":
		return ruleAfterGap
	}
	return ruleRequested
}

// driftReason is the reason of the event that tells of a difference.
const driftReason = string(failover.RuleDrift)
