package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestReadinessAndEvictionsPromiseWhatWouldBeDone(t *testing.T) {
	type obs = failover.Observation
	spent := func(o *obs) { o.History.Failovers = make([]time.Time, 3) }
	paused := func(also func(*obs)) func(*obs) {
		return func(o *obs) {
			o.Settings.Paused = true
			also(o)
		}
	}
	manual := func(o *obs) { o.Settings.AutomaticFailover = false }
	claimGoes := func(o *obs) { o.Members[1].ClaimDeleting = true }
	for name, c := range map[string]struct {
		with             func(*obs)
		ready, evictable bool
		rule             failover.RuleName
		says             string
	}{
		"in sync":                                     {func(*obs) {}, true, true, "InSync", "shop-1 can take over"},
		"a primary whose deletion was accepted":       {func(o *obs) { o.Members[0].Pod.Deleting = true }, false, false, "HolderLeaving", "being deleted"},
		"a backlog that does not fit applyTimeout":    {func(o *obs) { o.Members[1].State.Server.LagSeconds = 31 }, false, false, "Lagging", "applyTimeout 30s"},
		"one that fits":                               {func(o *obs) { o.Members[1].State.Server.LagSeconds = 30 }, true, true, "InSync", ""},
		"a spent budget, which evictions do not need": {spent, false, true, "FlapBudgetSpent", "maxPerHour"},
		"mode Manual":                                 {func(o *obs) { o.Settings.AutomaticFailover = false }, true, false, "InSync", "kubectl dbpair failover shop -n ns"},
		"mode Manual with a spent budget":             {func(o *obs) { spent(o); o.Settings.AutomaticFailover = false }, true, false, "InSync", ""},
		"a paused pair":                               {paused(func(*obs) {}), false, false, "Paused", "spec.paused is set: no failover is started"},
		"a paused pair in mode Manual":                {paused(manual), false, false, "Paused", "not even one that you ask for"},
		"a paused pair that is not fit":               {paused(claimGoes), false, false, "Paused", "Besides, the volume claim of shop-1"},
		"the primary's claim in deletion":             {func(o *obs) { o.Members[0].ClaimDeleting = true }, false, false, "VolumeClaimDeleting", "shop-0"},
		"the passive's claim in deletion":             {claimGoes, false, false, "NoCandidate", "shop-1"},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			c.with(&o)
			p := failover.Decide(o)
			if p.FailoverReady.Ready != c.ready || p.FailoverReady.Rule != c.rule || !strings.Contains(p.FailoverReady.Fact, c.says) {
				t.Errorf("ready %+v, want %v by %s", p.FailoverReady, c.ready, c.rule)
			}
			if p.Evictable != c.evictable {
				t.Errorf("evictable %v, want %v", p.Evictable, c.evictable)
			}
		})
	}
}

func TestAClaimInDeletion(t *testing.T) {
	type obs = failover.Observation
	claim := func(i int) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) { o.Members[i].ClaimDeleting = true }
	}
	async := func(_ *testing.T, o *obs) { o.Settings.Lossless = false }
	left := func(clean bool) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			claim(1)(t, o)
			o.Members[1].Pod.Fenced, o.Members[1].Pod.Deleting = true, true
			delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			o.Authority.Record.Left = &authority.Left{
				Member: m1,
				DataID: "data-shop-1",
				Epoch:  1,
				Clean:  clean,
				Proof:  fencing.Demoted,
			}
		}
	}
	check(t, map[string]decision{
		"of the passive is shown": {
			from: steady,
			rule: "VolumeClaimDeleting",
			kind: failover.Holds,
			with: claim(1),
		},
		"of the primary too": {
			from: steady,
			rule: "VolumeClaimDeleting",
			kind: failover.Holds,
			with: claim(0),
		},
		"a passive whose data goes with its pod does not take over": {
			from: steady,
			rule: "NoCandidate",
			kind: failover.Holds,
			with: then(claim(1), func(_ *testing.T, o *obs) { exited(o) }),
		},
		"a failed primary is failed over to one that has everything": {
			from:  steady,
			rule:  "HolderExited",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  then(claim(0), func(_ *testing.T, o *obs) { exited(o) }),
		},
		"not in Async, where the other may lack writes": {
			from: solo,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: then(async, claim(0), func(_ *testing.T, o *obs) { exited(o) }),
		},
		"the pod of a former primary whose tail may be wanted is kept": {
			from: solo,
			rule: "VolumeClaimDeleting",
			kind: failover.Holds,
			with: left(false),
		},
		"one with nothing acknowledged is let go": {
			from:  solo,
			rule:  "ReleaseEndedPod",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with:  left(true),
		},
		"the only complete copy is kept when its pod ends": {
			from:  between,
			rule:  "VolumeClaimDeleting",
			kind:  failover.Doubts,
			steps: steps("PointService"),
			with: then(claim(0), func(t *testing.T, o *obs) {
				o.Members[1].State.Mysqld.Incarnation = "next"
				endOf(t, o)
				o.Authority.Record.LastHolder.Ended = fencing.PodTerminated
			}),
		},
	})
}

// What is printed about a claim in deletion has to work: a pod that ends is not let go by
// another deletion.
func TestTheCommandAboutAClaimInDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		ends bool
		want string
	}{
		"the pod of the passive runs": {false, "kubectl delete pod shop-1 -n ns"},
		"the pod of a former primary ends, and its data may be wanted": {
			true,
			`kubectl patch pod shop-1 -n ns --type=merge -p '{"metadata":{"finalizers":null}}'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			if c.ends {
				o = solo()
				o.Members[1].Pod.Fenced, o.Members[1].Pod.Deleting = true, true
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
				o.Authority.Record.Left = &authority.Left{
					Member: m1,
					DataID: "data-shop-1",
					Epoch:  1,
					Proof:  fencing.Demoted,
				}
			}
			o.Members[1].ClaimDeleting = true
			p := failover.Decide(o)
			if p.Rule != failover.RuleVolumeClaimDeleting || !strings.Contains(p.Fact, c.want) {
				t.Errorf("%s: %s; want the command %s", p.Rule, p.Fact, c.want)
			}
			if c.ends && strings.Contains(p.Fact, "kubectl delete pod") {
				t.Errorf("it asks for what has been done: %s", p.Fact)
			}
		})
	}
}

// When both claims are being deleted the passive is never in sync again by itself: what is printed leads out of it, first for the passive.
func TestTheCommandsAboutBothClaimsInDeletion(t *testing.T) {
	o := steady()
	o.Members[0].ClaimDeleting, o.Members[1].ClaimDeleting = true, true
	p := failover.Decide(o)
	for _, want := range []string{
		"the volume claims data-shop-0 and data-shop-1 are being deleted",
		"kubectl get pvc data-shop-0 -n ns",
		"kubectl delete pod shop-1 -n ns",
		"kubectl dbpair failover shop -n ns",
	} {
		if p.Rule != failover.RuleVolumeClaimDeleting || !strings.Contains(p.Fact, want) {
			t.Errorf("%s: %s; want %q", p.Rule, p.Fact, want)
		}
	}
	if strings.Contains(p.Fact, "until shop-1 is in sync.") {
		t.Errorf("it has a person wait for what does not come: %s", p.Fact)
	}
}

func TestPlannedEvictionsNeedNoBudget(t *testing.T) {
	check(t, map[string]decision{
		"a deleted pod is failed over beyond the budget": {
			from:  steady,
			rule:  "HolderLeaving",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].Pod.Deleting = true
				o.History.Failovers = make([]time.Time, 3)
			},
		},
	})
}

func TestASettledPairDoesNotCallItsPrimaryAlone(t *testing.T) {
	o := steady()
	o.Members[1].State.AgentVersion = "v0" // something to note beside the settled state
	for _, n := range failover.Decide(o).Notes {
		if strings.Contains(n.Fact, "alone") || strings.Contains(n.Fact, "only one") {
			t.Errorf("%s says %q", n.Rule, n.Fact)
		}
	}
	o = solo()
	o.Members[1].State = member(m1, p1, agentapi.PhaseSeeding).State
	if p := failover.Decide(o); p.FailoverReady.Ready || p.Evictable {
		t.Errorf("a primary without a second copy: %+v, evictable %v", p.FailoverReady, p.Evictable)
	}
}
