package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// toAPI asks the API server something; answer runs in this agent unless it came too late.
func (a *agentSim) toAPI(limit time.Duration, ask func() func(), late func()) {
	w := a.w
	done := false
	w.deliver(a.m.site, siteAPI, func() {
		w.api.gate.pass(func() {
			answer := ask()
			if w.now < w.faultsEnd && w.chance(w.set.lateReads) {
				late := w.between(0, max(4*time.Second, w.set.lease-300*time.Millisecond))
				w.after(late, func() { a.pass(answer) })
				return
			}
			w.deliver(siteAPI, a.m.site, func() {
				a.pass(func() {
					if !done {
						done = true
						answer()
					}
				})
			})
		})
	})
	// The answer may still come after the limit; the machine has to bear that.
	_ = late
	a.later(limit, func() {
		if !done && !w.chance(0.3+w.set.lateReads) {
			done = true
			late()
		}
	})
}

func (a *agentSim) readLease(act authority.ReadLease) {
	asked := a.local()
	var outcome authority.ReadOutcome
	var rec authority.Record
	a.toAPI(act.Limit, func() func() {
		outcome = authority.ReadMissing
		if r, ok := a.w.api.read(); ok {
			outcome = authority.ReadFound
			rec = r
			if authority.Verify(verify).Authentic(r) != nil {
				outcome = authority.ReadFailed
				rec = authority.Record{}
			}
		}
		return func() {
			if outcome == authority.ReadFound {
				a.sawLedger(rec)
			}
			a.step(authority.LeaseRead{AskedAt: asked, At: a.local(), Outcome: outcome, Record: rec})
		}
	}, func() {
		a.step(authority.LeaseRead{AskedAt: asked, At: a.local(), Outcome: authority.ReadFailed})
	})
}

func (a *agentSim) sawLedger(r authority.Record) {
	a.leaseAt = r.Epoch
	a.ledger = a.ledger.With(agentapi.SeenLedger{
		Epoch:        r.Epoch,
		Version:      r.Ledger.Version,
		State:        string(r.Ledger.State),
		First:        r.Ledger.First,
		Incarnations: r.Ledger.Incarnations,
		Holder:       r.Holder.String(),
	})
}

// toPeer asks the peer's agent something; whichever of its containers has the volume.
func (a *agentSim) toPeer(ask func(peer *agentSim, answer func(func()))) {
	w, other := a.w, a.w.members[1-a.m.index]
	w.deliver(a.m.site, other.site, func() {
		p := w.api.pods[other.index]
		if p == nil || p.agent == nil {
			return
		}
		peer := p.agent
		peer.pass(func() {
			ask(peer, func(f func()) {
				w.deliver(other.site, a.m.site, func() {
					a.pass(func() {
						a.heardPeer = w.now
						f()
					})
				})
			})
		})
	})
}

// askState asks the peer's agent for its state, as it is now.
func (a *agentSim) askState(got func(*agentapi.State)) {
	a.toPeer(func(peer *agentSim, answer func(func())) {
		st := peer.state()
		if s := peer.mysqld; st.Server != nil && s != nil && !s.dead && s.up {
			server := *st.Server
			server.BinlogGTIDs = a.w.gtids(s.data.inBinlog)
			st.Server = &server
		}
		answer(func() { got(st) })
	})
}

func (a *agentSim) ping() {
	a.toPeer(func(peer *agentSim, answer func(func())) {
		sets := peer.setsFor(a)
		answer(func() { a.judgeLack(sets) })
	})
	a.later(a.w.set.heartbeat, a.ping)
	a.heartbeat()
}

// stray is a process of the passive that lives on, with its volume, after both were given
// up: the connection that the holder's agent kept leads to it. It hears nothing else.
type stray struct {
	// detached: its volume was attached elsewhere, where another process has it.
	detached bool
	lost     *agentSim
	asker    *agentSim
}

// strayAnswers: the question went to that process. A new connection leads to the new pod.
func (a *agentSim) strayAnswers(act authority.AskVouch) bool {
	w := a.w
	if w.stray == nil || w.stray.asker != a {
		return false
	}
	if act.Fresh {
		w.stray = nil
		return false
	}
	lost := w.stray.lost
	if !w.stray.detached {
		lost.machine.Step(authority.VolumeBeat{At: lost.local(), Begun: lost.local()})
	}
	asked := authority.VouchAsked{
		At:      lost.local(),
		PairUID: pairUID,
		Asker:   a.m.name,
		Epoch:   act.Epoch,
		Signed:  act.Signed,
	}
	for _, action := range lost.machine.Step(asked) {
		v, ok := action.(authority.AnswerVouch)
		if !ok {
			continue
		}
		a.later(w.between(time.Millisecond, 5*time.Millisecond), func() {
			a.step(a.answered(act.Nonce, v))
		})
	}
	return true
}

// answered is the peer's answer as this agent takes it, now.
func (a *agentSim) answered(nonce string, v authority.AnswerVouch) authority.VouchAnswered {
	return authority.VouchAnswered{
		At:           a.local(),
		Nonce:        nonce,
		Epoch:        v.Epoch,
		Answered:     true,
		Given:        v.Given,
		Data:         v.Data,
		Known:        v.Known,
		Holder:       v.Holder,
		Open:         v.Open,
		ClaimsHolder: v.ClaimsHolder,
		Signed:       v.Signed,
		PeerMysqld:   v.PeerMysqld,
	}
}

func (a *agentSim) askVouch(act authority.AskVouch) {
	done := false
	if old := a.heard; old != nil && a.w.now < a.w.faultsEnd && a.w.chance(a.w.set.replayedWords) {
		// A former answer comes in the place of the one to this question.
		again := *old
		again.At = a.local()
		a.later(time.Millisecond, func() { a.step(again) })
		return
	}
	if a.strayAnswers(act) {
		return
	}
	nonce := a.w.id("n")
	a.toPeer(func(peer *agentSim, answer func(func())) {
		if peer.machine == nil {
			return
		}
		peer.answers[nonce] = func(action authority.Action) {
			v := action.(authority.AnswerVouch)
			if a.w.hostile == peer.m {
				v = a.w.lie(v)
			}
			late := func(f func()) { answer(f) }
			if w := a.w; w.now < w.faultsEnd && w.chance(w.set.lateWords) {
				late = func(f func()) { w.after(w.between(50*time.Millisecond, w.set.lease), func() { a.pass(f) }) }
			}
			late(func() {
				done = true
				e := a.answered(act.Nonce, v)
				a.heard = &e
				a.step(e)
			})
		}
		peer.step(authority.VouchAsked{
			At:      peer.local(),
			PairUID: pairUID,
			Asker:   a.m.name,
			Epoch:   act.Epoch,
			Nonce:   nonce,
			Signed:  act.Signed,
		})
	})
	a.later(act.Limit, func() {
		if !done {
			a.step(authority.VouchAnswered{At: a.local(), Nonce: act.Nonce, Epoch: act.Epoch})
		}
	})
}
