package status_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	conditions "github.com/dbpair/dbpair/internal/status"
)

func backupOperation(name string, ended time.Time, phase v1alpha1.OperationPhase, message string) v1alpha1.DatabasePairOperation {
	at := metav1.NewMicroTime(ended)
	op := v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.OperationSpec{Type: v1alpha1.OperationBackup},
		Status:     v1alpha1.OperationStatus{Phase: phase, Message: message, CompletionTime: &at},
	}
	if phase == v1alpha1.OperationSucceeded {
		op.Status.Result = &v1alpha1.OperationResult{Backup: &v1alpha1.BackupResult{ID: "id-" + name}}
	}
	return op
}

func TestTheConditionBackedUpSaysWhatIsKnown(t *testing.T) {
	good := backupOperation("b1", now.Add(-30*time.Hour), v1alpha1.OperationSucceeded, "")
	bad := backupOperation("b2", now.Add(-time.Hour), v1alpha1.OperationFailed, "Denied")
	for name, tc := range map[string]struct {
		operations []v1alpha1.DatabasePairOperation
		stale      time.Duration
		problem    string
		status     metav1.ConditionStatus
		reason     string
		says       string
	}{
		"nothing yet": {nil, time.Hour, "turned off", metav1.ConditionUnknown, conditions.ReasonNeverBackedUp, "turned off. Command: kubectl dbpair backup"},
		"a failure":   {[]v1alpha1.DatabasePairOperation{bad}, 0, "", metav1.ConditionFalse, conditions.ReasonBackupFailed, "b2 made none: Denied"},
		"a backup":    {[]v1alpha1.DatabasePairOperation{good}, 48 * time.Hour, "", metav1.ConditionTrue, conditions.ReasonBackupCurrent, "30 h ago (b1)"},
		"an old one":  {[]v1alpha1.DatabasePairOperation{good}, 24 * time.Hour, "", metav1.ConditionFalse, conditions.ReasonBackupTooOld, "too long ago"},
		"a failure after a backup": {
			[]v1alpha1.DatabasePairOperation{bad, good}, 48 * time.Hour, "",
			metav1.ConditionTrue, conditions.ReasonBackupCurrent, "(b1); b2 made none: Denied",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			pair := &v1alpha1.DatabasePair{Spec: v1alpha1.DatabasePairSpec{Backup: &v1alpha1.BackupSpec{}}}
			done.Backup = conditions.BackedUp(pair, tc.operations)
			done.BackupStaleAfter = tc.stale
			done.BackupProblem = tc.problem
			got := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionBackedUp)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
			// What is known stays when the operations are gone.
			pair.Status.Backup = done.Backup.Status
			done.Backup = conditions.BackedUp(pair, nil)
			again := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionBackedUp)
			if again.Message != got.Message {
				t.Errorf("without the operations it says %q, before %q", again.Message, got.Message)
			}
		})
	}
}

func TestAPairWithoutBackupsHasNoSuchCondition(t *testing.T) {
	o, p, done := whole()
	old := []metav1.Condition{{Type: v1alpha1.ConditionBackedUp, Status: metav1.ConditionTrue}}
	done.Backup = conditions.BackedUp(&v1alpha1.DatabasePair{}, nil)
	if got := meta.FindStatusCondition(conditions.Conditions(o, p, done, old), v1alpha1.ConditionBackedUp); got != nil {
		t.Errorf("condition %+v", got)
	}
}
