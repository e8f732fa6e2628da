package agent

import (
	"context"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// exits sees that mysqld has ended, or is about to, and says why.
type exits struct {
	log    logr.Logger
	socket string
	mysqld *instance
	state  *board
	follow orders
	record openRecord
	post   func(authority.Event)
	count  func() // counts ends of mysqld
}

// orders takes the standing order of replication.
type orders interface {
	order(o order, epoch pair.Epoch)
}

// await reports the end of mysqld.
func (e *exits) await(proc *process.Mysqld) {
	<-proc.Exited()
	last := e.mysqld.exited(proc.How())
	now := process.Now()
	e.follow.order(orderNone, 0)
	e.state.forgetServer()
	e.post(authority.MysqldExited{At: now})
	e.record.close(last.opened, lastRun(proc, now), "process ended: "+proc.How())
	e.log.Info("mysqld ended", "how", proc.How())
	e.count()
	switch {
	case last.outside:
		e.state.problem(agentapi.ProblemMysqldExits, "mysqld was ended by SIGTERM, SHUTDOWN or RESTART and not by its agent, which killed it, "+
			"since a mysqld that shuts down acknowledges commits that its peer does not have; "+
			"find out who did it, and use kubectl dbpair failover to move the primary")
	case !last.terminated:
		e.state.problem(agentapi.ProblemMysqldExits, exitMessage(proc.How(), last.killedForMemory, memoryLimit()))
	}
	e.state.bump()
}

// killAtShutdown kills a mysqld that begins to shut down without having been asked to by
// this agent: by SIGTERM from somewhere else, SHUTDOWN or RESTART. On its way down, which
// takes seconds, it refuses clients and answers OK to commits that wait for the peer and may
// exist nowhere else. It closes its listeners first, so the kill comes before that.
func (e *exits) killAtShutdown(ctx context.Context, proc *process.Mysqld) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-proc.Exited():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := process.AwaitDeaf(ctx, e.socket)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e.log.Error(err, "cannot watch mysqld's listener: a shutdown that this agent did not order is noticed only when it has ended")
		return
	}
	if e.mysqld.wasAskedToEnd(proc) {
		return
	}
	proc.Kill() // before anything that takes time: each millisecond may acknowledge a commit
	e.log.Info("mysqld stopped listening and was not asked to end, killed it", "pid", proc.PID())
}

// lastRun is until when a mysqld that ended at an instant can have answered a client.
func lastRun(proc *process.Mysqld, ended authority.Instant) authority.Instant {
	if killed := proc.KilledAt(); killed != 0 {
		return min(killed, ended)
	}
	return ended
}

// openRecord says when the member was open.
type openRecord struct {
	log    logr.Logger
	mysqld *instance
	state  *board
}

// close notes and logs until when the member was open. It is the record that tests compare: no
// write can have been accepted after closedAt.
func (r openRecord) close(o interval, at authority.Instant, how string) {
	if !r.mysqld.closed(o, at) {
		return
	}
	r.log.Info("member closed", "epoch", o.epoch, "openedAt", int64(o.openedAt), "closedAt", int64(at),
		"lastConfirmationAskedAt", int64(r.state.confirmedAt()), "how", how)
}
