package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/schedule"
	"github.com/dbpair/dbpair/internal/status"
)

// restoreDrills is what a pair asks for; nil for no schedule.
func restoreDrills(p *v1alpha1.DatabasePair) *v1alpha1.RestoreDrillSpec {
	if p.Spec.Backup == nil || p.Spec.Backup.Drill == nil {
		return nil
	}
	if d := p.Spec.Backup.Drill; d.Schedule != "" && !d.Suspend {
		return d
	}
	return nil
}

// scheduleRestoreDrill makes the restore drill that is due, and says when to look again.
func (r *JobReconciler) scheduleRestoreDrill(ctx context.Context, v *jobVisit) (time.Duration, error) {
	spec := restoreDrills(v.pair)
	off := r.Off.refuses(v1alpha1.OperationRestoreDrill) != "" // the condition Restorable says so
	if spec == nil || off || idles(v.pair) {
		return jobIdleLook, nil
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return jobIdleLook, nil // the condition Restorable says so
	}
	now := r.Now()
	next := times.Next(now).Sub(now) + time.Millisecond
	at, due := times.Due(lastScheduledRestoreDrill(v), now, spec.StartingDeadline.Duration)
	unfinished := slices.ContainsFunc(v.mine, func(op *v1alpha1.DatabasePairOperation) bool {
		return op.Spec.Type == v1alpha1.OperationRestoreDrill && !status.ScheduledAt(op).IsZero()
	})
	if !due || unfinished {
		return next, nil
	}
	op := scheduledChecksum(v.pair, at)
	op.Name = fmt.Sprintf("%s-drill-%s", v.pair.Name, at.UTC().Format("200601021504"))
	op.Spec.Type = v1alpha1.OperationRestoreDrill
	op.Spec.Reason = "by spec.backup.drill.schedule"
	if err := r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return 0, fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	log(ctx, op).Info("scheduled", "for", at)
	return next, nil
}

// lastScheduledRestoreDrill is the newest time of the schedule that was acted upon; before the first, that at which the
// pair was made.
func lastScheduledRestoreDrill(v *jobVisit) time.Time {
	last := v.pair.CreationTimestamp.Time
	if s := v.pair.Status.Backup; s != nil && s.RestoreDrill != nil && s.RestoreDrill.LastScheduleTime != nil {
		last = latestOf(last, s.RestoreDrill.LastScheduleTime.Time)
	}
	for i := range v.all {
		if op := &v.all[i]; op.Spec.Type == v1alpha1.OperationRestoreDrill {
			last = latestOf(last, status.ScheduledAt(op))
		}
	}
	return last
}

func latestOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// needsRoles reports whether an operation is about the members at their roles. A restore drill touches neither.
func needsRoles(op *v1alpha1.DatabasePairOperation) bool {
	return op.Spec.Type != v1alpha1.OperationRestoreDrill
}

// reachesStore reports whether an operation needs the destination of the pair's backups.
func reachesStore(op *v1alpha1.DatabasePairOperation) bool {
	return op.Spec.Type.ReachesStore() || op.Spec.Type == v1alpha1.OperationRestoreDrill
}

// madeWay says for what a running operation ends; empty when it goes on. Anyone who moves the roles comes before those
// that are done at them, and a backup before a drill, which may take hours.
func madeWay(v *jobVisit, op *v1alpha1.DatabasePairOperation) string {
	if op.Status.Phase != v1alpha1.OperationRunning {
		return ""
	}
	for i := range v.all {
		other := &v.all[i]
		moves := needsRoles(op) && !other.Spec.Type.ByJob() && other.Status.Phase == v1alpha1.OperationRunning
		if moves {
			return fmt.Sprintf("made way for %s (%s); ask again when the roles are settled", other.Name, other.Spec.Type)
		}
	}
	for _, other := range v.mine {
		if !needsRoles(op) && other.Spec.Type == v1alpha1.OperationBackup {
			return fmt.Sprintf("made way for %s (Backup); ask again when that has ended", other.Name)
		}
	}
	return ""
}

// restoreDrillRequest is what the Job of a restore drill is asked for; nil for others.
func restoreDrillRequest(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation) *jobapi.RestoreDrillRequest {
	if op.Spec.Type != v1alpha1.OperationRestoreDrill || p.Spec.Backup == nil {
		return nil
	}
	return &jobapi.RestoreDrillRequest{
		Store:    resources.BackupStore(p),
		Identity: resources.RestoreDrillIdentity(p) != nil,
		Replay:   p.Spec.Backup.Binlog.Enabled,
	}
}

// boundRestoreDrill shortens what a Job says of a drill to the API's limits.
func boundRestoreDrill(d *v1alpha1.RestoreDrillResult) {
	d.Backup = short(d.Backup)
	d.FailedStep = short(d.FailedStep)
	d.Problem = v1alpha1.RestoreDrillProblem(short(string(d.Problem)))
	for _, set := range []*string{&d.GTIDs, &d.Reached} {
		if len(*set) > maxGTIDText {
			*set = strings.ToValidUTF8((*set)[:maxGTIDText-len("…")], "") + "…"
		}
	}
	for _, at := range []**metav1.Time{&d.Finished, &d.Until} {
		if *at != nil && (*at).IsZero() {
			*at = nil
		}
	}
	for _, took := range []**metav1.Duration{&d.RestoreTime, &d.CopyTime, &d.ReplayTime, &d.CheckTime} {
		if *took != nil {
			*took = ptr.To(metav1.Duration{Duration: (*took).Round(time.Millisecond)})
		}
	}
}

// restoreDrillSchedule is the age from which on the last drill is too old, zero for never, and why there are none though the
// spec asks for them.
func (r *PairReconciler) restoreDrillSchedule(p *v1alpha1.DatabasePair, now time.Time) (time.Duration, string) {
	if p.Spec.Backup == nil {
		return 0, ""
	}
	if why := r.Off.refuses(v1alpha1.OperationRestoreDrill); why != "" {
		return 0, why
	}
	spec := restoreDrills(p)
	if spec == nil {
		return 0, ""
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return 0, "spec.backup.drill: " + err.Error()
	}
	return 2 * times.Period(now), ""
}
