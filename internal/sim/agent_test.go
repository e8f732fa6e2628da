package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// agentSim is one run of an agent: the real machine, and a model of what surrounds it.
type agentSim struct {
	w         *world
	m         *memberSim
	pod       *pod
	gate      gate // SIGSTOP of the agent alone
	dead      bool
	condemned bool
	machine   *authority.Machine
	door      door.Gate
	start     pair.AgentStart
	mysqld    *mysqld
	busy      agentapi.Phase
	// discarding: a step of a discard is under way.
	discarding bool
	answers    map[string]func(authority.Action)
	deadman    int
	wake       time.Duration
	heardPeer  time.Duration
	lookedAt   time.Duration
	server     *agentapi.Server
	exits      int
	// stall times the waits of the mysqld timing.
	stall    judge.Stall
	timing   *mysqld
	ledger   *agentapi.SeenLedger
	compared *agentapi.Comparison
	own      ownWrites
	purged   judge.Purged
	lack     *agentapi.Lack     // what the peer cannot send
	lostAt   pair.LedgerVersion // acted on when commits were found not to have waited
	leaseAt  pair.Epoch
	drain    drainSim
	// tailKept is the tail that was found and must not be cut.
	tailKept string
	heard    *authority.VouchAnswered // the newest word that came
}

func startAgent(m *memberSim, p *pod) {
	w := m.w
	a := &agentSim{
		w:         w,
		m:         m,
		pod:       p,
		start:     pair.AgentStart(w.id("agent")),
		answers:   map[string]func(authority.Action){},
		heardPeer: w.now,
	}
	p.agent = a
	m.boxes = append(m.boxes, a)
	w.tracef("%s/%s: agent starts", m.name, p.uid)
	a.lockVolume()
}

// lockVolume waits for the volume: one process at a time may use it.
func (a *agentSim) lockVolume() {
	if a.dead {
		return
	}
	if a.m.vol.lock != nil || a.m.vol.gate.stopped > 0 {
		a.later(300*time.Millisecond, a.lockVolume)
		return
	}
	a.m.vol.lock = a
	v := a.m.vol
	a.ledger = v.seen
	a.machine = authority.NewMachine(authority.Config{
		PairUID: pairUID, Self: pair.Holder{Member: a.m.name, PodUID: a.pod.uid}, Peer: a.w.members[1-a.m.index].name,
		T: a.w.set.agentLease, Margin: a.w.set.margin, RestartInPlaceAfter: a.w.set.restartInPlace, Seed: a.w.rng.Uint64(),
		LeaseEvery: a.w.set.leaseEvery, Moved: v.moved, Start: a.start, Linger: 3 * time.Second, Verify: verify,
	}, v.durable, a.local())
	a.door = door.NewGate(a.m.name)
	a.door.Configure(door.Policy{Mode: door.Hold, HoldTimeout: holdTimeout, MaxHeld: 100})
	if v.id != "" && !v.void {
		a.step(authority.DataReady{At: a.local(), DataID: v.id, EpochFile: v.remembered})
	}
	a.later(authority.BeatMost, func() { v.moved = false })
	a.beat()
	a.tick()
	a.ping()
}

// local is CLOCK_BOOTTIME of the agent's machine.
func (a *agentSim) local() authority.Instant { return a.localAt(a.w.now) }

func (a *agentSim) localAt(at time.Duration) authority.Instant {
	n := a.m.node
	return authority.Instant(float64(at-n.booted-n.lost)*n.rate) + authority.Instant(time.Hour)
}

// pass runs f in this process: when neither it nor its machine is stopped, and it lives.
func (a *agentSim) pass(f func()) {
	a.m.node.gate.pass(func() {
		a.gate.pass(func() {
			if !a.dead {
				f()
			}
		})
	})
}

func (a *agentSim) later(d time.Duration, f func()) { a.w.after(d, func() { a.pass(f) }) }

// beat is the write that shows that the volume is still attached.
func (a *agentSim) beat() {
	v := a.m.vol
	begun := a.local()
	a.later(a.w.between(200*time.Microsecond, 8*time.Millisecond), func() {
		v.gate.pass(func() {
			if a.dead || a.m.vol != v || v.lock != a {
				return
			}
			a.pass(func() { a.step(authority.VolumeBeat{At: a.local(), Begun: begun}) })
		})
	})
	a.later(time.Second, a.beat)
}

func (a *agentSim) tick() {
	a.step(authority.Tick{At: a.local()})
}

// schedule has the next tick come when the machine wants it.
func (a *agentSim) schedule() {
	d := time.Duration(float64(a.machine.NextWake()-a.local())/a.m.node.rate) + time.Microsecond
	at := a.w.now + max(d, 2*time.Millisecond)
	if a.wake > a.w.now && a.wake <= at {
		return
	}
	a.wake = at
	a.w.after(at-a.w.now, func() {
		a.pass(func() {
			if a.wake <= a.w.now {
				a.wake = 0
				a.tick()
			}
		})
	})
}

func (a *agentSim) step(e authority.Event) {
	if a.dead || a.machine == nil {
		return
	}
	actions := a.machine.Step(e)
	a.door.Follow(a.machine.View(), a.local())
	for _, action := range actions {
		a.effect(action)
		if a.dead {
			return
		}
	}
	a.schedule()
}

func (a *agentSim) effect(action authority.Action) {
	w := a.w
	switch act := action.(type) {
	case authority.ReadLease:
		a.readLease(act)
	case authority.AskVouch:
		a.askVouch(act)
	case authority.AnswerVouch:
		a.deliver(act.Nonce, act)
	case authority.Persist:
		a.persist(act)
	case authority.StartMysqld:
		a.startMysqld()
	case authority.Open:
		a.open(act)
	case authority.Close:
		a.close(act)
	case authority.Kill:
		w.tracef("%s: kills mysqld: %s", a.m.name, act.Reason)
		a.killMysqld(a.mysqld)
	case authority.StopMysqld:
		s := a.mysqld
		a.later(w.between(20*time.Millisecond, w.set.stopTime), func() {
			if s == nil || s.dead {
				return
			}
			if len(s.queue) > 0 {
				s.release() // a clean end answers OK to what waits
			}
			a.mysqldGone(s)
		})
	case authority.SetDeadman:
		a.setDeadman(act.Deadline)
	case authority.SetSemiSync:
		a.setSemiSync(act)
	case authority.CheckTail:
		a.checkTail()
	case authority.StopReceiver:
		s := a.mysqld
		a.later(w.between(time.Millisecond, 10*time.Millisecond), func() {
			if s != nil && !s.dead {
				s.stopReceiving()
				a.endApplying(s)
			}
			a.step(authority.ReceiverIsStopped{At: a.local(), OK: true})
		})
	case authority.Follow:
		a.follow(act)
	case authority.Answer:
		a.deliver(act.ID, act)
	case authority.Refuse:
		a.deliver(act.ID, act)
	case authority.Exit:
		a.vanish()
	}
}

func (a *agentSim) deliver(id string, action authority.Action) {
	if f := a.answers[id]; f != nil {
		delete(a.answers, id)
		f(action)
	}
}

func (a *agentSim) persist(act authority.Persist) {
	v := a.m.vol
	seen := a.ledger
	a.w.after(a.w.between(200*time.Microsecond, 8*time.Millisecond), func() {
		v.gate.pass(func() {
			if a.dead || a.m.vol != v || v.lock != a {
				return
			}
			v.durable = act.Durable
			v.remembered = true
			v.seen = seen
			a.w.checkKnown(a.m, act.Durable)
			a.pass(func() { a.step(authority.Persisted{At: a.local(), Seq: act.Seq, OK: true}) })
		})
	})
}

// terminate is SIGTERM with a grace period.
func (a *agentSim) terminate(grace time.Duration) {
	if a.dead {
		return
	}
	a.pass(func() {
		if a.machine == nil {
			a.vanish()
			return
		}
		a.step(authority.Terminate{At: a.local(), Until: a.local().Add(grace)})
	})
	a.w.after(grace, func() { a.m.node.gate.pass(a.vanish) })
}

// vanish ends all processes of the container.
func (a *agentSim) vanish() {
	if a.dead {
		return
	}
	a.dead = true
	a.w.tracef("%s/%s: the container has ended", a.m.name, a.pod.uid)
	if a.mysqld != nil {
		a.mysqld.die()
	}
	if a.m.vol.lock == a {
		a.m.vol.lock = nil
	}
	a.gate.held = nil
	a.m.boxEnded(a)
}
