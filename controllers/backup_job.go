package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/schedule"
)

// backups is the timetable of a pair with spec.backup.
func backups(p *v1alpha1.DatabasePair) timetable {
	spec := p.Spec.Backup
	t := timetable{
		made:             v1alpha1.OperationBackup,
		counts:           only(v1alpha1.OperationBackup),
		field:            "spec.backup.schedule",
		prefix:           "backup",
		schedule:         spec.Schedule,
		timeZone:         spec.TimeZone,
		suspend:          spec.Suspend,
		startingDeadline: spec.StartingDeadline.Duration,
	}
	if s := p.Status.Backup; s != nil {
		t.last = s.LastScheduleTime
	}
	return t
}

// startingDeadline is how late a scheduled operation may begin, and the field that says so.
func startingDeadline(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation) (limit time.Duration, field string) {
	if op.Spec.Type == v1alpha1.OperationBackup && p.Spec.Backup != nil {
		return p.Spec.Backup.StartingDeadline.Duration, "spec.backup.startingDeadline"
	}
	if op.Spec.Type == v1alpha1.OperationRestoreDrill && p.Spec.Backup != nil && p.Spec.Backup.Drill != nil {
		return p.Spec.Backup.Drill.StartingDeadline.Duration, "spec.backup.drill.startingDeadline"
	}
	return p.Spec.Checksum.StartingDeadline.Duration, "spec.checksum.startingDeadline"
}

// noDestination says why a backup cannot be taken or restored at all; empty when it can.
func noDestination(v *jobVisit, op *v1alpha1.DatabasePairOperation) string {
	if !reachesStore(op) || op.Status.Phase == v1alpha1.OperationRunning {
		return ""
	}
	if v.pair.Spec.Backup == nil {
		return "the pair has no spec.backup: say there where its backups go"
	}
	return ownVolume(v.pair)
}

// ownVolume says that spec.backup names the volume of one of the pair's members as its destination; empty when it does not.
func ownVolume(p *v1alpha1.DatabasePair) string {
	if p.Spec.Backup == nil || p.Spec.Backup.Destination.Volume == nil {
		return ""
	}
	names := resources.NamesOf(p)
	claim := p.Spec.Backup.Destination.Volume.ClaimName
	for _, o := range ordinals {
		if claim == names.Claim(o) || claim == names.BinlogClaim(o) {
			return fmt.Sprintf("spec.backup.destination.volume.claimName %s is the volume of a member: name another claim", claim)
		}
	}
	return ""
}

// awaitsDestination notes what a backup or a drill waits for at its destination, and reports whether it
// waits.
func (r *JobReconciler) awaitsDestination(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (bool, error) {
	why, err := r.destinationNotReady(ctx, v, op)
	if err != nil || why == "" {
		return false, err
	}
	return true, r.wait(ctx, op, why)
}

// destinationNotReady says what a backup waits for at its destination; empty when nothing is
// missing. A Job whose pod cannot start says nothing by itself.
func (r *JobReconciler) destinationNotReady(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (string, error) {
	if !reachesStore(op) || v.pair.Spec.Backup == nil {
		return "", nil
	}
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	why, err := named.missingOf(ctx, v.pair.Spec.Backup.Destination, "waits: spec.backup.destination")
	identity := resources.RestoreDrillIdentity(v.pair)
	if why != "" || err != nil || identity == nil || op.Spec.Type != v1alpha1.OperationRestoreDrill {
		return why, err
	}
	return named.secretMissing(ctx, identity.Name, "waits: spec.backup.encryption.identitySecretRef", identity.Key)
}

// backupRequest is what the Job of a backup or an expiry is asked for beside the roles; nil for others.
func backupRequest(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation) *jobapi.BackupRequest {
	spec := p.Spec.Backup
	if !op.Spec.Type.ReachesStore() || spec == nil {
		return nil
	}
	out := &jobapi.BackupRequest{
		Store:    resources.BackupStore(p),
		Verify:   ptr.Deref(spec.Verify, true),
		KeepFor:  spec.Retention.KeepFor.Duration,
		KeepLast: int(spec.Retention.KeepLast),
	}
	if spec.Encryption != nil {
		out.Recipients = spec.Encryption.Recipients
	}
	if op.Spec.Backup != nil {
		out.Pin = op.Spec.Backup.Pin
	}
	if op.Spec.Expire != nil {
		out.Remove = op.Spec.Expire.BackupID
		out.Force = op.Spec.Expire.Force
	}
	return out
}

// addPins has the Job mark the backups as the objects of the pair say; nothing for a request of another kind.
func (r *JobReconciler) addPins(ctx context.Context, v *jobVisit, request *jobapi.BackupRequest) error {
	if request == nil {
		return nil
	}
	var list v1alpha1.DatabasePairBackupList
	if err := r.Client.List(ctx, &list, client.InNamespace(v.name.Namespace)); err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	for i := range list.Items {
		b := &list.Items[i]
		ofPair := b.Spec.PairRef.Name == v.pair.Name && b.Spec.PairRef.UID == string(v.pair.UID)
		switch {
		case !ofPair || b.Spec.Pinned == nil:
		case *b.Spec.Pinned:
			request.Pins = append(request.Pins, b.Spec.BackupID)
		default:
			request.Unpins = append(request.Unpins, b.Spec.BackupID)
		}
	}
	return nil
}

// maxGTIDText is the API's limit of a set of GTIDs.
const maxGTIDText = 2048

// boundBackup shortens what a Job says of a backup to the API's limits.
func boundBackup(b *v1alpha1.BackupResult) {
	b.ID = short(b.ID)
	b.Location = cut(b.Location)
	b.From = cut(b.From)
	b.MySQLVersion = cut(b.MySQLVersion)
	b.Digest = short(b.Digest)
	b.RetentionProblem = cut(b.RetentionProblem)
	if len(b.GTIDs) > maxGTIDText {
		b.GTIDs = strings.ToValidUTF8(b.GTIDs[:maxGTIDText-len("…")], "") + "…"
	}
	b.Removed = b.Removed[:min(len(b.Removed), jobapi.MaxStored)]
	for i := range b.Removed {
		b.Removed[i] = short(b.Removed[i])
	}
	b.Stored = b.Stored[:min(len(b.Stored), jobapi.MaxStored)]
	// A status without the time could not be written.
	b.Stored = slices.DeleteFunc(b.Stored, func(one v1alpha1.StoredBackup) bool { return one.Finished.IsZero() })
	for i := range b.Stored {
		b.Stored[i].ID = short(b.Stored[i].ID)
	}
}

// boundExpire shortens what a Job says of what it removed to the API's limits.
func boundExpire(e *v1alpha1.ExpireResult) {
	e.Removed = e.Removed[:min(len(e.Removed), jobapi.MaxStored)]
	for i := range e.Removed {
		e.Removed[i] = short(e.Removed[i])
	}
}

// short bounds what the API takes 64 characters of.
func short(text string) string {
	const limit = 64
	return cut(text[:min(len(text), limit)])
}

// backupSchedule is the age from which on the last backup is too old, zero for never, and why
// there are no backups though the spec asks for them.
func (r *PairReconciler) backupSchedule(p *v1alpha1.DatabasePair, now time.Time) (time.Duration, string) {
	spec := p.Spec.Backup
	if spec == nil {
		return 0, ""
	}
	if why := r.Off.refuses(v1alpha1.OperationBackup); why != "" {
		return 0, why
	}
	if spec.Schedule == "" || spec.Suspend {
		return 0, ""
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return 0, "spec.backup: " + err.Error()
	}
	return 2 * times.Period(now), ""
}
