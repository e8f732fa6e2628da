package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/schedule"
	"github.com/dbpair/dbpair/internal/status"
)

// timetable is what a pair's spec has Jobs do by the clock, of one type of operation.
type timetable struct {
	made             v1alpha1.OperationType
	counts           func(v1alpha1.OperationType) bool // operations that are of this timetable
	field            string                            // of the spec
	prefix           string                            // of the operations' names, after the pair's
	schedule         string                            // empty for none
	timeZone         string
	suspend          bool
	startingDeadline time.Duration
	last             *metav1.Time // that was acted upon, by the pair's status
}

func only(kind v1alpha1.OperationType) func(v1alpha1.OperationType) bool {
	return func(t v1alpha1.OperationType) bool { return t == kind }
}

// timetables are those of a pair.
func timetables(p *v1alpha1.DatabasePair) []timetable {
	out := []timetable{comparisons(p)}
	if p.Spec.Backup == nil {
		return out
	}
	out = append(out, backups(p))
	if p.Spec.Backup.Drill != nil {
		out = append(out, restoreDrills(p))
	}
	return out
}

func comparisons(p *v1alpha1.DatabasePair) timetable {
	spec := &p.Spec.Checksum
	t := timetable{
		made:             v1alpha1.OperationChecksum,
		counts:           v1alpha1.OperationType.Compares,
		field:            "spec.checksum.schedule",
		prefix:           "checksum",
		schedule:         spec.Schedule,
		timeZone:         spec.TimeZone,
		suspend:          spec.Suspend,
		startingDeadline: spec.StartingDeadline.Duration,
	}
	if s := p.Status.Checksum; s != nil {
		t.last = s.LastScheduleTime
	}
	return t
}

// schedule makes what is due of all timetables, and says when to look again.
func (r *JobReconciler) schedule(ctx context.Context, v *jobVisit) (time.Duration, error) {
	next := jobIdleLook
	for _, t := range timetables(v.pair) {
		again, err := r.scheduleOne(ctx, v, t)
		if err != nil {
			return 0, err
		}
		next = min(next, again)
	}
	return next, nil
}

func (r *JobReconciler) scheduleOne(ctx context.Context, v *jobVisit, t timetable) (time.Duration, error) {
	off := r.Off.refuses(t.made) != "" // a condition of the pair says so, as of a schedule that is none
	halted := t.suspend || idles(v.pair)
	if off || halted || t.schedule == "" {
		return jobIdleLook, nil
	}
	times, err := schedule.Parse(t.schedule, t.timeZone)
	if err != nil {
		return jobIdleLook, nil
	}
	now := r.Now()
	next := times.Next(now).Sub(now) + time.Millisecond
	at, due := times.Due(t.lastScheduled(v), now, t.startingDeadline)
	if !due || t.waiting(v) {
		return next, nil
	}
	op := t.operation(v.pair, at)
	if err := r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return 0, fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	log(ctx, op).Info("scheduled", "for", at)
	return next, nil
}

// lastScheduled is the newest time that was acted upon; before the first, that at which
// the pair was made.
func (t timetable) lastScheduled(v *jobVisit) time.Time {
	last := v.pair.CreationTimestamp.Time
	if t.last != nil && t.last.After(last) {
		last = t.last.Time
	}
	for i := range v.all {
		if at := status.ScheduledAt(&v.all[i]); t.counts(v.all[i].Spec.Type) && at.After(last) {
			last = at
		}
	}
	return last
}

// waiting: one of the schedule's is not finished yet. Another one would only queue up.
func (t timetable) waiting(v *jobVisit) bool {
	return slices.ContainsFunc(v.mine, func(op *v1alpha1.DatabasePairOperation) bool {
		return t.counts(op.Spec.Type) && !status.ScheduledAt(op).IsZero()
	})
}

// operation is that for one time. Its name is that of the time, so that it is made once.
func (t timetable) operation(p *v1alpha1.DatabasePair, at time.Time) *v1alpha1.DatabasePairOperation {
	labels := resources.Labels(p.Name)
	labels[cluster.LabelByOperator] = "true"
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            fmt.Sprintf("%s-%s-%s", p.Name, t.prefix, at.UTC().Format("200601021504")),
			Namespace:       p.Namespace,
			Labels:          labels,
			Annotations:     map[string]string{status.AnnotationScheduledAt: at.UTC().Format(time.RFC3339)},
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name},
			Type:    t.made,
			Reason:  "by " + t.field,
		},
	}
}

// staleAfter is the age from which on a comparison says nothing any more, and why there
// is no schedule though one is asked for.
func staleAfter(p *v1alpha1.DatabasePair, now time.Time) (time.Duration, string) {
	const unscheduled = 31 * 24 * time.Hour
	if p.Spec.Checksum.Schedule == "" {
		return unscheduled, ""
	}
	times, err := schedule.Parse(p.Spec.Checksum.Schedule, p.Spec.Checksum.TimeZone)
	if err != nil {
		return unscheduled, err.Error()
	}
	return 2 * times.Period(now), ""
}
