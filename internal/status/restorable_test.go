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

func restoreDrill(name string, ended time.Time, phase v1alpha1.OperationPhase, found *v1alpha1.RestoreDrillResult) v1alpha1.DatabasePairOperation {
	at := metav1.NewMicroTime(ended)
	return v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.OperationSpec{Type: v1alpha1.OperationRestoreDrill},
		Status: v1alpha1.OperationStatus{
			Phase:          phase,
			Message:        "step Copy: object x is damaged",
			CompletionTime: &at,
			Result:         &v1alpha1.OperationResult{RestoreDrill: found},
		},
	}
}

func TestTheConditionRestorableSaysWhatWasProven(t *testing.T) {
	proof := &v1alpha1.RestoreDrillResult{
		Backup:      "id",
		Proven:      true,
		Tables:      77,
		Reached:     "u:1-9",
		Until:       &metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		RestoreTime: &metav1.Duration{Duration: 12 * time.Second},
	}
	good := restoreDrill("d1", now.Add(-30*time.Hour), v1alpha1.OperationSucceeded, proof)
	bad := restoreDrill("d2", now.Add(-2*time.Hour), v1alpha1.OperationFailed, &v1alpha1.RestoreDrillResult{FailedStep: "Copy"})
	silent := restoreDrill("d3", now.Add(-2*time.Hour), v1alpha1.OperationFailed, nil)
	noRoom := restoreDrill("d4", now.Add(-2*time.Hour), v1alpha1.OperationFailed, &v1alpha1.RestoreDrillResult{Problem: v1alpha1.RestoreDrillNoRoom})
	empty := restoreDrill("d5", now.Add(-2*time.Hour), v1alpha1.OperationFailed, &v1alpha1.RestoreDrillResult{Problem: v1alpha1.RestoreDrillNoBackup})
	abandoned := restoreDrill("d6", now.Add(-time.Hour), v1alpha1.OperationAbandoned, nil)
	unproven := restoreDrill("d7", now.Add(-time.Hour), v1alpha1.OperationSucceeded, &v1alpha1.RestoreDrillResult{Backup: "id"})
	taken := backupOperation("b1", now.Add(-time.Minute), v1alpha1.OperationSucceeded, "")
	all := func(list ...v1alpha1.DatabasePairOperation) []v1alpha1.DatabasePairOperation { return list }
	for name, tc := range map[string]struct {
		operations []v1alpha1.DatabasePairOperation
		stale      time.Duration
		problem    string
		status     metav1.ConditionStatus
		reason     string
		says       string
	}{
		"nothing yet":   {nil, time.Hour, "turned off", metav1.ConditionUnknown, conditions.ReasonNeverDrilled, "turned off. Command: kubectl dbpair drill"},
		"only a backup": {all(taken), 0, "", metav1.ConditionUnknown, conditions.ReasonNeverDrilled, "no restore drill has ended"},
		"abandoned":     {all(abandoned), 0, "", metav1.ConditionUnknown, conditions.ReasonNeverDrilled, "no restore drill has ended"},
		"a proof": {
			all(good, taken), 48 * time.Hour, "", metav1.ConditionTrue, conditions.ReasonProven,
			"d1, 30 h ago: backup id was restored in 12s, its GTIDs are right, and CHECK TABLE finds 77 tables in order; " +
				"what was archived was replayed up to 2026-01-02T03:04:05Z, GTIDs u:1-9",
		},
		"an old proof":           {all(good), 24 * time.Hour, "", metav1.ConditionUnknown, conditions.ReasonDrillTooOld, "too long ago by spec.backup.drill.schedule"},
		"no schedule":            {all(good), 0, "", metav1.ConditionTrue, conditions.ReasonProven, "backup id was restored"},
		"a failure":              {all(good, bad), 48 * time.Hour, "", metav1.ConditionFalse, conditions.ReasonDrillFailed, "d2 failed: step Copy: object x is damaged; the last proof is of "},
		"a Job that says no":     {all(silent), 0, "", metav1.ConditionFalse, conditions.ReasonDrillFailed, "d3 failed: step Copy"},
		"abandoned after that":   {all(bad, abandoned), 0, "", metav1.ConditionFalse, conditions.ReasonDrillFailed, "d2 failed"},
		"a success without it":   {all(unproven), 0, "", metav1.ConditionFalse, conditions.ReasonDrillFailed, "d7 failed"},
		"a small volume":         {all(good, noRoom), 0, "", metav1.ConditionUnknown, "NoRoom", "d4: step Copy"},
		"nothing to restore":     {all(empty), 0, "", metav1.ConditionUnknown, "NoBackup", "d5: step Copy"},
		"a proof after failures": {all(restoreDrill("d8", now.Add(-time.Minute), v1alpha1.OperationSucceeded, proof), bad, noRoom), time.Hour, "", metav1.ConditionTrue, conditions.ReasonProven, "d8, "},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			pair := &v1alpha1.DatabasePair{Spec: v1alpha1.DatabasePairSpec{Backup: &v1alpha1.BackupSpec{}}}
			done.Backup = conditions.BackedUp(pair, tc.operations)
			done.RestoreDrillStaleAfter = tc.stale
			done.RestoreDrillProblem = tc.problem
			list := conditions.Conditions(o, p, done, nil)
			got := meta.FindStatusCondition(list, v1alpha1.ConditionRestorable)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
			if !meta.IsStatusConditionTrue(list, v1alpha1.ConditionReady) {
				t.Error("Ready depends on it")
			}
			// What is known stays when the operations are gone.
			pair.Status.Backup = done.Backup.Status
			done.Backup = conditions.BackedUp(pair, nil)
			again := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionRestorable)
			if again.Message != got.Message {
				t.Errorf("without the operations it says %q, before %q", again.Message, got.Message)
			}
		})
	}
	o, p, done := whole()
	old := []metav1.Condition{{Type: v1alpha1.ConditionRestorable, Status: metav1.ConditionTrue}}
	done.Backup = conditions.BackedUp(&v1alpha1.DatabasePair{}, nil)
	if got := meta.FindStatusCondition(conditions.Conditions(o, p, done, old), v1alpha1.ConditionRestorable); got != nil {
		t.Errorf("without spec.backup: %+v", got)
	}
}
