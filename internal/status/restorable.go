package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// withRestoreDrills adds to what is known of a pair's backups the restore drills that have ended since. s may be nil, and is
// changed.
func withRestoreDrills(s *v1alpha1.BackupStatus, operations []v1alpha1.DatabasePairOperation) *v1alpha1.BackupStatus {
	drills := slices.DeleteFunc(slices.Clone(operations), func(op v1alpha1.DatabasePairOperation) bool {
		return op.Spec.Type != v1alpha1.OperationRestoreDrill
	})
	if len(drills) == 0 {
		return s
	}
	slices.SortStableFunc(drills, func(a, b v1alpha1.DatabasePairOperation) int {
		return cmp.Or(completion(&a).Compare(completion(&b)), cmp.Compare(a.Name, b.Name))
	})
	if s == nil {
		s = &v1alpha1.BackupStatus{}
	}
	if s.RestoreDrill == nil {
		s.RestoreDrill = &v1alpha1.RestoreDrillStatus{}
	}
	for i := range drills {
		countRestoreDrill(s.RestoreDrill, &drills[i])
	}
	return s
}

// countRestoreDrill leaves out a drill that was abandoned: it says nothing, and may not hide one that failed.
func countRestoreDrill(s *v1alpha1.RestoreDrillStatus, op *v1alpha1.DatabasePairOperation) {
	if at := ScheduledAt(op); !at.IsZero() && (s.LastScheduleTime == nil || s.LastScheduleTime.Time.Before(at)) {
		s.LastScheduleTime = &metav1.Time{Time: at}
	}
	ended := completion(op)
	counted := s.LastCompletionTime != nil && !s.LastCompletionTime.Time.Before(ended)
	over := op.Status.Phase == v1alpha1.OperationSucceeded || op.Status.Phase == v1alpha1.OperationFailed
	if !over || ended.IsZero() || counted {
		return
	}
	s.LastOperation = op.Name
	s.LastCompletionTime = op.Status.CompletionTime.DeepCopy()
	s.LastFailure = ""
	s.LastProblem = ""
	found := drillResult(op)
	if op.Status.Phase != v1alpha1.OperationSucceeded || found == nil || !found.Proven {
		s.LastFailure = cmp.Or(op.Status.Message, string(op.Status.Phase))
		if found != nil {
			s.LastProblem = found.Problem
		}
		return
	}
	s.LastSuccess = op.Name
	s.LastSuccessTime = &metav1.Time{Time: ended.Truncate(time.Second)}
	s.Last = found.DeepCopy()
}

func drillResult(op *v1alpha1.DatabasePairOperation) *v1alpha1.RestoreDrillResult {
	if op.Status.Result == nil {
		return nil
	}
	return op.Status.Result.RestoreDrill
}

// restorable is the condition of a pair with spec.backup that says what restore drills have proved.
func restorable(o failover.Observation, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionRestorable
	ask := fmt.Sprintf(". Command: kubectl dbpair drill %s -n %s", o.Settings.Name, o.Settings.Namespace)
	trouble := ""
	if done.RestoreDrillProblem != "" {
		trouble = "; " + done.RestoreDrillProblem
	}
	var s *v1alpha1.RestoreDrillStatus
	if done.Backup.Status != nil {
		s = done.Backup.Status.RestoreDrill
	}
	if s == nil || s.LastOperation == "" {
		return condition(kind, metav1.ConditionUnknown, ReasonNeverDrilled, "no restore drill has ended yet"+trouble+ask)
	}
	before := ""
	if s.LastSuccessTime != nil {
		before = fmt.Sprintf("; the last proof is of %s (%s)", moment(s.LastSuccessTime.Time), s.LastSuccess)
	}
	switch {
	case s.LastProblem != "":
		return condition(kind, metav1.ConditionUnknown, string(s.LastProblem), fmt.Sprintf("%s: %s%s%s%s",
			s.LastOperation, s.LastFailure, before, trouble, ask))
	case s.LastFailure != "":
		return condition(kind, metav1.ConditionFalse, ReasonDrillFailed, fmt.Sprintf("%s failed: %s%s%s%s",
			s.LastOperation, s.LastFailure, before, trouble, ask))
	}
	age := o.Now.Sub(s.LastSuccessTime.Time)
	fact := fmt.Sprintf("%s, %s: %s", s.LastSuccess, ago(age), provenBy(s.Last))
	if done.RestoreDrillStaleAfter > 0 && age > done.RestoreDrillStaleAfter {
		return condition(kind, metav1.ConditionUnknown, ReasonDrillTooOld,
			fact+"; that is too long ago by spec.backup.drill.schedule"+trouble+ask)
	}
	return condition(kind, metav1.ConditionTrue, ReasonProven, fact+trouble)
}

// provenBy is what a drill has proved, and no more.
func provenBy(d *v1alpha1.RestoreDrillResult) string {
	text := "backup " + d.Backup + " was restored"
	if d.RestoreTime != nil {
		text += " in " + d.RestoreTime.Round(time.Second).String()
	}
	text += fmt.Sprintf(", its GTIDs are right, and CHECK TABLE finds %d tables in order", d.Tables)
	if d.Reached == "" {
		return text
	}
	text += "; what was archived was replayed"
	if d.Until != nil {
		text += " up to " + moment(d.Until.Time)
	}
	return text + ", GTIDs " + clipSet(d.Reached, shortSet)
}
