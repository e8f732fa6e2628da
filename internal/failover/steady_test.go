package failover_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

type decision struct {
	from func() failover.Observation
	with func(t *testing.T, o *failover.Observation)
	rule failover.RuleName
	kind failover.Kind
	// steps that the plan has, Together unfolded and changes of the authority by name.
	steps []failover.StepName
}

func check(t *testing.T, cases map[string]decision) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := c.from()
			if c.with != nil {
				c.with(t, &o)
			}
			p := failover.Decide(o)
			if p.Rule != c.rule || p.Kind != c.kind {
				t.Errorf("rule %s (%s): %s\nwant %s (%s)", p.Rule, p.Kind, p.Fact, c.rule, c.kind)
			}
			if diff := cmp.Diff(c.steps, stepNames(p.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if p.Fact == "" {
				t.Error("the plan states no fact")
			}
			if p.Kind == failover.Doubts && (p.Verb == failover.VerbNone || !slices.Contains(failover.DoubtRules, p.Rule)) {
				t.Errorf("a doubt %s with verb %q", p.Rule, p.Verb)
			}
		})
	}
}

func steps(names ...failover.StepName) []failover.StepName { return names }

func TestBootstrap(t *testing.T) {
	named := func(o *failover.Observation) {
		o.Authority.Record.Data[m0] = "data-shop-0"
		o.Members[0].State.Phase = agentapi.PhaseClosed
		running(&o.Members[0], 0, 0)
	}
	check(t, map[string]decision{
		"a new pair gets an authority": {
			from:  newPair,
			rule:  "CreateAuthority",
			kind:  failover.Acts,
			steps: steps("CreateAuthority"),
		},
		"a missing authority of a pair whose status has an epoch is doubt": {
			from: newPair,
			rule: "AuthorityMissing",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.History.Epoch = 2 },
		},
		"a missing authority of a pair whose agent knows an epoch is doubt": {
			from: newPair,
			rule: "AuthorityMissing",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].State.KnownEpoch = 2 },
		},
		"but not while a member's pod does not exist": {
			from: newPair,
			rule: "AuthorityMissing",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.KnownEpoch = 2
				o.Members[0] = failover.Member{Name: m0, Pod: failover.Pod{Reading: failover.Missing}}
			},
		},
		"a blank authority over a volume with data is doubt": {
			from: fresh,
			rule: "AuthorityMissing",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { running(&o.Members[1], 0, 0) },
		},
		"two empty volumes let member 0 begin": {
			from:  fresh,
			rule:  "BootstrapMember",
			kind:  failover.Acts,
			steps: steps("Bootstrap"),
		},
		"nobody begins while the other volume may hold data": {
			from: fresh,
			rule: "AwaitMembers",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].Reach, o.Members[1].State, o.Members[1].MadeForPair = failover.Refused, nil, failover.Unknown
			},
		},
		"the other pod may be late when its volume is new": {
			from:  fresh,
			rule:  "BootstrapMember",
			kind:  failover.Acts,
			steps: steps("Bootstrap"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].Reach, o.Members[1].State = failover.NoPodIP, nil
			},
		},
		"the chosen member is asked to initialize": {
			from:  fresh,
			rule:  "InitializeMember",
			kind:  failover.Acts,
			steps: steps("Initialize"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: m0, DataID: "d"}
			},
		},
		"its work is waited for": {
			from: fresh,
			rule: "InitializeMember",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: m0, DataID: "d"}
				o.Members[0].State.Phase = agentapi.PhaseInitializing
			},
		},
		"its data gets known": {
			from:  fresh,
			rule:  "NameInitialData",
			kind:  failover.Acts,
			steps: steps("NameData"),
			with: func(_ *testing.T, o *failover.Observation) {
				named(o)
				delete(o.Authority.Record.Data, m0)
				o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: m0, DataID: "data-shop-0"}
			},
		},
		"the finalizer comes before the appointment": {
			from:  fresh,
			rule:  "AppointFirst",
			kind:  failover.Acts,
			steps: steps("AddFinalizer"),
			with:  func(_ *testing.T, o *failover.Observation) { named(o) },
		},
		"the member with the first data is appointed": {
			from:  fresh,
			rule:  "AppointFirst",
			kind:  failover.Acts,
			steps: steps("Appoint", "ReadLease"),
			with:  func(_ *testing.T, o *failover.Observation) { named(o); o.Members[0].Pod.Fenced = true },
		},
		"a pod that was to be appointed and is deleted is let go": {
			from:  fresh,
			rule:  "ReleaseEndedPod",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with: func(_ *testing.T, o *failover.Observation) {
				named(o)
				o.Members[0].Pod.Fenced, o.Members[0].Pod.Deleting = true, true
			},
		},
		"the Service leads to a door before anybody is primary": {
			from:  fresh,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Service = failover.Service{Reading: failover.Read, Epoch: -1}
			},
		},
	})
}

func TestAppointFirstMakesARecord(t *testing.T) {
	o := fresh()
	o.Authority.Record.Data[m0] = "data-shop-0"
	o.Members[0].State.Phase, o.Members[0].Pod.Fenced = agentapi.PhaseClosed, true
	running(&o.Members[0], 0, 0)
	change := failover.Decide(o).Steps[0].(failover.InOrder).Steps[0].(failover.ChangeAuthority)
	got, err := change.Change.Apply(change.From)
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != 1 || got.Holder != (pair.Holder{Member: m0, PodUID: p0}) || got.Ledger.State != authority.Solo || got.Ledger.First != m0 {
		t.Errorf("first appointment made %+v", got)
	}
}

func TestSteady(t *testing.T) {
	empty := func(_ *testing.T, o *failover.Observation) {
		o.Members[1].State = member(m1, p1, agentapi.PhaseEmpty).State
		delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	}
	closed := func(t *testing.T, o *failover.Observation) { prove(t, *o, fencing.Subject{Member: m1, PodUID: p1}) }
	joining := func() failover.Observation {
		o := steady()
		o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Joining, First: m0}
		return o
	}
	check(t, map[string]decision{
		"the best state is settled": {from: steady, rule: "InSync", kind: failover.Settled},
		"nothing is done when paused": {
			from: steady,
			rule: "Paused",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.Paused = true; o.Members[0].Pod.Fenced = false },
		},
		"nothing is done when deleted": {
			from: steady,
			rule: "Deleting",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.Deleting = true },
		},
		"an unreadable authority is waited for": {
			from: steady,
			rule: "AuthorityUnreadable",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) { o.Authority = failover.Authority{Problem: "timeout"} },
		},
		"an agent that knows a higher epoch is doubt": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].State.KnownEpoch = 9 },
		},
		"an agent that knows a newer ledger is doubt": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[0].State.ActedLedger = 8 },
		},
		"one that answered after the read is no doubt": {
			from: steady,
			rule: "StaleObservation",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.ActedLedger, o.Members[0].HeardAt = 8, t0.Add(time.Millisecond)
			},
		},
		"an agent that answered after the read is no doubt": {
			from: steady,
			rule: "StaleObservation",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.KnownEpoch, o.Members[1].HeardAt = 9, t0.Add(time.Millisecond)
			},
		},
		"a foreign write is doubt": {
			from: steady,
			rule: "AuthorityChangedByOthers",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) {
				old := o.Authority.Record.Clone()
				o.History.Accepted = &old
				o.Authority.Record.Holder = pair.Holder{Member: m1, PodUID: p1}
			},
		},
		"an authority of another pair is doubt": {
			from: steady,
			rule: "AuthorityMalformed",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Authority.Record.PairUID = "other" },
		},
		"the holder's pod gets the finalizer": {
			from:  steady,
			rule:  "FinalizerOnHolder",
			kind:  failover.Acts,
			steps: steps("AddFinalizer"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].Pod.Fenced = false },
		},
		"the passive's pod loses it": {
			from:  steady,
			rule:  "ReleaseEndedPod",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Fenced = true },
		},
		"a Service that leads elsewhere is repaired": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Service.PortLeads = failover.LeadsDoor },
		},
		"a door is left alone until the holder is open": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseOpening, 0
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
			},
		},
		"a holder about to open is labeled ahead": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseOpening, 0
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
				o.Members[0].Pod.Labels = map[string]string{}
			},
		},
		"an open holder's pod is labeled before the Service leads to it": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
				o.Members[0].Pod.Labels = map[string]string{}
			},
		},
		"and the Service is led to it when the label was seen": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
			},
		},
		"a Service at the wrong member's door is moved": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseOpening, 0
				o.Service.Leads = failover.LeadsDoor
				o.Service.PortLeads = failover.LeadsDoor
				o.Service.Epoch = -1
				o.Service.Member = m1
			},
		},
		"stale labels go": {
			from:  steady,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels[pair.EpochLabel(2)] = "open" },
		},
		"a holder that is not open is waited for": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseOpening, 0
			},
		},
		"a passive found writable is fenced": {
			from:  steady,
			rule:  "PassiveFoundWritable",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].State.Server.SuperReadOnly = false },
		},
		"one finding is one fence: it has answered since": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(t *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.SuperReadOnly = false
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
			},
		},
		"nor when the answer is heard again and mysqld was not looked at since": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(t *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.SuperReadOnly = false
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
				o.Now = o.Now.Add(300 * time.Millisecond)
				o.Members[1].HeardAt, o.Members[1].State.ServerAge = o.Now, 400*time.Millisecond
			},
		},
		"one that is writable again is fenced again": {
			from:  steady,
			rule:  "PassiveFoundWritable",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with: func(t *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.SuperReadOnly = false
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
				o.Now = o.Now.Add(time.Second)
				o.Members[1].HeardAt, o.Members[1].State.ServerAge = o.Now, 100*time.Millisecond
			},
		},
		"and no more often after the second answer": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(t *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.SuperReadOnly = false
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
				o.Now = o.Now.Add(time.Second)
				o.Members[1].HeardAt = o.Now
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
			},
		},
		"not before the primary is open": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseOpening, 0
				o.Members[1].State.Server.SuperReadOnly = false
			},
		},
		"commits that did not wait end the ledger's both": {
			from:  steady,
			rule:  "SemiSyncInterrupted",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.SemiSyncLostAt = 7 },
		},
		"a primary that says that its commits do not wait under a ledger that is both": {
			from:  steady,
			rule:  "SemiSyncInterrupted",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.OpenedAt = t0.Add(-time.Minute)
				o.Members[0].State.Server.Waiting = false
			},
		},
		"what mysqld said before it was opened is no interruption": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.OpenedAt = t0.Add(-2 * time.Second)
				o.Members[0].State.Server.Waiting = false
				o.Members[0].State.ServerAge = 3 * time.Second
			},
		},
		"also those under the joining before it: they may have come after the comparison": {
			from:  steady,
			rule:  "SemiSyncInterrupted",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.SemiSyncLostAt = 6 },
		},
		"not those that the passive was verified to have": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[0].State.SemiSyncLostAt = 5 },
		},
		"commits that did not wait while the passive joins begin the joining again": {
			from:  steady,
			rule:  "SemiSyncInterrupted",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Joining, First: m0}
				o.Members[0].State.SemiSyncLostAt = 7
			},
		},
		"a primary alone need not wait": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.SemiSyncLostAt = 7 },
		},
		"a primary that ended after it said so is not failed over": {
			from:  steady,
			rule:  "SemiSyncInterrupted",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.SemiSyncLostAt = 7
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseHeld, 0
				o.Members[0].State.UncleanAt = 3
				o.Members[0].State.Mysqld = agentapi.Mysqld{Exits: 1, LastExit: "signal killed"}
				o.Members[0].State.Server = nil
			},
		},
		"a label of a later epoch than the Lease's is not taken off": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels[pair.EpochLabel(5)] = "open" },
		},
		"nor is a Service that leads by one moved": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Service.Epoch = 5 },
		},
		"a pod that is older than the pair says nothing about it": {
			from:  steady,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.CreatedAt = t0.Add(-time.Minute)
				o.Members[1].Pod.Labels[pair.EpochLabel(5)] = "open"
				o.Service.CreatedAt = t0
			},
		},
		"a blank Lease beside a labeled pod is a lost one": {
			from: fresh,
			rule: "AuthorityMissing",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels[pair.EpochLabel(5)] = "open" },
		},
		"a commit that waits too long makes the primary solo": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.Server.OldestWait = 6 * time.Second },
		},
		"a passive that is in the middle of receiving it is not lost": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: receiving(7*time.Second, 300*time.Millisecond),
		},
		"one that stores nothing any more is": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  receiving(9*time.Second, 6*time.Second),
		},
		"one that began to receive after the commit is": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  receiving(3*time.Second, 300*time.Millisecond),
		},
		"one that does not acknowledge is": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: then(receiving(7*time.Second, 300*time.Millisecond), func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.ReplicaSemiSync = false
			}),
		},
		"one whose last report is old is": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: then(receiving(7*time.Second, 300*time.Millisecond), func(_ *testing.T, o *failover.Observation) {
				o.Members[1].HeardAt = o.Now.Add(-o.Settings.PassiveTimeout)
			}),
		},
		"with Block it waits on": {
			from: steady,
			rule: "WritesBlocked",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.ContinueAlone = false
				o.Members[0].State.Server.OldestWait = 6 * time.Second
			},
		},
		"with Block a lost passive waits for Continue": {
			from: steady,
			rule: "WritesBlocked",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.ContinueAlone = false
				o.Members[1] = member(m1, p1, agentapi.PhaseEmpty)
			},
		},
		"and is copied once that is set": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1] = member(m1, p1, agentapi.PhaseEmpty) },
		},
		"right after an appointment the passive gets time": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.HolderSince = t0.Add(-time.Second)
				o.Members[0].State.Server.OldestWait = 6 * time.Second
			},
		},
		"a passive without its data makes the primary solo": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  empty,
		},
		"a closed holder whose passive stays away goes on alone": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseClosed, 0
				o.History.LostSince = t0.Add(-time.Minute)
				o.History.Closed = failover.Closed{Since: t0.Add(-time.Minute), Incarnation: "inc-shop-0"}
			},
		},
		"an empty passive's entry is forgotten first": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  empty,
		},
		"so is that of a passive that cannot catch up": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  behindPurged,
		},
		"but not of one that has transactions of its own": {
			from: solo,
			rule: "PassiveLacksData",
			kind: failover.Holds,
			with: func(t *testing.T, o *failover.Observation) {
				behindPurged(t, o)
				o.Members[1].State.Compared.Errant = "00000000-0000-0000-0000-0000000000bb:1"
			},
		},
		"nor of one that was not compared in this run": {
			from: solo,
			rule: "PassiveLacksData",
			kind: failover.Holds,
			with: func(t *testing.T, o *failover.Observation) {
				behindPurged(t, o)
				o.Members[1].State.Compared.Incarnation = "former"
			},
		},
		"nor of one that lacks what is still there": {
			from: solo,
			rule: "AwaitStreaming",
			kind: failover.Waits,
			with: func(t *testing.T, o *failover.Observation) {
				behindPurged(t, o)
				o.Members[1].State.Lacks = nil
			},
		},
		"nor of one whose published state is older than the primary's": {
			from: solo,
			rule: "AwaitStreaming",
			kind: failover.Waits,
			with: func(t *testing.T, o *failover.Observation) {
				behindPurged(t, o)
				o.Members[1].State.Lacks = nil
				o.Members[0].State.Server.PurgedGTIDs = "00000000-0000-0000-0000-0000000000aa:1-9"
				o.Members[1].State.Server.GTIDReceived = "00000000-0000-0000-0000-0000000000aa:1-4"
			},
		},
		"then it is seeded": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with: func(t *testing.T, o *failover.Observation) {
				empty(t, o)
				delete(o.Authority.Record.Data, m1)
				o.Authority.Record.Seeding = &authority.Seeding{Member: m1, DataID: "fresh"}
			},
		},
		"its copying is waited for": {
			from: solo,
			rule: "AwaitSeed",
			kind: failover.Waits,
			with: func(t *testing.T, o *failover.Observation) {
				empty(t, o)
				o.Members[1].State.Phase = agentapi.PhaseSeeding
			},
		},
		"its new data gets known": {
			from:  solo,
			rule:  "NameSeededData",
			kind:  failover.Acts,
			steps: steps("NameData"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.DataID = "fresh"
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
				delete(o.Authority.Record.Data, m1)
				o.Authority.Record.Seeding = &authority.Seeding{Member: m1, DataID: "fresh"}
			},
		},
		"data that nobody asked for is kept": {
			from: solo,
			rule: "Diverged",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.DataID = "strange"
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			},
		},
		"it does not join before the primary acts on the ledger that left it alone": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("ReadLease"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.ActedLedger = 6 },
		},
		"before it joins the passive answers that it is closed": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("Fence"),
		},
		"a passive whose pod is being deleted does not join": {
			from: solo,
			rule: "Replicating",
			kind: failover.Waits,
			with: func(t *testing.T, o *failover.Observation) {
				closed(t, o)
				o.Members[1].Pod.Deleting = true
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			},
		},
		"a passive whose agent was asked to end does not join": {
			from: solo,
			rule: "Replicating",
			kind: failover.Waits,
			with: func(t *testing.T, o *failover.Observation) {
				closed(t, o)
				o.Members[1].State.Ending = true
			},
		},
		"then it is compared and joins": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  closed,
		},
		"a joining primary has to wait first": {
			from:  joining,
			rule:  "AwaitSemiSyncEnabled",
			kind:  failover.Acts,
			steps: steps("ReadLease"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.ActedLedger = 6 },
		},
		"then the passive is verified to have everything": {
			from:  joining,
			rule:  "ConcludeJoining",
			kind:  failover.Acts,
			steps: steps("ConcludeJoining"),
			with:  closed,
		},
		"a joining primary alone becomes solo again": {
			from:  joining,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[0].State.Server.OldestWait = 6 * time.Second },
		},
		"a restarted passive is shown to be in sync again": {
			from:  steady,
			rule:  "IncarnationChanged",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with: func(t *testing.T, o *failover.Observation) {
				closed(t, o)
				o.Members[1].State.Mysqld.Incarnation = "next"
			},
		},
		"a passive that does not stream is waited for": {
			from: solo,
			rule: "AwaitStreaming",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.Receiver.Running = false
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			},
		},
		"a passive that does not answer is away": {
			from: steady,
			rule: "PassiveAway",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].Reach = failover.TimedOut
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			},
		},
		"a clean tail is rewound": {
			from:  solo,
			rule:  "RewindTail",
			kind:  failover.Acts,
			steps: steps("Rewind"),
			with:  held(true, false),
		},
		"a tail that a mysqld has touched is compared": {
			from:  solo,
			rule:  "RewindTail",
			kind:  failover.Acts,
			steps: steps("Rewind"),
			with:  held(true, true),
		},
		"a tail that was found impossible to cut is kept": {
			from: solo,
			rule: "RewindTail",
			kind: failover.Holds,
			with: func(t *testing.T, o *failover.Observation) {
				held(true, false)(t, o)
				o.Members[1].State.RewindRefused = "the tail has a transaction that can not be rolled back"
			},
		},
		"a tail after a forced promotion is compared": {
			from:  solo,
			rule:  "RewindTail",
			kind:  failover.Acts,
			steps: steps("Rewind"),
			with:  held(false, false),
		},
		"in Async a former primary is compared": {
			from:  solo,
			rule:  "RewindTail",
			kind:  failover.Acts,
			steps: steps("Rewind"),
			with: func(t *testing.T, o *failover.Observation) {
				o.Settings.Lossless = false
				held(false, false)(t, o)
			},
		},
		"errant transactions are kept": {
			from: solo,
			rule: "Diverged",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.Errant = map[pair.MemberName]failover.Errant{m1: {GTIDs: serverOf(m1) + ":5", DataID: "data-shop-1", Incarnation: "inc-shop-1"}}
			},
		},
		"an older agent is shown": {
			from: steady,
			rule: "AgentOutdated",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.AgentVersion = "v2" },
		},
		"a pending restart is shown": {
			from: steady,
			rule: "RestartPending",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[0].Pod.Outdated = "image" },
		},
		"lag is shown": {
			from: steady,
			rule: "Lagging",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.Server.LagSeconds = 99
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			},
		},
		"in Async nobody waits": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Settings.Lossless = false },
		},
		"Async settles in solo": {
			from: solo,
			rule: "Replicating",
			kind: failover.Settled,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.Lossless = false },
		},
	})
}

func held(clean, touched bool) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		s := o.Members[1].State
		s.Phase = agentapi.PhaseHeld
		s.UncleanAt = 1
		s.TailCommitted = touched
		s.Mysqld = agentapi.Mysqld{}
		s.Server = nil
		o.Authority.Record.Left = &authority.Left{
			Member: m1,
			DataID: "data-shop-1",
			Epoch:  1,
			Clean:  clean,
			Proof:  fencing.Demoted,
		}
		delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	}
}

// behindPurged: the passive is back after the primary, which was alone, has removed binary
// logs that it lacks.
func behindPurged(_ *testing.T, o *failover.Observation) {
	holder := o.Members[0].State
	passive := o.Members[1].State
	passive.Lacks = &agentapi.Lack{
		DataID:     passive.DataID,
		PeerDataID: holder.DataID,
		GTIDs:      "00000000-0000-0000-0000-0000000000aa:5-9",
	}
	passive.Server.Receiver.Running = false
	passive.Compared = &agentapi.Comparison{
		DataID:            passive.DataID,
		Incarnation:       passive.Mysqld.Incarnation,
		HolderDataID:      holder.DataID,
		HolderIncarnation: holder.Mysqld.Incarnation,
	}
	delete(o.Members[1].Pod.Labels, pair.LabelReadable)
}

// receiving: a commit of the primary waits, and the passive has streamed for so long and stored
// something so long ago.
func receiving(streams, stored time.Duration) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.Members[0].State.Server.OldestWait = 6 * time.Second
		passive := o.Members[1].State.Server
		passive.ReplicaSemiSync = true
		passive.Receiver.Running = true
		passive.ReceivingFor = streams
		passive.ReceivedAge = stored
	}
}
