package sim

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
)

// drainSim is the drain that an agent was asked for. What a client has in flight ends some time
// later; one that is outside a transaction loses its connection.
type drainSim struct {
	operation string
	until     authority.Instant
	busyUntil time.Duration
}

// closesIdle: clients outside a transaction lose their connection.
func (a *agentSim) closesIdle() bool {
	return a.machine != nil && a.drain.operation != "" && a.local() < a.drain.until && a.machine.View().OpenEpoch != 0
}

func (a *agentSim) describeDrain() *agentapi.Drain {
	if a.machine == nil || a.drain.operation == "" || a.machine.View().OpenEpoch == 0 {
		return nil
	}
	d := &agentapi.Drain{Operation: a.drain.operation, Left: max(a.drain.until.Sub(a.local()), 0), Rounds: 1}
	if a.w.now < a.drain.busyUntil {
		d.InFlight = 1
	}
	return d
}

// Drain implements execute.Drainers.
func (e agentEffects) Drain(_ context.Context, to fencing.Subject, c agentapi.DrainCommand) error {
	got, err := e.o.agent(to, 2*time.Second, func(a *agentSim, reply func(any)) {
		if a.machine == nil {
			reply(errRefused)
			return
		}
		view := a.machine.View()
		if c.For > 0 && (view.Serving != authority.Serves || view.OpenEpoch != c.Epoch || view.Known > c.Epoch) {
			reply(errStale)
			return
		}
		if c.For > 0 && a.drain.operation != c.Operation {
			a.drain = drainSim{operation: c.Operation, busyUntil: a.w.now + a.w.transaction()}
			a.w.happens(onDraining)
		}
		a.drain.until = a.local().Add(c.For)
		reply(nil)
	})
	if err != nil {
		return err
	}
	if refusal, ok := got.(error); ok {
		return refusal
	}
	return nil
}

// transaction is how long the longest transaction in flight takes: mostly not long.
func (w *world) transaction() time.Duration {
	if w.chance(0.7) {
		return w.between(0, 50*time.Millisecond)
	}
	return w.between(50*time.Millisecond, 6*time.Second)
}

var errNotReceived = errors.New("refused: not received in time")

// awaitReceived has the agent wait until it has received these GTIDs.
func (e agentEffects) awaitReceived(to fencing.Subject, gtids string) error {
	want := mustParse(gtids)
	got, err := e.o.agent(to, 3*time.Second, func(a *agentSim, reply func(any)) {
		deadline := a.w.now + 2*time.Second
		var look func()
		look = func() {
			s := a.mysqld
			up := s != nil && !s.dead && s.up && s.gate.stopped == 0
			switch {
			case up && s.status().Received.Covers(want):
				reply(nil)
			case a.w.now >= deadline:
				reply(errNotReceived)
			default:
				a.later(10*time.Millisecond, look)
			}
		}
		look()
	})
	if err != nil {
		return err
	}
	if refusal, ok := got.(error); ok {
		return refusal
	}
	return nil
}

// switchoverStories are about planned switchovers.
var switchoverStories = []story{
	{name: "switchedOver", tell: switchedOver},
	{name: "switchedTwice", tell: switchedTwice},
	{name: "switchoverCanceled", tell: switchoverCanceled},
	{name: "switchoverDisturbed", tell: switchoverDisturbed},
}

// switchedOver: a switchover of a healthy pair, which costs clients next to nothing beside what
// they have in flight.
func switchedOver(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.gapMost = 8 * sec
	return []fault{{kind: "personSwitchesOver", at: t.at, what: t.one("Demote", "DeletePod")}}
}

// switchedTwice: two are asked for at once, or one soon after the other.
func switchedTwice(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	first := fault{kind: "personSwitchesOver", at: t.at, what: t.one("Demote", "DeletePod")}
	second := fault{kind: "personSwitchesOver", at: t.at + t.in(0, 6*sec), what: t.one("Demote", "DeletePod")}
	return []fault{first, second}
}

// switchoverCanceled: a person cancels at some moment of it.
func switchoverCanceled(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.gapMost = 12 * sec
	cancel := fault{kind: "personCancels", at: t.at, delay: t.in(0, 500*ms)}
	cancel.after = []trigger{onDraining, onRevoked, onAppointed}[t.r.IntN(3)]
	return []fault{cancel, {kind: "personSwitchesOver", at: t.at + ms, what: t.one("Demote", "DeletePod")}}
}

// switchoverDisturbed: something fails at some moment of it, or the operator ends at a step.
func switchoverDisturbed(t *teller) []fault {
	what := t.one("mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "podDeleted", "nodeCrashed", "nodeFrozen",
		"cutWhole", "cutAPI", "cutPeer", "cutOperator", "operatorCrashed", "operatorFrozen", "apiStopped", "personFails", "volumeHung")
	disturbed := fault{kind: what, at: t.at, member: theHolder - t.r.IntN(2), delay: t.in(0, 300*ms), lasts: t.in(100*ms, 8*sec)}
	disturbed.after = []trigger{onDraining, onRevoked, onAppointed}[t.r.IntN(3)]
	if t.r.IntN(2) == 0 {
		t.s.crashAtFailpoint = 0.15
	}
	return []fault{disturbed, {kind: "personSwitchesOver", at: t.at + ms, what: t.one("Demote", "DeletePod")}}
}
