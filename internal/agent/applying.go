package agent

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// applyAll waits a moment until everything received is applied, and ends the applier then.
// It is called again until that is so.
func (r *replication) applyAll(ctx context.Context, status mysqlops.Status) error {
	if !status.Executed.Covers(status.Received) {
		if err := r.startApplier(ctx, status); err != nil {
			return err
		}
		r.hurry()
		if done, err := r.a.applySome(ctx, status.Received); err != nil || !done {
			return err
		}
	}
	return r.endApplying(ctx)
}

// applySome ends the sessions that the applier waits for, which are readers of this member,
// and waits a moment for it. It reports whether everything of set is applied.
func (a *Agent) applySome(ctx context.Context, set gtid.Set) (bool, error) {
	const moment = 250 * time.Millisecond // others wait for the turn
	ended, err := a.ops.EndBlockers(ctx)
	if err != nil {
		a.log.V(1).Info("cannot end the sessions that the applier waits for", "reason", err.Error())
	} else if ended > 0 {
		a.log.Info("sessions ended that the applier waited for", "sessions", ended)
	}
	err = a.ops.WaitApplied(ctx, set, moment)
	if errors.Is(err, mysqlops.ErrDeadline) && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// applyReceived waits until everything received is applied: a primary that wrote before
// would write over what it has not seen yet. Then it ends the applier, which stays stopped
// until the reverse channel connects.
func (a *Agent) applyReceived(ctx context.Context) error {
	status, err := a.ops.Status(ctx)
	if err != nil {
		return err
	}
	if !status.Executed.Covers(status.Received) {
		if err := a.ops.StartApplier(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, max(a.settings.get().ApplyTimeout, time.Second))
		defer cancel()
		for done := false; !done; {
			if done, err = a.applySome(ctx, status.Received); err != nil {
				return err
			}
		}
	}
	if err := a.follow.take(ctx); err != nil {
		return err
	}
	defer a.follow.giveBack()
	return a.follow.endApplying(ctx)
}

func (r *replication) setEnded(run pair.Incarnation) {
	r.ended = run
	r.a.state.endedApplying(run)
}

// endApplying stops the applier of a member that is about to be opened. An applier that is
// in the middle of a transaction whose rest never came would hold its rows, and its GTID,
// until the reverse channel connects.
func (r *replication) endApplying(ctx context.Context) error {
	incarnation := r.a.mysqld.newest()
	if r.ended == incarnation {
		return nil
	}
	began := time.Now()
	// What is applied has to be on the disk, and nothing may keep the member from opening,
	// before anything relies on it.
	if _, err := r.a.keepOwned(ctx, false); err != nil {
		return err
	}
	if err := r.a.ops.EndApplying(ctx); err != nil {
		return err
	}
	r.setEnded(incarnation)
	r.a.log.Info("the applier has applied everything and is stopped", "took", time.Since(began))
	r.a.pokeServer()
	return nil
}
