package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

// nodeLost: the node of the primary, or the last one, has been silent for a minute.
func nodeLost(_ *testing.T, o *failover.Observation) {
	o.Members[0].Reach, o.Members[0].SilentSince = failover.TimedOut, t0.Add(-2*time.Minute)
	o.Members[0].State = nil
	o.Members[1].State.PeerSilentFor = 2 * time.Minute
}

func TestASoloPrimaryOnALostNodeGoesOnInItsNextPod(t *testing.T) {
	type obs = failover.Observation
	old := fencing.Subject{Member: m0, PodUID: p0}
	tainted := func(_ *testing.T, o *obs) { o.Members[0].Pod.NodeOutOfService = failover.Yes }
	confirmed := func(_ *testing.T, o *obs) {
		o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m0, 3)}
	}
	alone := func(_ *testing.T, o *obs) {
		o.Authority.Record.Ledger = solo().Authority.Record.Ledger
		o.Authority.Record.Intent.Target = m0
		o.Authority.Record.Intent.Rule = "HolderNodeLost"
		o.Service = failover.Service{
			Reading:   failover.Read,
			Version:   "6",
			Epoch:     -1,
			Leads:     failover.LeadsDoor,
			PortLeads: failover.LeadsDoor,
			Member:    m1,
		}
	}
	later := func(t *testing.T, o *obs) {
		ceased(t, *o, m1, p1, t0.Add(-time.Minute))
		o.Now = t0.Add(time.Minute)
	}
	ended := func(_ *testing.T, o *obs) { o.Authority.Record.LastHolder.Ended = fencing.NodeOutOfService }
	deleting := func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting, o.Members[0].Pod.Fenced = true, true }
	outOfService := func(t *testing.T, o *obs) {
		req, err := o.Evidence.Ask(old, 4, "node", o.Now)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := fencing.FromNode(req, "node-pod-0", fencing.NodeFacts{Name: "node-pod-0", OutOfService: true}, o.Now)
		if err != nil {
			t.Fatal(err)
		}
		o.Evidence.Add(proof)
	}
	check(t, map[string]decision{
		"by the taint of its node": {
			from:  solo,
			rule:  "HolderNodeLost",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  then(nodeLost, tainted),
		},
		"by a confirmation": {
			from:  solo,
			rule:  "HolderNodeLost",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  then(nodeLost, confirmed),
		},
		"not while it answers": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  tainted,
		},
		"without either it is a doubt": {
			from: solo,
			rule: "NoTrustedCopy",
			kind: failover.Doubts,
			with: nodeLost,
		},
		"the assertion is asked for": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Fence", "ProveNode"),
			with:  then(nodeLost, tainted, alone, later, asyncMode),
		},
		"written down": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("RecordEnd"),
			with:  then(nodeLost, tainted, alone, later, outOfService),
		},
		"the pod deleted": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with:  then(nodeLost, tainted, alone, later, outOfService, ended),
		},
		"and let go": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with:  then(nodeLost, tainted, alone, later, outOfService, ended, deleting),
		},
		"a pod that Kubernetes does not remove is a doubt in the end": {
			from: between,
			rule: "NoTrustedCopy",
			kind: failover.Doubts,
			with: then(nodeLost, alone, later, ended, deleting, func(_ *testing.T, o *obs) {
				o.Members[0].Pod.Fenced = false
				o.Now = t0.Add(2 * time.Minute)
			}),
		},
		"an authority that ran out lets a pod go that ends without a proof": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with:  then(nodeLost, alone, later, deleting),
		},
		"in Async that is a doubt": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Fence"),
			with:  then(nodeLost, alone, later, deleting, asyncMode),
		},
		"also when its container has ended without being a proof": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("ProvePod"),
			with:  then(nodeLost, alone, later, deleting, asyncMode, func(_ *testing.T, o *obs) { o.Members[0].Pod.Ended.Terminated = true }),
		},
	})
}

// In Async the primary's container was restarted while the node of the passive is down.
func TestAPrimaryGoesOnInAsyncWhileItsPassiveIsDown(t *testing.T) {
	down := func(t *testing.T, o *failover.Observation) {
		o.Settings.Lossless = false
		o.Authority.Record.Intent.Target = m0
		o.Members[1].Reach, o.Members[1].SilentSince, o.Members[1].State = failover.TimedOut, t0.Add(-time.Minute), nil
		o.Service = failover.Service{
			Reading:   failover.Read,
			Version:   "6",
			Epoch:     -1,
			Leads:     failover.LeadsDoor,
			PortLeads: failover.LeadsDoor,
			Member:    m0,
		}
		ceased(t, *o, m0, p0, t0)
	}
	check(t, map[string]decision{
		"once the authority that the passive could know has run out": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: appointment,
			with:  then(down, func(_ *testing.T, o *failover.Observation) { o.Now = t0.Add(8 * time.Second) }),
		},
		"not before": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  then(down, func(_ *testing.T, o *failover.Observation) { o.Now = t0.Add(6 * time.Second) }),
		},
	})
}

func asyncMode(_ *testing.T, o *failover.Observation) {
	o.Settings.Lossless = false
	o.Members[1].State.Server.LagSeconds = 99 // too late to take over
}

func TestTheDoubtAboutALostNodeSaysWhatEachVerbCosts(t *testing.T) {
	o := solo()
	nodeLost(t, &o)
	p := failover.Decide(o)
	for _, want := range []string{
		"kubectl taint node node-pod-0 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
		"kubectl dbpair confirm-dead shop shop-0 -n ns", "nothing is lost",
		"To lose what only its volume has: kubectl dbpair force-promote shop shop-1 -n ns",
	} {
		if !strings.Contains(p.Fact, want) {
			t.Errorf("the fact %q does not say %q", p.Fact, want)
		}
	}
	if p.Verb != failover.VerbConfirmDead || len(p.Missing) != 1 || p.Missing[0].PodUID != p0 {
		t.Errorf("verb %s, missing %v", p.Verb, p.Missing)
	}
}
