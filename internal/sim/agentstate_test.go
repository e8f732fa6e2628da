package sim

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// state is what the agent says of itself.
func (a *agentSim) state() *agentapi.State {
	v := a.m.vol
	s := &agentapi.State{
		PairUID: pairUID, Member: a.m.name, PodUID: a.pod.uid, AgentStart: a.start, AgentVersion: "v1", Ledger: a.ledger,
		PeerSilentFor: a.w.now - a.heardPeer, SemiSyncLostAt: a.lostAt, Compared: a.compared,
	}
	if a.machine == nil {
		s.Phase = agentapi.PhaseVolumeInUse
		return s
	}
	s.Door = &agentapi.Door{Released: a.door.Released(), CanForward: true}
	if to, since := a.door.Forwards(); to != "" {
		s.Door.ForwardedFor = max(a.local().Sub(since), 1)
	}
	view := a.machine.View()
	s.KnownEpoch = view.Known
	s.ActedLedger = view.ActedLedger
	s.OpenEpoch = view.OpenEpoch
	s.ReceiverStoppedAt = view.Durable.ReceiverStopped
	s.TailCommitted = view.Durable.TailCommitted
	s.NeedsConfirmation = view.NeedsConfirmation
	s.TailUncovered = view.TailUncovered
	s.Ending = view.Ending
	if !v.void {
		s.DataID = v.id
	}
	if v.discarded != nil && v.discarded.DataID == s.DataID {
		s.Discarded = v.discarded
	}
	if view.Serving == authority.Stopped || view.Durable.TailCommitted {
		s.UncleanAt = view.Durable.OpenAt
	}
	s.Lacks = a.lack
	if s.TailKept = a.tailKept; s.TailKept != "" {
		s.RewindRefused = "it has transactions that the primary lacks"
	}
	a.describeMysqld(s)
	s.Drain = a.describeDrain()
	s.Phase = a.phase(view)
	return s
}

func (a *agentSim) phase(view authority.View) agentapi.Phase {
	v := a.m.vol
	switch {
	case a.busy != "":
		return a.busy
	case v.void:
		return agentapi.PhaseVoid
	case v.id == "":
		return agentapi.PhaseEmpty
	}
	return view.Phase()
}

func (a *agentSim) describeMysqld(st *agentapi.State) {
	s := a.mysqld
	st.Mysqld = agentapi.Mysqld{Exits: a.exits, LastExit: "signal killed"}
	if s == nil || s.dead {
		return
	}
	st.Mysqld.Running = true
	st.Mysqld.Incarnation = s.inc
	if s.up && s.gate.stopped == 0 {
		a.lookedAt = a.w.now
		if s.drifted {
			st.WrongSettings = []string{"innodb_flush_log_at_trx_commit: 1, 2"}
		}
		a.server = &agentapi.Server{
			ServerUUID: serverUUID(s.data.server), SuperReadOnly: !s.open, ReadOnly: !s.open, OfflineMode: !s.open,
			Receiver: agentapi.ChannelThread{Running: s.recv != nil && !s.recv.gone && s.recv.broken < 0}, Applier: agentapi.ChannelThread{Running: !s.data.errored},
			Waiting: s.waits, WaitSessions: len(s.queue), OldestWait: a.timed(s), SemiSyncClients: s.clients(), ReplicaSemiSync: s.wants,
		}
		if !s.open && (s.recv == nil || a.w.hibernate) {
			a.server.BinlogGTIDs, a.server.GTIDReceived = a.w.gtids(s.data.inBinlog), a.w.gtids(s.data.received())
		}
		a.server.ApplyingGTIDs = a.w.gtids(s.applying())
		a.server.LagSeconds = int64(s.lag() / time.Second)
		if s.data.errored {
			a.server.Applier.LastErrno = 1062
		}
	}
	if s.up {
		st.Server = a.server
		st.ServerAge = a.w.now - a.lookedAt
		st.AppliedAll = st.ReceiverStoppedAt != 0 && !s.wants && len(s.data.relay) == 0 && s.gate.stopped == 0 && judge.EndedApplying(s.status())
	}
}

func (a *agentSim) String() string { return fmt.Sprintf("%s/%s", a.m.name, a.pod.uid) }
