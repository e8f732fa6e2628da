package failover_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// failing: what Decide says is executed and fails, over the same authority.
func failing(o *failover.Observation) {
	o.History = o.History.After(*o, failover.Decide(*o), failover.Outcome{Failed: true})
}

// What only writes something down stands before nothing that moves roles or the ledger, and
// a step that fails keeps nobody from acting.
func TestBookkeepingStandsBeforeNothing(t *testing.T) {
	type obs = failover.Observation
	unlabeled := func(o *obs) { delete(o.Members[1].Pod.Labels, pair.LabelReadable) }
	unfenced := func(o *obs) { o.Members[0].Pod.Fenced = false }
	waits := func(o *obs) { o.Members[0].State.Server.OldestWait = 6 * time.Second }
	finished := func(o *obs) {
		f := op(failover.VerbFailover, "", -1)
		f.ByOperator = true
		f.Epoch = 2
		f.From = m1
		o.Operations = []failover.Operation{f}
	}
	check(t, map[string]decision{
		"a label": {
			from:  steady,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *obs) { unlabeled(o) },
		},
		"a label does not keep the primary from going on alone": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *obs) { unlabeled(o); waits(o) },
		},
		"nor does the record of an operation": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *obs) { finished(o); waits(o) },
		},
		"nor the answer to one from a failover": {
			from:  steady,
			rule:  "HolderExited",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { refusable(o); exited(o) },
		},
		"nor a finalizer that cannot be written": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *obs) { unfenced(o); failing(o); waits(o) },
		},
		"a Service that cannot be written does not keep the ledger back": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) {
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				failing(o)
				waits(o)
			},
		},
		"what failed is tried again when nothing else is due": {
			from:  steady,
			rule:  "FinalizerOnHolder",
			kind:  failover.Acts,
			steps: steps("AddFinalizer"),
			with:  func(_ *testing.T, o *obs) { unfenced(o); failing(o) },
		},
		"and at once over another authority": {
			from:  steady,
			rule:  "FinalizerOnHolder",
			kind:  failover.Acts,
			steps: steps("AddFinalizer"),
			with:  func(_ *testing.T, o *obs) { unfenced(o); unlabeled(o); failing(o); o.Authority.Version = "11" },
		},
		"a label gets its turn beside a step that is repeated": {
			from:  solo,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *obs) { unlabeled(o); done(o) },
		},
		"and the step after it": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  func(_ *testing.T, o *obs) { unlabeled(o); done(o); done(o) },
		},
		"a way to a new holder is not passed over for another one": {
			from:  between,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease", "PointService"),
			with:  func(_ *testing.T, o *obs) { failing(o) },
		},
		"a doubt about the Lease leaves labels alone": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { unlabeled(o); o.Members[1].State.KnownEpoch = 9 },
		},
		"but an operation that does not fit is answered": {
			from:  steady,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  func(_ *testing.T, o *obs) { refusable(o); o.Members[1].State.KnownEpoch = 9 },
		},
		"not while the pair is paused": {
			from: steady,
			rule: "Paused",
			kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { refusable(o); o.Settings.Paused = true },
		},
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

func TestMemoryBeginsAgainWithEachHolder(t *testing.T) {
	o := steady()
	o.History = failover.History{StartedAt: t0}.Next(o)
	h := o.History
	if !h.HolderOpened || !h.HolderSince.Equal(t0) || !h.LostSince.IsZero() || h.Epoch != 0 {
		t.Fatalf("history %+v", h)
	}
	lost := o
	lost.Now = t0.Add(time.Minute)
	lost.Members[1].Reach = failover.TimedOut
	if h = h.Next(lost); !h.LostSince.Equal(lost.Now) || !h.HolderSince.Equal(t0) {
		t.Errorf("history %+v", h)
	}
	later := lost
	later.Now = t0.Add(2 * time.Minute)
	if h = h.Next(later); !h.LostSince.Equal(lost.Now) {
		t.Errorf("the beginning of the loss moved to %s", h.LostSince)
	}
	unread := between()
	unread.Authority = failover.Authority{Problem: "timeout"}
	if again := h.Next(unread); !again.HolderOpened || again.Holder != h.Holder {
		t.Error("something was learned from an authority that was not read")
	}
	if h = h.Next(between()); h.HolderOpened || !h.HolderSince.IsZero() || !h.LostSince.IsZero() || !h.LastOpen.Equal(o.Members[0].HeardAt) {
		t.Errorf("history without a holder %+v", h)
	}
}

// TestTheFormerPrimaryWasHeardLastByItsPeer: an operator looks at a pair at rest every 15 seconds,
// and its members speak with each other all the time.
func TestTheFormerPrimaryWasHeardLastByItsPeer(t *testing.T) {
	o := steady()
	h := failover.History{}.Next(o)
	lost := steady()
	lost.Now = t0.Add(20 * time.Second)
	lost.Members[0].Reach = failover.TimedOut
	lost.Members[1].HeardAt = lost.Now
	lost.Members[1].State.PeerSilentFor = 6 * time.Second
	h = h.Next(lost)
	want := t0.Add(14 * time.Second)
	if h = h.Next(between()); !h.LastOpen.Equal(want) {
		t.Errorf("the former primary was heard last %s, want %s", h.LastOpen, want)
	}
	if !h.PeerHeard.IsZero() {
		t.Errorf("the time at which the peer last heard the former primary is kept for the next one: %s", h.PeerHeard)
	}
}

// edited is a pair whose passive lacks writes, and whose ledger was edited to say that it
// has them.
func edited(t *testing.T, h failover.History, change func(*authority.Record)) failover.Observation {
	t.Helper()
	o := solo()
	o.History = h.Next(o)
	for i := range o.Members {
		r := o.Authority.Record
		o.Members[i].State.Ledger = o.Members[i].State.Ledger.With(agentapi.SeenLedger{
			Epoch:        r.Epoch,
			Version:      r.Ledger.Version,
			State:        string(r.Ledger.State),
			First:        r.Ledger.First,
			Incarnations: r.Ledger.Incarnations,
			Holder:       r.Holder.String(),
		})
	}
	rec := o.Authority.Record.Clone()
	change(&rec)
	o.Authority.Record = rec
	o.Authority.Version = "11"
	return o
}

func TestAModifiedLeaseIsInDoubtForAsLongAsItLasts(t *testing.T) {
	fresh := failover.History{StartedAt: t0.Add(-time.Hour)}
	forged := pair.Holder{Member: m1, PodUID: p1}
	for name, change := range map[string]func(*authority.Record){
		"a solo ledger into both": func(r *authority.Record) { r.Ledger = steady().Authority.Record.Ledger },
		"the runs of a ledger": func(r *authority.Record) {
			r.Ledger.Incarnations = map[pair.MemberName]pair.Incarnation{m0: "next"}
		},
		"another holder, with an appointment": func(r *authority.Record) {
			r.Holder = forged
			r.Ledger.First = m1
			r.Appointed = &authority.Appointed{Holder: forged, Epoch: r.Epoch}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := edited(t, fresh, change)
			for _, when := range []string{"at once", "at the next observation", "and after it", "for a new operator", "and its next observation"} {
				if when == "for a new operator" {
					o.History = fresh
				}
				o.History = o.History.Next(o)
				p := failover.Decide(o)
				if p.Rule != failover.RuleAuthorityChangedByOthers || p.Kind != failover.Doubts || p.FailoverReady.Ready {
					t.Fatalf("%s: %s (%s), ready %v: %s", when, p.Rule, p.Kind, p.FailoverReady.Ready, p.Fact)
				}
			}
			undone := o
			undone.Authority.Record = solo().Authority.Record
			undone.History = fresh.Next(undone)
			if p := failover.Decide(undone); p.Kind == failover.Doubts {
				t.Errorf("undone: %s: %s", p.Rule, p.Fact)
			}
			o.Operations = []failover.Operation{op(failover.VerbAdopt, m0, o.Authority.Record.Epoch)}
			p := failover.Decide(o)
			if p.Rule != failover.RuleAdoptRequested || len(p.Steps) != 1 {
				t.Fatalf("adopt: %s (%s): %s", p.Rule, p.Kind, p.Fact)
			}
			c := p.Steps[0].(failover.ChangeAuthority)
			adopted, err := c.Change.Apply(c.From)
			if err != nil {
				t.Fatal(err)
			}
			o.Authority.Record = adopted
			o.Authority.Version = "12"
			o.Evidence.SawEpoch(adopted.Epoch, o.Now)
			for who, h := range map[string]failover.History{
				"the operator that adopted":   o.History.After(o, p, failover.Outcome{Wrote: &adopted}),
				"one that had seen the edit":  o.History,
				"one that had not seen it":    fresh,
				"one that ended after a read": fresh.Next(edited(t, fresh, change)),
			} {
				o.History = h.Next(o)
				if p := failover.Decide(o); p.Kind == failover.Doubts {
					t.Errorf("%s, after the adoption: %s: %s", who, p.Rule, p.Fact)
				}
			}
		})
	}
}

// An operator's own chain of changes is accepted step by step.
func TestOwnChangesAreAccepted(t *testing.T) {
	o := solo()
	h := failover.History{}.Next(o)
	for _, change := range []authority.Change{
		authority.BeginJoining{First: m0, Joining: m1},
		authority.ConcludeBoth{
			First:        m0,
			Joined:       m1,
			Version:      8,
			Incarnations: map[pair.MemberName]pair.Incarnation{m0: "a", m1: "b"},
		},
		authority.Revoke{Intent: authority.Intent{Operation: "op", Target: m1, Rule: "HolderExited"}},
	} {
		next, err := change.Apply(o.Authority.Record)
		if err != nil {
			t.Fatal(err)
		}
		o.Authority.Record = next
		h = h.Next(o)
		if h.Accepted.Epoch != next.Epoch || !h.Accepted.Ledger.Same(next.Ledger) {
			t.Errorf("%s was not accepted: %+v", change.Name(), h.Accepted)
		}
	}
}
