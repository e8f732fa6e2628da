package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// watch looks at the peer's agent and at mysqld all the time, publishes what they say, and has
// its parts correct what must not be. Each part has what it remembers from one look to the next.
type watch struct {
	log    logr.Logger
	ops    watchedServer
	mysqld *instance
	state  *board
	peer   peerSource
	config func() agentapi.Config
	denied func() // mysqld did not take root's password
	// relayLog is the newest file of the relay log and its size.
	relayLog func() (name string, size int64)

	waiting  *waiting
	readers  *readers
	lacking  lacking
	readOnly readOnlyGuard
	acks     ackGuard
	owned    *ownedSettings
}

// watchedServer is what a look at mysqld needs of it.
type watchedServer interface {
	Status(ctx context.Context) (mysqlops.Status, error)
	ClientSessions(ctx context.Context) ([]mysqlops.ClientSession, error)
	Warm(ctx context.Context) error
}

// runPeer keeps the newest state of the peer.
func (w *watch) runPeer(ctx context.Context) {
	period := min(max(w.config().HeartbeatInterval, 200*time.Millisecond), 5*time.Second)
	every(ctx, period, func() {
		if _, err := w.peer.ask(ctx, period+500*time.Millisecond, false); err != nil {
			w.log.V(1).Info("the peer does not answer", "reason", err.Error())
		}
		w.state.bump()
	})
}

// runServer looks at mysqld all the time, and at once when the state is poked.
func (w *watch) runServer(ctx context.Context) {
	period := min(max(w.config().HeartbeatInterval/2, 250*time.Millisecond), time.Second)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.state.poked:
		}
		if w.mysqld.isUp() {
			w.look(ctx)
		}
		timer.Reset(period)
	}
}

func (w *watch) look(ctx context.Context) {
	peer, _ := w.peer.last() // it answered before mysqld is asked here
	asked := process.Now()
	before := w.waiting.changed()
	status, err := w.ops.Status(ctx)
	if errors.Is(err, mysqlops.ErrAccessDenied) {
		w.denied()
	}
	if err != nil {
		w.log.V(1).Info("mysqld does not answer", "reason", err.Error())
		return
	}
	w.readers.name(status.DumpThreads)
	status = w.state.saw(status, asked)
	file, size := w.relayLog()
	w.state.receives(status.Channel.Receiver == mysqlops.ReceiverStreaming, file, size, asked)
	view := w.state.view()
	w.lacking.look(peer, status, view.Serving)
	w.readers.look(ctx, status, view.Serving, func() bool { return w.waiting.waitsForNobody(before, view.Serving) })
	switch view.Serving {
	case authority.Serves:
		if w.waiting.judge(ctx, status.SemiSync, before) {
			w.readOnly.setRight = time.Now()
		}
		w.readOnly.keepOpen(ctx, status)
		if view.Waiting {
			w.acks.look(ctx, status)
		}
		w.seeSessions(ctx)
	case authority.Shut:
		if status.IsOpen() {
			w.readOnly.close(ctx)
		}
	case authority.Stopped, authority.Booting, authority.Opening, authority.Closing, authority.Killing, authority.Ending:
	}
	if time.Since(w.readOnly.closedAt) > time.Minute {
		w.state.resolve(agentapi.ProblemWritablePassive)
	}
	w.judgeChannel(status, view.Serving)
	w.owned.look(ctx, view.Serving)
	if err := w.ops.Warm(ctx); err != nil {
		w.log.V(1).Info("the sessions of the fence path are not all there", "reason", err.Error())
	}
}

// longInFlight is how old a transaction is when it is no part of ordinary traffic any more.
const longInFlight = time.Second

// seeSessions publishes the sessions for which a planned switchover would have to wait.
func (w *watch) seeSessions(ctx context.Context) {
	all, err := w.ops.ClientSessions(ctx)
	if err != nil {
		w.log.V(1).Info("the sessions of clients are not known", "reason", err.Error())
		return
	}
	long := slices.DeleteFunc(all, func(one mysqlops.ClientSession) bool {
		return !one.DDL && (!one.InFlight || one.Age < longInFlight)
	})
	w.state.hasInFlight(describeSessions(long, sessionsShown))
}

// judgeChannel names what is wrong with replication. A primary's reverse channel has
// nothing to bring; that its peer is away is not its problem.
func (w *watch) judgeChannel(status mysqlops.Status, serving authority.Serving) {
	applier := applierError(status)
	receiver := status.Channel.ReceiverError
	switch {
	case serving != authority.Serves && applier.Number != 0 && !status.Channel.ApplierRunning:
		w.state.problem(agentapi.ProblemReplication, "the applier stopped; take the cause away on this member and START REPLICA SQL_THREAD: "+
			plain(applier.Message))
	case serving != authority.Serves && receiver.Number != 0 && status.Channel.Receiver != mysqlops.ReceiverStreaming:
		w.state.problem(agentapi.ProblemReplication, "the receiver does not stream: "+plain(receiver.Message))
	default:
		w.state.resolve(agentapi.ProblemReplication)
	}
}

// plain takes away the count of attempts, which would be news every second.
func plain(message string) string {
	text, _, _ := strings.Cut(message, " This was attempt")
	return text
}
