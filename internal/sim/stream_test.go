package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// stream is a replication connection: dst receives from src.
type stream struct {
	src, dst *mysqld
	sent     int // index into src's binlog
	last     time.Duration
	way      []int // sent and not there yet, in the order of the binlog
	gone     bool  // the receiver's side has ended
	broken   time.Duration
	since    time.Duration // when it was connected
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
	s.refused = false
	if s.recv != nil {
		s.recv.gone = true
		s.recv = nil
	}
}

func (s *mysqld) connect() {
	if s.dead || !s.wants || (s.recv != nil && !s.recv.gone) {
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
	have := s.data.received()
	if s.refused = peer.data.purged.missing(have) >= 0; s.refused {
		retry()
		return
	}
	st := &stream{src: peer, dst: s, inc: s.inc, broken: -1, since: w.now}
	// A new connection of the same server ends its former dump thread.
	peer.dumps = slices.DeleteFunc(peer.dumps, func(o *stream) bool { return o.dst.m == s.m })
	peer.dumps = append(peer.dumps, st)
	s.recv = st
	s.applierOff = false
	s.data.half = nil // what was received by half is sent again
	s.startApply()
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
		if st.src.dead || (st.broken >= 0 && w.now-st.broken > 3*time.Second) {
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
	s := st.src
	w := st.src.w
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
		if wire := w.txns[t].wire; wire > 0 {
			st.carryFirst(t, at)
			at += wire
		}
		st.last = at
		st.way = append(st.way, t)
		st.carry(t, at)
	}
}

// carryFirst takes the first events of a large transaction over.
func (st *stream) carryFirst(t int, at time.Duration) {
	w := st.src.w
	w.after(at-w.now, func() {
		if st.gone || st.dst.dead || w.cut[st.src.m.site][st.dst.m.site] > 0 || len(st.way) == 0 || st.way[0] != t {
			return
		}
		st.dst.pass(func() {
			if !st.gone && !st.dst.data.inBinlog.has(t) && !st.dst.wrote(t) {
				st.dst.data.half = bitset{}
				st.dst.data.half.add(t)
				w.tracef("%s: has begun to receive transaction %d", st.dst.m.name, t)
			}
		})
	})
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

// wrote: the transaction is this member's own. A receiver leaves those out
// (replicate_same_server_id = OFF), also when this member has lost them.
func (s *mysqld) wrote(t int) bool { return s.w.txns[t].serverID == s.serverID() }

// take is the receiver: it writes the relay log and acknowledges.
func (s *mysqld) take(st *stream, t int) {
	s.data.half.remove(t)
	if !s.wrote(t) && !s.data.inBinlog.has(t) && !slices.Contains(s.data.relay, t) {
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
	if w.chance(w.set.lateMessages) || (w.set.lateAcks > 0 && w.chance(w.set.lateAckP)) {
		d = w.between(w.set.ackLeast, w.set.lateAcks+time.Second)
	}
	w.after(d, func() { st.src.pass(func() { st.src.acknowledged(t) }) })
}

func (s *mysqld) startApply() {
	if s.apply || s.applierOff || s.data.errored || len(s.data.relay) == 0 {
		return
	}
	s.apply = true
	slowest := s.w.set.applyTime
	if s.w.now > s.w.faultsEnd {
		slowest = 3 * time.Millisecond
	}
	takes := s.w.between(time.Millisecond, slowest)
	takes = max(takes, s.w.txns[s.data.relay[0]].applies)
	s.later(takes, func() {
		s.apply = false
		if s.data.errored || s.applierOff || len(s.data.relay) == 0 {
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

// lag is how old the oldest transaction is that was received and not applied.
func (s *mysqld) lag() time.Duration {
	if len(s.data.relay) == 0 {
		return 0
	}
	return s.w.now - s.w.txns[s.data.relay[0]].at
}

// applying is what the applier is in the middle of.
func (s *mysqld) applying() bitset {
	if s.applierOff {
		return nil
	}
	out := s.data.half.clone()
	if s.apply && len(s.data.relay) > 0 {
		out.add(s.data.relay[0])
	}
	return out
}

// endApplying stops the applier: what it is in the middle of is rolled back.
func (s *mysqld) endApplying() {
	if s.dead || s.gate.stopped > 0 || len(s.data.relay) > 0 || s.wants {
		return
	}
	s.applierOff = true
	s.data.half = nil
}
