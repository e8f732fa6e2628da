package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// began is a new pair whose shop-0 has the first data and is not appointed yet.
func began() failover.Observation {
	o := fresh()
	o.Authority.Record.Data[m0] = "data-shop-0"
	o.Members[0].State.Phase = agentapi.PhaseClosed
	running(&o.Members[0], 0, 0)
	o.Members[0].Pod.Ended.LastRunning, o.Members[1].Pod.Ended.LastRunning = "c0", "c1"
	return o
}

// gone has a member not answer for so long.
func gone(o *failover.Observation, i int, silence time.Duration) {
	m := &o.Members[i]
	m.Reach, m.State, m.SilentSince = failover.TimedOut, nil, t0.Add(-silence)
}

func forceFirst(o *failover.Observation, target pair.MemberName) {
	o.Operations = []failover.Operation{op(failover.VerbForcePromote, target, 0)}
	o.Operations[0].Running = false
}

func TestBeginningThatIsStuck(t *testing.T) {
	type obs = failover.Observation
	empty := func(o *obs, i int) {
		o.Members[i].State = member(o.Members[i].Name, o.Members[i].Pod.UID, agentapi.PhaseEmpty).State
	}
	check(t, map[string]decision{
		"the first member's node goes for good before the pair ever opened": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { gone(o, 0, time.Minute) },
		},
		"a first member that is silent for a moment is waited for": {
			from: began,
			rule: "AppointFirst",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { gone(o, 0, 50*time.Second) },
		},
		"its next pod finds no node that has the volume": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, 0)
				o.Members[0].Reach, o.Members[0].SilentSince, o.History.StartedAt = failover.NoPodIP, time.Time{}, t0.Add(-time.Hour)
				o.Members[0].Pod.IP, o.Members[0].Pod.Problem = "", "Unschedulable: 1 node had volume node affinity conflict"
				o.Service.Member = m1
			},
		},
		"a pod that was made just now is waited for": {
			from: began,
			rule: "AppointFirst",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, 0)
				o.Members[0].Reach, o.Members[0].SilentSince, o.History.StartedAt = failover.NoPodIP, time.Time{}, t0.Add(-time.Hour)
				o.Members[0].Pod.CreatedAt = t0.Add(-time.Second)
			},
		},
		"the first member goes while it initializes": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				initializing(o)
				gone(o, 0, time.Minute)
			},
		},
		"first data that is lost before the appointment": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { empty(o, 0) },
		},
		"data that nobody asked for": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				initializing(o)
				o.Members[0].State.DataID = "other"
			},
		},
		"a Lease that has a stranger begin": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { o.Authority.Record.Data = map[pair.MemberName]pair.DataID{"till-0": "d"} },
		},
		"a member goes before anything was begun": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				delete(o.Authority.Record.Data, m0)
				gone(o, 0, time.Minute)
			},
		},
		"the image of a new pair's pod is pulled slowly": {
			from: began,
			rule: "AwaitMembers",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				delete(o.Authority.Record.Data, m0)
				gone(o, 0, time.Hour)
				o.Members[0].Pod.Ended.LastRunning = ""
			},
		},
		"a person begins again on the other member": {
			from:  began,
			rule:  "RestartBootstrap",
			kind:  failover.Acts,
			steps: steps("RestartBootstrap"),
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, time.Minute)
				forceFirst(o, m1)
			},
		},
		"or on the same, whose volume is new": {
			from:  began,
			rule:  "RestartBootstrap",
			kind:  failover.Acts,
			steps: steps("RestartBootstrap"),
			with: func(_ *testing.T, o *obs) {
				empty(o, 0)
				forceFirst(o, m0)
			},
		},
		"or before anything was begun": {
			from:  began,
			rule:  "RestartBootstrap",
			kind:  failover.Acts,
			steps: steps("RestartBootstrap"),
			with: func(_ *testing.T, o *obs) {
				delete(o.Authority.Record.Data, m0)
				gone(o, 0, time.Minute)
				forceFirst(o, m1)
			},
		},
		"not on a volume with data": {
			from: began,
			rule: "BootstrapStalled",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, time.Minute)
				running(&o.Members[1], 0, 0)
				o.Members[1].State.Phase = agentapi.PhaseClosed
				forceFirst(o, m1)
			},
		},
		"not while the beginning goes on": {
			from:  began,
			rule:  "AppointFirst",
			kind:  failover.Acts,
			steps: steps("AddFinalizer"),
			with:  func(_ *testing.T, o *obs) { forceFirst(o, m1) },
		},
		"not by a confirmation of another epoch": {
			from:  began,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, time.Minute)
				forceFirst(o, m1)
				o.Operations[0].Confirmed = 4
			},
		},
		"what was begun again goes on": {
			from:  began,
			rule:  "InitializeMember",
			kind:  failover.Acts,
			steps: steps("Initialize"),
			with: func(_ *testing.T, o *obs) {
				gone(o, 0, time.Minute)
				delete(o.Authority.Record.Data, m0)
				o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: m1, DataID: "d"}
				forceFirst(o, m1)
				o.Operations[0].Running = true
			},
		},
	})
}

func initializing(o *failover.Observation) {
	delete(o.Authority.Record.Data, m0)
	o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: m0, DataID: "data-shop-0"}
	o.Members[0].State.Phase = agentapi.PhaseInitializing
}

// An operation that asks for what cannot be done says why.
func TestRestartBootstrapSaysWhyNot(t *testing.T) {
	o := began()
	gone(&o, 0, time.Minute)
	forceFirst(&o, m0)
	want := []failover.Note{{Rule: failover.RuleRestartBootstrap, Kind: failover.Holds, Fact: "operation op-1 asks to begin on shop-0, but its agent does not answer (TimedOut)"}}
	if diff := cmp.Diff(want, failover.Decide(o).Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// The doubt names whom it waits for, and says that nothing was acknowledged.
func TestStuckBeginningNamesWhoIsMissing(t *testing.T) {
	o := began()
	gone(&o, 0, time.Minute)
	p := failover.Decide(o)
	if diff := cmp.Diff([]fencing.Subject{{Member: m0, PodUID: p0}}, p.Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for _, want := range []string{"never opened", "shop-0", "has not answered for 1m0s"} {
		if !strings.Contains(p.Fact, want) {
			t.Errorf("the fact does not say %q: %s", want, p.Fact)
		}
	}
	if p.Verb != failover.VerbForcePromote {
		t.Errorf("verb %q", p.Verb)
	}
}

// A beginning on another member ends the operation that asked for it; one that someone
// else has overtaken ends too.
func TestRestartBootstrapEndsItsOperation(t *testing.T) {
	ended := func(target pair.MemberName) failover.OperationNote {
		o := steady()
		o.Operations = []failover.Operation{op(failover.VerbForcePromote, target, 0)}
		o.Operations[0].Running = true
		note, ok := failover.Decide(o).Steps[0].(failover.NoteOperation)
		if !ok {
			t.Fatalf("decided %+v", failover.Decide(o))
		}
		return note.Note
	}
	if n := ended(m0); n.Phase != pair.OperationSucceeded {
		t.Errorf("the member that it named is the primary: %s: %s", n.Phase, n.Message)
	}
	if n := ended(m1); n.Phase != pair.OperationAbandoned {
		t.Errorf("the other one is the primary: %s: %s", n.Phase, n.Message)
	}
}
