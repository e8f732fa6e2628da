package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func (a *agentSim) startMysqld() {
	v := a.m.vol
	s := &mysqld{w: a.w, m: a.m, a: a, data: v.data, inc: pair.Incarnation(a.w.id("inc"))}
	a.mysqld = s
	s.pass(func() {})
	s.later(a.w.between(100*time.Millisecond, a.w.set.bootTime), func() {
		v.gate.pass(func() {
			if s.dead || a.dead {
				return
			}
			recovered := s.recover()
			if a.w.role(thePassive) == a.m.index {
				a.w.happens(onPassiveUp)
			}
			a.w.tracef("%s: mysqld %s is up, recovery committed %d, relay %d", a.m.name, s.inc, recovered, len(s.data.relay))
			a.pass(func() { a.step(authority.MysqldUp{At: a.local(), Incarnation: s.inc}) })
		})
	})
}

func (a *agentSim) open(act authority.Open) {
	s := a.mysqld
	a.later(a.w.between(2*time.Millisecond, 60*time.Millisecond), func() {
		if s == nil || s.dead || !s.up || s.gate.stopped > 0 || s != a.mysqld || s.drifted {
			a.step(authority.Opened{At: a.local(), OK: false})
			return
		}
		if a.machine.View().Serving != authority.Opening {
			return // a Close has canceled it
		}
		s.stopReceiving()
		if len(s.data.relay) > 0 {
			s.startApply()
			a.step(authority.Opened{At: a.local(), OK: false})
			return
		}
		if !judge.EndedApplying(s.status()) {
			s.endApplying()
		}
		s.admit(act.Waiting)
		a.w.opened(s, act)
		a.step(authority.Opened{At: a.local(), OK: true})
		a.lead(s)
	})
}

// endApplying ends the applier of a member whose receiver the ack fence has stopped, as soon
// as everything received is applied.
func (a *agentSim) endApplying(s *mysqld) {
	if a.mysqld != s || s.dead || s.wants || a.machine.View().Durable.ReceiverStopped == 0 {
		return
	}
	if judge.EndedApplying(s.status()) {
		return
	}
	s.endApplying()
	a.later(20*time.Millisecond, func() { a.endApplying(s) })
}

// timed is how old the oldest waiting commit is, as the agent has timed it.
func (a *agentSim) timed(s *mysqld) time.Duration {
	if a.timing != s {
		a.timing = s
		a.stall = judge.Stall{}
	}
	return a.stall.OldestWait(mysqlops.SemiSync{
		WaitSessions: len(s.queue),
		Acknowledged: s.acks,
		OldestWait:   s.oldestWait(),
	}, a.local())
}

func (a *agentSim) close(act authority.Close) {
	s := a.mysqld
	a.w.tracef("%s: closes: %s", a.m.name, act.Reason)
	takes := 40 * time.Millisecond
	if s != nil && s.open {
		takes += a.w.set.slowClose
	}
	a.later(a.w.between(time.Millisecond, takes), func() {
		if a.machine.View().Serving != authority.Closing {
			return // an earlier one has closed it
		}
		if s == nil || s.dead || s.gate.stopped > 0 {
			return // does not answer: the machine kills it by the deadline
		}
		proven := s.fence()
		if proven {
			s.waits = false
		}
		a.later(a.w.between(time.Millisecond, 20*time.Millisecond), func() {
			if !s.dead {
				a.step(authority.Closed{At: a.local(), Proven: proven})
			}
		})
	})
}

func (a *agentSim) killMysqld(s *mysqld) {
	if s == nil || s.dead {
		return
	}
	a.m.node.gate.pass(func() {
		a.w.after(a.w.between(100*time.Microsecond, 3*time.Millisecond), func() { a.mysqldGone(s) })
	})
}

// mysqldGone ends the process and lets the agent know.
func (a *agentSim) mysqldGone(s *mysqld) {
	if s == nil || s.dead {
		return
	}
	s.die()
	a.w.tracef("%s: mysqld %s has ended", a.m.name, s.inc)
	if a.mysqld == s {
		a.pass(func() {
			if a.mysqld == s {
				a.mysqld = nil
				a.exits++
				a.server = nil
				a.step(authority.MysqldExited{At: a.local()})
			}
		})
	}
}

// setDeadman gives the second process its deadline. It is stopped only with the machine.
func (a *agentSim) setDeadman(at authority.Instant) {
	a.deadman++
	mine := a.deadman
	s := a.mysqld
	if at == 0 || s == nil {
		return
	}
	var due func()
	due = func() {
		if a.deadman != mine || s.dead {
			return
		}
		if left := at - a.local(); left > 0 {
			a.w.after(time.Duration(float64(left)/a.m.node.rate)+time.Microsecond, func() { a.m.node.gate.pass(due) })
			return
		}
		a.w.tracef("%s: the deadman kills mysqld", a.m.name)
		a.killMysqld(s)
	}
	a.m.node.gate.pass(due)
}

func (a *agentSim) setSemiSync(act authority.SetSemiSync) {
	s := a.mysqld
	a.later(a.w.between(time.Millisecond, 200*time.Millisecond), func() {
		ok := s != nil && !s.dead && s.gate.stopped == 0 && s.up
		if ok {
			s.setWaiting(act.Waiting)
			a.w.tracef("%s: waiting is %v by ledger %d", a.m.name, act.Waiting, act.Version)
		}
		a.step(authority.WaitingSet{At: a.local(), Version: act.Version, OK: ok})
	})
}

// checkTail asks the peer whether its running mysqld has this member's whole binlog, and
// streams from here.
func (a *agentSim) checkTail() {
	s := a.mysqld
	if s == nil || s.dead || !s.up {
		return
	}
	mine := s.data.inBinlog.clone()
	inc := s.inc
	a.toPeer(func(peer *agentSim, answer func(func())) {
		p := peer.mysqld
		if p == nil || p.dead || !p.up || p.gate.stopped > 0 || p.recv == nil || p.recv.src != s {
			return
		}
		if mine.missing(p.data.received()) >= 0 {
			return
		}
		answer(func() { a.step(authority.TailCovered{At: a.local(), Incarnation: inc}) })
	})
}

// follow compares with the peer's binlog, waiting commits included, and then receives.
func (a *agentSim) follow(act authority.Follow) {
	s := a.mysqld
	if s == nil || s.dead || !s.up {
		return
	}
	again := func() {
		a.later(time.Second, func() {
			v := a.machine.View()
			if a.mysqld == s && !s.dead && v.Record != nil && v.Record.Epoch == act.Epoch && v.Durable.ReceiverStopped < act.Epoch {
				a.follow(act)
			}
		})
	}
	mine := s.status()
	done := false
	a.askState(func(peer *agentapi.State) {
		v := a.machine.View()
		if done || a.mysqld != s || s.dead || s.open || v.Durable.ReceiverStopped >= act.Epoch || v.Record == nil || v.Record.Epoch != act.Epoch {
			return
		}
		done = true
		errant, err := judge.Errant(mine, peer, pairUID, act.Epoch)
		if err == nil {
			found := judge.Compare(a.compared, errant, judge.Self{Incarnation: s.inc, DataID: a.m.vol.id}, peer)
			a.compared = &found
		}
		if err != nil || a.compared.Errant != "" {
			again()
			return
		}
		a.watchOwnWrites(act, s, mine, peer)
		s.receive()
	})
	a.later(1500*time.Millisecond, func() {
		if !done {
			done = true
			again()
		}
	})
}

// lead looks after the reverse channel of an open member.
func (a *agentSim) lead(s *mysqld) {
	due := func() bool { return a.mysqld == s && !s.dead && s.open && s.recv == nil }
	if !due() {
		return
	}
	epoch := s.epoch
	a.askState(func(peer *agentapi.State) {
		if due() && s.epoch == epoch && (judge.Reverse{PairUID: pairUID, Epoch: epoch, Peer: peer}).MayOpen(s.status()) == nil {
			s.receive()
		}
	})
	a.later(time.Second, func() {
		if s.epoch == epoch {
			a.lead(s)
		}
	})
}

// heartbeat commits a row when a commit has waited although a replica is connected,
// since its acknowledgement may have been lost; disconnects a foreign replica; and switches
// waiting on again after it was switched off by hand.
func (a *agentSim) heartbeat() {
	s := a.mysqld
	if s == nil || s.dead || s.gate.stopped > 0 {
		return
	}
	if s.drifted && a.w.now >= s.driftedUntil {
		s.drifted = false
		a.w.tracef("%s: a changed setting is set right", a.m.name)
	}
	if !s.open {
		return
	}
	if reader := (mysqlops.DumpThread{User: "someone"}); s.foreign && s.waits && reader.IsForeign(mysqlops.UserReplication, "") {
		s.foreign = false
		a.lostAt = a.machine.View().ActedLedger
		a.step(authority.SemiSyncLost{At: a.local()})
	}
	if s.interrupted {
		s.interrupted = false
		if a.machine.View().Waiting {
			a.lostAt = a.machine.View().ActedLedger
			a.step(authority.SemiSyncLost{At: a.local()})
			s.switchOn()
		}
	}
	if a.timed(s) > time.Second && s.clients() == 1 {
		s.commit(func(bool, int) {})
	}
}
