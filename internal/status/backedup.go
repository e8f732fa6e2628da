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

// Backups is what is known of a pair's backups.
type Backups struct {
	// Wanted: the pair has spec.backup.
	Wanted bool
	// Status is nil when there never was any backup operation.
	Status *v1alpha1.BackupStatus
}

// BackedUp adds to what is known of the pair's backups those that have ended since. The pair is
// not modified.
func BackedUp(p *v1alpha1.DatabasePair, operations []v1alpha1.DatabasePairOperation) Backups {
	out := Backups{
		Wanted: p.Spec.Backup != nil,
		Status: p.Status.Backup.DeepCopy(),
	}
	backups := slices.DeleteFunc(slices.Clone(operations), func(op v1alpha1.DatabasePairOperation) bool {
		return op.Spec.Type != v1alpha1.OperationBackup
	})
	slices.SortStableFunc(backups, func(a, b v1alpha1.DatabasePairOperation) int {
		return cmp.Or(completion(&a).Compare(completion(&b)), cmp.Compare(a.Name, b.Name))
	})
	for i := range backups {
		if out.Status == nil {
			out.Status = &v1alpha1.BackupStatus{}
		}
		countBackup(out.Status, &backups[i])
	}
	out.Status = withRestoreDrills(out.Status, operations)
	return out
}

// completion is when an operation ended; the zero time for one that has not.
func completion(op *v1alpha1.DatabasePairOperation) time.Time {
	if op.Status.CompletionTime == nil {
		return time.Time{}
	}
	return op.Status.CompletionTime.Time
}

func countBackup(s *v1alpha1.BackupStatus, op *v1alpha1.DatabasePairOperation) {
	if at := ScheduledAt(op); !at.IsZero() && (s.LastScheduleTime == nil || s.LastScheduleTime.Time.Before(at)) {
		s.LastScheduleTime = &metav1.Time{Time: at}
	}
	ended := completion(op)
	counted := s.LastCompletionTime != nil && !s.LastCompletionTime.Time.Before(ended)
	if !op.Status.Phase.Terminal() || ended.IsZero() || counted {
		return
	}
	s.LastOperation = op.Name
	s.LastCompletionTime = op.Status.CompletionTime.DeepCopy()
	s.LastFailure = ""
	if op.Status.Phase != v1alpha1.OperationSucceeded || op.Status.Result == nil || op.Status.Result.Backup == nil {
		s.LastFailure = cmp.Or(op.Status.Message, string(op.Status.Phase))
		return
	}
	s.LastSuccess = op.Name
	s.LastSuccessTime = &metav1.Time{Time: ended.Truncate(time.Second)}
	s.Duration = op.Status.Result.Duration
	s.Last = op.Status.Result.Backup.DeepCopy()
}

// backedUp is the condition of a pair with spec.backup.
func backedUp(o failover.Observation, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionBackedUp
	s := done.Backup.Status
	ask := fmt.Sprintf(". Command: kubectl dbpair backup %s -n %s", o.Settings.Name, o.Settings.Namespace)
	trouble := ""
	if done.BackupProblem != "" {
		trouble = "; " + done.BackupProblem
	}
	if s == nil || s.LastSuccessTime == nil {
		if s != nil && s.LastFailure != "" {
			fact := fmt.Sprintf("there is no backup yet: %s made none: %s", s.LastOperation, s.LastFailure)
			return condition(kind, metav1.ConditionFalse, ReasonBackupFailed, fact+trouble+ask)
		}
		return condition(kind, metav1.ConditionUnknown, ReasonNeverBackedUp, "there is no backup yet"+trouble+ask)
	}
	if s.LastFailure != "" {
		trouble = fmt.Sprintf("; %s made none: %s%s", s.LastOperation, s.LastFailure, trouble)
	}
	if s.Last != nil && s.Last.RetentionProblem != "" {
		trouble = fmt.Sprintf("; old backups were not removed: %s%s", s.Last.RetentionProblem, trouble)
	}
	age := o.Now.Sub(s.LastSuccessTime.Time)
	fact := fmt.Sprintf("the last backup was complete %s (%s)", ago(age), s.LastSuccess)
	if done.BackupStaleAfter > 0 && age > done.BackupStaleAfter {
		return condition(kind, metav1.ConditionFalse, ReasonBackupTooOld, fact+", which is too long ago by spec.backup.schedule"+trouble+ask)
	}
	return condition(kind, metav1.ConditionTrue, ReasonBackupCurrent, fact+trouble)
}
