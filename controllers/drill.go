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
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/schedule"
	"github.com/dbpair/dbpair/internal/status"
)

// drillPatience is for how long a drill that is due waits for a pair that is not fit at the
// moment, such as one that lags. It counts from when this process first saw the drill due, so that
// a new operator has the time to hear the members.
const drillPatience = 30 * time.Second

// resultSkipped is the result of a drill that was not begun, in the metric.
const resultSkipped = "Skipped"

// ReasonDrillSkipped and ReasonDrillNotScheduled are the reasons of events about drills.
const (
	ReasonDrillSkipped      = "DrillSkipped"
	ReasonDrillNotScheduled = "DrillNotScheduled"
)

// drills is what this process remembers of a pair's drills. All of it may be lost: a drill
// that was skipped and is not in the status yet is judged again.
type drills struct {
	// due is the time of the schedule that is waited for, since when this process saw it due.
	due   time.Time
	since time.Time
	// skipped is the newest time for which no drill was begun.
	skipped status.SkippedDrill
}

// drillSchedule is the schedule of drills that is in force, as the status has it, and why there is
// none though the spec asks for one.
func drillSchedule(p *v1alpha1.DatabasePair) (times schedule.Schedule, text, problem string) {
	spec := p.Spec.Switchover.Drill
	if spec == nil || spec.Suspend {
		return schedule.Schedule{}, "", ""
	}
	times, err := schedule.Parse(spec.Schedule, spec.TimeZone)
	if err != nil {
		return schedule.Schedule{}, "", "spec.switchover.drill: " + err.Error()
	}
	return times, spec.Schedule + " " + spec.TimeZone, ""
}

// drill begins the drill that is due, or skips it when the pair is not fit for it. It returns
// when to look again.
func (r *PairReconciler) drill(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) (time.Duration, error) {
	times, text, problem := drillSchedule(v.pair)
	if problem != "" {
		r.warnOnce(v, v.pair, ReasonDrillNotScheduled, problem)
	}
	known := v.pair.Status.Drill
	inForce := known != nil && known.Schedule == text && known.Since != nil
	if text == "" || !inForce {
		return lookIdle, nil // the status says since when a schedule is in force
	}
	now := r.Now()
	next := max(times.Next(now).Sub(now), 0) + time.Millisecond
	at, due := times.Due(lastDrill(v), now, v.pair.Spec.Switchover.Drill.StartingDeadline.Duration)
	if !due {
		return next, nil
	}
	d := &v.session.drills
	if !d.due.Equal(at) {
		d.due = at
		d.since = now
	}
	why := failover.UnfitForDrill(o, plan, *switchoverOf(drillOperation(v.pair, at, ""), v.pair))
	switch {
	case why == "":
		return next, r.beginDrill(ctx, v, o, at)
	case now.Sub(d.since) < drillPatience:
		return requeueSoon, nil
	}
	d.skipped = status.SkippedDrill{At: at, Reason: why}
	drillTotal.WithLabelValues(v.name.Namespace, v.name.Name, resultSkipped).Inc()
	v.log.Info("a drill was skipped", "scheduled", at, "why", why)
	r.event(v.pair, nil, warning, ReasonDrillSkipped, fmt.Sprintf("the drill of %s was skipped: %s", at.UTC().Format(time.RFC3339), why))
	return next, nil
}

// beginDrill makes the operation of a drill; it is made once.
func (r *PairReconciler) beginDrill(ctx context.Context, v *visit, o failover.Observation, at time.Time) error {
	to := pair.MemberName("")
	for _, m := range pair.Members(v.pair.Name) {
		if m != o.Authority.Record.Holder.Member {
			to = m
		}
	}
	op := drillOperation(v.pair, at, to)
	err := r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	v.log.Info("a drill begins", "operation", op.Name, "scheduled", at, "to", to)
	return nil
}

// lastDrill is the newest time that was acted upon or from which on the schedule is in force.
func lastDrill(v *visit) time.Time {
	last := v.pair.CreationTimestamp.Time
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	if s := v.pair.Status.Drill; s != nil {
		for _, t := range []*metav1.Time{s.Since, s.LastScheduleTime} {
			if t != nil {
				later(t.Time)
			}
		}
	}
	later(v.session.drills.skipped.At)
	ours := v.ours()
	for i := range ours {
		if status.IsDrill(&ours[i]) {
			later(status.ScheduledAt(&ours[i]))
		}
	}
	return last
}

// drillOperation is the operation for one time of the schedule. Its name is that of the time. It
// names the member, so that nothing is left to do once that one is the primary.
func drillOperation(p *v1alpha1.DatabasePair, at time.Time, to pair.MemberName) *v1alpha1.DatabasePairOperation {
	labels := resources.Labels(p.Name)
	labels[cluster.LabelByOperator] = "true"
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            fmt.Sprintf("%s-drill-%s", p.Name, at.UTC().Format("200601021504")),
			Namespace:       p.Namespace,
			Labels:          labels,
			Annotations:     map[string]string{status.AnnotationScheduledAt: at.UTC().Format(time.RFC3339)},
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)},
			Type:    v1alpha1.OperationSwitchover,
			Target:  string(to),
			Reason:  "a drill, by spec.switchover.drill",
		},
	}
}

// drilled is the status of the pair's drills after this visit.
func drilled(v *visit, now time.Time) *v1alpha1.DrillStatus {
	_, text, problem := drillSchedule(v.pair)
	return status.Drilled(v.pair.Status.Drill, v.ours(), status.Drills{
		Schedule: text,
		Problem:  problem,
		Skipped:  v.session.drills.skipped,
	}, now)
}

// setDrillMetrics sets nothing before the first drill: a time of zero would be a lie.
func setDrillMetrics(labels []string, s *v1alpha1.DrillStatus) {
	if s == nil || s.Time == nil {
		return
	}
	drillTime.WithLabelValues(labels...).Set(float64(s.Time.Unix()))
	drillSucceeded.WithLabelValues(labels...).Set(oneIf(s.Result == v1alpha1.OperationSucceeded))
	if s.WriteGap != nil {
		drillGap.WithLabelValues(labels...).Set(s.WriteGap.Seconds())
	}
}
