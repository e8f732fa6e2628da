package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// open begins to open mysqld. A Close that comes meanwhile cancels it and waits for its
// end, so that nothing is opened after it was closed.
func (a *Agent) open(ctx context.Context, act authority.Open) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	a.mysqld.mu.Lock()
	a.mysqld.child.openCancel = cancel
	a.mysqld.child.openDone = done
	proc := a.mysqld.child.proc
	deadline := a.mysqld.child.deadline
	a.mysqld.mu.Unlock()
	go func() {
		defer cancel()
		err := a.tryOpen(ctx, act, proc, deadline)
		if err != nil {
			a.log.Error(err, "cannot open", "epoch", act.Epoch)
			a.metrics.openFailures.Inc()
		} else {
			// A primary has nothing that the primary lacks.
			a.state.resolve(agentapi.ProblemErrant)
		}
		close(done)
		a.queue.post(authority.Opened{At: process.Now(), OK: err == nil})
	}()
}

func (a *Agent) tryOpen(ctx context.Context, act authority.Open, proc *process.Mysqld, deadline authority.Instant) error {
	started := process.Now()
	if proc == nil {
		return errors.New("mysqld has ended")
	}
	if !proc.Armed(deadline, time.Second) {
		return errors.New("the deadman does not answer")
	}
	a.follow.order(orderNone, 0)
	a.jobs.endAll(ctx, "the member opens")
	if err := a.follow.halt(ctx); err != nil {
		return fmt.Errorf("stop the receiver: %w", err)
	}
	if err := a.follow.applyReceived(ctx, max(a.settings.get().ApplyTimeout, time.Second)); err != nil {
		return err
	}
	if err := a.forcing.end(ctx, "the member opens", ""); err != nil {
		return fmt.Errorf("make the applier strict: %w", err)
	}
	if err := a.follow.take(ctx); err != nil {
		return err
	}
	defer a.follow.giveBack()
	// Readers go before writers come, and the closed state is what is read back.
	for _, step := range []func(context.Context) error{a.ops.CloseReads, a.ops.StopEvents} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := a.ops.Warm(ctx); err != nil {
		return err
	}
	a.failures.at(failBeforeOpen)
	opened := interval{epoch: act.Epoch, openedAt: process.Now()}
	a.mysqld.mu.Lock()
	a.mysqld.child.opened = opened
	a.mysqld.mu.Unlock()
	a.log.Info("member opens", "epoch", act.Epoch, "openedAt", int64(opened.openedAt), "waiting", act.Waiting,
		"ledgerVersion", act.Ledger, "lastConfirmationAskedAt", int64(a.state.confirmedAt()))
	a.waiting.forget()
	err := a.waiting.change(ctx, act.Waiting, act.Ledger, func() error {
		return a.ops.OpenReadWrite(ctx, mycnf.Expect(a.options.own(), mycnf.State{}), act.Waiting)
	})
	if err != nil {
		var drift *mysqlops.DriftError
		if errors.As(err, &drift) {
			a.state.problem(agentapi.ProblemOwnedVariable, drift.Error())
		}
		return err
	}
	a.mysqld.mu.Lock()
	a.mysqld.lastOpen = stamp{epoch: act.Epoch, opened: process.Now()}
	a.mysqld.mu.Unlock()
	a.failures.at(failAfterOpen)
	a.state.resolve(agentapi.ProblemOwnedVariable)
	a.follow.order(orderLead, act.Epoch)
	a.log.Info("member is open", "epoch", act.Epoch, "took", process.Now().Sub(started))
	return nil
}

// close fences mysqld softly and reports whether that was proven in time.
func (a *Agent) close(ctx context.Context, act authority.Close) {
	limit := act.By.Sub(process.Now())
	a.log.Info("closing", "reason", act.Reason, "limit", limit)
	ctx, cancel := context.WithTimeout(ctx, max(limit, time.Millisecond))
	defer cancel()
	a.mysqld.mu.Lock()
	cancelOpen := a.mysqld.child.openCancel
	openDone := a.mysqld.child.openDone
	a.mysqld.mu.Unlock()
	if cancelOpen != nil {
		cancelOpen()
		select {
		case <-openDone:
		case <-ctx.Done():
			a.queue.post(authority.Closed{At: process.Now()})
			return
		}
	}
	a.follow.order(orderNone, 0)
	// Beside the fence, which ends them too and waits for nobody.
	go a.jobs.endAll(context.WithoutCancel(ctx), "the member closes")
	if err := a.follow.take(ctx); err != nil {
		a.queue.post(authority.Closed{At: process.Now()})
		return
	}
	defer a.follow.giveBack()
	a.failures.at(failBeforeClose)
	fenced, err := a.ops.Fence(ctx)
	proven := err == nil && fenced.Complete()
	now := process.Now()
	if proven {
		a.mysqld.mu.Lock()
		opened := a.mysqld.child.opened
		a.mysqld.child.opened = interval{}
		a.mysqld.child.closedWith = fenced.Binlog.String()
		a.mysqld.mu.Unlock()
		a.logClosed(opened, now, "closed softly: "+act.Reason)
	} else {
		a.log.Info("the soft fence is not proven", "error", err, "offlineMode", fenced.OfflineMode, "superReadOnly", fenced.SuperReadOnly,
			"clientSessions", fenced.ClientSessions, "waitingCommits", fenced.WaitingCommits, "reRead", fenced.ReRead)
	}
	a.queue.post(authority.Closed{At: now, Proven: proven})
	a.state.poke()
}

// stopMysqld ends a closed mysqld cleanly.
func (a *Agent) stopMysqld(ctx context.Context) {
	a.mysqld.mu.Lock()
	proc := a.mysqld.child.proc
	a.mysqld.child.terminated = true
	a.mysqld.mu.Unlock()
	if proc == nil {
		return
	}
	a.log.Info("ending mysqld")
	ctx, cancel := context.WithTimeout(ctx, a.settings.get().LeaseDuration/2)
	defer cancel()
	if err := a.ops.PrepareShutdown(ctx); err != nil {
		a.log.Error(err, "cannot prepare mysqld for its end, which may take until the end of the grace period")
	}
	proc.Terminate()
}

// setSemiSync follows the ledger.
func (a *Agent) setSemiSync(ctx context.Context, act authority.SetSemiSync) {
	err := a.waiting.change(ctx, act.Waiting, act.Version, func() error {
		if act.Waiting {
			return a.ops.StartWaiting(ctx)
		}
		return a.ops.StopWaiting(ctx, uint64(max(act.Version, 1)))
	})
	if err != nil {
		a.log.Error(err, "cannot switch waiting", "waiting", act.Waiting, "ledgerVersion", act.Version)
	} else {
		a.log.Info("waiting switched", "waiting", act.Waiting, "ledgerVersion", act.Version)
	}
	a.queue.post(authority.WaitingSet{
		At:      process.Now(),
		Version: act.Version,
		OK:      err == nil,
	})
	a.state.poke()
}

// checkTail compares this binlog with what the peer has received, in this order: what
// the peer says after our own reading can only be more.
func (a *Agent) checkTail(ctx context.Context) {
	incarnation := a.mysqld.newest()
	status, err := a.ops.Status(ctx)
	if err != nil {
		return
	}
	peer, err := a.peer.ask(ctx, a.state.view().LeaseDuration/4, true)
	if err != nil || peer.PairUID != a.env.PairUID || peer.Server == nil || !peer.Mysqld.Running || !peer.Server.Receiver.Running {
		return
	}
	received, err := gtid.Parse(peer.Server.GTIDReceived)
	if err != nil || !received.Covers(status.Binlog) {
		return
	}
	a.queue.post(authority.TailCovered{At: process.Now(), Incarnation: incarnation})
}

// stopReceiver is the ack fence's effect.
func (a *Agent) stopReceiver(ctx context.Context, act authority.StopReceiver) {
	a.log.Info("stopping the receiver", "epoch", act.Epoch)
	a.follow.order(orderFenced, act.Epoch)
	// One that reads a table holds up a definition that the applier is about to change.
	go a.jobs.endAll(ctx, "the receiver stops")
	err := a.follow.halt(ctx)
	if err != nil {
		a.log.Error(err, "cannot stop the receiver", "epoch", act.Epoch)
	}
	now := process.Now()
	if err == nil {
		a.state.receiverStopped(now)
		a.follow.hurry()
	}
	a.queue.post(authority.ReceiverIsStopped{At: now, OK: err == nil})
	a.state.poke()
}
