package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// applier applies what was received. Who has the turn of replication uses it.
type applier struct {
	log    logr.Logger
	ops    applierServer
	mysqld *instance
	state  *board
	// keepOwned sets the owned settings of a closed member right.
	keepOwned func(context.Context) error

	// ended is the mysqld whose applier was stopped because it has applied all that was
	// received.
	ended pair.Incarnation
}

// applierServer is what the applier needs of mysqld.
type applierServer interface {
	StartApplier(ctx context.Context) error
	EndApplying(ctx context.Context) error
	EndBlockers(ctx context.Context) (int, error)
	WaitApplied(ctx context.Context, set gtid.Set, limit time.Duration) error
}

// start starts an applier that stands still without an error.
func (p *applier) start(ctx context.Context, status mysqlops.Status) error {
	if !status.Channel.Configured || status.Channel.ApplierRunning || status.Channel.ApplierError.Number != 0 {
		return nil
	}
	if p.ended != "" && status.Executed.Covers(status.Received) {
		return nil // it was stopped for good
	}
	p.setEnded("")
	return p.ops.StartApplier(ctx)
}

// some ends the sessions that the applier waits for, which are readers of this member,
// and waits a moment for it. It reports whether everything of set is applied. It needs no turn.
func (p *applier) some(ctx context.Context, set gtid.Set) (bool, error) {
	const moment = 250 * time.Millisecond // others wait for the turn
	ended, err := p.ops.EndBlockers(ctx)
	if err != nil {
		p.log.V(1).Info("cannot end the sessions that the applier waits for", "reason", err.Error())
	} else if ended > 0 {
		p.log.Info("sessions ended that the applier waited for", "sessions", ended)
	}
	err = p.ops.WaitApplied(ctx, set, moment)
	if errors.Is(err, mysqlops.ErrDeadline) && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// all starts the applier and waits until everything of a set is applied. It needs no turn.
func (p *applier) all(ctx context.Context, set gtid.Set, limit time.Duration) error {
	if err := p.ops.StartApplier(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if done, err := p.some(ctx, set); err != nil || done {
			return err
		}
	}
}

func (p *applier) setEnded(run pair.Incarnation) {
	p.ended = run
	p.state.endedApplying(run)
}

// end stops the applier of a member that is about to be opened. An applier that is
// in the middle of a transaction whose rest never came would hold its rows, and its GTID,
// until the reverse channel connects.
func (p *applier) end(ctx context.Context) error {
	incarnation := p.mysqld.newest()
	if p.ended == incarnation {
		return nil
	}
	began := time.Now()
	// What is applied has to be on the disk, and nothing may keep the member from opening,
	// before anything relies on it.
	if err := p.keepOwned(ctx); err != nil {
		return err
	}
	if err := p.ops.EndApplying(ctx); err != nil {
		return err
	}
	p.setEnded(incarnation)
	p.log.Info("the applier has applied everything and is stopped", "took", time.Since(began))
	p.state.poke()
	return nil
}
