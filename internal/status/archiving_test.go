package status_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	conditions "github.com/dbpair/dbpair/internal/status"
)

const archived = "00000000-0000-4000-8000-000000000001:1-7"

// reported is an archive that had everything a time ago.
func reported(ago time.Duration, change func(*jobapi.ArchiveReport)) conditions.Archive {
	report := &jobapi.ArchiveReport{
		Written: now.Add(-ago),
		GTIDs:   archived,
		Until:   now.Add(-2 * time.Minute),
		Current: now.Add(-ago),
	}
	if change != nil {
		change(report)
	}
	return conditions.Archive{
		Wanted: true,
		Report: report,
		Limit:  time.Minute,
	}
}

func TestTheConditionArchivingSaysWhatIsKnown(t *testing.T) {
	denied := func(r *jobapi.ArchiveReport) {
		r.Reason = jobapi.ArchiveReason(jobapi.StoreDenied)
		r.Message = "the store says 403"
	}
	gap := func(r *jobapi.ArchiveReport) {
		r.Gap = &jobapi.ArchiveGap{GTIDs: archived, Time: now.Add(-time.Hour)}
	}
	notRunning := reported(2*time.Minute, denied)
	notRunning.Reason = conditions.ReasonArchiverNotRunning
	notRunning.Fact = "pod a-1 is not scheduled"
	silent := conditions.Archive{Wanted: true, Limit: time.Minute}
	missing := silent
	missing.Reason = conditions.ReasonSecretMissing
	missing.Fact = "there is no Secret keys"
	for name, tc := range map[string]struct {
		archive conditions.Archive
		backup  func(*v1alpha1.BackupStatus)
		status  metav1.ConditionStatus
		reason  string
		says    string
	}{
		"nothing yet":       {silent, nil, metav1.ConditionUnknown, conditions.ReasonArchiveStarting, "not reported yet"},
		"a missing Secret":  {missing, nil, metav1.ConditionFalse, conditions.ReasonSecretMissing, "no Secret keys"},
		"everything stored": {reported(5*time.Second, nil), nil, metav1.ConditionTrue, conditions.ReasonArchiveCurrent, "a restore can lead to"},
		"a short trouble":   {reported(5*time.Second, denied), nil, metav1.ConditionTrue, conditions.ReasonArchiveCurrent, "now: the store says 403"},
		"a long trouble":    {reported(2*time.Minute, denied), nil, metav1.ConditionFalse, string(jobapi.StoreDenied), "the store says 403"},
		"a dead archiver":   {reported(2*time.Minute, nil), nil, metav1.ConditionFalse, conditions.ReasonArchiveBehind, "the archiver last reported"},
		"a pod that waits":  {notRunning, nil, metav1.ConditionFalse, conditions.ReasonArchiverNotRunning, "not scheduled"},
		"an unknown reason": {
			reported(2*time.Minute, func(r *jobapi.ArchiveReport) { r.Reason = "New"; r.Message = "of a later version" }), nil,
			metav1.ConditionFalse, string(jobapi.ArchiveFailed), "of a later version",
		},
		"one that never had everything": {
			reported(0, func(r *jobapi.ArchiveReport) { r.Current = time.Time{} }), nil,
			metav1.ConditionFalse, conditions.ReasonArchiveBehind, "never had everything",
		},
		"a gap": {
			reported(5*time.Second, gap), nil,
			metav1.ConditionFalse, conditions.ReasonArchiveGap, archived + " was removed",
		},
		"a gap, and a backup that began before it was found": {
			reported(5*time.Second, gap),
			func(s *v1alpha1.BackupStatus) { s.Duration.Duration = 2 * time.Hour },
			metav1.ConditionFalse, conditions.ReasonArchiveGap, "Command: kubectl dbpair backup",
		},
		"a gap, and a backup that began later": {
			reported(5*time.Second, gap),
			func(s *v1alpha1.BackupStatus) { s.Duration.Duration = time.Minute },
			metav1.ConditionTrue, conditions.ReasonArchiveCurrent, "had everything",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			done.Archive = tc.archive
			if tc.backup != nil {
				done.Backup.Status = &v1alpha1.BackupStatus{
					LastSuccessTime: &metav1.Time{Time: now.Add(-time.Minute)},
					Duration:        &metav1.Duration{},
				}
				tc.backup(done.Backup.Status)
			}
			got := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionArchiving)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
		})
	}
}

// An archive that nobody writes any more never stays green.
func TestAnArchiveThatStandsStillIsNotCurrent(t *testing.T) {
	o, p, done := whole()
	done.Archive = reported(0, nil)
	o.Now = o.Now.Add(61 * time.Second)
	got := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionArchiving)
	if got == nil || got.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v", got)
	}
}

func TestAPairWithoutAnArchiveHasNoSuchCondition(t *testing.T) {
	o, p, done := whole()
	old := v1alpha1.DatabasePairStatus{
		Archive:    &v1alpha1.ArchiveStatus{GTIDs: archived},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionArchiving, Status: metav1.ConditionTrue}},
	}
	next := conditions.Render(o, p, done, old)
	if got := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionArchiving); got != nil || next.Archive != nil {
		t.Errorf("condition %+v, status %+v", got, next.Archive)
	}
	done.Archive = reported(0, func(r *jobapi.ArchiveReport) { r.GTIDs = strings.Repeat("g", 3000) })
	done.Archive.Report.Until = time.Time{}
	next = conditions.Render(o, p, done, v1alpha1.DatabasePairStatus{Archive: &v1alpha1.ArchiveStatus{Until: &metav1.Time{Time: now}}})
	if s := next.Archive; s == nil || len(s.GTIDs) != 2048 || s.Until == nil || s.Current == nil {
		t.Errorf("status %+v", s)
	}
}
