package sim

import (
	"context"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

// agentEffects are an operator's commands to agents.
type agentEffects struct{ o *operator }

var (
	_ execute.Fencers   = agentEffects{}
	_ execute.Doors     = agentEffects{}
	_ execute.Drainers  = agentEffects{}
	_ execute.Copiers   = agentEffects{}
	_ execute.Comparers = agentEffects{}
)

func (e agentEffects) order(ctx context.Context, to fencing.Subject, kind authority.CommandKind, c agentapi.Command) (agentapi.FenceReply, error) {
	limit := 2 * time.Second
	if d, ok := execute.Patience(ctx); ok {
		limit = min(limit, d)
	}
	got, err := e.o.agent(to, limit, func(a *agentSim, reply func(any)) {
		if a.machine == nil {
			reply(errRefused)
			return
		}
		a.answers[c.RequestID] = func(action authority.Action) {
			ans, ok := action.(authority.Answer)
			if !ok {
				reply(errStale)
				return
			}
			closedWith := ""
			if s := a.mysqld; ans.Demoted && s != nil {
				closedWith = a.w.gtids(s.data.inBinlog)
			}
			reply(agentapi.FenceReply{
				BinlogGTIDs: closedWith,
				RequestID:   c.RequestID, Member: a.m.name, PodUID: a.pod.uid, Epoch: ans.Epoch, Ceased: ans.Ceased,
				ProcessStopped: ans.ProcessStopped, Demoted: ans.Demoted, ReceiverStopped: ans.ReceiverStopped,
			})
		}
		a.step(authority.Commanded{
			At:      a.local(),
			ID:      c.RequestID,
			Kind:    kind,
			PairUID: c.PairUID,
			Epoch:   c.Epoch,
			Ledger:  c.LedgerVersion,
			Signed:  c.Signed,
		})
	})
	if err != nil {
		return agentapi.FenceReply{}, err
	}
	if refusal, ok := got.(error); ok {
		return agentapi.FenceReply{}, refusal
	}
	return got.(agentapi.FenceReply), nil
}

func (e agentEffects) Cease(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return e.order(ctx, to, authority.CommandCease, c)
}

func (e agentEffects) Fence(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return e.order(ctx, to, authority.CommandFence, c)
}

func (e agentEffects) AckFence(ctx context.Context, to fencing.Subject, c agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	if c.Receive != "" {
		if err := e.awaitReceived(to, c.Receive); err != nil {
			return agentapi.FenceReply{}, err
		}
	}
	return e.order(ctx, to, authority.CommandAckFence, c.Command)
}

func (e agentEffects) ReadLease(ctx context.Context, to fencing.Subject, c agentapi.Command) error {
	_, err := e.order(ctx, to, authority.CommandReadLease, c)
	return err
}

func (e agentEffects) Hold(_ context.Context, to fencing.Subject, c agentapi.HoldCommand) error {
	got, err := e.o.agent(to, time.Second, func(a *agentSim, reply func(any)) {
		if a.machine == nil || judge.Stale(c.Command, a.machine.View()) != nil {
			reply(errStale)
			return
		}
		switch {
		case c.Cancel:
			a.door.Cancel()
		case c.ForwardTo != "":
			a.door.Forward(c.ForwardTo, c.Epoch, a.local())
		default:
			a.door.Begin(c.Epoch, a.local())
		}
		reply(nil)
	})
	if refusal, ok := got.(error); err == nil && ok {
		err = refusal
	}
	return err
}

func (e agentEffects) ReleaseHeld(_ context.Context, to fencing.Subject, c agentapi.Command) error {
	got, err := e.o.agent(to, time.Second, func(a *agentSim, reply func(any)) {
		if a.machine == nil || judge.Stale(c, a.machine.View()) != nil {
			reply(errStale)
			return
		}
		a.door.Release(c.Epoch)
		reply(nil)
	})
	if refusal, ok := got.(error); err == nil && ok {
		err = refusal
	}
	return err
}

// own has the agent read the Lease itself and then do something on the volume. It answers
// the operator when it has accepted.
func (e agentEffects) own(to fencing.Subject, c agentapi.Command, fits func(*agentSim, authority.Record) bool, act func(*agentSim, authority.Record)) error {
	got, err := e.o.agent(to, 2*time.Second, func(a *agentSim, reply func(any)) {
		if a.machine == nil || a.busy != "" {
			reply(errRefused)
			return
		}
		a.toAPI(time.Second, func() func() {
			l, ok := e.o.w.api.read()
			ok = ok && authority.Verify(verify).Authentic(l) == nil
			return func() {
				if !ok || judge.Stale(c, a.machine.View()) != nil || a.busy != "" || !fits(a, l) {
					reply(errRefused)
					return
				}
				act(a, l)
				reply(nil)
			}
		}, func() { reply(errRefused) })
	})
	if err != nil {
		return err
	}
	if refusal, ok := got.(error); ok {
		return refusal
	}
	return nil
}

func (e agentEffects) Initialize(_ context.Context, to fencing.Subject, c agentapi.InitializeCommand) error {
	return e.own(to, c.Command, func(a *agentSim, r authority.Record) bool {
		return r.Bootstrap != nil && r.Bootstrap.Member == a.m.name && r.Bootstrap.DataID == c.DataID && a.m.vol.id == ""
	}, func(a *agentSim, _ authority.Record) {
		a.replaceData(agentapi.PhaseInitializing, c.DataID, func() *dataset { return a.w.newData() })
	})
}

func (e agentEffects) Seed(_ context.Context, to fencing.Subject, c agentapi.SeedCommand) error {
	return e.own(to, c.Command, func(a *agentSim, r authority.Record) bool {
		return a.giving(r).MaySeed(c) == nil
	}, func(a *agentSim, _ authority.Record) {
		a.replaceData(agentapi.PhaseSeeding, c.DataID, func() *dataset {
			donor := a.w.members[1-a.m.index].running()
			exit := 16
			if a.w.copiesDie > 0 {
				exit = 137
			}
			switch {
			case !judge.CopyFinished(exit):
				return nil
			case exit != 16:
				// A directory that is initialized and holds nothing: no transaction can be applied to it.
				broken := a.w.newData()
				broken.errored = true
				return broken
			}
			if donor == nil || !donor.up || donor.gate.stopped > 0 || a.w.cut[donor.m.site][a.m.site] > 0 {
				return nil
			}
			return donor.data.copy(a.w.newData().server)
		})
	})
}

// newData is an empty data directory of a new server.
func (w *world) newData() *dataset {
	w.ids++
	return &dataset{server: w.ids}
}

// replaceData voids the volume, and fills it after a while.
func (a *agentSim) replaceData(phase agentapi.Phase, id pair.DataID, fill func() *dataset) {
	w := a.w
	v := a.m.vol
	w.tracef("%s: %s as %s", a.m.name, phase, id)
	a.busy = phase
	s := a.mysqld
	w.lostData(a.m, v.data)
	v.void = phase == agentapi.PhaseSeeding
	v.data = nil
	a.step(authority.DataGone{At: a.local()})
	a.mysqldGone(s)
	a.later(w.between(500*time.Millisecond, 3*time.Second), func() {
		a.busy = ""
		d := fill()
		if a.m.vol != v || v.lock != a {
			return
		}
		if d == nil {
			return
		}
		v.data = d
		v.id = id
		v.void = false
		a.step(authority.DataReady{At: a.local(), DataID: id, EpochFile: true, Renewed: true})
	})
}

func (e agentEffects) Rewind(_ context.Context, to fencing.Subject, c agentapi.RewindCommand) error {
	w := e.o.w
	return e.own(to, c.Command, func(a *agentSim, r authority.Record) bool {
		return a.giving(r).MayRewind(c) == nil && a.mysqld == nil && a.m.vol.data != nil
	}, func(a *agentSim, _ authority.Record) {
		a.busy = agentapi.PhaseRecovering
		a.later(w.between(50*time.Millisecond, 500*time.Millisecond), func() {
			a.busy = ""
			d := a.m.vol.data
			if d == nil {
				return
			}
			if a.tailKept = ""; c.KeepTail {
				a.findNoTail(mustParse(c.HolderGTIDs))
				return
			}
			var kept []int
			for _, t := range d.binlog {
				if !d.committed.has(t) && !w.inText(c.HolderGTIDs, t) {
					w.tracef("%s: rewinds transaction %d", a.m.name, t)
					continue
				}
				kept = append(kept, t)
			}
			cut := d.binlog
			d.binlog = kept
			d.inBinlog = d.purged.clone()
			for _, t := range kept {
				d.inBinlog.add(t)
			}
			w.checkCut(a.m, cut)
			a.step(authority.DataReady{At: a.local(), DataID: a.m.vol.id, EpochFile: true, Renewed: true})
		})
	})
}

// findNoTail goes on as a passive without a tail, and else says what is in it.
func (a *agentSim) findNoTail(keep gtid.Set) {
	d := a.m.vol.data
	if tail := mustParse(a.w.gtids(d.inBinlog)).Subtract(keep); !tail.IsEmpty() {
		a.tailKept = tail.String()
		return
	}
	a.w.fired["tail empty"]++
	a.step(authority.DataReady{
		At:        a.local(),
		DataID:    a.m.vol.id,
		EpochFile: true,
		Renewed:   true,
	})
}

func (e agentEffects) Snapshot(_ context.Context, to fencing.Subject, c agentapi.Command) (agentapi.SnapshotReply, error) {
	got, err := e.o.agent(to, 2*time.Second, func(a *agentSim, reply func(any)) {
		s := a.mysqld
		if s == nil || s.dead || !s.up || s.gate.stopped > 0 || a.machine == nil {
			reply(errRefused)
			return
		}
		r, err := judge.Snapshot(c, s.status(), s.inc, a.machine.View().ActedLedger)
		if err != nil {
			reply(err)
			return
		}
		reply(r)
	})
	if err != nil {
		return agentapi.SnapshotReply{}, err
	}
	if refusal, ok := got.(error); ok {
		return agentapi.SnapshotReply{}, refusal
	}
	return got.(agentapi.SnapshotReply), nil
}

func (e agentEffects) Covers(_ context.Context, to fencing.Subject, c agentapi.CoversRequest) (agentapi.CoversReply, error) {
	got, err := e.o.agent(to, 2*time.Second, func(a *agentSim, reply func(any)) {
		s := a.mysqld
		if s == nil || s.dead || !s.up || s.gate.stopped > 0 {
			reply(errRefused)
			return
		}
		r, err := judge.Covers(c, s.status(), s.inc)
		if err != nil {
			reply(err)
			return
		}
		reply(r)
	})
	if err != nil {
		return agentapi.CoversReply{}, err
	}
	if refusal, ok := got.(error); ok {
		return agentapi.CoversReply{}, refusal
	}
	return got.(agentapi.CoversReply), nil
}

// giving is the member as its agent judges by when it is to give data up.
func (a *agentSim) giving(r authority.Record) judge.Giving {
	return judge.Giving{
		PairUID: pairUID, Self: a.m.name, Peer: a.w.members[1-a.m.index].name, DataID: a.m.vol.id, Void: a.m.vol.void,
		View: a.machine.View(), Record: r,
	}
}

func (w *world) inText(text string, t int) bool {
	return mustParse(text).Contains(w.txns[t].gtid())
}
