package status

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// AnnotationGap is on a backup that the operator began because the archive has a gap: when that was
// found.
const AnnotationGap = "dbpair.io/archive-gap"

// GapBackup is the name of the backup that is begun for the gap that was found at a time.
func GapBackup(pair string, found time.Time) string {
	return fmt.Sprintf("%s-gap-%s", pair, found.UTC().Format("20060102150405"))
}

// GapBackupDue reports whether the gap of a pair's archive asks for a backup: none leads on behind it,
// none that will is asked for, and none was begun for it. So there is one for each gap, whatever
// becomes of it. A pair whose backups are suspended gets none.
func GapBackupDue(p *v1alpha1.DatabasePair, operations []v1alpha1.DatabasePairOperation) bool {
	archive := p.Status.Archive
	wanted := p.Spec.Backup != nil && p.Spec.Backup.Binlog.Enabled && !p.Spec.Backup.Suspend
	if !wanted || archive == nil || archive.Gap == nil {
		return false
	}
	found := archive.Gap.Found.Time
	name := GapBackup(p.Name, found)
	if archive.GapBackup == name || leadsOn(BackedUp(p, operations), found, name) {
		return false
	}
	for i := range operations {
		op := &operations[i]
		if op.Spec.Type == v1alpha1.OperationBackup && (op.Name == name || willLeadOn(op, found)) {
			return false
		}
	}
	return true
}

// leadsOn reports whether the last backup leads on behind a gap: it began after the gap was found, or
// because of it, whatever the clocks say.
func leadsOn(backups Backups, found time.Time, name string) bool {
	s := backups.Status
	if s == nil || s.LastSuccessTime == nil || s.Duration == nil {
		return false
	}
	return s.LastSuccess == name || s.LastSuccessTime.Add(-s.Duration.Duration).After(found)
}

// willLeadOn reports whether an unfinished backup leads on behind a gap when it is done. found may have lost
// its fraction of a second.
func willLeadOn(op *v1alpha1.DatabasePairOperation, found time.Time) bool {
	if op.Status.Phase.Terminal() || op.DeletionTimestamp != nil {
		return false
	}
	return op.Status.StartTime == nil || op.Status.StartTime.Time.After(found.Add(time.Second))
}

// WithOperations is the archive with the backup that was begun for its gap, if that is one of the
// pair's operations, which are not modified.
func (a Archive) WithOperations(pair string, operations []v1alpha1.DatabasePairOperation) Archive {
	a.gapBackup = nil
	if a.Report == nil || a.Report.Gap == nil {
		return a
	}
	name := GapBackup(pair, a.Report.Gap.Time)
	for i := range operations {
		if op := &operations[i]; op.Spec.Type == v1alpha1.OperationBackup && op.Name == name {
			a.gapBackup = op
		}
	}
	return a
}

// remedy is what becomes of a gap, as the end of a sentence about it.
func (a Archive) remedy(pair, namespace string) string {
	command := fmt.Sprintf(". Command: kubectl dbpair backup %s -n %s", pair, namespace)
	op := a.gapBackup
	switch {
	case op == nil:
		return command
	case op.Status.Phase == v1alpha1.OperationRunning:
		return ": " + op.Name + " is under way"
	case !op.Status.Phase.Terminal():
		return fmt.Sprintf(": %s was begun for it%s", op.Name, because(op.Status.Message))
	}
	return fmt.Sprintf(": %s was begun for it and ended as %s%s%s", op.Name, op.Status.Phase, because(op.Status.Message), command)
}
