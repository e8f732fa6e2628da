package sim

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
)

// scenario is the desired state and the faults of one run, both drawn from its seed.
type scenario struct {
	lossless, continueAlone, automatic bool
	ackFenced, asyncAny                bool
	lease, margin                      time.Duration
	// agentLease is the T that agents are started with: another one than the Lease's after
	// a change of the spec.
	agentLease                   time.Duration
	deadAfter, passiveTimeout    time.Duration
	applyTimeout, restartInPlace time.Duration
	heartbeat, leaseEvery        time.Duration

	drift        float64
	lateMessages float64
	lostAcks     float64
	// lateAcks and slowStream make replication slow in one way or the other.
	lateAcks, slowStream           time.Duration
	lateReads, lateWords, lateAckP float64
	// replayedWords: a former word of the peer comes as the answer to a new question.
	replayedWords float64
	lateBy        time.Duration
	// ackLeast is what a late acknowledgement takes at least; relayLost is how likely a crash of
	// the machine takes received transactions along.
	ackLeast  time.Duration
	relayLost float64
	// statusLost is how likely the kubelet does not know what became of an ended container.
	statusLost       float64
	crashAtFailpoint float64
	applyTime        time.Duration
	bootTime         time.Duration
	// stopTime is what a clean end of mysqld takes at most.
	stopTime time.Duration
	// slowClose is what mysqld may need, beside the usual, before it refuses clients.
	slowClose    time.Duration
	twoOperators bool
	maxPerHour   int
	person       bool
	faults       []fault
	// gapMost is how long clients may wait for a write, at most; zero for no bound.
	gapMost time.Duration
	// whole: nothing is lost for good, and at the end both members are in sync again.
	whole bool
	// follows: at the end both members replicate, whatever the mode.
	follows bool
	// orderly: what happens is announced, and has to cost next to nothing.
	orderly bool
	// holds: clients are held at doors and let through from there.
	holds bool
	// rollsOut: the operator makes pods again that are of a former spec.
	rollsOut bool
	// reseeds: a passive that has diverged is copied again where nothing acknowledged can be lost.
	reseeds bool
	// ends: the members of a pair that is to hibernate are ended.
	ends bool
	// stays: the pair is to hibernate at the end, and does.
	stays bool
	// samePrimary: the last primary of a pair that hibernated is the next one.
	samePrimary bool
	// story is the name of the one that runs; empty for none.
	story string
}

func (s scenario) settings() failover.Settings {
	return failover.Settings{
		Namespace: "ns", Name: "shop", UID: pairUID, Generation: 1, Lossless: s.lossless, ContinueAlone: s.continueAlone,
		PassiveTimeout: s.passiveTimeout, LeaseDuration: s.lease, SafetyMargin: s.margin, AutomaticFailover: s.automatic,
		WarnAfter: s.deadAfter / 2, DeadAfter: s.deadAfter, InitialDelay: 8 * time.Second, ApplyTimeout: s.applyTimeout,
		HoldsClients: s.holds, AutomaticRollout: s.rollsOut, ReseedsDiverged: s.reseeds, DrainTimeout: 2 * time.Second,
		MaxPerHour: s.maxPerHour, PromoteOnAckFenced: s.ackFenced, AsyncAnyProof: s.asyncAny,
		AsyncMaxLag: 10 * time.Second, PassiveMaxLag: 10 * time.Second, AgentVersion: "v1",
	}
}

const (
	faultsBegin = 12 * time.Second
	faultsOver  = 40 * time.Second
	runEnds     = 110 * time.Second
)

// fault is one thing that goes wrong at an instant, or so long after something happened.
type fault struct {
	kind  string
	at    time.Duration
	lasts time.Duration
	// member by ordinal, or by what it is when the fault comes.
	member int
	// after is what the fault waits for, from at on; at once when empty.
	after trigger
	delay time.Duration
	// what is the kind of writes that are refused.
	what string
	// grace is the grace period of an end by SIGTERM.
	grace time.Duration
}

// The members by what they are: the holder, or the last one; and the other.
const (
	theHolder  = -1
	thePassive = -2
)

// trigger is something that happens to the pair.
type trigger string

const (
	onJoining    trigger = "joining"
	onBoth       trigger = "both"
	onSolo       trigger = "solo"
	onRevoked    trigger = "revoked"
	onAppointed  trigger = "appointed"
	onCommand    trigger = "command"  // a member was asked to copy or rewind its data
	onDraining   trigger = "draining" // the primary began to be drained
	onPassiveUp  trigger = "passiveUp"
	onScaledDown trigger = "scaledDown" // both members are to end
	onDiscard    trigger = "discard"    // a member has begun to discard what it cannot apply
)

var triggers = []trigger{onDraining, onJoining, onBoth, onSolo, onRevoked, onRevoked, onAppointed, onPassiveUp}

func (s scenario) String() string {
	mode := "Lossless"
	if !s.lossless {
		mode = "Async"
	}
	out := fmt.Sprintf("%s T=%s deadAfter=%s ackFenced=%v asyncAny=%v twoOperators=%v person=%v continueAlone=%v crashes=%.2f late=%.2f lostAcks=%.2f %s:",
		mode, s.lease, s.deadAfter, s.ackFenced, s.asyncAny, s.twoOperators, s.person, s.continueAlone, s.crashAtFailpoint, s.lateMessages, s.lostAcks, s.story)
	for _, f := range s.faults {
		out += fmt.Sprintf(" %s(%d)@%s+%s", f.kind, f.member, f.at.Round(time.Millisecond), f.lasts.Round(time.Millisecond))
	}
	return out
}
