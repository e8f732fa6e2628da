package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// watchPeer keeps the newest state of the peer.
func (a *Agent) watchPeer(ctx context.Context) {
	period := min(max(a.settings.get().HeartbeatInterval, 200*time.Millisecond), 5*time.Second)
	every(ctx, period, func() {
		if _, err := a.peer.ask(ctx, period+500*time.Millisecond, false); err != nil {
			a.log.V(1).Info("the peer does not answer", "reason", err.Error())
		}
		a.state.bump()
	})
}

// pokeServer has mysqld looked at now.
func (a *Agent) pokeServer() { a.state.poke() }

// watchServer looks at mysqld all the time and corrects what must not be.
func (a *Agent) watchServer(ctx context.Context) {
	period := min(max(a.settings.get().HeartbeatInterval/2, 250*time.Millisecond), time.Second)
	timer := time.NewTimer(0)
	defer timer.Stop()
	w := &watch{a: a}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.state.poked:
		}
		if a.mysqld.isUp() {
			w.look(ctx)
		}
		timer.Reset(period)
	}
}

// watch is what has to be remembered from one look to the next.
type watch struct {
	a         *Agent
	dumps     string // the dump threads at the last look
	corrected time.Time
	locked    int       // looks in a row that found an open member read-only or offline
	setRight  time.Time // when an open member was last set right
	// settingsRight is when owned settings were last found wrong.
	settingsRight time.Time
	purged        judge.Purged
}

func (w *watch) look(ctx context.Context) {
	a := w.a
	peer, _ := a.peer.last() // it answered before mysqld is asked here
	asked := process.Now()
	before := a.waiting.changed()
	status, err := a.ops.Status(ctx)
	if errors.Is(err, mysqlops.ErrAccessDenied) {
		a.settings.otherRoot()
	}
	if err != nil {
		a.log.V(1).Info("mysqld does not answer", "reason", err.Error())
		return
	}
	status = a.state.saw(status, asked)
	view := a.state.view()
	w.judgeLack(peer, status, view)
	switch view.Serving {
	case authority.Serves:
		if a.waiting.judge(ctx, status.SemiSync, before) {
			w.setRight = time.Now()
		}
		w.keepOpen(ctx, status, view)
		w.seeSessions(ctx)
	case authority.Shut:
		if status.IsOpen() {
			w.keepReadOnly(ctx)
		}
	case authority.Stopped, authority.Booting, authority.Opening, authority.Closing, authority.Killing, authority.Ending:
	}
	if time.Since(w.corrected) > time.Minute {
		a.state.resolve(agentapi.ProblemWritablePassive)
	}
	w.judgeChannel(status, view)
	w.keepSettings(ctx, view)
	if err := a.ops.Warm(ctx); err != nil {
		a.log.V(1).Info("the sessions of the fence path are not all there", "reason", err.Error())
	}
}

// longInFlight is how old a transaction is when it is no part of ordinary traffic any more.
const longInFlight = time.Second

// seeSessions publishes the sessions for which a planned switchover would have to wait.
func (w *watch) seeSessions(ctx context.Context) {
	all, err := w.a.ops.ClientSessions(ctx)
	if err != nil {
		w.a.log.V(1).Info("the sessions of clients are not known", "reason", err.Error())
		return
	}
	long := slices.DeleteFunc(all, func(one mysqlops.ClientSession) bool {
		return !one.DDL && (!one.InFlight || one.Age < longInFlight)
	})
	w.a.state.hasInFlight(describeSessions(long, sessionsShown))
}

// judgeChannel names what is wrong with replication. A primary's reverse channel has
// nothing to bring; that its peer is away is not its problem.
func (w *watch) judgeChannel(status mysqlops.Status, view authority.View) {
	applier := applierError(status)
	receiver := status.Channel.ReceiverError
	switch {
	case view.Serving != authority.Serves && applier.Number != 0 && !status.Channel.ApplierRunning:
		w.a.state.problem(agentapi.ProblemReplication, "the applier stopped; take the cause away on this member and START REPLICA SQL_THREAD: "+
			plain(applier.Message))
	case view.Serving != authority.Serves && receiver.Number != 0 && status.Channel.Receiver != mysqlops.ReceiverStreaming:
		w.a.state.problem(agentapi.ProblemReplication, "the receiver does not stream: "+plain(receiver.Message))
	default:
		w.a.state.resolve(agentapi.ProblemReplication)
	}
}

// plain takes away the count of attempts, which would be news every second.
func plain(message string) string {
	text, _, _ := strings.Cut(message, " This was attempt")
	return text
}

// keepReadOnly corrects a passive that someone made writable. It holds the turn, so
// that it cannot close what is just being opened.
func (w *watch) keepReadOnly(ctx context.Context) {
	a := w.a
	if a.follow.take(ctx) != nil {
		return
	}
	defer a.follow.giveBack()
	if a.state.view().Serving != authority.Shut {
		return
	}
	found, err := a.ops.KeepReadOnly(ctx)
	if err != nil {
		a.log.Error(err, "cannot correct a writable passive")
		return
	}
	if !found.Needed {
		return
	}
	w.corrected = time.Now()
	a.pokeServer() // what was published says writable
	a.metrics.corrections.Inc()
	a.log.Info("passive found writable, corrected", "readOnly", found.ReadOnly, "superReadOnly", found.SuperReadOnly)
	a.state.problem(agentapi.ProblemWritablePassive, "this closed member was found writable and was corrected; find out who changed read_only")
}

// keepOpen checks an open member: only the peer may acknowledge, and a commit that still
// waits because its acknowledgement was lost is released by committing a heartbeat row, whose
// acknowledgement covers every commit before it.
func (w *watch) keepOpen(ctx context.Context, status mysqlops.Status, view authority.View) {
	a := w.a
	if w.locked++; !status.ReadOnly && !status.SuperReadOnly && !status.OfflineMode {
		w.locked = 0
	}
	switch {
	case w.locked > 1: // once may have been read before it opened
		w.unlock(ctx)
	case w.locked == 0 && time.Since(w.setRight) > time.Minute:
		a.state.resolve(agentapi.ProblemOwnedVariable)
	}
	if !view.Waiting {
		return
	}
	w.cutForeign(ctx, status)
	var dumps string
	for _, d := range status.DumpThreads {
		dumps += string(d.ReplicaUUID) + "/" + itoa(d.SessionID) + " "
	}
	reconnected := dumps != w.dumps && dumps != ""
	w.dumps = dumps
	if status.SemiSync.Clients >= 1 && (reconnected || status.SemiSync.OldestWait > time.Second) {
		go func() {
			if err := a.ops.CommitHeartbeat(ctx, int(a.env.Ordinal)); err != nil && !errors.Is(err, mysqlops.ErrCommitsWaiting) {
				a.log.V(1).Info("no heartbeat committed", "reason", err.Error())
			}
		}()
	}
}

// unlock lifts what someone set on an open member by hand. It holds the turn, so that a
// fence comes after it, and ends long before the confirmation does.
func (w *watch) unlock(ctx context.Context) {
	a := w.a
	lease := a.state.view().LeaseDuration
	ctx, cancel := context.WithTimeout(ctx, lease/8)
	defer cancel()
	if a.follow.take(ctx) != nil {
		return
	}
	defer a.follow.giveBack()
	view := a.state.view()
	if view.Serving != authority.Serves || !view.Confirmed || process.Now().Sub(view.ConfirmedAt) > lease/2 {
		return
	}
	found, err := a.ops.KeepWritable(ctx)
	if err != nil {
		a.log.Error(err, "cannot correct a primary that was made read-only")
		a.state.problem(agentapi.ProblemOwnedVariable,
			"this primary is read-only or offline by an external change; SET GLOBAL super_read_only=OFF, read_only=OFF, offline_mode=OFF")
		return
	}
	if !found.Needed {
		return
	}
	w.setRight = time.Now()
	a.log.Info("primary found read-only, corrected", "readOnly", found.ReadOnly, "superReadOnly", found.SuperReadOnly,
		"offlineMode", found.OfflineMode)
	a.state.problem(agentapi.ProblemOwnedVariable,
		"this primary was read-only or offline by an external change and was corrected; "+
			"find out who, and use kubectl dbpair fence to stop writes")
}

func (w *watch) cutForeign(ctx context.Context, status mysqlops.Status) {
	a := w.a
	var uuid gtid.ServerUUID
	if peer, _ := a.peer.last(); peer != nil && peer.Server != nil && peer.PairUID == a.env.PairUID {
		uuid = gtid.ServerUUID(peer.Server.ServerUUID)
	}
	peers := 0
	for _, d := range status.DumpThreads {
		if !d.IsForeign(mysqlops.UserReplication, uuid) {
			peers++
		}
	}
	if peers == len(status.DumpThreads) {
		a.state.resolve(agentapi.ProblemForeignReplica)
		return
	}
	if status.SemiSync.Clients > peers {
		// One that merely reads acknowledges nothing.
		a.waiting.foreign()
	}
	cut, err := a.ops.CutForeignDumpThreads(ctx, mysqlops.UserReplication, uuid)
	if err != nil {
		a.log.Error(err, "cannot cut a foreign replica")
		return
	}
	for _, d := range cut {
		a.log.Info("foreign replica cut", "user", d.User, "host", d.Host, "replicaUUID", d.ReplicaUUID)
		a.state.problem(agentapi.ProblemForeignReplica, "a foreign replica ("+d.User+" from "+d.Host+
			") was cut: its acknowledgements would let writes pass that the peer does not have; take its REPLICATION SLAVE right away")
	}
}
