package failover_test

import (
	"slices"
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

func exited(o *failover.Observation) {
	s := o.Members[0].State
	s.Phase = agentapi.PhaseHeld
	s.OpenEpoch = 0
	s.UncleanAt = 3
	s.Mysqld = agentapi.Mysqld{LastExit: "signal killed"}
}

func silent(o *failover.Observation, forOperator, forPeer time.Duration) {
	o.Members[0].Reach, o.Members[0].SilentSince = failover.TimedOut, t0.Add(-forOperator)
	o.Members[1].State.PeerSilentFor = forPeer
}

func op(v failover.Verb, target pair.MemberName, epoch pair.Epoch) failover.Operation {
	return failover.Operation{
		Name:          "op-1",
		Verb:          v,
		Target:        target,
		Confirmed:     epoch,
		ConfirmedPair: "shop",
		Running:       true,
	}
}

func TestRevocation(t *testing.T) {
	type obs = failover.Observation
	away := func(o *obs) {
		o.Members[1].Reach, o.Members[1].SilentSince = failover.TimedOut, t0.Add(-time.Minute)
		delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	}
	check(t, map[string]decision{
		"a mysqld that ended is failed over at once": {
			from:  steady,
			rule:  "HolderExited",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { exited(o) },
		},
		"not with a peer that was restarted": {from: steady, rule: "NoCandidate", kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { exited(o); o.Members[1].State.Mysqld.Incarnation = "next" }},
		"not outside the ledger": {
			from: solo,
			rule: "NoCandidate",
			kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { exited(o) },
		},
		"not in mode Manual": {from: steady, rule: "FailoverDue", kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { exited(o); o.Settings.AutomaticFailover = false }},
		"not beyond the budget": {from: steady, rule: "FlapBudgetSpent", kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { exited(o); o.History.Failovers = make([]time.Time, 3) }},
		"not when paused": {
			from: steady,
			rule: "Paused",
			kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { exited(o); o.Settings.Paused = true },
		},
		"a recovery in place is not death": {from: steady, rule: "AwaitOpening", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				exited(o)
				o.Members[0].State.Phase, o.Members[0].State.Mysqld.Running = agentapi.PhaseRecovering, true
			}},
		"a hung mysqld is failed over": {from: steady, rule: "HolderHung", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.ServerAge = 6 * time.Second }},
		"one with a commit that waits in vain is not hung": {from: steady, rule: "InSync", kind: failover.Settled,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.ServerAge = 6 * time.Second
				o.Members[0].State.Server.WaitSessions, o.Members[0].State.Server.OldestWait = 1, 2*time.Second
			}},
		"one that stopped in the middle of ordinary commits is hung": {
			from:  steady,
			rule:  "HolderHung",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.ServerAge = 6 * time.Second
				o.Members[0].State.Server.WaitSessions, o.Members[0].State.Server.OldestWait = 8, 3*time.Millisecond
			},
		},
		"silence to operator and peer is failed over": {
			from:  steady,
			rule:  "HolderSilent",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { silent(o, 6*time.Second, 6*time.Second) },
		},
		"silence to the operator alone is a cut link": {from: steady, rule: "HolderUnhealthy", kind: failover.Holds,
			with: func(_ *testing.T, o *obs) { silent(o, 6*time.Second, time.Second) }},
		"silence to the peer alone too": {from: steady, rule: "InSync", kind: failover.Settled,
			with: func(_ *testing.T, o *obs) { o.Members[1].State.PeerSilentFor = time.Minute }},
		"a member that has not been tried is not silent": {from: steady, rule: "AwaitOpening", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				silent(o, 0, time.Minute)
				o.Members[0].Reach, o.Members[0].SilentSince = failover.NotTried, time.Time{}
			}},
		"a new pod may stay silent for initialDelay": {from: steady, rule: "HolderUnhealthy", kind: failover.Holds,
			with: func(_ *testing.T, o *obs) {
				silent(o, 6*time.Second, 6*time.Second)
				o.Members[0].Pod.CreatedAt, o.History.HolderOpened = t0.Add(-10*time.Second), false
			}},
		"a deleted pod is failed over": {from: steady, rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = true }},
		"a primary that was asked to end, with its pod not deleted, is failed over": {
			from:  steady,
			rule:  "PrimaryPodEnding",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].State.Ending = true },
		},
		"a solo primary that was asked to end goes on in place": {from: solo, rule: "PrimaryPodEnding", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Ending = true; away(o) }},
		"nobody fails over to a member that was asked to end": {from: steady, rule: "PrimaryPodEnding", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Ending, o.Members[1].State.Ending = true, true }},
		"a primary that was asked to end waits for a person in Manual mode": {
			from: steady,
			rule: "PrimaryPodEnding",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Ending, o.Settings.AutomaticFailover = true, false },
		},
		"a solo holder's pod that ended is revoked for its next pod": {
			from:  solo,
			rule:  "HolderLeaving",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting, o.Members[0].Pod.Ended.Terminated = true, true },
		},
		"a replaced pod is failed over": {from: steady, rule: "HolderReplaced", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0] = member(m0, "pod-0b", agentapi.PhaseHeld)
				running(&o.Members[0], 3, 7)
			}},
		"a lost volume is failed over": {from: steady, rule: "HolderDataLost", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State }},
		"a lost volume of a solo holder is doubt": {from: solo, rule: "NoTrustedCopy", kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) { o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State }},
		"a restarted solo holder without its peer's word gets a new epoch": {
			from:  solo,
			rule:  "PeerConfirmationMissing",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch, o.Members[0].State.NeedsConfirmation = agentapi.PhaseClosed, 0, true
				o.Members[0].State.PeerSilentFor = time.Minute
				away(o)
			},
		},
		"a person starts a failover beyond the budget": {
			from:  steady,
			rule:  "FailoverRequested",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Operations = []failover.Operation{op(failover.VerbFailover, "", -1)}
				o.History.Failovers = make([]time.Time, 3)
			},
		},
		"a person's failover that was given up is not begun again": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				begun := op(failover.VerbFailover, "", -1)
				begun.Running = true
				begun.Epoch = o.Authority.Record.Epoch - 1
				begun.From = m0
				o.Operations = []failover.Operation{begun}
			},
		},
		"a person fences": {from: steady, rule: "FenceRequested", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Operations = []failover.Operation{op(failover.VerbFence, "", -1)} }},
		"a person forces a promotion out of the ledger": {
			from:  solo,
			rule:  "ForcePromotionRequested",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  func(_ *testing.T, o *obs) { o.Operations = []failover.Operation{op(failover.VerbForcePromote, m1, 3)} },
		},
		"an operation that is older than the pair is refused, also one that was begun": {
			from:  steady,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.CreatedAt = t0.Add(-time.Hour)
				o.Operations = []failover.Operation{{
					Name: "op", Verb: failover.VerbForcePromote, Target: m1, Confirmed: 3, ConfirmedPair: "shop", Running: true, CreatedAt: t0.Add(-2 * time.Hour),
				}}
			},
		},
		"one that names another pair of this name is refused": {
			from:  steady,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Operations = []failover.Operation{{
					Name: "op", Verb: failover.VerbForcePromote, Target: m1, Confirmed: 3, ConfirmedPair: "shop", PairUID: "pair-0",
				}}
			},
		},
		"one that names this very pair is not": {
			from:  solo,
			rule:  "ForcePromotionRequested",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Operations = []failover.Operation{{
					Name: "op", Verb: failover.VerbForcePromote, Target: m1, Confirmed: 3, ConfirmedPair: "shop", PairUID: "pair-1",
				}}
			},
		},
		"a confirmation of another epoch is refused": {
			from:  steady,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				o.Operations = []failover.Operation{op(failover.VerbForcePromote, m1, 2)}
				o.Operations[0].Running = false
			},
		},
		"an operation that has done its work is finished": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				f := op(failover.VerbFailover, "", -1)
				f.ByOperator = true
				f.Epoch = 2
				f.From = m1
				o.Operations = []failover.Operation{f}
			},
		},
		"a confirmed death whose word was used is finished": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  func(_ *testing.T, o *obs) { o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m1, 1)} },
		},
		"also when that member goes on": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  func(_ *testing.T, o *obs) { o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m0, 1)} },
		},
		"an appointment of which there is no record is recorded": {
			from:  steady,
			rule:  "OperationLost",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  func(_ *testing.T, o *obs) { unrecorded(o) },
		},
		"once": {from: steady, rule: "InSync", kind: failover.Settled,
			with: func(_ *testing.T, o *obs) { unrecorded(o); o.History.Recorded = "shop-failover-2" }},
		"not before its own operator can have done it": {from: steady, rule: "InSync", kind: failover.Settled,
			with: func(_ *testing.T, o *obs) { unrecorded(o); o.History.HolderSince = t0.Add(-2 * time.Second) }},
		"nor one that a person asked for and deleted": {from: steady, rule: "InSync", kind: failover.Settled,
			with: func(_ *testing.T, o *obs) { unrecorded(o); o.Authority.Record.Appointed.Operation = "by-hand" }},
		"adopting after a rollback starts above what was seen": {
			from:  steady,
			rule:  "AdoptRequested",
			kind:  failover.Acts,
			steps: steps("Adopt"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.KnownEpoch = 9
				o.Operations = []failover.Operation{op(failover.VerbAdopt, m1, 3)}
			},
		},
	})
}

// The next observation finds no doubt any more, and refused the operation that it had just
// carried out.
func TestAnAdoptionThatWasCarriedOutHasSucceeded(t *testing.T) {
	o := steady()
	o.Members[1].State.KnownEpoch = 9
	o.Operations = []failover.Operation{op(failover.VerbAdopt, m1, 3)}
	plan := failover.Decide(o)
	if plan.Rule != failover.RuleAdoptRequested || plan.Operation == nil || plan.Operation.Phase != pair.OperationSucceeded {
		t.Errorf("rule %s records %+v", plan.Rule, plan.Operation)
	}
}

// unrecorded: shop-0 was appointed at epoch 3 by an operator that did not record it.
func unrecorded(o *failover.Observation) {
	rec := &o.Authority.Record
	rec.LastHolder = &authority.LastHolder{Holder: pair.Holder{Member: m1, PodUID: p1}, DataID: "data-shop-1", Epoch: 1}
	rec.Appointed.Operation = "shop-failover-2"
	rec.Appointed.Rule = "HolderExited"
	rec.Appointed.Proofs = []authority.Used{{Subject: "shop-1/pod-1", Kind: fencing.Demoted, Request: "r"}}
}

// What the record of a lost operation says comes from the authority.
func TestTheAuthorityRemembersTheFailover(t *testing.T) {
	o := steady()
	unrecorded(&o)
	p := failover.Decide(o)
	note := p.Steps[0].(failover.NoteOperation).Note
	note.Message = ""
	want := failover.OperationNote{
		Name: "shop-failover-2", Verb: failover.VerbFailover, Rule: "HolderExited", Phase: pair.OperationRunning,
		Epoch: 2, From: m1, To: m0, Proof: fencing.Demoted,
	}
	if diff := cmp.Diff(want, note); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func fenced(o *failover.Observation) {
	s := o.Members[1].State
	s.KnownEpoch = 4
	s.ReceiverStoppedAt = 4
	s.AppliedAll = true
	s.Server.Receiver.Running = false
	o.Members[0].Pod.Deleting = true
	o.Members[1].Pod.Fenced = true
	o.Service = failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m1,
	}
}

// asyncTail: commits wait for nobody, and the former primary has one that the candidate
// has not received yet.
func asyncTail(o *failover.Observation) {
	o.Settings.Lossless = false
	o.Members[0].State.Server.BinlogGTIDs = serverOf(m0) + ":1-9"
	o.Members[1].State.Server.GTIDReceived = serverOf(m0) + ":1-8"
}

// closedTail: the former primary has answered a fence, and what else a course needs is there.
func closedTail(t *testing.T, o *failover.Observation) {
	t.Helper()
	o.Members[0].State.OpenEpoch = 0
	o.Members[0].State.Server.SuperReadOnly = true
	o.Members[1].Pod.Fenced = true
	o.Service = failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m1,
	}
	prove(t, *o, fencing.Subject{Member: m0, PodUID: p0})
	ceased(t, *o, m1, p1, t0)
}

// ceased notes that a member acknowledged the present epoch.
func ceased(t *testing.T, o failover.Observation, m pair.MemberName, uid pair.PodUID, at time.Time) {
	t.Helper()
	req, err := o.Evidence.Ask(fencing.Subject{Member: m, PodUID: uid}, o.Authority.Record.Epoch, "cease", at)
	if err != nil {
		t.Fatal(err)
	}
	reply := agentapi.FenceReply{RequestID: "cease", Member: m, PodUID: uid, Epoch: o.Authority.Record.Epoch, Ceased: true}
	if err := o.Evidence.Ceased(req, reply, at); err != nil {
		t.Fatal(err)
	}
}

// appointment is that of a member to which the Service leads only after it has opened.
var appointment = steps("Appoint", "ReadLease", "LabelPod")

func TestBetween(t *testing.T) {
	type obs = failover.Observation
	old := fencing.Subject{Member: m0, PodUID: p0}
	lost := func(o *obs) { o.Members[1].State.Mysqld.Incarnation = "next" }
	check(t, map[string]decision{
		"everything that can go on at once goes on": {from: between, rule: "PromoteCandidate", kind: failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease", "PointService")},
		"with a proof and all applied the candidate is appointed": {
			from:  between,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: appointment,
			with:  func(t *testing.T, o *obs) { fenced(o); ceased(t, *o, m1, p1, t0); prove(t, *o, old) },
		},
		"not before it has applied all": {from: between, rule: "PromoteCandidate", kind: failover.Waits,
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				prove(t, *o, old)
				o.Members[1].State.AppliedAll = false
			}},
		"beside the deletion of the old pod": {
			from:  between,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: append(appointment, "DeletePod"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				prove(t, *o, old)
				o.Members[0].Pod.Deleting = false
			},
		},
		"in Async a former primary that answers delivers first what it has acknowledged": {
			from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("Cease", "AddFinalizer", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) { asyncTail(o) },
		},
		"in Async the receiver of the candidate goes on until it has everything": {
			from: between, rule: "PromoteCandidate", kind: failover.Waits,
			with: func(t *testing.T, o *obs) { asyncTail(o); closedTail(t, o) },
		},
		"in Async the receiver is stopped once the candidate has everything": {
			from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("AckFence"),
			with: func(t *testing.T, o *obs) {
				asyncTail(o)
				closedTail(t, o)
				o.Members[1].State.Server.GTIDReceived = o.Members[0].State.Server.BinlogGTIDs
			},
		},
		"in Async nobody waits for what a mysqld that has ended would have delivered": {
			from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("AckFence"),
			with: func(t *testing.T, o *obs) {
				asyncTail(o)
				closedTail(t, o)
				o.Members[0].State.Mysqld.Running = false
			},
		},
		"in Async the wait for what a former primary delivers is bounded": {
			from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("AckFence"),
			with: func(t *testing.T, o *obs) {
				asyncTail(o)
				closedTail(t, o)
				o.Now = t0.Add(o.Settings.DeadAfter)
			},
		},
		"not without a proof": {from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("Fence"),
			with: func(t *testing.T, o *obs) { fenced(o); ceased(t, *o, m1, p1, t0) }},
		"an authority that ran out is a proof": {
			from:  between,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				o.Now = t0.Add(7001 * time.Millisecond)
			},
		},
		"not a moment too soon": {from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("Fence"),
			with: func(t *testing.T, o *obs) { fenced(o); ceased(t, *o, m1, p1, t0); o.Now = t0.Add(7 * time.Second) }},
		"in Async it is none": {from: between, rule: "AwaitingProof", kind: failover.Doubts, steps: steps("Fence"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				o.Settings.Lossless = false
				o.Now = t0.Add(time.Minute)
			}},
		"an administrator's confirmation is": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Fence", "AdminConfirmation"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				o.Settings.Lossless = false
				o.Now = t0.Add(time.Minute)
				o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m0, 3)}
			},
		},
		"that it is used is noted first": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Fence", "NoteOperation"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				o.Settings.Lossless = false
				o.Now = t0.Add(time.Minute)
				o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m0, 3)}
				o.Operations[0].Running = false
			},
		},
		"an ended pod is looked at": {from: between, rule: "PromoteCandidate", kind: failover.Acts, steps: steps("ProvePod"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				o.Members[0].Pod.Ended.Terminated = true
			}},
		"a candidate that was restarted is given up for the last holder": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Cease", "Fence", "PointService"),
			with:  func(_ *testing.T, o *obs) { lost(o) },
		},
		"so is one that cannot be opened with its settings": {from: between, rule: "Abandon", kind: failover.Acts,
			steps: steps("Cease", "Fence", "PointService"), with: func(_ *testing.T, o *obs) {
				o.Members[1].State.WrongSettings = []string{"gtid_mode: want ON, is ON_PERMISSIVE"}
			}},
		"which goes on when its peer answered closed": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Appoint", "ReadLease", "PointService"),
			with: func(t *testing.T, o *obs) {
				lost(o)
				ceased(t, *o, m0, p0, t0)
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
			},
		},
		"a peer without a pod may have one that nobody knows of": {from: between, rule: "Abandon", kind: failover.Waits,
			with: func(t *testing.T, o *obs) { podless(o); ceased(t, *o, m0, p0, t0) }},
		"until its authority has run out": {from: between, rule: "Abandon", kind: failover.Acts, steps: appointment,
			with: func(t *testing.T, o *obs) {
				podless(o)
				ceased(t, *o, m0, p0, t0)
				o.Now = t0.Add(7001 * time.Millisecond)
			}},
		"also in Async, where there is nobody to ask": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				podless(o)
				ceased(t, *o, m0, p0, t0)
				o.Settings.Lossless = false
				o.Now = t0.Add(7001 * time.Millisecond)
			},
		},
		"or a person says that there is none": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Cease", "AdminConfirmation"),
			with: func(_ *testing.T, o *obs) {
				podless(o)
				o.Now = t0.Add(time.Minute)
				o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m1, 3)}
			},
		},
		"a candidate needs none for a member whose end is proven": {
			from:  between,
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				fenced(o)
				ceased(t, *o, m1, p1, t0)
				prove(t, *o, old)
				o.Members[0] = failover.Member{Name: m0, Pod: failover.Pod{Reading: failover.Missing}}
			},
		},
		"a candidate that is too slow as well": {
			from:  between,
			rule:  "AwaitingProof",
			kind:  failover.Doubts,
			steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) {
				fenced(o)
				o.Members[0].Pod.Deleting = false
				o.Members[1].State.AppliedAll = false
				o.Now = t0.Add(time.Minute)
			},
		},
		"beside one that is too slow the last holder's pod is let go, for its next one": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				endOf(t, o)
				o.Authority.Record.LastHolder.Ended = fencing.PodTerminated
				o.Members[1].State.AppliedAll = false
				o.Now = t0.Add(time.Minute)
			},
		},
		"the last holder's data goes on in a new pod": {from: between, rule: "ReappointHolder", kind: failover.Acts,
			steps: steps("Cease", "AddFinalizer", "Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) {
				lost(o)
				o.Members[0] = member(m0, "pod-0b", agentapi.PhaseHeld)
				running(&o.Members[0], 3, 7)
			}},
		"the end of its old pod is looked at": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("ProvePod", "Cease", "PointService"),
			with: func(_ *testing.T, o *obs) {
				lost(o)
				o.Members[0].Pod.Deleting, o.Members[0].Pod.Ended.Terminated = true, true
			},
		},
		"written down": {from: between, rule: "ReappointHolder", kind: failover.Acts, steps: steps("RecordEnd"),
			with: func(t *testing.T, o *obs) { lost(o); endOf(t, o) }},
		"and its finalizer taken off": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with: func(t *testing.T, o *obs) {
				lost(o)
				endOf(t, o)
				o.Authority.Record.LastHolder.Ended = fencing.PodTerminated
			},
		},
		"clients are led to the only pod that has an address while both begin": {
			from:  between,
			rule:  "ReappointHolder",
			kind:  failover.Waits,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				bothBegin(o)
				o.Service = doorOf(m1)
			},
		},
		"and stay there": {
			from: between,
			rule: "PromoteCandidate",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				bothBegin(o)
				o.Members[1] = member(m1, "pod-1b", agentapi.PhaseHeld)
				o.Members[1].Reach = failover.TimedOut
				o.Members[1].State = nil
				o.Service = doorOf(m0)
			},
		},
		"nobody with every write is doubt": {
			from:  between,
			rule:  "NoTrustedCopy",
			kind:  failover.Doubts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				lost(o)
				o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State
			},
		},
		"an applier that failed, and no last holder, is doubt": {
			from:  between,
			rule:  "CandidateStuck",
			kind:  failover.Doubts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.Applier.LastErrno = 1062
				o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State
			},
		},
		"a candidate's pod that is deleted before its appointment is let go when there is nothing new to do": {
			from: between, rule: "ReleaseEndedPod", kind: failover.Acts, steps: steps("RemoveFinalizer"),
			with: func(_ *testing.T, o *obs) { fenced(o); o.Members[1].Pod.Deleting = true; done(o) }},
		"a fence holds": {
			from:  between,
			rule:  "ManuallyFenced",
			kind:  failover.Doubts,
			steps: steps("Fence", "Fence", "PointService"),
			with:  func(_ *testing.T, o *obs) { o.Operations = []failover.Operation{op(failover.VerbFence, "", -1)} },
		},
		"until it is released, to the last holder": {
			from:  between,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Authority.Record.Intent.Target = m0
				o.Operations = []failover.Operation{op(failover.VerbFence, "", -1), {
					Name:      "op-2",
					Verb:      failover.VerbRelease,
					Confirmed: -1,
					Running:   true,
				}}
			},
		},
		"a forced promotion needs its proof too": {
			from:  between,
			rule:  "ForcedPromotion",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with: func(t *testing.T, o *obs) {
				fenced(o)
				lost(o)
				ceased(t, *o, m1, p1, t0)
				o.Operations = []failover.Operation{op(failover.VerbForcePromote, m1, 3)}
			},
		},
	})
}

// done: what Decide says is executed, and nothing has changed since.
func done(o *failover.Observation) {
	o.History = o.History.After(*o, failover.Decide(*o), failover.Outcome{})
}

// podless: the candidate's pod is gone, and the last holder could go on.
func podless(o *failover.Observation) {
	o.Members[1] = failover.Member{Name: m1, Pod: failover.Pod{Reading: failover.Missing}, SilentSince: t0.Add(-time.Minute)}
	o.Service = doorOf(m0)
}

// bothBegin: both pods were deleted. The last holder's next one has an address, and its agent
// does not answer yet; the other has none.
func bothBegin(o *failover.Observation) {
	o.Members[0] = member(m0, "pod-0b", agentapi.PhaseHeld)
	o.Members[0].Reach = failover.TimedOut
	o.Members[0].State = nil
	o.Members[1] = failover.Member{Name: m1, Pod: failover.Pod{Reading: failover.Missing}, SilentSince: t0.Add(-time.Minute)}
}

// doorOf is a Service that leads to the door of a member.
func doorOf(m pair.MemberName) failover.Service {
	return failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m,
	}
}

func endOf(t *testing.T, o *failover.Observation) {
	t.Helper()
	pod := &o.Members[0].Pod
	pod.Deleting = true
	pod.Fenced = true
	pod.Ended.Terminated = true
	req, err := o.Evidence.Ask(fencing.Subject{Member: m0, PodUID: p0}, 4, "end", t0)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := fencing.FromPod(req, fencing.PodFacts{
		UID:          p0,
		Deleting:     true,
		Terminated:   true,
		ContainerID:  "c",
		KubeletEnded: true,
	}, t0)
	if err != nil {
		t.Fatal(err)
	}
	o.Evidence.Add(proof)
}

func TestEveryRuleIsListedOnceAndTested(t *testing.T) {
	seen := map[failover.RuleName]bool{}
	for _, r := range failover.RuleNames {
		if seen[r] {
			t.Errorf("rule %s is listed twice", r)
		}
		seen[r] = true
	}
	for _, r := range failover.DoubtRules {
		if !slices.Contains(failover.RuleNames, r) {
			t.Errorf("doubt %s is no rule", r)
		}
	}
}

func TestAdoptionOfVolumesTakesTheNewerLedger(t *testing.T) {
	foreign := func(o *failover.Observation, i int, epoch pair.Epoch, version pair.LedgerVersion, state, first, holder string) {
		m := &o.Members[i]
		m.State.Phase = agentapi.PhaseForeign
		m.State.Found = &agentapi.FoundVolume{
			PairUID: "old", Namespace: "ns", Pair: "shop", Member: m.Name, DataID: pair.DataID("old-" + string(m.Name)), KnownEpoch: epoch,
			Ledger: &agentapi.SeenLedger{
				Epoch:   epoch,
				Version: version,
				State:   state,
				First:   pair.MemberName(first),
				Holder:  holder,
			},
		}
	}
	for name, c := range map[string]struct {
		set  func(*failover.Observation)
		want pair.MemberName // empty: doubt
	}{
		"solo names the one": {func(o *failover.Observation) {
			foreign(o, 0, 5, 8, "both", "", "shop-0/x")
			foreign(o, 1, 5, 9, "solo", "shop-1", "shop-1/y")
		}, m1},
		"both: the holder": {func(o *failover.Observation) {
			foreign(o, 0, 5, 9, "both", "", "shop-0/x")
			foreign(o, 1, 5, 9, "both", "", "shop-0/x")
		}, m0},
		"the one named is not there": {func(o *failover.Observation) { foreign(o, 0, 5, 9, "solo", "shop-1", "shop-1/y") }, ""},
		"both, and the other volume is gone, which may have been promoted since": {func(o *failover.Observation) {
			foreign(o, 0, 5, 9, "both", "", "shop-0/x")
		}, ""},
		"joining, and the other volume is gone, which may have been in sync since": {func(o *failover.Observation) {
			foreign(o, 0, 5, 9, "joining", "shop-0", "shop-0/x")
		}, ""},
		"solo, and the other volume is gone": {func(o *failover.Observation) { foreign(o, 0, 5, 9, "solo", "shop-0", "shop-0/x") }, m0},
		"one cannot be asked": {func(o *failover.Observation) {
			foreign(o, 0, 5, 9, "solo", "shop-0", "shop-0/y")
			o.Members[1].Reach = failover.TimedOut
		}, ""},
		"a volume of a pair of another name": {func(o *failover.Observation) {
			foreign(o, 0, 5, 9, "solo", "shop-0", "shop-0/y")
			o.Members[0].State.Found.Pair = "other"
		}, ""},
	} {
		for _, from := range []func() failover.Observation{newPair, fresh} {
			o := from()
			c.set(&o)
			p := failover.Decide(o)
			if c.want == "" {
				if slices.Contains(stepNames(p.Steps), "Adopt") || slices.Contains(stepNames(p.Steps), "Bootstrap") {
					t.Errorf("%s: %s does %v", name, p.Rule, stepNames(p.Steps))
				}
				continue
			}
			var got authority.Record
			switch s := p.Steps[0].(type) {
			case failover.CreateAuthority:
				got = s.Record
			case failover.ChangeAuthority:
				got, _ = s.Change.Apply(s.From)
			}
			o.Settings.Copies = true
			if p := failover.Decide(o); len(p.Steps) > 0 || p.Rule != "AuthorityMissing" || !strings.Contains(p.Fact, "spec.bootstrap") {
				t.Errorf("%s, with spec.bootstrap: %s %s", name, p.Rule, p.Fact)
			}
			if p.Rule != "AdoptVolumes" || got.LastHolder == nil || got.LastHolder.Holder.Member != c.want || got.Epoch != 6 {
				t.Errorf("%s: %s makes %+v", name, p.Rule, got)
			}
		}
	}
}
