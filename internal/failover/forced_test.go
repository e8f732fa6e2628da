package failover_test

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// forces has an operation force shop-1, with or without the permission to discard.
func forces(discard bool) failover.Operation {
	o := op(failover.VerbForcePromote, m1, 3)
	o.DiscardUnapplied = discard
	return o
}

// stuckByError is between two holders: shop-0 is lost, and the applier of shop-1, which has
// stopped to receive, has stopped with an error.
func stuckByError(t *testing.T, o *failover.Observation) {
	t.Helper()
	fenced(o)
	ceased(t, *o, m1, p1, t0)
	o.Members[0].Pod.Deleting = false
	o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State
	s := o.Members[1].State
	s.AppliedAll = false
	s.Server.Applier = agentapi.ChannelThread{LastErrno: 1062, LastError: "duplicate"}
	s.Server.GTIDExecuted, s.Server.GTIDReceived = serverOf(m0)+":1-4", serverOf(m0)+":1-7"
}

func TestUnappliedTransactionsAreDiscardedOnRequestOnly(t *testing.T) {
	type obs = failover.Observation
	late := func(o *obs) { o.Now = t0.Add(o.Settings.ApplyTimeout) }
	slow := func(t *testing.T, o *obs) {
		stuckByError(t, o)
		o.Members[1].State.Server.Applier = agentapi.ChannelThread{Running: true}
	}
	check(t, map[string]decision{
		"an operation that allows it has the candidate discard": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("Discard", "DeletePod", "Fence"),
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				o.Operations = []failover.Operation{forces(true)}
			},
		},
		"one that does not allow it discards nothing": {
			from: between,
			rule: "CandidateStuck",
			kind: failover.Doubts,
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				o.Operations = []failover.Operation{forces(false)}
			},
		},
		"a second one that allows it counts": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("Discard", "DeletePod", "Fence"),
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				second := forces(true)
				second.Name = "op-2"
				o.Operations = []failover.Operation{forces(false), second}
			},
		},
		"one of another epoch does not": {
			from: between,
			rule: "CandidateStuck",
			kind: failover.Doubts,
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				o.Operations = []failover.Operation{forces(true)}
				o.Operations[0].Confirmed = 1
			},
		},
		"nothing is discarded while the member still receives": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("AckFence", "DeletePod", "Fence"),
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				o.Members[1].State.ReceiverStoppedAt = 0
				o.Operations = []failover.Operation{forces(true)}
			},
		},
		"nor while it goes on applying in time": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("DeletePod", "Fence"),
			with: func(t *testing.T, o *obs) {
				slow(t, o)
				o.Operations = []failover.Operation{forces(true)}
			},
		},
		"what it has not applied within applyTimeout is": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("Discard"),
			with: func(t *testing.T, o *obs) {
				slow(t, o)
				late(o)
				o.Operations = []failover.Operation{forces(true)}
			},
		},
		"but not without the permission": {
			from: between,
			rule: "CandidateStuck",
			kind: failover.Doubts,
			with: func(t *testing.T, o *obs) {
				slow(t, o)
				late(o)
				o.Operations = []failover.Operation{forces(false)}
			},
		},
		"a member that discards is not appointed before that": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("Discard"),
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				endOf(t, o)
				o.Operations = []failover.Operation{forces(true)}
			},
		},
		"and is after it": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				stuckByError(t, o)
				endOf(t, o)
				o.Operations = []failover.Operation{forces(true)}
				s := o.Members[1].State
				s.AppliedAll = true
				s.Server.Applier = agentapi.ChannelThread{}
			},
		},
		"an open primary is not revoked for a member that cannot be opened": {
			from: steady,
			rule: "ForcePromotionRequested",
			kind: failover.Holds,
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.Applier.LastErrno = 1062
				o.Operations = []failover.Operation{forces(false)}
			},
		},
		"it is when that may discard": {
			from:  steady,
			rule:  "ForcePromotionRequested",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.Applier.LastErrno = 1062
				o.Operations = []failover.Operation{forces(true)}
			},
		},
	})
}

// The report of a forced promotion has what was given up.
func TestWhatWasDiscardedIsReported(t *testing.T) {
	o := between()
	stuckByError(t, &o)
	endOf(t, &o)
	o.Operations = []failover.Operation{forces(true)}
	s := o.Members[1].State
	s.AppliedAll = true
	s.Server.Applier = agentapi.ChannelThread{}
	s.Discarded = &agentapi.Discarded{
		Operation:    "op-1",
		Epoch:        4,
		DataID:       s.DataID,
		GTIDs:        serverOf(m0) + ":5-7",
		Transactions: 3,
		Directory:    "/var/lib/dbpair/quarantine/x",
		Files:        []string{"relay.000002"},
	}
	p := failover.Decide(o)
	noted := p.Operation != nil && p.Operation.Discarded == s.Discarded
	said := strings.Contains(p.Fact, "3 transactions") && strings.Contains(p.Fact, "quarantine/x")
	if !noted || !said {
		t.Errorf("plan %s, note %+v", p.Fact, p.Operation)
	}
}

// An operator that appointed may not have lived to note it: its successor does.
func TestASuccessorReportsWhatWasDiscarded(t *testing.T) {
	o := steady()
	d := &agentapi.Discarded{
		Operation:    "op-1",
		Epoch:        2,
		DataID:       "data-shop-0",
		GTIDs:        serverOf(m1) + ":5-7",
		Transactions: 3,
	}
	o.Members[0].State.Discarded = d
	o.Operations = []failover.Operation{forces(true)}
	o.Operations[0].Target, o.Operations[0].Epoch, o.Operations[0].From = m0, 2, m1
	if got := note(t, failover.Decide(o)); got.Phase != pair.OperationSucceeded || got.Discarded != d {
		t.Errorf("note %+v", got)
	}
	o.Operations[0].Name = "op-2"
	if got := note(t, failover.Decide(o)); got.Discarded != nil {
		t.Errorf("what an earlier operation discarded is in the report: %+v", got.Discarded)
	}
}

// The former primary has what was given up: it is errant, held, and counts as in sync no more.
func TestADiscardedTransactionIsErrantOnTheFormerPrimary(t *testing.T) {
	discarded := serverOf(m1) + ":5-7"
	o := solo()
	// shop-1 is the former primary here: it is closed, and has what shop-0 gave up.
	o.Members[0].State.Server.BinlogGTIDs = serverOf(m0) + ":1," + serverOf(m1) + ":1-4"
	s := o.Members[1].State
	s.Server.BinlogGTIDs = serverOf(m1) + ":1-7"
	s.Server.Receiver.Running = false
	s.Compared = &agentapi.Comparison{
		DataID:            s.DataID,
		Incarnation:       s.Mysqld.Incarnation,
		HolderDataID:      o.Members[0].State.DataID,
		HolderIncarnation: o.Members[0].State.Mysqld.Incarnation,
		Errant:            discarded,
	}
	delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	p := failover.Decide(o)
	if p.Rule != failover.RuleDiverged || p.Kind != failover.Holds || len(p.Steps) > 0 {
		t.Errorf("%s (%s) with steps %v: %s; want that it is held", p.Rule, p.Kind, p.Steps, p.Fact)
	}
}
