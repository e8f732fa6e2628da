package authority

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// confirmation is what the right to be open rests on: that this member was the
// holder at the known epoch at some instant after at.
type confirmation struct {
	valid bool
	at    Instant
	// named is the newest instant after which a confirmation named this member. After an
	// unclean end mysqld is started on a later one only.
	named Instant
	// fresh: the epoch was learned by this process and has never lapsed since, so that
	// no confirmation of the peer is needed to open.
	fresh bool
	// word: since lapsed the peer said that it is not open, not holder, and knows no
	// higher epoch.
	word   bool
	lapsed Instant
}

// asking is the state of the questions under way.
type asking struct {
	vouchAt, leaseAt   Instant
	vouches            []question // asked less than T ago and not answered
	count              int        // of questions to the peer
	vouchOut, leaseOut bool
	asked              bool // a vouch was ever asked
	leaseEver          bool
	vouchMissed        bool
	leaseMissed        bool
	leaseNext          Instant
	answered           Instant // newest AskedAt of a Lease that was read
	look               bool
	doubted            bool       // the peer named an epoch that it did not show
	peerHeard          Instant    // newest AskedAt of a vouch that was answered
	peer               PeerMysqld // what was answered then
	receiverAt         Instant
	persistAt          Instant
	tailAt             Instant
}

// question is one put to the peer.
type question struct {
	nonce string
	at    Instant // before it was sent
}

// isHolder reports whether this process has read that this member is the holder at the
// highest epoch known.
func (m *Machine) isHolder() bool { return m.rec != nil && m.claimsHolder() }

// claimsHolder reports whether, for all that is known, this member is the holder.
func (m *Machine) claimsHolder() bool {
	return m.want.HolderRead && m.want.Holder == m.cfg.Self && m.want.Known > m.want.Ceased
}

func (m *Machine) expire() {
	if m.confirm.valid && m.now >= m.confirm.at.Add(m.cfg.T) {
		m.lapse()
	}
}

func (m *Machine) lapse() {
	m.confirm.valid = false
	m.confirm.fresh = false
	m.confirm.word = false
	m.confirm.lapsed = m.now
}

// confirmed counts from before the question was asked, whenever the answer came.
func (m *Machine) confirmed(asked Instant) {
	if asked.Add(m.cfg.T) <= m.now {
		if !m.confirm.valid {
			m.lapse()
		}
		return
	}
	if !m.confirm.valid || asked > m.confirm.at {
		m.confirm.at = asked
	}
	m.confirm.valid = true
}

// leaseRead takes up a reading of the Lease: what it says of the epoch, the holder and the
// ledger, and whether it confirms this member.
func (m *Machine) leaseRead(e LeaseRead) {
	if e.Outcome == ReadFound && e.Record.CheckRange() != nil {
		e.Outcome = ReadFailed
	}
	m.leaseAnswered(e)
	if e.Outcome != ReadFound || e.Record.PairUID != m.cfg.PairUID {
		return
	}
	rec := e.Record
	if rec.Epoch < m.want.Known {
		return
	}
	m.takeEpoch(rec.Epoch)
	m.readEver = true
	if !m.takeHolder(rec) {
		return
	}
	m.takeLedger(rec, e.AskedAt)
	m.confirmByLease(e.AskedAt)
}

// leaseAnswered notes that the question for the Lease has its answer, and whether there is a Lease.
func (m *Machine) leaseAnswered(e LeaseRead) {
	if e.AskedAt >= m.ask.leaseAt {
		m.ask.leaseOut = false
		m.ask.leaseMissed = e.Outcome == ReadFailed
	}
	if e.Outcome != ReadFailed {
		m.ask.answered = max(m.ask.answered, e.AskedAt)
		m.missing = e.Outcome == ReadMissing
	}
}

// takeEpoch learns the epoch of a Lease that is not below the known one.
func (m *Machine) takeEpoch(epoch pair.Epoch) {
	if epoch > m.want.Known {
		m.raise(epoch)
	}
	if m.damaged {
		// Which epochs this member knew is lost: at the first one that it reads it opens only
		// with the confirmation of its peer, as at one that it knew before.
		m.damaged = false
		m.confirmUpTo = max(m.confirmUpTo, epoch)
	}
}

// takeHolder learns the holder of the known epoch. It is false when the Lease names another
// one than it did at this epoch, which nobody believes.
func (m *Machine) takeHolder(rec Record) bool {
	if !m.want.HolderRead {
		m.want.Holder = rec.Holder
		m.want.HolderRead = true
		m.confirm.fresh = rec.Epoch > m.confirmUpTo
	} else if m.want.Holder != rec.Holder {
		// Within an epoch the holder never changes. A foreign hand can take the
		// authority away like this, never give it.
		if m.want.Holder != m.cfg.Self {
			return false
		}
		m.want.Holder = rec.Holder
		m.lapse()
	}
	return true
}

// takeLedger keeps the record unless it, or its ledger, is older than what was read before.
func (m *Machine) takeLedger(rec Record, asked Instant) {
	if rec.Ledger.Version >= m.want.Ledger && (m.rec == nil || asked >= m.recAsked) {
		m.want.Ledger = rec.Ledger.Version
		m.rec = &rec
		m.recAsked = asked
		m.adoptLeaseDuration(rec.LeaseDuration)
		m.keep(rec)
	}
}

// confirmByLease: the Lease at the known epoch confirms its holder, from before it was asked
// for, and takes the right to be open from anyone else.
func (m *Machine) confirmByLease(asked Instant) {
	if m.claimsHolder() {
		if m.namedAt == 0 {
			m.namedAt = m.now
		}
		m.confirm.named = max(m.confirm.named, asked)
		m.confirmed(asked)
	} else {
		m.confirm.valid = false
	}
}

// adoptLeaseDuration takes up the T of the Lease. The spec, and with it what an agent is started with,
// may have changed since the holder was appointed; anyone who waits for the end of its
// authority waits for this one.
func (m *Machine) adoptLeaseDuration(t time.Duration) {
	if t <= 0 || t == m.cfg.T {
		return
	}
	m.cfg.T = t
	m.cfg.SoftLead = m.leads.soft
	m.cfg.KillLead = m.leads.kill
	m.cfg = m.cfg.withDefaults()
	m.most = max(m.most, t)
}

// answered is when the question with this nonce was put; false when none was, or it has
// been answered: an answer counts once, and from before its own question.
func (m *Machine) answered(nonce string) (at Instant, ok bool) {
	i := slices.IndexFunc(m.ask.vouches, func(q question) bool { return q.nonce == nonce })
	if i < 0 {
		return 0, false
	}
	at = m.ask.vouches[i].at
	m.ask.vouches = slices.Delete(m.ask.vouches, i, i+1)
	return at, true
}

// vouchAnswered takes up what the peer answered, or that it did not: what it knows, and
// whether it confirms this member as the holder.
func (m *Machine) vouchAnswered(e VouchAnswered) {
	if !e.Answered {
		m.vouchUnanswered(e.Nonce)
		return
	}
	asked, ok := m.answered(e.Nonce)
	if !ok {
		return
	}
	if !e.Known.Valid() {
		// Not an epoch that a pair can have: the answer is none.
		m.vouchEnds(asked, false)
		return
	}
	given := e.Given && m.speaksForPeer(e.Data)
	m.vouchEnds(asked, given)
	if asked >= m.ask.peerHeard {
		m.ask.peerHeard = asked
		m.ask.peer = e.PeerMysqld
	}
	if e.Known > m.want.Known {
		if m.learn(e.Known, e.Signed) && (e.ClaimsHolder || e.Open) {
			m.confirmUpTo = e.Known
		}
		return
	}
	if given && m.confirmsSelf(e) {
		m.takeVouch(e, asked)
	}
}

// vouchUnanswered: no answer came in time to the question with this nonce. An older one that
// fails says nothing about the newest.
func (m *Machine) vouchUnanswered(nonce string) {
	if n := len(m.ask.vouches); n > 0 && m.ask.vouches[n-1].nonce == nonce {
		m.ask.vouchOut = false
		m.ask.vouchMissed = true
	}
}

// vouchEnds: the question that was put then is not under way any more, if it is the newest one.
func (m *Machine) vouchEnds(asked Instant, given bool) {
	if asked >= m.ask.vouchAt {
		m.ask.vouchOut = false
		m.ask.vouchMissed = !given
	}
}

// confirmsSelf: the peer's confirmation is about the known epoch, at which this member is the
// holder for all that either of them knows, and the peer neither is open nor takes itself for
// the holder.
func (m *Machine) confirmsSelf(e VouchAnswered) bool {
	peerServes := e.Open || e.ClaimsHolder
	if e.Epoch != m.want.Known || !m.claimsHolder() || peerServes {
		return false
	}
	return !m.namesHolder(e) || e.Holder == m.cfg.Self
}

// namesHolder: the peer has read who the holder is at the known epoch.
func (m *Machine) namesHolder(e VouchAnswered) bool {
	return e.Known == m.want.Known && !e.Holder.Nobody()
}

// takeVouch counts a confirmation of the peer, from before it was asked for.
func (m *Machine) takeVouch(e VouchAnswered, asked Instant) {
	if m.namesHolder(e) {
		m.confirm.named = max(m.confirm.named, asked)
	}
	if asked >= m.confirm.lapsed && m.rec != nil {
		m.confirm.word = true
	}
	m.confirmed(asked)
}

// speaksForPeer reports whether the voucher's data is what the Lease knows the peer by. A
// process of the peer that was given up with its volume and lives on somewhere knows of no
// revocation, and nobody asks it to cease. Before the first reading there is nothing to
// compare with, and nothing opens.
func (m *Machine) speaksForPeer(data pair.DataID) bool {
	return m.rec == nil || (data != "" && m.rec.Data[m.cfg.Peer] == data)
}

// peerCannotTakeOver reports whether the peer said, asked after an instant, that it could
// not be promoted although the ledger has it: its process ends, or its mysqld is not in the
// run that the ledger names. Neither changes before this member has opened again, so nobody
// gains by waiting for a failover.
func (m *Machine) peerCannotTakeOver(since Instant) bool {
	if m.rec == nil || m.rec.Ledger.State != Both {
		return false
	}
	reported := m.ask.peerHeard >= since && m.ask.peer.ReportsMysqld
	if !reported {
		return false
	}
	entered := m.rec.Ledger.Incarnations[m.cfg.Peer]
	return m.ask.peer.Ending || entered == "" || m.ask.peer.Incarnation != entered
}

// questions asks whom it is time to ask: the peer first, the API server when it is silent.
func (m *Machine) questions() {
	if m.ending && m.serving == Stopped {
		return
	}
	confirm := m.claimsHolder() || m.serving.mayWrite()
	pace := m.cfg.pace()
	if m.ask.vouchOut && m.now >= m.ask.vouchAt.Add(pace) {
		m.ask.vouchOut = false
		m.ask.vouchMissed = true
	}
	if m.ask.leaseOut && m.now >= m.ask.leaseAt.Add(pace) {
		m.ask.leaseOut = false
		m.ask.leaseMissed = true
	}
	if confirm && !m.ask.vouchOut && m.vouchDue() {
		m.do(AskVouch{
			Nonce:  m.put(),
			Epoch:  m.want.Known,
			Signed: m.evidence(),
			Limit:  pace,
			Fresh:  m.ask.vouchMissed,
		})
		m.ask.vouchAt = m.now
		m.ask.vouchOut = true
		m.ask.asked = true
	}
	if m.ask.look || (!m.ask.leaseOut && m.leaseDue(confirm)) {
		m.do(ReadLease{Limit: pace, Fresh: m.ask.leaseMissed})
		m.ask.leaseAt = m.now
		m.ask.leaseOut = true
		m.ask.leaseEver = true
		m.ask.look = false
		m.ask.doubted = false
		m.ask.leaseNext = m.now.Add(m.cfg.LeaseEvery + m.vary())
	}
}

// vouchDue: it is time for the next question to the peer. While mysqld waits for its
// restart the peer is asked at once and more often, since its answer ends the wait.
func (m *Machine) vouchDue() bool {
	pace := m.cfg.pace()
	if m.serving == Stopped && m.want.OpenAt != 0 {
		pace /= 4
		if m.ask.vouchAt < m.run.ended {
			return true
		}
	}
	return !m.ask.asked || m.now >= m.ask.vouchAt.Add(pace)
}

// put notes a question to the peer, put now, and names it.
func (m *Machine) put() (nonce string) {
	m.ask.vouches = slices.DeleteFunc(m.ask.vouches, func(q question) bool { return q.at.Add(m.cfg.T) <= m.now })
	m.ask.count++
	nonce = fmt.Sprintf("%s/%d", m.cfg.Start, m.ask.count)
	m.ask.vouches = append(m.ask.vouches, question{nonce, m.now})
	return nonce
}

func (m *Machine) leaseDue(confirm bool) bool {
	if !m.ask.leaseEver || m.now >= m.ask.leaseNext {
		return true
	}
	if m.now < m.ask.leaseAt.Add(m.cfg.pace()) {
		return false
	}
	silent := m.ask.vouchMissed || (m.ask.vouchOut && m.now >= m.ask.vouchAt.Add(m.cfg.pace()/2))
	switch {
	case m.rec == nil, m.rec.Holder.Nobody(), m.ending, m.ask.doubted:
		return true
	case confirm && (silent || m.serving != Serves):
		return true
	default:
		return false
	}
}

// vary is a pseudo-random part of LeaseEvery, up to a quarter either way.
func (m *Machine) vary() time.Duration {
	m.rng = m.rng*6364136223846793005 + 1442695040888963407
	half := int64(m.cfg.LeaseEvery / 4)
	return time.Duration(int64(m.rng>>33)%(2*half+1) - half)
}

// mustWait reports whether an open member's commits have to wait for the peer. The ledger
// alone decides, in every durability mode: as long as it says that the peer has every
// acknowledged write, the operator may promote the peer. A mounted file is no reason to
// stop, since it arrives up to a minute late and anybody who may edit a ConfigMap can
// change it. In Async the operator writes a solo ledger, and that ends the waiting.
func (m *Machine) mustWait() bool {
	return m.rec == nil || m.rec.Ledger.MustWait(m.cfg.Self.Member)
}

// solo reports whether the ledger read by this process says solo(self).
func (m *Machine) solo() bool {
	return m.rec != nil && m.rec.Ledger.State == Solo && m.rec.Ledger.First == m.cfg.Self.Member
}
