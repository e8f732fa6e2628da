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

// gapped is a pair whose archive has a gap that was found an hour ago.
func gapped() *v1alpha1.DatabasePair {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "ns"}}
	p.Spec.Backup = &v1alpha1.BackupSpec{Binlog: v1alpha1.BinlogArchive{Enabled: true}}
	p.Status.Archive = &v1alpha1.ArchiveStatus{Gap: &v1alpha1.ArchiveGap{
		GTIDs: archived,
		Found: metav1.NewTime(now.Add(-time.Hour)),
	}}
	return p
}

// backupOp is a backup that began a time ago; one that is negative has not begun.
func backupOp(name string, phase v1alpha1.OperationPhase, began time.Duration) v1alpha1.DatabasePairOperation {
	op := v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"},
		Spec:       v1alpha1.OperationSpec{Type: v1alpha1.OperationBackup},
		Status:     v1alpha1.OperationStatus{Phase: phase},
	}
	if began >= 0 {
		at := metav1.NewMicroTime(now.Add(-began))
		op.Status.StartTime = &at
	}
	if phase == v1alpha1.OperationSucceeded {
		at := metav1.NewMicroTime(now)
		op.Status.CompletionTime = &at
		op.Status.Result = &v1alpha1.OperationResult{
			Duration: &metav1.Duration{Duration: began},
			Backup:   &v1alpha1.BackupResult{ID: name},
		}
	}
	return op
}

func TestAGapIsFollowedByOneBackup(t *testing.T) {
	const before = 2 * time.Hour
	const after = time.Minute
	const not = -time.Second
	own := conditions.GapBackup("shop", now.Add(-time.Hour))
	checksum := backupOp("c", v1alpha1.OperationPending, not)
	checksum.Spec.Type = v1alpha1.OperationChecksum
	deleted := backupOp("b", v1alpha1.OperationPending, not)
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	for name, c := range map[string]struct {
		change     func(*v1alpha1.DatabasePair)
		operations []v1alpha1.DatabasePairOperation
		want       bool
	}{
		"a gap":                   {nil, nil, true},
		"no gap":                  {func(p *v1alpha1.DatabasePair) { p.Status.Archive.Gap = nil }, nil, false},
		"no report":               {func(p *v1alpha1.DatabasePair) { p.Status.Archive = nil }, nil, false},
		"no archive any more":     {func(p *v1alpha1.DatabasePair) { p.Spec.Backup.Binlog.Enabled = false }, nil, false},
		"no backups any more":     {func(p *v1alpha1.DatabasePair) { p.Spec.Backup = nil }, nil, false},
		"suspended":               {func(p *v1alpha1.DatabasePair) { p.Spec.Backup.Suspend = true }, nil, false},
		"one waits":               {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationPending, not)}, false},
		"one waits to be deleted": {nil, []v1alpha1.DatabasePairOperation{deleted}, true},
		"one began after it":      {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationRunning, after)}, false},
		"one began before it":     {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationRunning, before)}, true},
		"one is there since":      {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationSucceeded, after)}, false},
		"one is there, too old":   {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationSucceeded, before)}, true},
		"one failed":              {nil, []v1alpha1.DatabasePairOperation{backupOp("b", v1alpha1.OperationFailed, after)}, true},
		"a comparison waits":      {nil, []v1alpha1.DatabasePairOperation{checksum}, true},
		"its own failed":          {nil, []v1alpha1.DatabasePairOperation{backupOp(own, v1alpha1.OperationFailed, after)}, false},
		"its own is known, and its record is gone": {
			func(p *v1alpha1.DatabasePair) { p.Status.Archive.GapBackup = own }, nil, false,
		},
		"that of an earlier gap is known": {
			func(p *v1alpha1.DatabasePair) { p.Status.Archive.GapBackup = "shop-gap-20200101000000" }, nil, true,
		},
	} {
		p := gapped()
		if c.change != nil {
			c.change(p)
		}
		if got := conditions.GapBackupDue(p, c.operations); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTheConditionArchivingSaysWhatBecomesOfAGap(t *testing.T) {
	found := now.Add(-time.Hour)
	own := conditions.GapBackup("shop", found)
	waits := backupOp(own, v1alpha1.OperationPending, -1)
	waits.Status.Message = "waits until the pair is Replicating"
	failed := backupOp(own, v1alpha1.OperationFailed, time.Minute)
	failed.Status.Message = "Denied"
	for name, c := range map[string]struct {
		op   v1alpha1.DatabasePairOperation
		says string
	}{
		"waits":  {waits, own + " was begun for it: waits until"},
		"runs":   {backupOp(own, v1alpha1.OperationRunning, time.Minute), own + " is under way"},
		"failed": {failed, "ended as Failed: Denied. Command: kubectl dbpair backup"},
	} {
		o, p, done := whole()
		done.Archive = reported(0, func(r *jobapi.ArchiveReport) { r.Gap = &jobapi.ArchiveGap{GTIDs: archived, Time: found} })
		done.Archive = done.Archive.WithOperations("shop", []v1alpha1.DatabasePairOperation{c.op})
		next := conditions.Render(o, p, done, v1alpha1.DatabasePairStatus{})
		got := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionArchiving)
		if got == nil || got.Reason != conditions.ReasonArchiveGap || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: condition %+v", name, got)
		}
		if next.Archive.GapBackup != own {
			t.Errorf("%s: status %+v", name, next.Archive)
		}
	}
}

// A backup that was begun because of a gap leads on behind it, also if the archiver's clock is ahead.
// What was begun stays known when its record is gone.
func TestItsOwnBackupClosesAGap(t *testing.T) {
	found := now.Add(time.Minute)
	own := conditions.GapBackup("shop", found)
	o, p, done := whole()
	done.Archive = reported(0, func(r *jobapi.ArchiveReport) { r.Gap = &jobapi.ArchiveGap{GTIDs: archived, Time: found} })
	done.Backup.Status = &v1alpha1.BackupStatus{
		LastSuccess:     own,
		LastSuccessTime: &metav1.Time{Time: now},
		Duration:        &metav1.Duration{Duration: time.Second},
	}
	old := v1alpha1.DatabasePairStatus{Archive: &v1alpha1.ArchiveStatus{GapBackup: own}}
	next := conditions.Render(o, p, done, old)
	got := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionArchiving)
	if got == nil || got.Status != metav1.ConditionTrue || next.Archive.GapBackup != own {
		t.Errorf("condition %+v, status %+v", got, next.Archive)
	}
}
