package authority

import "time"

// killAt is when an open mysqld has to be killed; 0 for never.
func (m *Machine) killAt() Instant {
	if !m.serving.mayWrite() {
		return 0
	}
	return m.deadman
}

// softAt is when an open mysqld has to be closed for want of a confirmation.
func (m *Machine) softAt() Instant {
	if m.deadman == 0 || (m.serving != Opening && m.serving != Serves) {
		return 0
	}
	return m.deadman.Add(m.cfg.KillLead - m.cfg.SoftLead)
}

func (m *Machine) setDeadman(at Instant) {
	if m.deadman != at {
		m.deadman = at
		m.do(SetDeadman{Deadline: at})
	}
}

func (m *Machine) kill(reason string) {
	m.serving = Killing
	m.run.killed = m.now
	m.do(Kill{Reason: reason})
}

func (m *Machine) close(reason string) {
	m.run.closeIsRoutine = m.serving == Shut
	m.serving = Closing
	m.run.proved = false
	m.run.closeBy = m.now.Add(m.cfg.SoftLead)
	if m.deadman != 0 {
		m.run.closeBy = min(m.run.closeBy, m.deadman)
	}
	m.do(Close{Reason: reason, By: m.run.closeBy})
}

// enforce closes what has lost its confirmation: softly while there is time, and
// by SIGKILL when there is none.
func (m *Machine) enforce() {
	holds := m.claimsHolder() && m.confirm.valid
	if holds && (m.serving == Opening || m.serving == Serves) {
		m.setDeadman(m.confirm.at.Add(m.cfg.T - m.cfg.KillLead))
	}
	switch m.serving {
	case Opening, Serves:
		m.enforceOpen(holds)
	case Closing:
		if m.now >= m.run.closeBy && !m.tolerateUnproven() {
			m.kill("the soft fence took too long")
		}
	case Killing:
		if m.now >= m.run.killed.Add(m.cfg.pace()) {
			m.kill("the end of mysqld has not been seen")
		}
	case Stopped, Booting, Shut, Ending:
	}
}

// enforceOpen closes an open member that is not the holder, or whose confirmation runs out.
func (m *Machine) enforceOpen(holds bool) {
	switch {
	case m.now >= m.killAt():
		m.kill("no confirmation came in time")
	case !m.claimsHolder():
		m.close("this member is not the holder")
	case !holds || m.now >= m.softAt():
		m.close("no confirmation came in time")
	}
}

// serve starts, opens, follows and ends, one step at a time.
func (m *Machine) serve() {
	switch m.serving {
	case Stopped:
		if m.ending {
			if m.now >= max(m.run.ended, m.endingAt).Add(m.lingers()) {
				m.do(Exit{})
			}
		} else if m.mayStart() {
			m.startMysqld()
		} else if m.run.marked {
			// The mark was written for a start that did not come: the tail can still be cut.
			m.run.marked = false
			m.want.TailCommitted = false
		}
	case Booting:
		if m.ending || m.fencing() {
			m.kill("asked to end while mysqld boots")
		}
	case Shut:
		m.serveShut()
	case Serves:
		m.serveOpen()
	case Ending:
		if m.fencing() {
			// A clean end takes seconds, and anyone who fences waits for it. Nothing is lost:
			// this mysqld was proven closed.
			m.kill("a fence was ordered while mysqld ends")
		} else if m.now >= m.until.Add(-m.cfg.SoftLead) {
			m.kill("the grace period ends")
		}
	case Opening, Closing, Killing:
	}
	m.stopReceiver()
}

// lingers is how long the agent stays after the end of its mysqld. A holder does not: clients
// are led nowhere else, and they wait for its next process.
func (m *Machine) lingers() time.Duration {
	if m.claimsHolder() {
		return 0
	}
	return m.cfg.Linger
}

func (m *Machine) serveShut() {
	switch {
	case m.fencing() && !m.run.proved:
		m.close("a fence was ordered")
	case m.ending:
		m.serving = Ending
		m.do(StopMysqld{})
	case m.fencing(), !m.data:
	case m.isHolder():
		m.tryOpen()
	default:
		m.follow()
	}
}

func (m *Machine) serveOpen() {
	if m.run.openEpoch != m.want.Known && m.isHolder() {
		// Revoked and appointed again without this member having been asked to
		// close: it goes on at the new epoch.
		m.run.openEpoch = m.want.Known
		m.want.OpenAt = m.want.Known
	}
	if m.fencing() {
		m.close("a fence was ordered")
		return
	}
	if m.ending && !m.awaitSwitchover() {
		m.close("asked to end")
		return
	}
	if m.rec == nil || m.run.asked != 0 || m.now < m.run.retry {
		return
	}
	version := m.rec.Ledger.Version
	// Commits stop to wait only at a version newer than any that was acted on: what an older
	// reading says may have been replaced by a ledger that counts on the waiting.
	resume := version == m.run.acted && m.mustWait() && !m.run.waiting
	if version > m.run.acted || resume {
		m.run.asked = version
		m.run.askedWaiting = m.mustWait()
		m.do(SetSemiSync{Waiting: m.mustWait(), Version: version})
	}
}

// awaitSwitchover reports whether an open primary that was asked to end stays open
// for the operator to switch over, which costs clients less than its end: not when the pair is being taken down, which
// shows in a Lease that is gone or a peer that is.
func (m *Machine) awaitSwitchover() bool {
	if m.missing || m.peerCannotTakeOver(m.endingAt) || m.now >= max(m.ask.peerHeard, m.endingAt).Add(m.cfg.T) {
		return false
	}
	if m.now >= m.until.Add(-m.cfg.StopTime-m.cfg.SoftLead) {
		return false
	}
	return m.rec != nil && (m.rec.Ledger.InSync(m.cfg.Peer) || !m.ledgerIsCurrent(m.endingAt))
}

// ledgerIsCurrent reports whether the ledger was read after an instant, or the API server
// had its time to answer. An open primary reads it every LeaseEvery only, so that it can
// have missed for as long that its peer is in sync by now.
func (m *Machine) ledgerIsCurrent(since Instant) bool {
	return m.recAsked >= since || m.now >= since.Add(m.cfg.pace())
}

// mayStart reports whether mysqld may be started, closed as it boots. After an unclean end
// only once it is known who the holder is: its recovery commits transactions that another
// holder may lack.
func (m *Machine) mayStart() bool {
	triedJustNow := m.now < m.run.retry
	if !m.data || triedJustNow {
		return false
	}
	if m.ending || m.fencing() {
		return false
	}
	return m.want.OpenAt == 0 || m.mayRecover()
}

// mayRecover reports whether a mysqld with an unclean end may be started in place. Its
// recovery commits the tail and ends the chance to rewind.
func (m *Machine) mayRecover() bool {
	if !m.claimsHolder() || !m.confirm.valid || m.confirm.named < m.run.ended {
		return false
	}
	alone := m.rec != nil && !m.rec.Ledger.InSync(m.cfg.Peer) && m.ledgerIsCurrent(m.run.ended)
	if alone || (m.rec != nil && m.rec.Epoch > m.want.OpenAt) {
		return true
	}
	return m.peerCannotTakeOver(m.run.ended) || m.now >= m.run.ended.Add(m.cfg.RestartInPlaceAfter)
}

func (m *Machine) startMysqld() {
	if m.want.OpenAt != 0 {
		m.run.marked = m.run.marked || !m.want.TailCommitted
		m.want.TailCommitted = true
		if !m.have.TailCommitted {
			return
		}
	}
	m.run.marked = false
	m.serving = Booting
	m.do(StartMysqld{})
}

// tailBlocks reports whether a tail that recovery committed keeps this member closed.
func (m *Machine) tailBlocks() bool {
	return m.run.tail && !m.run.tailCovered && !m.solo()
}

func (m *Machine) tryOpen() {
	if !m.mayOpen() {
		return
	}
	if m.tailBlocks() {
		if m.now >= m.ask.tailAt {
			m.ask.tailAt = m.now.Add(m.cfg.pace() / 4)
			m.do(CheckTail{})
		}
		return
	}
	m.want.OpenAt = m.want.Known
	m.want.TailCommitted = false
	if m.have != m.want {
		return
	}
	m.want.ReceiverStopped = 0
	m.run.openEpoch = m.want.Known
	m.run.acted = m.rec.Ledger.Version
	m.run.waiting = m.mustWait()
	m.run.asked = 0
	m.serving = Opening
	m.setDeadman(m.confirm.at.Add(m.cfg.T - m.cfg.KillLead))
	m.do(Open{
		Epoch:   m.want.Known,
		Waiting: m.run.waiting,
		Ledger:  m.run.acted,
	})
}

// mayOpen says whether a member that was verified to be closed may open: with a confirmation
// that is younger than T/2, for the data that the Lease names, as the appointed holder.
func (m *Machine) mayOpen() bool {
	c := m.confirm
	young := c.valid && m.now < c.at.Add(m.cfg.T/2)
	if !young || m.ending || m.now < m.run.retry {
		return false
	}
	if m.rec.Data[m.cfg.Self.Member] != m.want.DataID || m.want.DataID == "" {
		return false
	}
	if !m.appointed() {
		return false
	}
	// With the peer's confirmation no reading of the Lease is needed: no one else is open, and
	// anyone who wants to appoint another member asks the peer to cease first. So a mysqld that
	// died comes back in place while the API server is away.
	return c.word || (c.fresh && m.now < m.recAsked.Add(m.cfg.T))
}

// appointed reports whether the holder's appointment had its proofs. One that was written
// by someone else had none: anyone who held the authority before may be open until T after
// this member first read that it is the holder, and after its own last word; and it opens
// only with every acknowledged write.
func (m *Machine) appointed() bool {
	if m.rec.Proven() {
		return true
	}
	l := m.rec.Ledger
	entered := l.State == Both && m.run.incarnation != "" && l.Incarnations[m.cfg.Self.Member] == m.run.incarnation
	if l.First != m.cfg.Self.Member && !entered {
		return false
	}
	return m.now >= max(m.namedAt, m.vouchedAt).Add(m.most+max(m.cfg.Margin, LeastMargin(m.most)))
}

// follow replicates from the holder, unless the ack fence of this epoch says no: a receiver
// that is started again would acknowledge what a former primary still has waiting.
func (m *Machine) follow() {
	if m.rec == nil || m.rec.Holder.Member != m.cfg.Peer || m.want.ReceiverStopped >= m.rec.Epoch {
		return
	}
	m.want.ReceiverStopped = 0
	if m.following != m.rec.Epoch {
		m.following = m.rec.Epoch
		m.run.receiverOff = false
		m.do(Follow{Epoch: m.rec.Epoch})
	}
}

// stopReceiver has the receiver stopped once the ack fence is on the volume.
func (m *Machine) stopReceiver() {
	e := m.have.ReceiverStopped
	onVolume := e != 0 && e == m.want.ReceiverStopped
	due := !m.run.receiverOff && m.now >= m.ask.receiverAt
	if !onVolume || !due {
		return
	}
	m.following = 0
	m.ask.receiverAt = m.now.Add(m.cfg.pace())
	m.do(StopReceiver{Epoch: e})
}
