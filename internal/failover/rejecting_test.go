package failover_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// killed is 300 ms after the revocation: the former primary's agent says that its mysqld
// has ended, and the Service still leads there.
func killed() failover.Observation {
	o := between()
	exited(&o)
	o.Evidence.SawEpoch(3, t0.Add(-time.Hour))
	o.Evidence.SawEpoch(4, t0.Add(-300*time.Millisecond))
	return o
}

// detached is the same a moment later: the Service has no selector, the old pod's deletion
// is accepted.
func detached() failover.Observation {
	o := killed()
	detach(&o)
	return o
}

func detach(o *failover.Observation) {
	o.Service = failover.Service{
		Reading:  failover.Read,
		Version:  "6",
		Epoch:    -1,
		Detached: p0,
	}
	o.Members[0].Pod.Deleting = true
	o.Members[1].Pod.Fenced = true
}

// appointed is after the candidate's appointment, 100 ms ago; it is not open yet.
func appointed() failover.Observation {
	o := detached()
	rec := &o.Authority.Record
	rec.Epoch = 5
	rec.Intent = nil
	rec.Holder = pair.Holder{Member: m1, PodUID: p1}
	rec.Appointed = &authority.Appointed{Holder: rec.Holder, Epoch: 5}
	rec.Ledger = authority.Ledger{Version: 8, State: authority.Solo, First: m1}
	rec.Left = &authority.Left{
		Member: m0,
		DataID: "data-shop-0",
		Epoch:  3,
		Clean:  true,
	}
	o.Evidence.SawEpoch(5, t0.Add(-100*time.Millisecond))
	o.History = failover.History{Epoch: 5, StartedAt: t0.Add(-time.Hour), HolderSince: t0.Add(-100 * time.Millisecond)}
	o.Members[1].Pod.Labels[pair.EpochLabel(5)] = "open"
	s := o.Members[1].State
	s.Phase = agentapi.PhaseOpening
	s.KnownEpoch = 5
	s.Server.Receiver.Running = false
	return o
}

// opening is the same 400 ms later.
func opening() failover.Observation {
	o := appointed()
	o.History.HolderSince = t0.Add(-400 * time.Millisecond)
	return o
}

// closing: the former primary's pod is being deleted and its mysqld still runs, so long after
// the revocation.
func closing(o *failover.Observation, since time.Duration) {
	o.Members[0].Pod.Deleting = true
	o.Members[0].State.Mysqld.Running = true
	o.Evidence.SawEpoch(0, t0)
	o.Evidence.SawEpoch(o.Authority.Record.Epoch, t0.Add(-since))
}

func late(o *failover.Observation) {
	o.Evidence.SawEpoch(0, t0)
	o.Evidence.SawEpoch(o.Authority.Record.Epoch, t0.Add(-1001*time.Millisecond))
}

// The former primary's pod refuses clients as fast as a door would, for as long as its
// agent says so. Each row takes one thing away.
func TestClientsAreLeftToThePodThatRefusesThem(t *testing.T) {
	type obs = failover.Observation
	toTheDoor := steps("AckFence", "AddFinalizer", "Fence", "Cease", "PointService")
	check(t, map[string]decision{
		"the Service is detached": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease", "DetachService"),
		},
		"detached already, the pod is deleted": {
			from:  detached,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "DeletePod", "Fence", "Cease"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = false },
		},
		"deleted by someone else, nothing is written": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = true },
		},
		"not while its mysqld runs": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
			with:  func(_ *testing.T, o *obs) { o.Members[0].State.Mysqld.Running = true },
		},
		"a pod that is being deleted may take a moment until its mysqld has ended": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease"),
			with:  func(_ *testing.T, o *obs) { closing(o, 200*time.Millisecond) },
		},
		"and no longer": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
			with:  func(_ *testing.T, o *obs) { closing(o, 300*time.Millisecond) },
		},
		"not when its agent does not answer": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
			with:  func(_ *testing.T, o *obs) { o.Members[0].Reach = failover.Refused },
		},
		"not without an address": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "DeletePod", "Cease", "PointService"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.IP = "" },
		},
		"not when its container has ended": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Cease", "PointService"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.Ended.Terminated = true },
		},
		"not to another pod": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Cease", "Fence", "PointService"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.UID, o.Members[0].State.PodUID = "pod-0b", "pod-0b" },
		},
		"not when the Service leads to a door": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
			with: func(_ *testing.T, o *obs) {
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
			},
		},
		"not when the Service is someone else's": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "DeletePod", "Fence", "Cease", "PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Service = failover.Service{Reading: failover.Read, Version: "6", Epoch: -1}
			},
		},
		"not when it was detached from another pod": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { o.Service.Detached = "pod-9" },
		},
		"not for longer than a second": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
			with:  func(_ *testing.T, o *obs) { late(o) },
		},
		"nor once detached": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { late(o) },
		},
		"nor when the agent has gone": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Reach = failover.Refused },
		},
		"not when the last holder goes on": {
			from:  detached,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Pod.Deleting = false
				o.Members[1].State.Mysqld.Incarnation = "next"
			},
		},
		"nor while the candidate does not answer yet": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { late(o); o.Members[1].Reach = failover.TimedOut },
		},
		"nor while the end of the old pod is looked at": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { lostBoth(o) },
		},
		"nor while it is written down": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(t *testing.T, o *obs) { lostBoth(o); endOf(t, o) },
		},
		"to the last holder's next pod when there is no other": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				lostBoth(o)
				o.Members[0] = member(m0, "pod-0b", agentapi.PhaseHeld)
				running(&o.Members[0], 3, 7)
				o.Members[1].Pod = failover.Pod{Reading: failover.Missing}
			},
		},
		"but not while the pair is paused": {
			from: detached,
			rule: "Paused",
			kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { late(o); o.Settings.Paused = true },
		},
		"no appointment while the Service leads to a pod that stands": {
			from:  killed,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("DetachService"),
			with:  func(t *testing.T, o *obs) { ready(t, o); o.Members[1].Pod.Fenced = true },
		},
		"once it does not, and then the deletion": {
			from:  detached,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: append(appointment, "DeletePod"),
			with:  func(t *testing.T, o *obs) { ready(t, o); o.Members[0].Pod.Deleting = false },
		},
		"nor is it deleted while the candidate applies": {
			from: detached,
			rule: "PromoteCandidate",
			kind: failover.Waits,
			with: func(t *testing.T, o *obs) {
				ready(t, o)
				o.Members[0].Pod.Deleting, o.Members[1].State.AppliedAll = false, false
			},
		},
		"and after it": {
			from:  detached,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: appointment,
			with:  func(t *testing.T, o *obs) { ready(t, o) },
		},
	})
}

// What the appointment brings with it must not come before it: a label of an epoch that
// nobody was appointed at would be doubt, and a deletion could meet a primary.
func TestTheLabelFollowsTheAppointment(t *testing.T) {
	o := detached()
	ready(t, &o)
	o.Members[0].Pod.Deleting = false
	got := failover.Decide(o).Steps[0].(failover.InOrder)
	want := []failover.Step{got.Steps[0], failover.Together{Steps: []failover.Step{
		failover.ReadLease{Member: m1},
		failover.LabelPod{Subject: fencing.Subject{Member: m1, PodUID: p1}, Set: map[string]string{pair.EpochLabel(5): "open"}},
		// An operator whose view is old, so that its appointment is refused, deletes nothing.
		failover.DeletePod{Subject: fencing.Subject{Member: m0, PodUID: p0}},
	}}}
	if diff := cmp.Diff(want[1:], got.Steps[1:]); diff != "" {
		t.Errorf("after the appointment (-want +got):\n%s", diff)
	}
	if name := stepNames(got.Steps)[0]; name != "Appoint" {
		t.Errorf("it begins with %s", name)
	}
}

// lostBoth: the former primary's container has ended, and the candidate was restarted.
func lostBoth(o *failover.Observation) {
	o.Members[0].Pod.Ended.Terminated, o.Members[0].Reach = true, failover.Refused
	o.Members[1].State.Mysqld.Incarnation = "next"
}

// ready has everything that an appointment needs beside the deletion.
func ready(t *testing.T, o *failover.Observation) {
	s := o.Members[1].State
	s.KnownEpoch = 4
	s.ReceiverStoppedAt = 4
	s.AppliedAll = true
	ceased(t, *o, m1, p1, t0)
	prove(t, *o, fencing.Subject{Member: m0, PodUID: p0})
}

func TestTheServiceMovesOnceTheNewPrimaryIsOpen(t *testing.T) {
	type obs = failover.Observation
	check(t, map[string]decision{
		"until then nothing else is written": {from: appointed, rule: "AwaitOpening", kind: failover.Waits},
		"nor is it asked again at once": {
			from: appointed,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[1].State.KnownEpoch = 4 },
		},
		"but a moment later": {
			from:  opening,
			rule:  "AwaitOpening",
			kind:  failover.Acts,
			steps: steps("ReadLease"),
			with:  func(_ *testing.T, o *obs) { o.Members[1].State.KnownEpoch = 4 },
		},
		"but the label, if it is not there": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *obs) { delete(o.Members[1].Pod.Labels, pair.EpochLabel(5)) },
		},
		"then the Service is": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Phase, o.Members[1].State.OpenEpoch = agentapi.PhaseOpen, 5
			},
		},
		"not before the deletion of the old pod is accepted": {
			from:  appointed,
			rule:  "DeleteFormerPrimaryPod",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Pod.Deleting = false
				o.Members[1].State.Phase, o.Members[1].State.OpenEpoch = agentapi.PhaseOpen, 5
			},
		},
		"which is asked for while the new one opens": {
			from:  appointed,
			rule:  "DeleteFormerPrimaryPod",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = false },
		},
		"not while the Service leads there": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Pod.Deleting, o.Members[0].Reach = false, failover.Refused
				o.Members[1].State.Phase, o.Members[1].State.OpenEpoch = agentapi.PhaseOpen, 5
				o.Service = steady().Service
			},
		},
		"to the door when it takes too long": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { late(o) },
		},
		"or the agent has gone": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Reach = failover.Refused },
		},
	})
}

// withoutPods: both pods were deleted by force, and the next ones have no address yet.
func withoutPods(o *failover.Observation) {
	for i := range o.Members {
		o.Members[i].Pod.IP = ""
		o.Members[i].Pod.UID = ""
		o.Members[i].Pod.Reading = failover.Missing
		o.Members[i].Reach = failover.NoPodIP
	}
}

// TestADetachedServiceIsNotLeftToAnAddressThatIsGone: while no pod has an address the Service
// leads to a member's door, which no pod has, and the cluster refuses clients at once. Else they
// run into connect timeouts, or reach whichever pod gets the address next.
func TestADetachedServiceIsNotLeftToAnAddressThatIsGone(t *testing.T) {
	type obs = failover.Observation
	without := func(_ *testing.T, o *obs) { withoutPods(o) }
	cases := map[string]decision{
		"while nobody is the holder": {
			from:  detached,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  without,
		},
		"while the holder's next pod is awaited": {
			from:  appointed,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  without,
		},
	}
	check(t, cases)
	for name, c := range cases {
		o := c.from()
		withoutPods(&o)
		o.Service.Detached = ""
		o.Service.Member = m0
		o.Service.Leads = failover.LeadsDoor
		o.Service.PortLeads = failover.LeadsDoor
		for _, step := range failover.Decide(o).Steps {
			if step.Name() == (failover.PointService{}).Name() {
				t.Errorf("%s: a Service with a selector is moved between pods that are gone", name)
			}
		}
	}
}

// A look comes when clients are left to the pod no longer, and no question outlasts that.
func TestTheNextLookComesBeforeThePatienceEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		from func() failover.Observation
		want time.Duration
	}{
		"while nobody is the holder": {detached, 700 * time.Millisecond},
		"while the new one opens":    {opening, 900 * time.Millisecond},
		"and has time to read so":    {appointed, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if p := failover.Decide(tc.from()); p.After != tc.want {
				t.Errorf("the next look after %s, want %s (%s: %s)", p.After, tc.want, p.Rule, p.Fact)
			}
		})
	}
}
