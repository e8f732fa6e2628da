package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/gtid"
)

func mustParse(text string) gtid.Set { return gtid.MustParse(text) }

func (t txnInfo) gtid() gtid.GTID {
	return gtid.GTID{Server: gtid.ServerUUID(serverUUID(t.server)), Number: int64(t.number)}
}

// serves reports whether a client could be answered by this server right now.
func serves(s *mysqld) bool {
	return s != nil && s.open && s.up && !s.dead && s.gate.stopped == 0 && s.m.node.gate.stopped == 0
}

// excused: a machine that was stopped and resumed may answer for a moment before anything
// on it runs; nothing it answers then is an acknowledgement.
func (w *world) excused() bool {
	if w.vmPaused || (w.set.ackFenced && w.set.lossless) {
		return true
	}
	for _, m := range w.members {
		if m.node.gate.stopped > 0 || (w.now-m.thawed < 50*time.Millisecond && m.thawed > 0) {
			return true
		}
	}
	return false
}

// opened checks everything that has to hold when a member begins to accept clients.
func (w *world) opened(s *mysqld, act authority.Open) {
	w.tracef("%s: OPEN at epoch %d, waiting %v", s.m.name, act.Epoch, act.Waiting)
	s.epoch, s.had = act.Epoch, s.data.inBinlog.clone()
	for _, a := range w.members[1-s.m.index].boxes {
		if serves(a.mysqld) && !w.excused() {
			w.violate("two open", "%s opens at epoch %d while %s is open at epoch %d", s.m.name, act.Epoch, a.m.name, a.mysqld.epoch)
		}
	}
	if who, ok := w.openAt[act.Epoch]; ok && who != s.m.name && !w.blind {
		w.violate("epochs", "%s and %s were open at epoch %d", who, s.m.name, act.Epoch)
	}
	w.openAt[act.Epoch] = s.m.name
	if act.Epoch > w.topEpoch || w.blind {
		// After a restore that nobody could see epochs begin again: the newest is the one that
		// opened last.
		w.topEpoch = act.Epoch
		w.topMember = s.m.index
		w.topHad = s.had
	}
	if !w.promised() {
		return
	}
	if s.m.forced || w.blind {
		s.m.forced = false
		w.forgiveAllBut(s.m)
	}
	if t := w.must.missing(s.data.committed, w.forgave); t >= 0 {
		w.violate("lost", "%s opens at epoch %d without transaction %d (%s)", s.m.name, act.Epoch, t, w.txns[t].gtid())
	}
	for i, word := range s.data.committed {
		for len(w.must) <= i {
			w.must = append(w.must, 0)
		}
		w.must[i] |= word
	}
}

// visible: a reader of an open server can have seen this transaction.
func (w *world) visible(_ *mysqld, t int) {
	if w.promised() {
		w.must.add(t)
	}
}

// acked: a client got its answer.
func (w *world) acked(s *mysqld, t int) {
	w.acks++
	if w.now > faultsBegin && w.ackedAt > 0 {
		w.gap = max(w.gap, w.now-w.ackedAt)
	}
	w.ackedAt = w.now
	// A write that the other one had before it opened may still be answered here.
	if w.topMember != s.m.index && s.epoch < w.topEpoch && (w.set.lossless || !w.set.asyncAny) && !w.topHad.has(t) {
		w.violate("two acknowledge", "%s acknowledges at epoch %d, %s was open at epoch %d", s.m.name, s.epoch, w.members[w.topMember].name, w.topEpoch)
	}
}

// checkLedger: a member that is about to count as in sync is closed, and has nothing that
// the primary's binlog has not.
func (w *world) checkLedger(r authority.Record) {
	if r.Ledger.State == authority.Solo || !w.promised() || w.restored {
		return
	}
	for i, m := range w.members {
		primary := w.members[1-i].vol.data
		if m.name == r.Holder.Member || w.members[1-i].name != r.Holder.Member || primary == nil {
			continue
		}
		for _, a := range m.boxes {
			if serves(a.mysqld) {
				w.violate("joined open", "the ledger becomes %s at epoch %d while %s is open at epoch %d", r.Ledger.State, r.Epoch, m.name, a.mysqld.epoch)
			}
		}
		if d := m.vol.data; d != nil && r.Ledger.State == authority.Both {
			if t := d.received().missing(primary.inBinlog); t >= 0 {
				w.violate("joined errant", "%s counts as in sync and has transaction %d, which the primary has not", m.name, t)
			}
		}
	}
}

// checkSolo: the primary is left alone only while its passive does not stream from it though
// it could: it is open, or up and closed for as long as a passive is waited for.
func (w *world) checkSolo(old, r authority.Record) {
	if r.Ledger.State != authority.Solo || r.Epoch != old.Epoch || !w.promised() || w.restored {
		return
	}
	if w.set.lateMessages > 0 || w.asksForCopy() || w.specs.made > 0 {
		return // the write may have been on its way for long
	}
	for i, m := range w.members {
		passive := w.members[1-i]
		if m.name != r.Holder.Member || passive.vol.data == nil || passive.vol.void || r.Data[passive.name] != passive.vol.id {
			continue
		}
		s := m.running()
		if s == nil || !s.up {
			w.violate("needless solo", "the ledger becomes solo(%s) while its mysqld does not run", m.name)
			return
		}
		if up := w.now - s.upAt; !s.open && up < w.set.passiveTimeout*9/10 {
			w.violate("needless solo", "the ledger becomes solo(%s), which is closed and has been up for %s", m.name, up)
		}
		p := passive.running()
		if p == nil || p.recv == nil || p.recv.src != s || p.recv.gone || p.recv.broken >= 0 || w.orphaned(p) || (!s.open && w.unanswered(p)) {
			continue
		}
		if w.set.reseeds && p.data.received().missing(s.data.inBinlog) >= 0 {
			continue // it is copied again
		}
		if s.withholds(p) {
			continue // it never gets what the closed primary would wait for
		}
		// An operator may have asked just before the passive connected. Where acknowledgements
		// or writes of the Lease come late, the commit it was decided for may have been
		// acknowledged just before the write.
		punctual := w.set.lateMessages == 0 && w.set.lateAckP == 0 && w.set.slowStream == 0
		if since := w.now - p.recv.since; punctual && since > solelySeen && s.waited() < w.set.passiveTimeout*9/10 {
			w.violate("needless solo", "the ledger becomes solo(%s) while %s has streamed from it for %s", m.name, passive.name, since)
		}
	}
}

// orphaned: the pod of this mysqld was deleted by force, and its container has not ended. No one
// can ask it or appoint it, so that it is lost to the pair however well it streams.
func (w *world) orphaned(s *mysqld) bool {
	return !slices.ContainsFunc(w.api.pods[:], func(p *pod) bool { return p != nil && p.agent != nil && p.agent.mysqld == s })
}

// unanswered: no operator can ask what this mysqld has received, which a closed primary has to
// know before it opens beside it.
func (w *world) unanswered(s *mysqld) bool {
	stopped := slices.ContainsFunc(s.m.boxes, func(a *agentSim) bool { return a.mysqld == s && a.gate.stopped > 0 })
	reached := slices.ContainsFunc(w.ops[:], func(o *operator) bool {
		runs := o.index == 0 || w.set.twoOperators
		return runs && w.cut[o.site][s.m.site] == 0 && w.cut[s.m.site][o.site] == 0
	})
	return stopped || !reached
}

// asksForCopy: a person wants the passive copied, for which the primary goes on alone.
func (w *world) asksForCopy() bool {
	return slices.ContainsFunc(w.api.opsList, func(o *operationObject) bool { return o.Verb == failover.VerbReseed })
}

// solelySeen is how old what an operator decides by may be.
const solelySeen = 3 * time.Second

// lostData: a member's data is given up. What must not be lost has to be elsewhere.
func (w *world) lostData(m *memberSim, d *dataset) {
	if d == nil || !w.set.lossless {
		return
	}
	other := w.members[1-m.index].vol.data
	var have bitset
	if other != nil {
		have = other.received()
	}
	for t := range w.txns {
		if !d.inBinlog.has(t) || !w.must.has(t) || w.forgave.has(t) || have.has(t) {
			continue
		}
		w.violate("thrown away", "the data of %s is given up, and only it has transaction %d", m.name, t)
	}
}

// checkCut: what a rewind cut was acknowledged to nobody.
func (w *world) checkCut(m *memberSim, before []int) {
	if !w.set.lossless {
		return
	}
	// What an administrator's operation gave up is kept all the same: nobody was asked for it.
	for _, t := range before {
		if !m.vol.data.inBinlog.has(t) && w.must.has(t) && !w.byForeign.has(t) {
			w.violate("thrown away", "the rewind of %s cuts transaction %d, which was acknowledged or seen", m.name, t)
		}
	}
}

// watch checks what has to hold at every instant: an open member was confirmed less than
// T ago, by its own clock.
func (w *world) watch() {
	w.after(100*time.Millisecond, w.watch)
	w.checkRefusal()
	for _, m := range w.members {
		for _, a := range m.boxes {
			s := a.mysqld
			if !serves(s) || a.machine == nil || (w.now-m.thawed < 50*time.Millisecond && m.thawed > 0) {
				continue
			}
			v := a.machine.View()
			if a.local().Sub(v.ConfirmedAt) > w.set.lease+20*time.Millisecond {
				w.violate("isolated", "%s is open %s after its last confirmation", m.name, a.local().Sub(v.ConfirmedAt))
			}
		}
	}
}
