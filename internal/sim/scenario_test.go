package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
)

// scenario is the wish and the weather of one run, both drawn from its seed.
type scenario struct {
	lossless, continueAlone, automatic bool
	ackFenced, asyncAny                bool
	lease, margin                      time.Duration
	deadAfter, passiveTimeout          time.Duration
	applyTimeout, restartInPlace       time.Duration
	heartbeat, leaseEvery              time.Duration

	drift            float64
	lateMessages     float64
	lostAcks         float64
	crashAtFailpoint float64
	applyTime        time.Duration
	bootTime         time.Duration
	twoOperators     bool
	person           bool
	faults           []fault
}

func (s scenario) settings() failover.Settings {
	return failover.Settings{
		Namespace: "ns", Name: "shop", UID: pairUID, Generation: 1, Lossless: s.lossless, ContinueAlone: s.continueAlone,
		PassiveTimeout: s.passiveTimeout, LeaseDuration: s.lease, SafetyMargin: s.margin, AutomaticFailover: s.automatic,
		WarnAfter: s.deadAfter / 2, DeadAfter: s.deadAfter, InitialDelay: 8 * time.Second, ApplyTimeout: s.applyTimeout,
		RestartInPlaceAfter: s.restartInPlace, MaxPerHour: 20, PromoteOnAckFenced: s.ackFenced, AsyncAnyProof: s.asyncAny,
		AsyncMaxLag: 10 * time.Second, PassiveMaxLag: 10 * time.Second, AgentVersion: "v1",
	}
}

const (
	faultsBegin = 12 * time.Second
	faultsOver  = 45 * time.Second
	runEnds     = 110 * time.Second
)

// fault is one thing that goes wrong at an instant.
type fault struct {
	kind   string
	at     time.Duration
	lasts  time.Duration
	member int
}

// faultKinds are drawn from with equal weight.
var faultKinds = []string{
	"mysqldKilled", "mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "volumeHung", "podDeleted", "podForceDeleted", "nodeCrashed",
	"nodeFrozen", "machinePaused", "cutWhole", "cutAPI", "cutPeer", "cutOperator", "cutOneWay", "operatorCrashed", "operatorFrozen",
	"apiStopped", "applierFailed", "foreignReplica", "peerRestarted",
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
		drift: 0.05, applyTime: pick(3*time.Millisecond, 3*time.Millisecond, 150*time.Millisecond), bootTime: pick(500*time.Millisecond, 3*time.Second),
		twoOperators: chance(0.15), person: chance(0.5),
	}
	s.margin = s.lease/20 + 500*time.Millisecond
	if chance(0.2) {
		s.lateMessages = 0.03
	}
	if chance(0.25) {
		s.lostAcks = 0.05
	}
	if chance(0.3) {
		s.crashAtFailpoint = 0.02 + 0.1*r.Float64()
	}
	s.faults = drawFaults(r)
	return s
}

// drawFaults: mostly several, sometimes one of the kind that no other may accompany.
func drawFaults(r *rand.Rand) []fault {
	at := func() time.Duration {
		return faultsBegin + time.Duration(r.Int64N(int64(faultsOver-faultsBegin-6*time.Second)))
	}
	switch p := r.Float64(); {
	case p < 0.05:
		return nil
	case p < 0.12:
		return []fault{{kind: "volumeLost", at: at(), member: r.IntN(2)}}
	case p < 0.16:
		return []fault{{kind: "backupTaken", at: at() / 2}, {kind: "mysqldKilled", at: at(), member: r.IntN(2)}, {kind: "etcdRestored", at: faultsOver - 2*time.Second}}
	case p < 0.19:
		return []fault{{kind: "leaseDeleted", at: at()}}
	case p < 0.22:
		return []fault{{kind: "leaseRewritten", at: at()}}
	case p < 0.25:
		return []fault{{kind: "personFails", at: at()}}
	case p < 0.28:
		return []fault{{kind: "personFences", at: at()}, {kind: "personReleases", at: faultsOver}}
	case p < 0.31:
		return []fault{{kind: "nodeGone", at: at(), member: r.IntN(2)}}
	}
	var out []fault
	n := 1 + r.IntN(4)
	for range n {
		f := fault{kind: faultKinds[r.IntN(len(faultKinds))], at: at(), member: r.IntN(2)}
		if len(out) > 0 && r.IntN(3) == 0 {
			// Close together: that is where it hurts.
			f.at = min(out[len(out)-1].at+time.Duration(r.Int64N(int64(3*time.Second))), faultsOver-time.Second)
		}
		f.lasts = time.Duration(r.Int64N(int64(12 * time.Second)))
		f.lasts = min(f.lasts, faultsOver-f.at)
		out = append(out, f)
	}
	return out
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
