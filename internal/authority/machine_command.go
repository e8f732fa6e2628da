package authority

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/pair"
)

// command is one that has not been answered.
type command struct {
	id    string
	kind  CommandKind
	epoch pair.Epoch
	at    Instant
}

func (m *Machine) commanded(e Commanded) {
	if e.PairUID != m.cfg.PairUID {
		m.do(Refuse{
			ID:     e.ID,
			Reason: RefusedWrongPair,
			Why:    fmt.Sprintf("this agent serves pair %s", m.cfg.PairUID),
		})
		return
	}
	if !e.Epoch.Valid() || !e.Ledger.Valid() {
		m.do(Refuse{
			ID:     e.ID,
			Reason: RefusedFailed,
			Why:    fmt.Sprintf("epoch %d or ledger version %d is out of range", e.Epoch, e.Ledger),
		})
		return
	}
	if e.Kind != CommandReadLease && (e.Epoch < m.want.Known || e.Ledger < m.want.Ledger) {
		why := fmt.Sprintf("epoch %d and ledger version %d are known here, the command names %d and %d",
			m.want.Known, m.want.Ledger, e.Epoch, e.Ledger)
		m.do(Refuse{
			ID:     e.ID,
			Reason: RefusedStale,
			Why:    why,
		})
		return
	}
	switch e.Kind {
	case CommandCease, CommandFence, CommandAckFence:
		m.cease(e.Epoch, e.Signed)
	case CommandReadLease:
		m.ask.look = true
	}
	if e.Kind == CommandFence {
		m.run.proved = false
	}
	if e.Kind == CommandAckFence {
		if e.Epoch > m.want.ReceiverStopped {
			m.run.receiverOff = false
		}
		m.want.ReceiverStopped = max(m.want.ReceiverStopped, e.Epoch)
	}
	m.pending = append(m.pending, command{
		id:    e.ID,
		kind:  e.Kind,
		epoch: e.Epoch,
		at:    m.now,
	})
}

// cease gives up every right at epochs up to e. It counts once it is on the volume: kept in
// memory alone it would be forgotten by a restart, and confirmations at e would follow. The
// operator is known by its certificate; the statement is for the peer.
func (m *Machine) cease(e pair.Epoch, s pair.SignedEpoch) {
	if e > m.want.Known {
		m.raise(e)
		if m.shows(s, e) {
			m.want.Signed = s
		}
	}
	m.want.Ceased = max(m.want.Ceased, e)
	m.confirm.valid = false
	m.confirm.word = false
	m.confirm.fresh = false
}

// fencing reports whether a fence is ordered and not answered.
func (m *Machine) fencing() bool {
	for _, c := range m.pending {
		if c.kind == CommandFence {
			return true
		}
	}
	return false
}

// answer answers the commands whose effect is there, on the volume too.
func (m *Machine) answer() {
	left := m.pending[:0]
	for _, c := range m.pending {
		if a, done := m.outcome(c); done {
			m.do(a)
		} else {
			left = append(left, c)
		}
	}
	m.pending = left
}

// isOnlyVoucher: no former process of this volume confirms any more.
func (m *Machine) isOnlyVoucher() bool {
	return !m.cfg.Moved || m.now >= m.start.Add(BeatMost)
}

func (m *Machine) outcome(c command) (Answer, bool) {
	a := Answer{
		ID:              c.id,
		Kind:            c.kind,
		Epoch:           m.have.Known,
		Ceased:          m.have.Known >= c.epoch && m.have.Ceased >= c.epoch && m.isOnlyVoucher(),
		ProcessStopped:  m.serving == Stopped,
		Demoted:         m.serving == Shut && m.run.proved,
		ReceiverStopped: m.have.ReceiverStopped >= c.epoch && (m.run.receiverOff || m.serving == Stopped),
	}
	switch c.kind {
	case CommandCease:
		return a, a.Ceased
	case CommandFence:
		return a, a.Ceased && (a.ProcessStopped || a.Demoted)
	case CommandAckFence:
		return a, a.Ceased && a.ReceiverStopped
	case CommandReadLease:
		return a, m.ask.answered >= c.at
	default:
		return a, true
	}
}
