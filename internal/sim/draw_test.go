package sim

import (
	"math/rand/v2"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// faultKinds are drawn from with equal weight.
var faultKinds = []string{
	"mysqldKilled", "mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "volumeHung", "podDeleted", "podForceDeleted", "nodeCrashed",
	"nodeFrozen", "machinePaused", "cutWhole", "cutAPI", "cutPeer", "cutOperator", "cutOneWay", "operatorCrashed", "operatorFrozen",
	"apiStopped", "applierFailed", "foreignReplica", "peerRestarted", "finalizerTaken",
	"personSwitchesOver",
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
	s.stopTime = pick(300*time.Millisecond, 300*time.Millisecond, 3*time.Second)
	s.holds = seed%2 == 0
	s.reseeds = seed%3 == 0
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
		s.lateAcks = 3 * time.Second
		s.lateAckP = 0.3
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
	if *oneStory != "" {
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
		return drawRestored(r, s, at())
	case p < 0.19:
		return []fault{{kind: "leaseDeleted", at: at()}}
	case p < 0.22:
		edit := []fault{{kind: []string{"leaseRewritten", "leaseEdited"}[r.IntN(2)], at: at()}}
		if r.IntN(2) == 0 {
			edit = append(edit, fault{
				kind:   []string{"cutAPI", "cutPeer", "cutWhole", "agentStopped"}[r.IntN(4)],
				at:     edit[0].at - time.Duration(r.Int64N(int64(time.Second))),
				member: theHolder,
				lasts:  8 * time.Second,
			})
		}
		return edit
	case p < 0.25:
		return []fault{{kind: "personFails", at: at()}, {kind: "personReplays", at: at(), member: r.IntN(2)}}
	case p < 0.26:
		return []fault{{kind: "personReseeds", at: at(), member: r.IntN(2)}, {kind: "personReseeds", at: at(), member: r.IntN(2)}}
	case p < 0.28:
		return []fault{{kind: "personFences", at: at()}, {kind: "personReleases", at: faultsOver}}
	case p < 0.78 || *oneStory != "":
		return drawStory(r, s)
	case p < 0.80:
		return drawGone(r, at())
	}
	return drawSeveral(r, at)
}

// drawRestored: the store goes back to an older state, while the primary is down or not heard.
func drawRestored(r *rand.Rand, s *scenario, at time.Duration) []fault {
	backup := fault{kind: "backupTaken", at: faultsBegin}
	down := fault{kind: "mysqldKilled", at: at, member: theHolder}
	if r.IntN(2) == 0 {
		down.kind = "nodeCrashed"
		down.lasts = faultsOver - time.Second - at
	}
	if r.IntN(2) == 0 {
		return []fault{backup, down, {kind: "etcdRestored", at: faultsOver - 2*time.Second}}
	}
	// Nobody hears of the member that was promoted since, while the store goes back.
	restored := faultsOver - 14*time.Second
	down.kind = "nodeCrashed"
	down.at = faultsBegin + time.Second
	down.lasts = restored - faultsBegin
	s.lossless = true
	s.continueAlone = true
	s.automatic = true
	s.twoOperators = false
	restore := fault{kind: "etcdRestoredBlind", at: restored}
	faults := []fault{
		backup,
		down,
		{kind: "cutWhole", at: restored - time.Second, member: theHolder, lasts: 15 * time.Second},
		restore,
		{kind: "operatorCrashed", at: restored},
	}
	if r.IntN(2) == 0 {
		// And its pod goes by force just when the one that the store names is revoked.
		delay := time.Duration(r.Int64N(int64(time.Second)))
		faults = append(faults, fault{kind: "podForceDeleted", at: restored, member: 1, after: onRevoked, delay: delay})
	}
	if r.IntN(4) == 0 {
		faults[3].kind = "leaseRestored"
	}
	return faults
}

// drawGone: a machine or a volume goes for good, perhaps before anybody was appointed.
func drawGone(r *rand.Rand, at time.Duration) []fault {
	gone := fault{kind: "nodeGone", at: at, member: r.IntN(2)}
	if r.IntN(3) > 0 {
		// Some come back when another one was appointed, perhaps.
		gone.at, gone.member = time.Duration(r.Int64N(int64(8*time.Second))), r.IntN(4)/3
		gone.kind = []string{"nodeGone", "nodeCrashed", "volumeEmptied", "volumeLost"}[r.IntN(4)]
		gone.lasts = time.Duration(r.Int64N(int64(80 * time.Second)))
	}
	return []fault{gone}
}

// drawSeveral are faults of any kinds.
func drawSeveral(r *rand.Rand, at func() time.Duration) []fault {
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

// drawSwitchedOff: someone lets commits of the primary pass while the passive cannot receive,
// and then the primary goes. Nothing else happens, since what an operator had no time to write
// down is nobody's fault.
func drawSwitchedOff(r *rand.Rand, s *scenario) []fault {
	in := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	s.lossless = true
	s.twoOperators = false
	s.crashAtFailpoint = 0
	s.lateMessages = 0
	s.lateReads = 0
	s.lateAcks = 0
	s.passiveTimeout = 8 * time.Second
	s.drift = 0
	at := in(faultsBegin, faultsBegin+4*time.Second)
	off := at + in(100*time.Millisecond, time.Second)
	crash := []string{"mysqldKilled", "nodeCrashed", "agentKilled"}[r.IntN(3)]
	return []fault{
		{kind: "cutPeer", at: at, member: theHolder, lasts: in(5*time.Second, 7*time.Second)},
		{kind: "waitingSwitchedOff", at: off, member: theHolder, lasts: in(10*time.Millisecond, 5*time.Second)},
		{kind: crash, at: off + in(500*time.Millisecond, 6*time.Second), member: theHolder, lasts: 3 * time.Second},
	}
}
