package sim

import (
	"context"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/gtid"
)

func (e agentEffects) Discard(_ context.Context, to fencing.Subject, c agentapi.DiscardCommand) error {
	return e.own(to, c.Command, func(a *agentSim, r authority.Record) bool {
		return a.giving(r).MayDiscard(c) == nil
	}, func(a *agentSim, _ authority.Record) { a.discard(c) })
}

// discard does the next step of a discard, and then the next, until it is done. A crash in
// between leaves the rest to another command.
func (a *agentSim) discard(c agentapi.DiscardCommand) {
	s := a.mysqld
	v := a.m.vol
	if s == nil || s.dead || !s.up || s.gate.stopped > 0 || a.discarding || a.machine.View().Durable.ReceiverStopped != c.Epoch {
		return
	}
	step, err := judge.NextDiscard(s.status(), a.saved())
	if err != nil || step == judge.DiscardDone {
		a.endApplying(s)
		return
	}
	a.w.fired["discard "+string(step)]++
	a.w.happens(onDiscard)
	a.discarding = true
	a.later(a.w.between(time.Millisecond, 100*time.Millisecond), func() {
		a.discarding = false
		if a.mysqld != s || s.dead || s.gate.stopped > 0 || a.machine.View().Durable.ReceiverStopped != c.Epoch {
			return
		}
		v.gate.pass(func() {
			if a.m.vol == v && v.lock == a && !s.dead {
				s.discardStep(step, c)
				a.later(time.Millisecond, func() { a.discard(c) })
			}
		})
	})
}

// saved is what the quarantine of this member's volume has of its relay log.
func (a *agentSim) saved() gtid.Set { return mustParse(a.w.gtids(a.m.vol.saved)) }

func (s *mysqld) discardStep(step judge.DiscardStep, c agentapi.DiscardCommand) {
	d := s.data
	v := s.m.vol
	switch step {
	case judge.DiscardInterrupt:
		s.applierOff = true
		d.half = nil
	case judge.DiscardSave:
		for _, t := range d.relay {
			v.saved.add(t)
		}
	case judge.DiscardReset:
		s.w.checkDiscard(s.m, c)
		var gone bitset
		for _, t := range d.relay {
			gone.add(t)
		}
		v.discarded = &agentapi.Discarded{
			Operation:    c.Operation,
			Epoch:        c.Epoch,
			DataID:       v.id,
			GTIDs:        s.w.gtids(gone),
			Transactions: uint64(len(d.relay)),
		}
		s.w.tracef("%s: discards %d transactions that it has not applied", s.m.name, len(d.relay))
		d.relay = nil
		d.half = nil
		d.errored = false
		s.applierOff = true
	case judge.DiscardDone:
	}
}

// checkDiscard: what a member received is discarded only when a person allowed that for this
// member, and after it was saved.
func (w *world) checkDiscard(m *memberSim, c agentapi.DiscardCommand) {
	allowed := slices.ContainsFunc(w.api.opsList, func(o *operationObject) bool {
		return o.Name == c.Operation && o.discard && o.target == m.name
	})
	if !allowed {
		w.violate("thrown away", "%s discards what it has received and not applied, and nobody allowed that", m.name)
	}
	for _, t := range m.vol.data.relay {
		if !m.vol.saved.has(t) {
			w.violate("thrown away", "%s discards transaction %d, and its relay log was not saved", m.name, t)
		}
	}
}
