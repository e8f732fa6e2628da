package controllers

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/schedule"
)

// restoreDrills is the timetable of a pair with spec.backup.drill.
func restoreDrills(p *v1alpha1.DatabasePair) timetable {
	spec := p.Spec.Backup.Drill
	t := timetable{
		made:             v1alpha1.OperationRestoreDrill,
		counts:           only(v1alpha1.OperationRestoreDrill),
		field:            "spec.backup.drill.schedule",
		prefix:           "restore-drill",
		schedule:         spec.Schedule,
		timeZone:         spec.TimeZone,
		suspend:          spec.Suspend,
		startingDeadline: spec.StartingDeadline.Duration,
	}
	if s := p.Status.Backup; s != nil && s.RestoreDrill != nil {
		t.last = s.RestoreDrill.LastScheduleTime
	}
	return t
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
	spec := p.Spec.Backup.Drill
	if why := r.Off.refuses(v1alpha1.OperationRestoreDrill); why != "" {
		return 0, why
	}
	if spec == nil || spec.Schedule == "" || spec.Suspend {
		return 0, ""
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return 0, "spec.backup.drill: " + err.Error()
	}
	return 2 * times.Period(now), ""
}
