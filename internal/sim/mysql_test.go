package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// waiting is a commit that waits for an acknowledgement.
type waiting struct {
	txn   int
	since time.Duration
	// session: a session waits, which mysqld lists.
	session bool
	ack     func(bool, int)
}

// mysqld is one run of a server.
type mysqld struct {
	w    *world
	m    *memberSim
	a    *agentSim
	data *dataset
	inc  pair.Incarnation
	gate gate // SIGSTOP of mysqld alone
	dead bool
	up   bool // recovered, answers
	upAt time.Duration
	open bool
	// had is what it had when it was opened last.
	had bitset
	// epoch at which it was opened last.
	epoch pair.Epoch
	// waits: the source side of semi-sync is on.
	waits bool
	queue []waiting
	dumps []*stream // replicas connected here, as this server sees it
	recv  *stream   // this server's own receiver
	wants bool      // the receiver is started
	// refused: its source has purged what this server lacks, and sends nothing.
	refused bool
	// foreignSince is when that replica connected.
	foreignSince time.Duration
	foreign      bool // a foreign semi-sync replica is connected and acknowledges
	// interrupted: someone switched the waiting off, and the agent has not seen it yet;
	// off: it still is. unguarded are the commits that were acknowledged since offSince.
	interrupted, off bool
	offSince         time.Duration
	unguarded        []int
	apply            bool // an apply is scheduled
	applierOff       bool // it is stopped
	// drifted: a setting that the pair owns is not as it must be; until then it cannot be set right.
	drifted      bool
	driftedUntil time.Duration
	acks         int // acknowledgements that came
}

// pass runs f in this server: when neither it nor its machine is stopped, and it lives.
func (s *mysqld) pass(f func()) {
	s.m.node.gate.pass(func() {
		s.gate.pass(func() {
			if !s.dead {
				f()
			}
		})
	})
}

func (s *mysqld) later(d time.Duration, f func()) { s.w.after(d, func() { s.pass(f) }) }

// recover is the end of a start: crash recovery commits what is in the binlog. It says how many
// transactions these were.
func (s *mysqld) recover() int {
	tail := s.data.tail()
	for _, t := range tail {
		s.data.committed.add(t)
	}
	s.up = true
	s.upAt = s.w.now
	s.startApply()
	return len(tail)
}

// admit opens it for clients.
func (s *mysqld) admit(waiting bool) {
	s.waits = waiting
	s.open = true
}

// fence cuts the clients off, and reports whether it is closed: super_read_only stands behind
// commits that wait.
func (s *mysqld) fence() bool {
	s.kick()
	return len(s.queue) == 0
}

// setWaiting switches the waiting for acknowledgements; what waits goes on when it ends.
func (s *mysqld) setWaiting(on bool) {
	s.waits = on
	if !on {
		s.release()
	}
}

// write is a client's transaction. ack is called once: acknowledged or not.
func (s *mysqld) write(ack func(bool, int)) {
	if !s.open || !s.up || s.dead {
		ack(false, 0)
		return
	}
	if s.data.half.missing() >= 0 && s.w.chance(0.5) {
		return // it waits for rows that the applier has locked
	}
	s.commit(ack)
}

func (s *mysqld) commit(ack func(bool, int)) { s.commitTxn(txnInfo{}, true, ack) }

// commitTxn commits a transaction of a session, or of the event scheduler, which has none.
func (s *mysqld) commitTxn(info txnInfo, session bool, ack func(bool, int)) {
	w := s.w
	d := s.data
	d.written++
	t := len(w.txns)
	info.server = d.server
	info.serverID = s.serverID()
	info.number = d.written
	info.at = w.now
	w.txns = append(w.txns, info)
	d.binlog = append(d.binlog, t)
	d.inBinlog.add(t)
	if s.waits {
		s.queue = append(s.queue, waiting{t, w.now, session, ack})
	} else {
		if s.off {
			s.unguarded = append(s.unguarded, t)
		}
		s.engineCommit(t)
		ack(true, t)
	}
	s.pump()
	if s.foreign {
		s.later(time.Millisecond, func() {
			if s.foreign {
				unseen := w.now-s.foreignSince < w.set.heartbeat+50*time.Millisecond
				if unseen || s.a.gate.stopped > 0 {
					// The agent had no time to see it, or stands still and the deadman has not
					// struck yet; docs/failover.md says so.
					for _, q := range s.queue {
						w.forgave.add(q.txn)
						w.byForeign.add(q.txn)
					}
				}
				s.acknowledged(t)
			}
		})
	}
}

// serverID is server_id: it stays with the member, whatever data that gets.
func (s *mysqld) serverID() int { return 1 + s.m.index }

// purge removes the binary logs that no replica reads and no commit waits for.
func (s *mysqld) purge() {
	n := len(s.data.binlog) - len(s.queue)
	for _, st := range s.dumps {
		n = min(n, st.sent)
	}
	s.data.purge(n)
	for _, st := range s.dumps {
		st.sent -= n
	}
}

// importDump is a dump of another server, loaded without the binary log.
func (s *mysqld) importDump() int {
	t := len(s.w.txns)
	s.w.txns = append(s.w.txns, txnInfo{server: s.w.newData().server, number: 1, at: s.w.now})
	s.data.declarePurged(t)
	return t
}

// engineCommit makes a transaction visible to readers of this server.
func (s *mysqld) engineCommit(t int) {
	s.data.committed.add(t)
	s.data.recent = append(s.data.recent, commitAt{t, s.w.now})
	if len(s.data.recent) > 40 {
		s.data.recent = append([]commitAt(nil), s.data.recent[20:]...)
	}
	if s.open {
		s.w.visible(s, t)
	}
}

// acknowledged is a replica's ack up to a transaction of the binlog.
func (s *mysqld) acknowledged(t int) {
	at := slices.Index(s.data.binlog, t)
	var left []waiting
	done := s.queue
	s.queue = nil
	s.acks++
	for _, q := range done {
		if slices.Index(s.data.binlog, q.txn) <= at {
			s.engineCommit(q.txn)
			q.ack(true, q.txn)
		} else {
			left = append(left, q)
		}
	}
	s.queue = append(left, s.queue...)
}

// release lets everything that waits go on: the waiting was switched off.
func (s *mysqld) release() {
	done := s.queue
	s.queue = nil
	for _, q := range done {
		s.engineCommit(q.txn)
		q.ack(true, q.txn)
	}
}

// switchOff is someone who switches the waiting off.
func (s *mysqld) switchOff() {
	if !s.open || !s.waits {
		return
	}
	s.waits, s.interrupted, s.off, s.offSince = false, true, true, s.w.now
	for _, q := range s.queue {
		s.unguarded = append(s.unguarded, q.txn)
	}
	s.release()
}

// switchOn is the same hand, or the agent.
func (s *mysqld) switchOn() {
	if s.off && !s.dead && s.open {
		s.waits = true
	}
	s.off = false
}

// forgiveUnguarded: the agent had no time to see that commits did not wait, or the operator
// to write it down; docs/failover.md says so.
func (s *mysqld) forgiveUnguarded() {
	if s.w.now-s.offSince > s.w.set.heartbeat+1500*time.Millisecond {
		return
	}
	for _, t := range s.unguarded {
		s.w.forgave.add(t)
		s.w.byForeign.add(t)
	}
}

// waited is how long the oldest commit has really waited.
func (s *mysqld) waited() time.Duration {
	if len(s.queue) == 0 {
		return 0
	}
	return s.w.now - s.queue[0].since
}

// oldestWait is what mysqld can tell of that.
func (s *mysqld) oldestWait() time.Duration {
	// Anyone who commits after one that no session waits for stands before the wait, not in it.
	if len(s.queue) == 0 || !s.queue[0].session {
		return 0
	}
	return s.w.now - s.queue[0].since
}

// status is what mysqld says of itself, as far as someone judges by it.
func (s *mysqld) status() mysqlops.Status {
	set := func(b bitset) gtid.Set { return mustParse(s.w.gtids(b)) }
	receiver := mysqlops.ReceiverStopped
	switch {
	case s.wants && s.recv != nil:
		receiver = mysqlops.ReceiverStreaming
	case s.wants:
		receiver = mysqlops.ReceiverConnecting
	}
	channel := mysqlops.ChannelStatus{Receiver: receiver, ApplierRunning: !s.applierOff && !s.data.errored}
	if s.refused {
		channel.Receiver = mysqlops.ReceiverStopped
		channel.ReceiverError = mysqlops.ChannelError{Number: fatalErrorFromSource, Message: "the source has purged what this server lacks"}
	}
	return mysqlops.Status{
		ServerUUID: gtid.ServerUUID(serverUUID(s.data.server)),
		Channel:    channel,
		Applying:   set(s.applying()),
		Purged:     set(s.data.purged),
		ReadOnly:   !s.open, SuperReadOnly: !s.open, OfflineMode: !s.open,
		Executed: set(s.data.committed), Binlog: set(s.data.inBinlog), Received: set(s.data.received()),
		SemiSync: mysqlops.SemiSync{
			SourceEnabled: s.waits && s.open,
			SourceActive:  true,
			SourceStrict:  true,
			Clients:       s.clients(),
			WaitSessions:  len(s.queue),
			OldestWait:    s.oldestWait(),
		},
	}
}

// fatalErrorFromSource is the number of mysqld's error of a receiver whose source refuses it.
const fatalErrorFromSource = 13114

// clients are the semi-sync replicas this server sees.
func (s *mysqld) clients() int {
	n := len(s.dumps)
	if s.foreign {
		n++
	}
	return n
}

// die ends the process at once. Commits that wait stay in the binlog, not committed.
func (s *mysqld) die() {
	if s.dead {
		return
	}
	s.forgiveUnguarded()
	s.dead = true
	s.open = false
	s.up = false
	s.data.crash(s.w)
	for _, q := range s.queue {
		q.ack(false, q.txn)
	}
	s.queue = nil
	if s.recv != nil {
		s.recv.gone = true
	}
}

// kick cuts the clients off: they get no answer, what waits goes on waiting.
func (s *mysqld) kick() {
	s.open = false
	for i := range s.queue {
		ack := s.queue[i].ack
		s.queue[i].ack = func(bool, int) {}
		ack(false, s.queue[i].txn)
	}
}
