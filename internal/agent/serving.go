package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// opening opens mysqld for writes, when the machine says so.
type opening struct {
	log      logr.Logger
	ops      openServer
	mysqld   *instance
	state    *board
	follow   roleChange
	jobs     sessionEnder
	forcing  *forcing
	waiting  *waiting
	member   func() mycnf.Member
	config   func() agentapi.Config
	post     func(authority.Event)
	failed   func() // counts attempts that failed
	failures *failpoints
}

// openServer is what opening needs of mysqld.
type openServer interface {
	CloseReads(ctx context.Context) error
	StopEvents(ctx context.Context) error
	Warm(ctx context.Context) error
	OpenReadWrite(ctx context.Context, closed []mycnf.Expectation, waiting bool) error
}

// roleChange is what a change of roles needs of replication.
type roleChange interface {
	turn
	orders
	halt(ctx context.Context) error
	applyReceived(ctx context.Context, limit time.Duration) error
}

// sessionEnder ends the sessions of Jobs.
type sessionEnder interface {
	endAll(ctx context.Context, why string)
}

// armable is a mysqld with a deadman.
type armable interface {
	Armed(deadline authority.Instant, limit time.Duration) bool
}

// open begins to open mysqld. A Close that comes meanwhile cancels it and waits for its
// end, so that nothing is opened after it was closed.
func (o *opening) open(ctx context.Context, act authority.Open) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	proc, deadline := o.mysqld.opening(cancel, done)
	go func() {
		defer cancel()
		err := errors.New("mysqld has ended")
		if proc != nil {
			err = o.try(ctx, act, proc, deadline)
		}
		if err != nil {
			o.log.Error(err, "cannot open", "epoch", act.Epoch)
			o.failed()
		} else {
			// A primary has nothing that the primary lacks.
			o.state.resolve(agentapi.ProblemErrant)
		}
		close(done)
		o.post(authority.Opened{At: process.Now(), OK: err == nil})
	}()
}

func (o *opening) try(ctx context.Context, act authority.Open, proc armable, deadline authority.Instant) error {
	started := process.Now()
	if !proc.Armed(deadline, time.Second) {
		return errors.New("the deadman does not answer")
	}
	o.follow.order(orderNone, 0)
	o.jobs.endAll(ctx, "the member opens")
	if err := o.follow.halt(ctx); err != nil {
		return fmt.Errorf("stop the receiver: %w", err)
	}
	if err := o.follow.applyReceived(ctx, max(o.config().ApplyTimeout, time.Second)); err != nil {
		return err
	}
	if err := o.forcing.end(ctx, "the member opens", ""); err != nil {
		return fmt.Errorf("make the applier strict: %w", err)
	}
	if err := o.follow.take(ctx); err != nil {
		return err
	}
	defer o.follow.giveBack()
	// Readers go before writers come, and the closed state is what is read back.
	for _, step := range []func(context.Context) error{o.ops.CloseReads, o.ops.StopEvents} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := o.ops.Warm(ctx); err != nil {
		return err
	}
	o.failures.at(failBeforeOpen)
	opened := interval{epoch: act.Epoch, openedAt: process.Now()}
	o.mysqld.mayBeOpen(opened)
	o.log.Info("member opens", "epoch", act.Epoch, "openedAt", int64(opened.openedAt), "waiting", act.Waiting,
		"ledgerVersion", act.Ledger, "lastConfirmationAskedAt", int64(o.state.confirmedAt()))
	o.waiting.forget()
	err := o.waiting.change(ctx, act.Waiting, act.Ledger, func() error {
		return o.ops.OpenReadWrite(ctx, mycnf.Expect(o.member(), mycnf.State{}), act.Waiting)
	})
	if err != nil {
		var drift *mysqlops.DriftError
		if errors.As(err, &drift) {
			o.state.problem(agentapi.ProblemOwnedVariable, drift.Error())
		}
		return err
	}
	o.mysqld.hasOpened(stamp{epoch: act.Epoch, opened: process.Now()})
	o.failures.at(failAfterOpen)
	o.state.resolve(agentapi.ProblemOwnedVariable)
	o.follow.order(orderLead, act.Epoch)
	o.log.Info("member is open", "epoch", act.Epoch, "took", process.Now().Sub(started))
	return nil
}
