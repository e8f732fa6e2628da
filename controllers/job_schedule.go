package controllers

import (
	"context"
	"fmt"
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

// schedule makes the operation that is due, and says when to look again.
func (r *JobReconciler) schedule(ctx context.Context, v *jobVisit) (time.Duration, error) {
	spec := &v.pair.Spec.Checksum
	off := r.Off.refuses(v1alpha1.OperationChecksum) != "" // the condition Consistent says so
	halted := spec.Suspend || idles(v.pair)
	if off || halted || spec.Schedule == "" {
		return jobIdleLook, nil
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return jobIdleLook, nil // the condition Consistent says so
	}
	now := r.Now()
	next := times.Next(now).Sub(now) + time.Millisecond
	at, due := times.Due(lastScheduled(v), now, spec.StartingDeadline.Duration)
	if !due || waiting(v) {
		return next, nil
	}
	op := scheduledChecksum(v.pair, at)
	if err := r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return 0, fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	log(ctx, op).Info("scheduled", "for", at)
	return next, nil
}

// lastScheduled is the newest time that was acted upon; before the first, that at which
// the pair was made.
func lastScheduled(v *jobVisit) time.Time {
	last := v.pair.CreationTimestamp.Time
	if s := v.pair.Status.Checksum; s != nil && s.LastScheduleTime != nil && s.LastScheduleTime.After(last) {
		last = s.LastScheduleTime.Time
	}
	for i := range v.all {
		if at := status.ScheduledAt(&v.all[i]); v.all[i].Spec.Type.Compares() && at.After(last) {
			last = at
		}
	}
	return last
}

// waiting: one of the schedule's is not finished yet. Another one would only queue up.
func waiting(v *jobVisit) bool {
	for _, op := range v.mine {
		if op.Spec.Type.Compares() && !status.ScheduledAt(op).IsZero() {
			return true
		}
	}
	return false
}

// scheduledChecksum is the operation for one time. Its name is that of the time, so that
// it is made once.
func scheduledChecksum(p *v1alpha1.DatabasePair, at time.Time) *v1alpha1.DatabasePairOperation {
	labels := resources.Labels(p.Name)
	labels[cluster.LabelByOperator] = "true"
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            fmt.Sprintf("%s-checksum-%s", p.Name, at.UTC().Format("200601021504")),
			Namespace:       p.Namespace,
			Labels:          labels,
			Annotations:     map[string]string{status.AnnotationScheduledAt: at.UTC().Format(time.RFC3339)},
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name},
			Type:    v1alpha1.OperationChecksum,
			Reason:  "by spec.checksum.schedule",
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
