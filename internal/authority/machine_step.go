package authority

import (
	"github.com/dbpair/dbpair/internal/pair"
)

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(event Event) []Action {
	m.now = max(m.now, event.when())
	m.out = nil
	m.expire()
	m.take(event)
	m.enforce()
	m.serve()
	m.questions()
	m.write()
	m.answer()
	return m.out
}

func (m *Machine) do(actions ...Action) { m.out = append(m.out, actions...) }

// take takes up one event: what others answer, ask and order, and what this process has done
// itself. What mysqld does is in takeMysqld.
func (m *Machine) take(event Event) {
	switch e := event.(type) {
	case Tick:
	case LeaseRead:
		m.leaseRead(e)
	case VouchAnswered:
		m.vouchAnswered(e)
	case VouchAsked:
		m.vouchAsked(e)
	case Commanded:
		m.commanded(e)
	case DataReady:
		m.dataReady(e)
	case DataGone:
		m.data = false
	case Persisted:
		m.wrote(e)
	case VolumeBeat:
		m.beatAt = max(m.beatAt, e.Begun)
	case ClockJumped:
		m.clockJumped(e)
	case Terminate:
		if !m.ending {
			m.endingAt = m.now
			m.ask.look = true
		}
		m.ending = true
		m.until = e.Until
	case Reconfigured:
		m.cfg.RestartInPlaceAfter = e.RestartInPlaceAfter
		m.cfg = m.cfg.withDefaults()
	default:
		m.takeMysqld(event)
	}
}

// takeMysqld takes up what mysqld, or the run of it that is under way, does.
func (m *Machine) takeMysqld(event Event) {
	switch e := event.(type) {
	case MysqldUp:
		m.mysqldUp(e)
	case MysqldExited:
		m.mysqldExited()
	case Opened:
		m.opened(e)
	case Closed:
		m.closed(e)
	case WaitingSet:
		m.waitingSet(e)
	case SemiSyncLost:
		if m.serving.mayWrite() {
			m.want.TailCommitted = true
			m.run.lost = m.run.acted
		}
	case TailCovered:
		m.run.tailCovered = m.run.tailCovered || e.Incarnation == m.run.incarnation
	case ReceiverIsStopped:
		m.run.receiverOff = e.OK
		m.ask.receiverAt = 0
	}
}

func (m *Machine) dataReady(e DataReady) {
	m.data = true
	m.epochFile = m.epochFile || (e.EpochFile && !m.damaged)
	m.want.DataID = e.DataID
	if e.Renewed {
		m.want.OpenAt = 0
		m.want.TailCommitted = false
	}
}

func (m *Machine) mysqldUp(e MysqldUp) {
	if m.serving != Booting {
		return
	}
	m.serving = Shut
	m.run.incarnation = e.Incarnation
	m.run.tail = m.want.OpenAt != 0
	m.run.failures = 0
	m.run.retry = m.now
	m.following = 0
}

func (m *Machine) mysqldExited() {
	failures := 0
	if m.serving == Booting {
		failures = m.run.failures + 1
	}
	retry := m.now
	if failures > 0 {
		retry = m.now.Add(min(m.cfg.pace()<<min(failures-1, 5), 30e9))
	}
	m.serving = Stopped
	m.ask.look = m.ask.look || m.claimsHolder() // who may take over follows from the ledger
	m.run = run{
		ended:    m.now,
		retry:    retry,
		failures: failures,
	}
	m.following = 0
	m.setDeadman(0)
}

func (m *Machine) opened(e Opened) {
	if m.serving != Opening {
		return
	}
	if !e.OK {
		m.run.retry = m.now.Add(m.cfg.pace())
		m.close("the attempt to open failed")
		return
	}
	m.serving = Serves
	m.run.tail = false
	m.run.tailCovered = false
}

func (m *Machine) closed(e Closed) {
	if m.serving != Closing {
		return
	}
	if !e.Proven && !m.tolerateUnproven() {
		m.kill("the soft fence did not reach a proven close")
	}
	if !e.Proven {
		return
	}
	m.run.unproven = 0
	m.serving = Shut
	m.run.proved = true
	m.run.closeBy = 0
	m.following = 0
	m.setDeadman(0)
	if !m.run.tail || m.run.tailCovered {
		m.want.OpenAt = 0
		m.want.TailCommitted = false
	}
}

// tolerateUnproven lets the close of a member that cannot write fail twice: its readers may be
// slow to go, and killing a passive costs its place in the ledger.
func (m *Machine) tolerateUnproven() bool {
	if !m.run.closeIsRoutine || m.run.unproven >= 2 {
		return false
	}
	m.run.unproven++
	m.serving = Shut
	m.run.closeBy = 0
	m.following = 0
	return true
}

func (m *Machine) waitingSet(e WaitingSet) {
	if e.Version != m.run.asked {
		return
	}
	m.run.asked = 0
	if e.OK {
		m.run.acted = e.Version
		m.run.waiting = m.run.askedWaiting
		both := m.rec != nil && m.rec.Ledger.State == Both && m.rec.Ledger.Version == e.Version
		if both && e.Version > m.run.lost+1 {
			// The peer was verified to have all that did not wait: the joining before this version
			// began after it was found.
			m.want.TailCommitted = false
		}
	} else {
		m.run.retry = m.now.Add(m.cfg.pace())
	}
}

// clockJumped counts a forward jump as time that has passed: a machine that was stopped
// and resumed shows nothing else. What is left of T is so much shorter, for the soft fence
// too.
func (m *Machine) clockJumped(e ClockJumped) {
	if !m.serving.mayWrite() {
		m.lapse()
		return
	}
	left := m.deadman.Add(-e.Forward)
	switch {
	case m.serving == Killing:
	case e.Forward > 0 && m.deadman != 0 && left <= m.now:
		m.kill("the wall clock jumped past the confirmation")
	default:
		if e.Forward > 0 && m.deadman != 0 {
			m.setDeadman(left)
		}
		m.close("the wall clock jumped")
	}
	m.lapse()
}

func (m *Machine) wrote(e Persisted) {
	if e.Seq != m.persist {
		return
	}
	m.persisted = true
	if e.OK {
		m.have = m.inFlight
	} else {
		m.ask.persistAt = m.now.Add(m.cfg.pace())
	}
}

// write has the volume catch up with the memory, one write at a time.
func (m *Machine) write() {
	if m.want == m.have || !m.persisted || m.now < m.ask.persistAt {
		return
	}
	m.persist++
	m.persisted = false
	m.inFlight = m.want
	m.do(Persist{Seq: m.persist, Durable: m.want})
}

// raise learns an epoch above all known ones: what was confirmed is confirmed no more.
func (m *Machine) raise(e pair.Epoch) {
	m.want.Known = e
	m.want.Holder = pair.Holder{}
	m.want.HolderRead = false
	m.rec = nil
	m.knownAt = m.now
	m.namedAt = 0
	m.confirm.valid = false
	m.confirm.word = false
	m.confirm.fresh = false
}
