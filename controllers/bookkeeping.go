package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
)

// attempts are those of one kind of bookkeeping: what a visit writes beside the steps of its
// plan. Bookkeeping that fails or hangs, because of a webhook, a quota or a missing right,
// takes time from the next observation, so it is tried ever more rarely while it goes on.
type attempts struct {
	failed int
	next   time.Time
}

const (
	// bookkeepingTimeout bounds one attempt. It is shorter than what a webhook may take.
	bookkeepingTimeout = 5 * time.Second
	// bookkeepingMax is the longest time between two attempts.
	bookkeepingMax = 15 * time.Second
)

// due reports whether it is time for another attempt.
func (a *attempts) due(now time.Time) bool { return !now.Before(a.next) }

// try makes an attempt if one is due, bounded by bookkeepingTimeout, and keeps how it ended.
// Conflicts are no failures: the next observation follows anyway.
func (a *attempts) try(ctx context.Context, now clock, f func(context.Context) error) error {
	if !a.due(now()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, bookkeepingTimeout)
	defer cancel()
	err := f(ctx)
	if quiet(err) == nil || errors.Is(err, cluster.ErrForeign) || errors.Is(err, errFormerPods) {
		*a = attempts{}
		return err
	}
	a.failed++
	a.next = now().Add(min(time.Second<<min(a.failed-1, 8), bookkeepingMax))
	return err
}

// lookForPod is the longest time between two observations while a member has no pod.
const lookForPod = 2 * time.Second

// task is one kind of bookkeeping of one visit.
type task struct {
	failure string
	state   *attempts
	do      func(context.Context) error
}

// bookkeeping writes what no decision waits for: objects around the members, labels that
// were removed, events and the status. What fails is logged, shows in the status where that
// can be written, and is tried again more and more rarely; it is never an error of the
// reconcile, which would put off the next observation. It returns when to observe again.
func (r *PairReconciler) bookkeeping(
	ctx context.Context, v *visit, o failover.Observation, plan failover.Plan, again time.Duration,
) time.Duration {
	s := v.session
	hurry := again <= lookAtOnce || plan.Rule == failover.RuleAwaitOpening
	if s.absences[0].absent() || s.absences[1].absent() {
		again = min(again, lookForPod)
	}
	if o.Members[0].Pod.NeverRan || o.Members[1].Pod.NeverRan {
		again = min(again, eventsAfter)
	}
	r.tell(v, o, plan)
	tasks := r.tasks(v, o, plan)
	if v.backupReseed() != nil {
		again = min(again, requeueSoon)
	}
	if s.reported.due(hurry, r.Now()) {
		tasks = append(tasks, task{
			failure: "the status was not written",
			state:   &s.tries.status,
			do:      func(ctx context.Context) error { return r.writeStatus(ctx, v, o, plan) },
		})
	}
	if !hurry {
		tasks = append(tasks, task{
			failure: "a finished operation was not deleted",
			state:   &s.tries.pruning,
			do:      func(ctx context.Context) error { return r.pruneOperations(ctx, v) },
		}, task{
			failure: "what served the backup was not removed",
			state:   &s.tries.vault,
			do:      func(ctx context.Context) error { return r.removeVault(ctx, v, o) },
		}, task{
			failure: "a drill was not begun",
			state:   &s.tries.drilling,
			do: func(ctx context.Context) error {
				next, err := r.drill(ctx, v, o, plan)
				again = min(again, max(next, lookAtOnce))
				return err
			},
		})
	}
	for _, t := range tasks {
		err := t.state.try(ctx, r.Now, t.do)
		if err != nil {
			again = min(again, requeueSoon)
		}
		if quiet(err) != nil {
			v.log.Error(err, t.failure)
		}
	}
	return again
}

// tasks are those of every visit.
func (r *PairReconciler) tasks(v *visit, o failover.Observation, plan failover.Plan) []task {
	s := v.session
	return []task{{
		failure: "the backup for a re-seed is not served",
		state:   &s.tries.reseeding,
		do:      func(ctx context.Context) error { return r.serveReseed(ctx, v, o, plan) },
	}, {
		failure: "a label was not put back",
		state:   &s.tries.labels,
		do:      func(ctx context.Context) error { return r.restoreLabels(ctx, v) },
	}, {
		failure: "the events about a pod were not read",
		state:   &s.tries.events,
		do:      func(ctx context.Context) error { return r.readEvents(ctx, v, o) },
	}, {
		failure: "the authority was not signed",
		state:   &s.tries.signing,
		do:      func(ctx context.Context) error { return r.keepLease(ctx, v, o, plan) },
	}}
}
