package failover_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// switchoverAsked is a steady pair of which a switchover is asked for.
func switchoverAsked() failover.Observation {
	o := steady()
	o.Members[0].State.Server.BinlogGTIDs = gtids
	o.Members[1].State.Server.GTIDReceived = gtids
	o.Operations = []failover.Operation{{
		Name:      "op-1",
		Verb:      failover.VerbSwitchover,
		Confirmed: -1,
		CreatedAt: t0.Add(-time.Second),
		Switchover: &failover.Switchover{
			Demote:       true,
			DrainTimeout: 10 * time.Second,
			Deadline:     time.Minute,
		},
	}}
	return o
}

const gtids = "00000000-0000-0000-0000-000000000000:1-9"

// draining is the same once the drain is on record and clients are led to the passive's door.
func draining() failover.Observation {
	o := switchoverAsked()
	op := &o.Operations[0]
	op.Running = true
	op.StartedAt = t0.Add(-time.Second)
	op.Epoch = 4
	op.From = m0
	o.Service = failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m1,
	}
	o.Members[0].State.Drain = &agentapi.Drain{Operation: "op-1", Left: 9 * time.Second, Rounds: 3, Closed: 7, InFlight: 2}
	return o
}

// revoked is after the revocation of the primary that was drained, with its agent's answer.
func revoked(t *testing.T, proven bool) failover.Observation {
	t.Helper()
	o := draining()
	rec := &o.Authority.Record
	rec.LastHolder = &authority.LastHolder{Holder: rec.Holder, DataID: "data-shop-0", Epoch: 3}
	rec.Holder = pair.Holder{}
	rec.Appointed = nil
	rec.Epoch = 4
	rec.Intent = &authority.Intent{Operation: "op-1", Target: m1, Rule: string(failover.RuleSwitchover)}
	o.Evidence.SawEpoch(4, t0.Add(-100*time.Millisecond))
	o.History.HolderSince = time.Time{}
	o.Members[1].Pod.Fenced = true
	if !proven {
		return o
	}
	s := o.Members[0].State
	s.Phase = agentapi.PhaseClosed
	s.OpenEpoch = 0
	s.KnownEpoch = 4
	s.Server.SuperReadOnly = true
	s.Server.OfflineMode = true
	demote(t, &o, gtids)
	return o
}

// demote adds the proof that shop-0 is demoted with this in its binlog.
func demote(t *testing.T, o *failover.Observation, holds string) {
	t.Helper()
	subject := fencing.Subject{Member: m0, PodUID: p0}
	req, err := o.Evidence.Ask(subject, 4, "demoted", o.Now)
	if err != nil {
		t.Fatal(err)
	}
	reply := agentapi.FenceReply{RequestID: "demoted", Member: m0, PodUID: p0, Epoch: 4, Ceased: true, Demoted: true, BinlogGTIDs: holds}
	proof, err := fencing.FromReply(req, reply, o.Now)
	if err != nil {
		t.Fatal(err)
	}
	o.Evidence.Add(proof)
}

// fencedCandidate: shop-1 has received and applied this, and receives nothing more.
func fencedCandidate(t *testing.T, o *failover.Observation, has string) {
	t.Helper()
	req, err := o.Evidence.Ask(fencing.Subject{Member: m1, PodUID: p1}, 4, "ceased", o.Now)
	if err != nil {
		t.Fatal(err)
	}
	reply := agentapi.FenceReply{RequestID: "ceased", Member: m1, PodUID: p1, Epoch: 4, Ceased: true}
	if err := o.Evidence.Ceased(req, reply, o.Now); err != nil {
		t.Fatal(err)
	}
	s := o.Members[1].State
	s.KnownEpoch = 4
	s.ReceiverStoppedAt = 4
	s.AppliedAll = true
	s.Server.Receiver.Running = false
	s.Server.GTIDReceived = has
	s.Server.BinlogGTIDs = has
}

func TestSwitchover(t *testing.T) {
	type obs = failover.Observation
	second := func(o *obs) {
		other := o.Operations[0]
		other.Name = "op-2"
		other.Running = false
		other.Epoch = 0
		o.Operations = append(o.Operations, other)
	}
	check(t, map[string]decision{
		"a switchover that is asked for is put on record before anything is done": {from: switchoverAsked, rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("NoteOperation")},
		"clients are led to the candidate's door, and the primary is drained": {from: draining, rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("PointService", "Drain"), with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Members[0].State.Drain = nil
			}},
		"clients are held at that door from then on": {from: holding(draining), rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("Hold", "PointService", "Drain"), with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Members[0].State.Drain = nil
			}},
		"which is asked for again with each renewal": {from: holding(draining), rule: "DrainForSwitchover", kind: failover.Acts, steps: steps("Hold", "Drain"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain.Left = 4 * time.Second }},
		"transactions in flight are waited for": {from: draining, rule: "DrainForSwitchover", kind: failover.Waits},
		"a drain that is about to run out is renewed": {from: draining, rule: "DrainForSwitchover", kind: failover.Acts, steps: steps("Drain"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain.Left = 4 * time.Second }},
		"the drained primary is revoked": {from: draining, rule: "Switchover", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain.InFlight = 0 }},
		"also beyond the budget and in mode Manual": {from: draining, rule: "Switchover", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Drain.InFlight = 0
				o.History.Failovers = make([]time.Time, 9)
				o.Settings.AutomaticFailover = false
			}},
		"not before the first round": {from: draining, rule: "DrainForSwitchover", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Drain.InFlight = 0
				o.Members[0].State.Drain.Rounds = 0
			}},
		"not while the candidate lags": {from: draining, rule: "DrainForSwitchover", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Drain.InFlight = 0
				o.Members[1].State.Server.LagSeconds = 2
			}},
		"not while the candidate has much left to apply": {
			from: draining,
			rule: "DrainForSwitchover",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Drain.InFlight = 0
				o.Members[1].State.Server.LagTransactions = 101
			},
		},
		"a drain does not begin while the candidate is behind": {
			from: draining,
			rule: "DrainForSwitchover",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Members[0].State.Drain = nil
				o.Members[1].State.Server.LagTransactions = 3000
			},
		},
		"what is in flight after drainTimeout is cut": {from: draining, rule: "Switchover", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Operations[0].StartedAt = t0.Add(-11 * time.Second) }},
		"or the switchover is given up, and the Service goes back": {from: draining, rule: "ServiceFollows", kind: failover.Acts, steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Operations[0].StartedAt = t0.Add(-11 * time.Second)
				o.Operations[0].Switchover.GiveUp = true
			}},
		"a switchover that is canceled ends its drain": {from: draining, rule: "EndDrain", kind: failover.Acts, steps: steps("Drain"),
			with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Operations[0].Canceled = "no"
			}},
		"and clients are not held at the candidate's door any longer": {from: holding(draining), rule: "EndDrain", kind: failover.Acts,
			steps: steps("Drain", "Hold"), with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Operations[0].Canceled = "no"
			}},
		"and then its operation": {from: draining, rule: "OperationFinished", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Operations[0].Canceled = "no"
				o.Members[0].State.Drain = nil
			}},
		"one whose operation was deleted is rolled back as well": {from: draining, rule: "ServiceFollows", kind: failover.Acts, steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) { o.Operations = nil }},
		"clients stay with the primary while the candidate's door does not answer": {from: draining, rule: "ServiceFollows", kind: failover.Acts,
			steps: steps("PointService"), with: func(_ *testing.T, o *obs) { o.Members[1].Reach = failover.TimedOut }},
		"a primary that dies meanwhile is failed over": {from: draining, rule: "HolderExited", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { exited(o) }},
		"a primary whose pod is deleted meanwhile leaves in order": {from: draining, rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = true }},
		"a paused pair does nothing": {from: draining, rule: "Paused", kind: failover.Holds, with: func(_ *testing.T, o *obs) { o.Settings.Paused = true }},
		"a switchover to the primary is refused": {from: switchoverAsked, rule: "OperationRefused", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { o.Operations[0].Target = m0 }},
		"one to an unknown member is refused": {from: switchoverAsked, rule: "OperationRefused", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { o.Operations[0].Target = "shop-7" }},
		"one with a confirmation of another epoch is refused": {from: switchoverAsked, rule: "OperationRefused", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				o.Operations[0].ConfirmedPair = "shop"
				o.Operations[0].Confirmed = 2
			}},
		"one whose drain may take longer than all of it is refused": {from: switchoverAsked, rule: "OperationRefused", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { o.Operations[0].Switchover.DrainTimeout = time.Minute }},
		"one that waited until its deadline ends": {from: switchoverAsked, rule: "OperationFinished", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { o.Operations[0].CreatedAt = t0.Add(-2 * time.Minute) }},
		"a second one says what it waits for": {from: draining, rule: "OperationWaits", kind: failover.Acts, steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) { second(o) }},
		"once": {from: draining, rule: "DrainForSwitchover", kind: failover.Waits, with: func(_ *testing.T, o *obs) {
			second(o)
			o.Operations[1].Message = "waits: operation op-1 comes first"
		}},
	})
}

// settling is a switchover that has begun with a candidate whose door can pass clients on; it has
// done so for this long.
func settling(passedOn time.Duration) func() failover.Observation {
	return func() failover.Observation {
		o := holding(draining)()
		o.Members[0].State.Drain = nil
		o.Members[1].State.Door.CanForward = true
		o.Members[1].State.Door.ForwardedFor = passedOn
		return o
	}
}

func TestClientsArePassedOnUntilEveryNodeLeadsToTheDoor(t *testing.T) {
	type obs = failover.Observation
	const enough = 1200 * time.Millisecond
	check(t, map[string]decision{
		"the door passes clients on before the Service leads there": {from: settling(0), rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("Hold", "PointService"), with: func(_ *testing.T, o *obs) { o.Service = steady().Service }},
		"also when the Service leads there already": {from: settling(0), rule: "DrainForSwitchover", kind: failover.Acts, steps: steps("Hold")},
		"a Service that was not moved is moved":     {from: settling(time.Millisecond), rule: "DrainForSwitchover", kind: failover.Acts, steps: steps("PointService"), with: func(_ *testing.T, o *obs) { o.Service = steady().Service }},
		"the primary is not drained at once":        {from: settling(enough - 1), rule: "DrainForSwitchover", kind: failover.Waits},
		"nor while the candidate is behind": {
			from: settling(enough),
			rule: "DrainForSwitchover",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[1].State.Server.LagSeconds = 2 },
		},
		"nor while a transaction has been in flight for long": {
			from: settling(enough),
			rule: "DrainForSwitchover",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Server.InFlight = []agentapi.Session{{ID: 7, InFlight: true}}
			},
		},
		"which half of drainTimeout ends": {
			from:  settling(enough),
			rule:  "DrainForSwitchover",
			kind:  failover.Acts,
			steps: steps("Hold", "Drain"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].State.Server.InFlight = []agentapi.Session{{ID: 7, InFlight: true}}
				o.Operations[0].StartedAt = t0.Add(-5 * time.Second)
			},
		},
		"a primary that has not answered this operator yet has no sessions that are known of": {
			from:  settling(enough),
			rule:  "DrainForSwitchover",
			kind:  failover.Acts,
			steps: steps("Hold", "Drain"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Reach = failover.NotTried
				o.Members[0].State = nil
			},
		},
		"nor while the candidate has much to apply": {
			from: settling(enough),
			rule: "DrainForSwitchover",
			kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[1].State.Server.LagTransactions = 301 },
		},
		"which half of drainTimeout ends too": {
			from:  settling(enough),
			rule:  "DrainForSwitchover",
			kind:  failover.Acts,
			steps: steps("Hold", "Drain"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.LagTransactions = 301
				o.Operations[0].StartedAt = t0.Add(-5 * time.Second)
			},
		},
		"and then it is": {from: settling(enough), rule: "DrainForSwitchover", kind: failover.Acts, steps: steps("Hold", "Drain")},
		"sooner with a short drainTimeout": {from: settling(500 * time.Millisecond), rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("Hold", "Drain"), with: func(_ *testing.T, o *obs) { o.Operations[0].Switchover.DrainTimeout = 2 * time.Second }},
		"nobody is passed on once the drain has begun": {from: settling(0), rule: "DrainForSwitchover", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain = draining().Members[0].State.Drain }},
		"a switchover that is canceled meanwhile ends it": {from: settling(time.Second), rule: "EndDrain", kind: failover.Acts, steps: steps("Hold"),
			with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Operations[0].Canceled = "no"
			}},
		"a primary that dies meanwhile is failed over": {from: settling(time.Second), rule: "HolderExited", kind: failover.Acts,
			steps: steps("Revoke"), with: func(_ *testing.T, o *obs) { exited(o) }},
		"a door that refuses clients gets none for longer than it must": {from: settling(0), rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("Drain"), with: func(_ *testing.T, o *obs) { o.Settings.HoldsClients = false }},
		"nor is that asked of an agent that does not know it": {from: settling(0), rule: "DrainForSwitchover", kind: failover.Acts,
			steps: steps("Hold", "Drain"), with: func(_ *testing.T, o *obs) { o.Members[1].State.Door.CanForward = false }},
	})
}

// leaving is a pair whose primary's pod is being deleted, with 30 s of its grace period left.
func leaving(passedOn time.Duration, drain *agentapi.Drain) func() failover.Observation {
	return func() failover.Observation {
		o := settling(passedOn)()
		o.Operations = nil
		o.Members[0].Pod.Deleting = true
		o.Members[0].Pod.EndsAt = t0.Add(30 * time.Second)
		if drain != nil {
			drain.Operation = "deletion-of-" + string(p0)
			o.Members[0].State.Drain = drain
		}
		return o
	}
}

func TestAPrimaryWhosePodIsDeletedIsDrainedFirst(t *testing.T) {
	type obs = failover.Observation
	const enough = 1200 * time.Millisecond
	at := func(left time.Duration) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) { o.Members[0].Pod.EndsAt = t0.Add(left) }
	}
	check(t, map[string]decision{
		"new clients are passed on": {from: leaving(0, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Hold", "PointService"),
			with: func(_ *testing.T, o *obs) { o.Service = steady().Service }},
		"until every node leads there":    {from: leaving(enough-1, nil), rule: "HolderLeaving", kind: failover.Waits},
		"then its sessions are drained":   {from: leaving(enough, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Hold", "Drain")},
		"transactions may end":            {from: leaving(0, &agentapi.Drain{Left: time.Second, Rounds: 1, InFlight: 1}), rule: "HolderLeaving", kind: failover.Waits},
		"it is revoked when none is left": {from: leaving(0, &agentapi.Drain{Left: time.Second, Rounds: 1}), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke")},
		"or when their time is over":      {from: leaving(0, &agentapi.Drain{Rounds: 9, InFlight: 1}), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke")},
		"at once with a short grace":      {from: leaving(0, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"), with: at(4 * time.Second)},
		"a passive that lags may catch up": {from: leaving(0, nil), rule: "HolderLeaving", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Service = steady().Service
				o.Members[1].State.Server.LagSeconds = 2
			}},
		"clients stay with the primary meanwhile": {from: leaving(0, nil), rule: "ServiceFollows", kind: failover.Acts,
			steps: steps("PointService", "ReleaseHeld"), with: func(_ *testing.T, o *obs) { o.Members[1].State.Server.LagSeconds = 2 }},
		"but not for too long": {from: leaving(0, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.LagSeconds = 2
				o.Members[0].Pod.EndsAt = t0.Add(9 * time.Second)
			}},
		"and when clients are not held": {from: leaving(0, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Settings.HoldsClients = false }},
		"and when mysqld has ended": {from: leaving(time.Second, nil), rule: "HolderLeaving", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { exited(o) }},
		"clients go back to it when the passive is lost": {from: leaving(time.Second, nil), rule: "ServiceFollows", kind: failover.Acts,
			steps: steps("PointService", "ReleaseHeld"), with: func(_ *testing.T, o *obs) { o.Members[1].Reach = failover.TimedOut }},
	})
}

func TestASwitchoverWaitsForAPairThatIsFit(t *testing.T) {
	type obs = failover.Observation
	session := agentapi.Session{ID: 12, User: "app", Host: "10.0.0.3", InFlight: true, Age: time.Minute, Statement: "UPDATE t SET a = 1"}
	for name, c := range map[string]struct {
		with func(o *obs)
		want string
	}{
		"the passive is out of the ledger": {func(o *obs) { o.Authority.Record.Ledger = solo().Authority.Record.Ledger }, "may lack acknowledged writes"},
		"it was restarted":                 {func(o *obs) { o.Members[1].State.Mysqld.Incarnation = "next" }, "was restarted since it was last in sync"},
		"it lags":                          {func(o *obs) { o.Members[1].State.Server.LagSeconds = 3 }, "shop-1 lags"},
		"it has much to apply":             {func(o *obs) { o.Members[1].State.Server.LagTransactions = 2001 }, "shop-1 has more than 2000 transactions left to apply"},
		"its applier stands": {func(o *obs) {
			o.Members[1].State.Server.Applier.Running = false
			delete(o.Members[1].Pod.Labels, pair.LabelReadable)
		}, "does not apply"},
		"a setting is wrong":  {func(o *obs) { o.Members[0].State.WrongSettings = []string{"sync_binlog: 1, 0"} }, "sync_binlog"},
		"tables are compared": {func(o *obs) { o.Jobs = []string{"shop-checksum-1"} }, "operation shop-checksum-1 is running"},
		"a definition changes": {func(o *obs) {
			ddl := session
			ddl.DDL = true
			o.Members[0].State.Server.InFlight = []agentapi.Session{ddl}
		}, "session 12 of app@10.0.0.3: UPDATE t SET a = 1"},
		"a transaction is long, and is not to be cut": {func(o *obs) {
			o.Operations[0].Switchover.GiveUp = true
			o.Members[0].State.Server.InFlight = []agentapi.Session{session}
		}, "1 long transactions"},
	} {
		t.Run(name, func(t *testing.T) {
			o := switchoverAsked()
			c.with(&o)
			o.Operations[0].Message = "waits: something else"
			var found bool
			p := failover.Decide(o)
			for range 3 {
				if len(p.Steps) == 0 {
					break
				}
				if n, ok := p.Steps[0].(failover.NoteOperation); ok && n.Note.Rule == failover.RuleOperationWaits {
					found = n.Note.Phase == pair.OperationPending && strings.Contains(n.Note.Message, c.want)
					break
				}
				o.History = o.History.After(o, p, failover.Outcome{})
				p = failover.Decide(o)
			}
			if !found {
				t.Errorf("rule %s: %s; want a note that says %q", p.Rule, p.Fact, c.want)
			}
		})
	}
	o := switchoverAsked()
	o.Members[0].State.Server.InFlight = []agentapi.Session{session}
	if p := failover.Decide(o); p.Rule != failover.RuleDrainForSwitchover {
		t.Errorf("a transaction that is to be cut keeps the switchover from its begin: %s: %s", p.Rule, p.Fact)
	}
}

func TestASwitchoverIsCompletedOrRolledBack(t *testing.T) {
	type obs = failover.Observation
	begun := func() failover.Observation { return revoked(t, false) }
	demoted := func() failover.Observation { return revoked(t, true) }
	ready := func(t *testing.T, o *obs) { fencedCandidate(t, o, gtids) }
	late := func(o *obs) {
		o.Evidence = fencing.NewBook()
		o.Evidence.SawEpoch(4, t0.Add(-6*time.Second))
	}
	check(t, map[string]decision{
		"the former primary is closed, and the candidate goes on receiving": {from: begun, rule: "CompleteSwitchover", kind: failover.Acts,
			steps: steps("Cease", "Fence")},
		"then the candidate receives all of it, and stops": {from: demoted, rule: "CompleteSwitchover", kind: failover.Acts, steps: steps("AckFence")},
		"Demote: it is appointed, and both read that": {from: demoted, rule: "CompleteSwitchover", kind: failover.Acts,
			steps: steps("Appoint", "ReadLease", "ReadLease", "LabelPod"), with: ready},
		"Demote: clients who are held are let through after the appointment": {from: holding(demoted), rule: "CompleteSwitchover", kind: failover.Acts,
			steps: steps("Appoint", "ReadLease", "ReadLease", "LabelPod", "ReleaseHeld"), with: ready},
		"DeletePod: it is appointed, and the former pod is deleted": {from: demoted, rule: "CompleteSwitchover", kind: failover.Acts,
			steps: steps("Appoint", "ReadLease", "LabelPod", "DeletePod"), with: func(t *testing.T, o *obs) {
				ready(t, o)
				o.Operations[0].Switchover.Demote = false
			}},
		"a candidate that lacks something leaves the former pod out": {from: demoted, rule: "CompleteSwitchover", kind: failover.Acts,
			steps: steps("Appoint", "ReadLease", "LabelPod", "DeletePod"), with: func(t *testing.T, o *obs) {
				fencedCandidate(t, o, "00000000-0000-0000-0000-000000000000:1-8")
			}},
		"canceled: the former primary goes on": {from: demoted, rule: "RollBackSwitchover", kind: failover.Acts, steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) {
				o.Operations[0].Canceled = "no"
				o.Members[0].Pod.Fenced = true
			}},
		"one that takes too long is rolled back": {from: demoted, rule: "RollBackSwitchover", kind: failover.Acts, steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) { late(o) }},
		"unless the former primary cannot go on": {from: demoted, rule: "CompleteSwitchover", kind: failover.Acts, steps: steps("AckFence", "Fence", "Cease"),
			with: func(_ *testing.T, o *obs) {
				late(o)
				o.Members[0].Pod.Deleting = true
			}},
		"a candidate that is lost leaves it the primary": {from: demoted, rule: "Abandon", kind: failover.Acts, steps: steps("Cease", "Fence", "PointService"),
			with: func(_ *testing.T, o *obs) { o.Members[1].State.Mysqld.Incarnation = "next" }},
	})
}

func TestADemotedPrimaryStaysInTheLedger(t *testing.T) {
	o := revoked(t, true)
	fencedCandidate(t, &o, gtids)
	step, ok := failover.Decide(o).Steps[0].(failover.InOrder)
	if !ok {
		t.Fatalf("plan %+v", failover.Decide(o))
	}
	change, ok := step.Steps[0].(failover.ChangeAuthority)
	if !ok {
		t.Fatalf("steps %+v", step.Steps)
	}
	got, err := change.Change.Apply(change.From)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Ledger.Same(o.Authority.Record.Ledger) || !got.Appointed.Demoted || got.Left != nil || got.Holder.Member != m1 {
		t.Errorf("the appointment made %+v", got)
	}
}

func TestADrainedPrimaryIsNotRevokedForACandidateOfWhichNothingIsKnown(t *testing.T) {
	for name, unknown := range map[string]func(*failover.Member){
		"its mysqld does not answer": func(m *failover.Member) { m.State.Server = nil },
		"its agent was never heard": func(m *failover.Member) {
			m.Reach = failover.TimedOut
			m.State = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := draining()
			o.Members[0].State.Drain.InFlight = 0
			unknown(&o.Members[1])
			if p := failover.Decide(o); slices.Contains(stepNames(p.Steps), "Revoke") {
				t.Errorf("rule %s (%s): %s: %v", p.Rule, p.Kind, p.Fact, stepNames(p.Steps))
			}
		})
	}
}
