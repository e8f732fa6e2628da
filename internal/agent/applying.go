package agent

import (
	"context"
	"errors"
	"time"

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
		const moment = 250 * time.Millisecond // others wait for the turn
		err := r.a.ops.WaitApplied(ctx, status.Received, moment)
		if errors.Is(err, mysqlops.ErrDeadline) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return r.endApplying(ctx)
}

func (r *replication) setEnded(run pair.Incarnation) {
	r.ended = run
	r.a.state.endedApplying(run)
}

// endApplying stops the applier of a member that is about to be opened. An applier that is
// in the middle of a transaction whose rest never came would hold its rows, and its GTID,
// until the reverse channel connects.
func (r *replication) endApplying(ctx context.Context) error {
	r.a.mu.Lock()
	incarnation := r.a.child.incarnation
	r.a.mu.Unlock()
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
