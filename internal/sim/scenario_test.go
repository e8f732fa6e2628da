package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

// scenario is the wish and the weather of one run, both drawn from its seed.
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
	ackLeast         time.Duration
	relayLost        float64
	crashAtFailpoint float64
	applyTime        time.Duration
	bootTime         time.Duration
	// slowClose is what mysqld may need, beside the usual, before it refuses clients.
	slowClose    time.Duration
	twoOperators bool
	maxPerHour   int
	person       bool
	faults       []fault
}

func (s scenario) settings() failover.Settings {
	return failover.Settings{
		Namespace: "ns", Name: "shop", UID: pairUID, Generation: 1, Lossless: s.lossless, ContinueAlone: s.continueAlone,
		PassiveTimeout: s.passiveTimeout, LeaseDuration: s.lease, SafetyMargin: s.margin, AutomaticFailover: s.automatic,
		WarnAfter: s.deadAfter / 2, DeadAfter: s.deadAfter, InitialDelay: 8 * time.Second, ApplyTimeout: s.applyTimeout,
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
}

// The members by what they are: the holder, or the last one; and the other.
const (
	theHolder  = -1
	thePassive = -2
)

// trigger is something that happens to the pair.
type trigger string

const (
	onJoining   trigger = "joining"
	onBoth      trigger = "both"
	onSolo      trigger = "solo"
	onRevoked   trigger = "revoked"
	onAppointed trigger = "appointed"
	onCommand   trigger = "command" // a member was asked to copy or rewind its data
	onPassiveUp trigger = "passiveUp"
)

var triggers = []trigger{onJoining, onBoth, onSolo, onRevoked, onRevoked, onAppointed, onPassiveUp}

// faultKinds are drawn from with equal weight.
var faultKinds = []string{
	"mysqldKilled", "mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "volumeHung", "podDeleted", "podForceDeleted", "nodeCrashed",
	"nodeFrozen", "machinePaused", "cutWhole", "cutAPI", "cutPeer", "cutOperator", "cutOneWay", "operatorCrashed", "operatorFrozen",
	"apiStopped", "applierFailed", "foreignReplica", "peerRestarted", "finalizerTaken",
}

func draw(seed uint64) scenario {
	r := rand.New(rand.NewPCG(seed, 0xfa))
	chance := func(p float64) bool { return r.Float64() < p }
	pick := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
	s := scenario{
		lossless: chance(0.88), continueAlone: chance(0.93), automatic: chance(0.96), ackFenced: chance(0.2), asyncAny: chance(0.3),
		lease: pick(2*time.Second, 3*time.Second, 6*time.Second), deadAfter: pick(time.Second, 2*time.Second, 4*time.Second),
		passiveTimeout: pick(time.Second, 2*time.Second, 5*time.Second), applyTimeout: pick(3*time.Second, 20*time.Second),
		restartInPlace: pick(time.Second, 4*time.Second, 10*time.Second), heartbeat: pick(200*time.Millisecond, time.Second), leaseEvery: pick(2*time.Second, 10*time.Second),
		lateBy: 12 * time.Second, drift: 0.05, applyTime: pick(3*time.Millisecond, 3*time.Millisecond, 150*time.Millisecond), bootTime: pick(500*time.Millisecond, 3*time.Second),
		twoOperators: chance(0.15), person: chance(0.5), maxPerHour: 20, relayLost: 0.5,
	}
	if chance(0.2) {
		s.maxPerHour = 1
	}
	s.margin = authority.LeastMargin(s.lease)
	if s.agentLease = s.lease; seed%4 == 1 {
		s.agentLease = 8 * s.lease
	}
	if chance(0.2) {
		s.lateMessages = 0.03
	}
	if chance(0.25) {
		s.lostAcks = 0.05
	}
	if chance(0.15) {
		s.slowStream = 400 * time.Millisecond
	}
	if chance(0.15) {
		s.lateAcks, s.lateAckP = 3*time.Second, 0.3
	}
	if chance(0.2) {
		s.lateReads = 0.3
	}
	if chance(0.1) {
		s.replayedWords = 0.5
	}
	if chance(0.3) {
		s.crashAtFailpoint = 0.02 + 0.1*r.Float64()
	}
	s.faults = drawFaults(r, &s)
	return s
}

// drawFaults: mostly several, sometimes one of the kind that no other may accompany.
func drawFaults(r *rand.Rand, s *scenario) []fault {
	at := func() time.Duration {
		return faultsBegin + time.Duration(r.Int64N(int64(faultsOver-faultsBegin-6*time.Second)))
	}
	p := r.Float64()
	if *oneStory >= 0 {
		p = 0.5
	}
	switch {
	case p < 0.03:
		return nil
	case p < 0.05:
		if r.IntN(2) == 0 {
			return drawModeChanged(r, s)
		}
		return drawSwitchedOff(r, s)
	case p < 0.12:
		return []fault{{kind: []string{"volumeLost", "volumeEmptied"}[r.IntN(2)], at: at(), member: theHolder - r.IntN(2)}}
	case p < 0.16:
		t := at()
		down := fault{kind: "mysqldKilled", at: t, member: theHolder}
		if r.IntN(2) == 0 {
			down.kind, down.lasts = "nodeCrashed", faultsOver-time.Second-t
		}
		if r.IntN(2) == 0 {
			// Nobody hears of the member that was promoted since, while the store goes back.
			restored := faultsOver - 14*time.Second
			down.kind, down.at, down.lasts = "nodeCrashed", faultsBegin+time.Second, restored-faultsBegin
			s.lossless, s.continueAlone, s.automatic, s.twoOperators = true, true, true, false
			faults := []fault{
				{kind: "backupTaken", at: faultsBegin}, down, {kind: "cutWhole", at: restored - time.Second, member: theHolder, lasts: 15 * time.Second},
				{kind: "etcdRestoredBlind", at: restored}, {kind: "operatorCrashed", at: restored},
			}
			if r.IntN(2) == 0 {
				// And its pod goes by force just when the one that the store names is revoked.
				faults = append(faults, fault{kind: "podForceDeleted", at: restored, member: 1, after: onRevoked, delay: time.Duration(r.Int64N(int64(time.Second)))})
			}
			if r.IntN(4) == 0 {
				faults[3].kind = "leaseRestored"
			}
			return faults
		}
		return []fault{{kind: "backupTaken", at: faultsBegin}, down, {kind: "etcdRestored", at: faultsOver - 2*time.Second}}
	case p < 0.19:
		return []fault{{kind: "leaseDeleted", at: at()}}
	case p < 0.22:
		edit := []fault{{kind: []string{"leaseRewritten", "leaseEdited"}[r.IntN(2)], at: at()}}
		if r.IntN(2) == 0 {
			edit = append(edit, fault{kind: []string{"cutAPI", "cutPeer", "cutWhole", "agentStopped"}[r.IntN(4)], at: edit[0].at - time.Duration(r.Int64N(int64(time.Second))), member: theHolder, lasts: 8 * time.Second})
		}
		return edit
	case p < 0.25:
		return []fault{{kind: "personFails", at: at()}, {kind: "personReplays", at: at(), member: r.IntN(2)}}
	case p < 0.28:
		return []fault{{kind: "personFences", at: at()}, {kind: "personReleases", at: faultsOver}}
	case p < 0.70 || *oneStory >= 0:
		return drawStory(r, s)
	case p < 0.72:
		gone := fault{kind: "nodeGone", at: at(), member: r.IntN(2)}
		if r.IntN(3) > 0 {
			// Before anybody was ever appointed; some come back when another one was, perhaps.
			gone.at, gone.member = time.Duration(r.Int64N(int64(8*time.Second))), r.IntN(4)/3
			gone.kind = []string{"nodeGone", "nodeCrashed", "volumeEmptied", "volumeLost"}[r.IntN(4)]
			gone.lasts = time.Duration(r.Int64N(int64(80 * time.Second)))
		}
		return []fault{gone}
	}
	var out []fault
	n := 1 + r.IntN(4)
	for range n {
		f := fault{kind: faultKinds[r.IntN(len(faultKinds))], at: at(), member: r.IntN(2)}
		if len(out) > 0 && r.IntN(3) == 0 {
			// Close together: that is where it hurts.
			f.at = min(out[len(out)-1].at+time.Duration(r.Int64N(int64(3*time.Second))), faultsOver-time.Second)
		}
		if r.IntN(3) == 0 {
			f.after, f.delay = triggers[r.IntN(len(triggers))], time.Duration(r.Int64N(int64(time.Second)))
			f.delay /= time.Duration(1 + r.IntN(20))
		}
		if r.IntN(2) == 0 {
			f.member = theHolder - r.IntN(2)
		}
		f.lasts = time.Duration(r.Int64N(int64(12 * time.Second)))
		f.lasts = min(f.lasts, faultsOver-f.at)
		out = append(out, f)
	}
	return out
}

// drawSwitchedOff: somebody lets commits of the primary pass while the passive cannot receive,
// and then the primary goes. Nothing else happens, since what an operator had no time to write
// down is nobody's fault.
func drawSwitchedOff(r *rand.Rand, s *scenario) []fault {
	in := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	s.lossless, s.twoOperators, s.crashAtFailpoint, s.lateMessages, s.lateReads, s.lateAcks = true, false, 0, 0, 0, 0
	s.passiveTimeout, s.drift = 8*time.Second, 0
	at := in(faultsBegin, faultsBegin+4*time.Second)
	off := at + in(100*time.Millisecond, time.Second)
	crash := []string{"mysqldKilled", "nodeCrashed", "agentKilled"}[r.IntN(3)]
	return []fault{
		{kind: "cutPeer", at: at, member: theHolder, lasts: in(5*time.Second, 7*time.Second)},
		{kind: "waitingSwitchedOff", at: off, member: theHolder, lasts: in(10*time.Millisecond, 5*time.Second)},
		{kind: crash, at: off + in(500*time.Millisecond, 6*time.Second), member: theHolder, lasts: 3 * time.Second},
	}
}

// drawStory is one of the courses of events in which bugs of this kind of protocol have
// been seen, with random times. What happens in one may happen without it; it is rare.
func drawStory(r *rand.Rand, s *scenario) []fault {
	in := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	at := in(faultsBegin, faultsBegin+4*time.Second)
	ms, sec := time.Millisecond, time.Second
	crash := []string{"mysqldKilled", "nodeCrashed", "podForceDeleted"}[r.IntN(3)]
	story := r.IntN(11)
	if *oneStory >= 0 {
		story = *oneStory
	}
	switch story {
	case 0: // the passive comes back, and just then both links and primary go
		s.lossless, s.lateReads = true, 0.3
		if r.IntN(3) == 0 {
			return []fault{
				{kind: "foreignReplica", at: at, member: theHolder, lasts: 20 * sec},
				{kind: "cutPeer", at: at + sec, member: theHolder, lasts: in(sec, 4*sec)},
				{kind: crash, at: at + 2*sec, member: theHolder, lasts: 3 * sec},
			}
		}
		return []fault{
			{kind: "cutPeer", at: at, lasts: s.passiveTimeout + in(2*sec, 4*sec)},
			{kind: "cutPeer", at: at + sec, member: theHolder, after: onBoth, delay: in(0, 600*ms), lasts: in(2*sec, 8*sec)},
			{kind: crash, at: at + sec, member: theHolder, after: onBoth, delay: in(300*ms, 2*sec), lasts: 3 * sec},
		}
	case 1: // the passive loses what it had received, and then the primary goes
		s.lossless, s.slowStream, s.applyTime, s.passiveTimeout = true, 400*ms, 150*ms, 5*sec
		if r.IntN(2) == 0 {
			s.lateAcks, s.lateAckP, s.slowStream = 4*sec, 0.3, in(400*ms, 3*sec)
		}
		return []fault{
			{kind: "nodeCrashed", at: at, member: thePassive, lasts: in(200*ms, 1500*ms)},
			{kind: crash, at: at, member: theHolder, after: []trigger{onPassiveUp, onBoth, ""}[r.IntN(3)], delay: in(0, 300*ms), lasts: 3 * sec},
		}
	case 2: // a person fails over while the primary hears nobody but its peer
		s.lossless, s.ackFenced, s.lateReads = true, r.IntN(2) == 0, 0.2
		out := []fault{
			{kind: "cutAllButPeer", at: at, member: theHolder, after: onRevoked, delay: -1, lasts: in(6*sec, 16*sec)},
			{kind: "personFails", at: at},
		}
		switch r.IntN(4) {
		case 0: // words of the peer that were given before it ceased come late
			out[0].kind, s.lateWords, s.ackFenced, s.replayedWords = "cutWhole", 0.5, false, 0.5*float64(r.IntN(2))
		case 2, 3: // and readings of the authority from before it was revoked
			s.lateReads, s.passiveTimeout, s.ackFenced = 0.8, 8*sec, false
			s.lease, s.margin = 6*sec, authority.LeastMargin(6*sec)
			out[1].at = at + 4*sec
			out = append(out, fault{kind: "cutPeer", at: at, member: theHolder, lasts: 14 * sec})
		case 1: // the candidate forgets that it ceased
			s.lossless, s.asyncAny = false, true
			out = append(out, fault{kind: "agentKilled", at: at, member: thePassive, after: onRevoked, delay: in(20*ms, 400*ms)},
				fault{kind: "cutAPI", at: at, member: thePassive, after: onRevoked, lasts: s.lease + in(0, 2*sec)})
		}
		s.crashAtFailpoint = 0
		return out
	case 3: // the primary is left with a tail, recovers in place, and goes
		s.lossless, s.continueAlone, s.automatic = true, false, false
		return []fault{
			{kind: "cutPeer", at: at, lasts: in(6*sec, 9*sec)},
			{kind: "mysqldKilled", at: at + in(300*ms, 1500*ms), member: theHolder},
			{kind: "nodeCrashed", at: at + in(5*sec, 8*sec), member: theHolder, lasts: 4 * sec},
			{kind: "personFails", at: at + 9*sec},
		}
	case 4: // a person forces the member that lacks writes, and the other comes back
		s.lossless, s.continueAlone = true, true
		return []fault{
			{kind: "cutPeer", at: at, lasts: s.passiveTimeout + 8*sec},
			{kind: "nodeCrashed", at: at + s.passiveTimeout + 3*sec, member: theHolder, lasts: 12 * sec},
			{kind: "personForces", at: at + s.passiveTimeout + 5*sec, member: thePassive},
		}
	case 5: // a stale operator has a member copied that has come back meanwhile
		s.lossless, s.twoOperators = true, true
		return []fault{
			{kind: "volumeLost", at: at, member: thePassive},
			{kind: "lateCommands", at: at, lasts: 20 * sec},
			{kind: crash, at: at, member: theHolder, after: onBoth, delay: in(0, 4*sec), lasts: 3 * sec},
		}
	case 6: // the candidate is lost between revocation and promotion
		s.lossless = true
		return []fault{
			{kind: []string{"mysqldKilled", "cutWhole", "podDeleted"}[r.IntN(3)], at: at, member: theHolder, lasts: 6 * sec},
			{kind: []string{"mysqldKilled", "agentKilled", "nodeCrashed"}[r.IntN(3)], at: at, member: thePassive, after: onRevoked, delay: in(0, 300*ms), lasts: 2 * sec},
		}
	case 9: // the passive's pod and volume are given up, and its former process lives on beside the primary
		s.lossless, s.automatic, s.crashAtFailpoint = true, true, 0
		return []fault{
			{kind: "strayLeft", at: at, member: thePassive},
			{kind: "cutWhole", at: at, member: theHolder, after: onBoth, delay: in(0, 2*sec), lasts: 10 * sec},
		}
	case 10: // the former primary is slow to close, and an operator that could not reach it has appointed its successor
		s.lossless, s.ackFenced, s.crashAtFailpoint, s.slowClose = true, true, 0, 2*sec
		s.lease, s.margin = 6*sec, authority.LeastMargin(6*sec)
		// Nobody writes: a commit that it does not get through would tell the two apart.
		return []fault{
			{kind: "clientsRest", at: at, lasts: in(4*sec, 8*sec)},
			{kind: "personFails", at: at + in(0, 2*sec)},
			{kind: "cutOperator", at: at, member: theHolder, after: onRevoked, lasts: in(100*ms, 2*sec)},
		}
	case 8: // an acknowledgement of the passive's former run arrives after its new run was compared
		s.lossless, s.slowStream, s.lateAcks, s.lateAckP, s.passiveTimeout = true, 4*sec, 5*sec, 0.9, 20*sec
		s.applyTime, s.bootTime, s.crashAtFailpoint, s.lateMessages = 3*sec, 500*ms, 0, 0
		s.ackLeast, s.relayLost = 3*sec, 1
		return []fault{
			{kind: "nodeCrashed", at: at + 4*sec, member: thePassive, lasts: 200 * ms},
			{kind: "mysqldKilled", at: at + 4*sec, member: theHolder, after: onBoth, delay: in(sec, 3*sec)},
		}
	}
	// The primary's agent is stopped, or a machine, and its clock is what counts; or its pod
	// is deleted by force while nobody hears of it.
	s.drift = 0.05
	if r.IntN(4) == 0 {
		return []fault{
			{kind: "cutAllButPeer", at: at, member: theHolder, lasts: in(5*sec, 14*sec)},
			{kind: "podForceDeleted", at: at + in(0, sec), member: theHolder},
		}
	}
	return []fault{
		{kind: []string{"agentStopped", "nodeFrozen", "cutWhole", "machinePaused"}[r.IntN(4)], at: at, member: theHolder, lasts: in(5*sec, 14*sec)},
		{kind: "personFails", at: at + in(0, sec)},
	}
}

func (s scenario) String() string {
	mode := "Lossless"
	if !s.lossless {
		mode = "Async"
	}
	out := fmt.Sprintf("%s T=%s deadAfter=%s ackFenced=%v asyncAny=%v twoOperators=%v person=%v continueAlone=%v crashes=%.2f late=%.2f lostAcks=%.2f:",
		mode, s.lease, s.deadAfter, s.ackFenced, s.asyncAny, s.twoOperators, s.person, s.continueAlone, s.crashAtFailpoint, s.lateMessages, s.lostAcks)
	for _, f := range s.faults {
		out += fmt.Sprintf(" %s(%d)@%s+%s", f.kind, f.member, f.at.Round(time.Millisecond), f.lasts.Round(time.Millisecond))
	}
	return out
}
