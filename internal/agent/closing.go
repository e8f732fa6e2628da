package agent

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// closing takes from mysqld what it has to give up, when the machine says so: its clients, its
// receiver, or its process.
type closing struct {
	log      logr.Logger
	ops      closeServer
	mysqld   *instance
	state    *board
	follow   haltable
	jobs     sessionEnder
	record   openRecord
	config   func() agentapi.Config
	post     func(authority.Event)
	failures *failpoints
}

// closeServer is what closing needs of mysqld.
type closeServer interface {
	Fence(ctx context.Context) (mysqlops.Fenced, error)
	PrepareShutdown(ctx context.Context) error
}

// haltable is replication, which stands still when it is ordered to.
type haltable interface {
	turn
	orders
	halt(ctx context.Context) error
	hurry()
}

// close fences mysqld softly and reports whether that was proven in time.
func (c *closing) close(ctx context.Context, act authority.Close) {
	limit := act.By.Sub(process.Now())
	c.log.Info("closing", "reason", act.Reason, "limit", limit)
	ctx, cancel := context.WithTimeout(ctx, max(limit, time.Millisecond))
	defer cancel()
	cancelOpen, openDone := c.mysqld.openUnderWay()
	if cancelOpen != nil {
		cancelOpen()
		select {
		case <-openDone:
		case <-ctx.Done():
			c.post(authority.Closed{At: process.Now()})
			return
		}
	}
	c.follow.order(orderNone, 0)
	// Beside the fence, which ends them too and waits for nobody.
	go c.jobs.endAll(context.WithoutCancel(ctx), "the member closes")
	if err := c.follow.take(ctx); err != nil {
		c.post(authority.Closed{At: process.Now()})
		return
	}
	defer c.follow.giveBack()
	c.failures.at(failBeforeClose)
	fenced, err := c.ops.Fence(ctx)
	proven := err == nil && fenced.Complete()
	now := process.Now()
	if proven {
		opened := c.mysqld.provenClosed(fenced.Binlog.String())
		c.record.close(opened, now, "closed softly: "+act.Reason)
	} else {
		c.log.Info("the soft fence is not proven", "error", err, "offlineMode", fenced.OfflineMode, "superReadOnly", fenced.SuperReadOnly,
			"clientSessions", fenced.ClientSessions, "waitingCommits", fenced.WaitingCommits, "reRead", fenced.ReRead)
	}
	c.post(authority.Closed{At: now, Proven: proven})
	c.state.poke()
}

// stop ends a closed mysqld cleanly.
func (c *closing) stop(ctx context.Context) {
	proc := c.mysqld.terminating()
	if proc == nil {
		return
	}
	c.log.Info("ending mysqld")
	ctx, cancel := context.WithTimeout(ctx, c.config().LeaseDuration/2)
	defer cancel()
	if err := c.ops.PrepareShutdown(ctx); err != nil {
		c.log.Error(err, "cannot prepare mysqld for its end, which may take until the end of the grace period")
	}
	proc.Terminate()
}

// stopReceiver is the ack fence's effect.
func (c *closing) stopReceiver(ctx context.Context, act authority.StopReceiver) {
	c.log.Info("stopping the receiver", "epoch", act.Epoch)
	c.follow.order(orderFenced, act.Epoch)
	// One that reads a table holds up a definition that the applier is about to change.
	go c.jobs.endAll(ctx, "the receiver stops")
	err := c.follow.halt(ctx)
	if err != nil {
		c.log.Error(err, "cannot stop the receiver", "epoch", act.Epoch)
	}
	now := process.Now()
	if err == nil {
		c.state.receiverStopped(now)
		c.follow.hurry()
	}
	c.post(authority.ReceiverIsStopped{At: now, OK: err == nil})
	c.state.poke()
}
