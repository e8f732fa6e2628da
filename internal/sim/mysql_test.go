package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// txnInfo is a transaction: the server that wrote it and its number there.
type txnInfo struct{ server, number int }

// dataset is a data directory.
type dataset struct {
	server    int
	written   int // last number of this server
	binlog    []int
	inBinlog  bitset
	committed bitset
	relay     []int // received, not applied
	errored   bool  // the applier stopped with an error
	// recent are commits that InnoDB may not have written to its log yet; the binlog has
	// them, so that a crash leaves them prepared.
	recent []commitAt
}

type commitAt struct {
	txn int
	at  time.Duration
}

// crash takes back what was committed in memory only.
func (d *dataset) crash(w *world) {
	for _, c := range d.recent {
		if w.now-c.at < time.Second && w.chance(0.7) {
			d.committed.remove(c.txn)
		}
	}
	d.recent = nil
}

func (d *dataset) copy(server int) *dataset {
	c := &dataset{server: server}
	for _, t := range d.binlog {
		if d.committed.has(t) {
			c.binlog = append(c.binlog, t)
			c.inBinlog.add(t)
			c.committed.add(t)
		}
	}
	return c
}

func (d *dataset) received() bitset {
	s := d.inBinlog.clone()
	for _, t := range d.relay {
		s.add(t)
	}
	return s
}

// tail are the transactions that are only prepared.
func (d *dataset) tail() []int {
	var out []int
	for _, t := range d.binlog {
		if !d.committed.has(t) {
			out = append(out, t)
		}
	}
	return out
}

// serverUUID is a server's UUID as text.
func serverUUID(n int) string {
	s := strconv.Itoa(n)
	return "00000000-0000-0000-0000-" + strings.Repeat("0", 12-len(s)) + s
}

// gtids writes a set as a server does.
func (w *world) gtids(set bitset) string {
	byServer := map[int][]int{}
	for i, word := range set {
		for bit := 0; word != 0; bit++ {
			if word&1 != 0 {
				t := w.txns[i<<6+bit]
				byServer[t.server] = append(byServer[t.server], t.number)
			}
			word >>= 1
		}
	}
	var b strings.Builder
	for server := 0; len(byServer) > 0; server++ {
		numbers, ok := byServer[server]
		if !ok {
			continue
		}
		delete(byServer, server)
		slices.Sort(numbers)
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(serverUUID(server))
		for i := 0; i < len(numbers); {
			j := i
			for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
				j++
			}
			b.WriteString(":" + strconv.Itoa(numbers[i]) + "-" + strconv.Itoa(numbers[j]))
			i = j + 1
		}
	}
	return b.String()
}

// waiting is a commit that waits for an acknowledgement.
type waiting struct {
	txn   int
	since time.Duration
	ack   func(bool, int)
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
	// foreignSince is when that replica connected.
	foreignSince time.Duration
	foreign      bool // a foreign semi-sync replica is connected and acknowledges
	// interrupted: somebody switched the waiting off, and the agent has not seen it yet;
	// off: it still is. unguarded are the commits that were acknowledged since offSince.
	interrupted, off bool
	offSince         time.Duration
	unguarded        []int
	apply            bool // an apply is scheduled
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

// write is a client's transaction. ack is called once: acknowledged or not.
func (s *mysqld) write(ack func(bool, int)) {
	if !s.open || !s.up || s.dead {
		ack(false, 0)
		return
	}
	s.commit(ack)
}

func (s *mysqld) commit(ack func(bool, int)) {
	w, d := s.w, s.data
	d.written++
	t := len(w.txns)
	w.txns = append(w.txns, txnInfo{d.server, d.written})
	d.binlog = append(d.binlog, t)
	d.inBinlog.add(t)
	if s.waits {
		s.queue = append(s.queue, waiting{t, w.now, ack})
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

// switchOff is somebody who switches the waiting off.
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

func (s *mysqld) oldestWait() time.Duration {
	if len(s.queue) == 0 {
		return 0
	}
	return s.w.now - s.queue[0].since
}

// status is what mysqld says of itself, as far as somebody judges by it.
func (s *mysqld) status() mysqlops.Status {
	set := func(b bitset) gtid.Set { return mustParse(s.w.gtids(b)) }
	return mysqlops.Status{
		ReadOnly: !s.open, SuperReadOnly: !s.open, OfflineMode: !s.open,
		Executed: set(s.data.committed), Binlog: set(s.data.inBinlog), Received: set(s.data.received()),
		SemiSync: mysqlops.SemiSync{SourceEnabled: s.waits && s.open, SourceActive: true, SourceStrict: true, Clients: s.clients(), WaitSessions: len(s.queue), OldestWait: s.oldestWait()},
	}
}

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
	s.dead, s.open, s.up = true, false, false
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

// stream is a replication connection: dst receives from src.
type stream struct {
	src, dst *mysqld
	sent     int // index into src's binlog
	last     time.Duration
	way      []int // sent and not there yet, in the order of the binlog
	gone     bool  // the receiver's side has ended
	broken   time.Duration
	inc      pair.Incarnation
}

// receive starts the receiver; it connects again and again while wanted.
func (s *mysqld) receive() {
	if s.wants {
		return
	}
	s.wants = true
	s.connect()
}

func (s *mysqld) stopReceiving() {
	s.wants = false
	if s.recv != nil {
		s.recv.gone = true
		s.recv = nil
	}
}

func (s *mysqld) connect() {
	if s.dead || !s.wants || s.recv != nil && !s.recv.gone {
		return
	}
	w := s.w
	retry := func() { s.later(time.Second, s.connect) }
	peer := w.members[1-s.m.index].running()
	if peer == nil || !peer.up || peer.dead || peer.m.node.gate.stopped > 0 || peer.gate.stopped > 0 ||
		w.cut[s.m.site][peer.m.site] > 0 || w.cut[peer.m.site][s.m.site] > 0 {
		retry()
		return
	}
	st := &stream{src: peer, dst: s, inc: s.inc, broken: -1}
	// A new connection of the same server ends its former dump thread.
	peer.dumps = slices.DeleteFunc(peer.dumps, func(o *stream) bool { return o.dst.m == s.m })
	peer.dumps = append(peer.dumps, st)
	s.recv = st
	have := s.data.received()
	for st.sent < len(peer.data.binlog) && have.has(peer.data.binlog[st.sent]) {
		st.sent++
	}
	st.watch()
	st.pump()
}

// watch ends a connection that was silent for the net timeout, at either end.
func (st *stream) watch() {
	w := st.src.w
	w.after(time.Second, func() {
		if st.gone && slices.Contains(st.src.dumps, st) {
			w.after(w.between(0, 4*time.Second), st.dropDump)
			return
		}
		down := st.src.dead || w.cut[st.src.m.site][st.dst.m.site] > 0 || w.cut[st.dst.m.site][st.src.m.site] > 0 || st.src.gate.stopped > 0 || st.src.m.node.gate.stopped > 0
		if !down {
			st.broken = -1
		} else if st.broken < 0 {
			st.broken = w.now
		}
		if st.src.dead || st.broken >= 0 && w.now-st.broken > 3*time.Second {
			st.gone = true
			if st.dst.recv == st {
				st.dst.recv = nil
				st.dst.later(0, st.dst.connect)
			}
			w.after(w.between(0, 4*time.Second), st.dropDump)
			return
		}
		st.watch()
	})
}

func (st *stream) dropDump() {
	st.src.dumps = slices.DeleteFunc(st.src.dumps, func(o *stream) bool { return o == st })
}

func (s *mysqld) pump() {
	for _, st := range s.dumps {
		st.pump()
	}
}

// pump sends what was not sent, in order.
func (st *stream) pump() {
	s, w := st.src, st.src.w
	slow := w.set.slowStream
	if w.now > w.faultsEnd {
		slow = 0
	}
	have := bitset(nil)
	for ; st.sent < len(s.data.binlog); st.sent++ {
		t := s.data.binlog[st.sent]
		if have == nil {
			have = st.dst.data.inBinlog
		}
		if have.has(t) {
			continue
		}
		at := max(w.now+w.between(300*time.Microsecond, 3*time.Millisecond+slow), st.last+time.Microsecond)
		st.last = at
		st.way = append(st.way, t)
		st.carry(t, at)
	}
}

// carry takes one transaction over, again and again while the way is cut, as TCP does.
func (st *stream) carry(t int, at time.Duration) {
	w := st.src.w
	w.after(at-w.now, func() {
		if st.gone || st.dst.dead {
			return
		}
		if w.cut[st.src.m.site][st.dst.m.site] > 0 {
			st.last = max(st.last, w.now+300*time.Millisecond)
			st.carry(t, w.now+300*time.Millisecond)
			return
		}
		if st.way[0] != t { // one before it was held up: TCP does not change the order
			st.carry(t, w.now+time.Millisecond)
			return
		}
		st.way = st.way[1:]
		st.dst.pass(func() {
			if !st.gone {
				st.dst.take(st, t)
			}
		})
	})
}

// take is the receiver: it writes the relay log and acknowledges.
func (s *mysqld) take(st *stream, t int) {
	if !s.data.inBinlog.has(t) && !slices.Contains(s.data.relay, t) {
		s.data.relay = append(s.data.relay, t)
		s.startApply()
	}
	w := s.w
	if w.chance(w.set.lostAcks) {
		return
	}
	if w.cut[s.m.site][st.src.m.site] > 0 {
		return
	}
	d := w.between(200*time.Microsecond, 2*time.Millisecond)
	if w.chance(w.set.lateMessages) || w.set.lateAcks > 0 && w.chance(w.set.lateAckP) {
		d = w.between(w.set.ackLeast, w.set.lateAcks+time.Second)
	}
	w.after(d, func() { st.src.pass(func() { st.src.acknowledged(t) }) })
}

func (s *mysqld) startApply() {
	if s.apply || s.data.errored || len(s.data.relay) == 0 {
		return
	}
	s.apply = true
	slowest := s.w.set.applyTime
	if s.w.now > s.w.faultsEnd {
		slowest = 3 * time.Millisecond
	}
	s.later(s.w.between(time.Millisecond, slowest), func() {
		s.apply = false
		if s.data.errored || len(s.data.relay) == 0 {
			return
		}
		t := s.data.relay[0]
		s.data.relay = s.data.relay[1:]
		if !s.data.inBinlog.has(t) {
			s.data.binlog = append(s.data.binlog, t)
			s.data.inBinlog.add(t)
			s.engineCommit(t)
		}
		s.startApply()
	})
}
