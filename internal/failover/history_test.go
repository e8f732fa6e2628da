package failover_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/failover"
)

// failing: what Decide says is executed and fails, over the same authority.
func failing(o *failover.Observation) {
	o.History = o.History.After(*o, failover.Decide(*o), failover.Outcome{Failed: true})
}

// What only writes something down stands before nothing that moves roles or the ledger, and
// a step that fails keeps nobody from acting.
func TestBookkeepingStandsBeforeNothing(t *testing.T) {
	type obs = failover.Observation
	unlabeled := func(o *obs) { delete(o.Members[1].Pod.Labels, failover.LabelReadable) }
	unfenced := func(o *obs) { o.Members[0].Pod.Fenced = false }
	waits := func(o *obs) { o.Members[0].State.Server.OldestWait = 6 * time.Second }
	finished := func(o *obs) {
		f := op(failover.VerbFailover, "", -1)
		f.ByOperator, f.Epoch, f.From = true, 2, m1
		o.Operations = []failover.Operation{f}
	}
	check(t, map[string]decision{
		"a label": {from: steady, rule: "LabelsFollow", kind: failover.Acts, steps: steps("LabelPod"),
			with: func(_ *testing.T, o *obs) { unlabeled(o) }},
		"a label does not keep the primary from going on alone": {from: steady, rule: "SoloEntry", kind: failover.Acts, steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) { unlabeled(o); waits(o) }},
		"nor does the record of an operation": {from: steady, rule: "SoloEntry", kind: failover.Acts, steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) { finished(o); waits(o) }},
		"nor the answer to one from a failover": {from: steady, rule: "HolderExited", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { refusable(o); exited(o) }},
		"nor a finalizer that cannot be written": {from: steady, rule: "SoloEntry", kind: failover.Acts, steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) { unfenced(o); failing(o); waits(o) }},
		"a Service that cannot be written does not keep the ledger back": {from: steady, rule: "SoloEntry", kind: failover.Acts, steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) {
				o.Service.Leads, o.Service.PortLeads = failover.LeadsDoor, failover.LeadsDoor
				failing(o)
				waits(o)
			}},
		"what failed is tried again when nothing else is due": {from: steady, rule: "FinalizerOnHolder", kind: failover.Acts, steps: steps("AddFinalizer"),
			with: func(_ *testing.T, o *obs) { unfenced(o); failing(o) }},
		"and at once over another authority": {from: steady, rule: "FinalizerOnHolder", kind: failover.Acts, steps: steps("AddFinalizer"),
			with: func(_ *testing.T, o *obs) { unfenced(o); unlabeled(o); failing(o); o.Authority.Version = "11" }},
		"a label gets its turn beside a step that is repeated": {from: solo, rule: "LabelsFollow", kind: failover.Acts, steps: steps("LabelPod"),
			with: func(_ *testing.T, o *obs) { unlabeled(o); done(o) }},
		"and the step after it": {from: solo, rule: "BeginJoining", kind: failover.Acts, steps: steps("Fence"),
			with: func(_ *testing.T, o *obs) { unlabeled(o); done(o); done(o) }},
		"a way to a new holder is not passed over for another one": {from: between, rule: "PromoteCandidate", kind: failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease", "PointService"), with: func(_ *testing.T, o *obs) { failing(o) }},
		"a doubt about the Lease leaves labels alone": {from: steady, rule: "AuthorityRolledBack", kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { unlabeled(o); o.Members[1].State.KnownEpoch = 9 }},
		"but an operation that does not fit is answered": {from: steady, rule: "OperationRefused", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { refusable(o); o.Members[1].State.KnownEpoch = 9 }},
		"not while the pair is paused": {from: steady, rule: "Paused", kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { refusable(o); o.Settings.Paused = true }},
	})
}

func refusable(o *failover.Observation) {
	o.Operations = []failover.Operation{op(failover.VerbForcePromote, m1, 1)}
	o.Operations[0].Running = false
}

func TestAHistoryIsAValue(t *testing.T) {
	o := steady()
	o.Members[0].Pod.Fenced = false
	before := o.History.After(o, failover.Decide(o), failover.Outcome{})
	want := before.After(o, failover.Plan{}, failover.Outcome{Failed: true})
	if diff := cmp.Diff(before, want); diff != "" {
		t.Errorf("a plan without steps is no attempt:\n%s", diff)
	}
	_ = before.After(o, failover.Decide(o), failover.Outcome{Failed: true})
	if diff := cmp.Diff(before, want); diff != "" {
		t.Errorf("what follows changed what was before:\n%s", diff)
	}
}
