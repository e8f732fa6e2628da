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

// toHibernate is a steady pair with spec.hibernate.
func toHibernate() failover.Observation {
	o := steady()
	o.Settings.Hibernate = true
	o.Settings.Generation = 5
	o.Settings.DrainTimeout = 10 * time.Second
	o.StatefulSet = failover.StatefulSet{Reading: failover.Read, Version: "20", Replicas: 2}
	o.History.Streamed = failover.Streamed{Member: m1, Incarnation: "inc-shop-1", Since: t0.Add(-time.Minute)}
	o.Members[0].State.Server.BinlogGTIDs = gtids
	o.Members[1].State.Server.BinlogGTIDs = gtids
	return o
}

// drainsToHibernate is the same once clients are led to the passive's door.
func drainsToHibernate() failover.Observation {
	o := toHibernate()
	o.Service = draining().Service
	o.Members[0].State.Drain = &agentapi.Drain{Operation: "shop-hibernation-5", Left: 9 * time.Second, Rounds: 3, Closed: 7, InFlight: 2}
	return o
}

// revokedToHibernate is after the revocation.
func revokedToHibernate() failover.Observation {
	o := toHibernate()
	o.Service = draining().Service
	rec := &o.Authority.Record
	rec.LastHolder = &authority.LastHolder{Holder: rec.Holder, DataID: "data-shop-0", Epoch: 3}
	rec.Holder = pair.Holder{}
	rec.Appointed = nil
	rec.Epoch = 4
	rec.Intent = &authority.Intent{Target: m0, Rule: string(failover.RuleHibernate)}
	o.Evidence.SawEpoch(4, t0.Add(-time.Second))
	o.History.HolderSince = time.Time{}
	o.Members[0].State.Phase = agentapi.PhaseClosed
	o.Members[0].State.OpenEpoch = 0
	return o
}

// isClosed has the agent of the last primary prove that it is closed, and what its binlog holds.
func isClosed(t *testing.T, o *failover.Observation) {
	t.Helper()
	prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
	s := fencing.Subject{Member: m0, PodUID: p0}
	req, err := o.Evidence.Ask(s, 4, "closed", o.Now)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := fencing.FromReply(req, agentapi.FenceReply{
		RequestID:   "closed",
		Member:      m0,
		PodUID:      p0,
		Epoch:       4,
		Ceased:      true,
		Demoted:     true,
		BinlogGTIDs: gtids,
	}, o.Now)
	if err != nil {
		t.Fatal(err)
	}
	o.Evidence.Add(proof)
}

// ended is a pair that hibernates.
func ended() failover.Observation {
	o := revokedToHibernate()
	o.StatefulSet.Replicas = 0
	o.Authority.Record.LastHolder.Ended = fencing.PodTerminated
	for i := range o.Members {
		m := &o.Members[i]
		m.Reach = failover.NotTried
		m.State = nil
		m.Pod = failover.Pod{Reading: failover.Missing}
	}
	return o
}

// woken is the same with next pods whose mysqlds run, long after.
func woken() failover.Observation {
	o := revokedToHibernate()
	o.Settings.Hibernate = false
	o.Evidence = fencing.NewBook()
	o.Evidence.SawEpoch(4, t0.Add(-time.Hour))
	o.Authority.Record.LastHolder.Ended = fencing.PodTerminated
	for i, uid := range []pair.PodUID{"next-0", "next-1"} {
		m := &o.Members[i]
		m.Pod.UID = uid
		m.Pod.Ended = fencing.PodFacts{UID: uid}
		m.Pod.Fenced = false
		m.Pod.CreatedAt = t0.Add(-5 * time.Second)
		m.State.PodUID = uid
		m.State.Mysqld.Incarnation += "-next"
		m.Pod.Labels = map[string]string{}
	}
	return o
}

func TestHibernation(t *testing.T) {
	type obs = failover.Observation
	check(t, map[string]decision{
		"clients are led to the passive's door, and the primary is drained": {
			from:  toHibernate,
			rule:  "Hibernate",
			kind:  failover.Acts,
			steps: steps("PointService", "Drain"),
		},
		"an operator that ended between the two drains": {from: drainsToHibernate, rule: "Hibernate", kind: failover.Acts, steps: steps("Drain"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain = nil }},
		"transactions in flight may end": {from: drainsToHibernate, rule: "Hibernate", kind: failover.Waits},
		"until the time for it is over": {from: drainsToHibernate, rule: "Hibernate", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain.Left = 0 }},
		"a drained primary is revoked": {from: drainsToHibernate, rule: "Hibernate", kind: failover.Acts, steps: steps("Revoke"),
			with: func(_ *testing.T, o *obs) { o.Members[0].State.Drain.InFlight = 0 }},
		"a passive that is not in sync is waited for": {from: toHibernate, rule: "AwaitHibernation", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
				o.Members[0].State.Server.Waiting = false
				o.Members[1].State.Server.Receiver.Running = false
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			}},
		"one that crashes again and again is waited for": {from: toHibernate, rule: "AwaitHibernation", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.History.Streamed.Since = t0.Add(-time.Second) }},
		"a passive that lags is waited for": {from: toHibernate, rule: "AwaitHibernation", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Members[1].State.Server.LagSeconds = 3 }},
		"a comparison ends first": {from: toHibernate, rule: "AwaitHibernation", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Jobs = []string{"shop-checksum-1"} }},
		"a switchover that runs ends first": {from: draining, rule: "DrainForSwitchover", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) { o.Settings.Hibernate = true }},
		"taken back, the drain ends": {from: drainsToHibernate, rule: "ServiceFollows", kind: failover.Acts, steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) { o.Settings.Hibernate = false }},
		"the last primary proves that it is closed": {
			from:  revokedToHibernate,
			rule:  "Hibernate",
			kind:  failover.Acts,
			steps: steps("Fence", "Fence"),
		},
		"a passive that has not applied everything is waited for": {from: revokedToHibernate, rule: "Hibernate", kind: failover.Waits,
			with: then(isClosed, func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.BinlogGTIDs = "00000000-0000-0000-0000-000000000000:1-8"
			})},
		"with everything on both, both are ended": {
			from:  revokedToHibernate,
			rule:  "Hibernate",
			kind:  failover.Acts,
			steps: steps("ScaleDown"),
			with:  isClosed,
		},
		"a passive that fails brings the last primary back": {from: revokedToHibernate, rule: "Wake", kind: failover.Acts,
			steps: steps("Cease", "PointService"),
			with:  then(isClosed, func(_ *testing.T, o *obs) { o.Members[1].State.Mysqld.Incarnation = "another" })},
		"one that does not apply in time as well": {from: revokedToHibernate, rule: "Wake", kind: failover.Acts,
			steps: steps("Cease", "PointService"),
			with: then(isClosed, func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.BinlogGTIDs = ""
				o.Now = t0.Add(time.Minute)
			})},
		"a primary whose mysqld ends before it was closed goes on": {from: revokedToHibernate, rule: "Wake", kind: failover.Acts,
			steps: steps("Cease", "PointService"),
			with: func(t *testing.T, o *obs) {
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
				o.Members[0].State.Mysqld.Running = false
				o.Members[0].State.Phase = agentapi.PhaseHeld
			}},
		"taken back after the revocation, the last primary goes on": {from: revokedToHibernate, rule: "Wake", kind: failover.Acts,
			steps: steps("Cease", "PointService"),
			with:  then(isClosed, func(_ *testing.T, o *obs) { o.Settings.Hibernate = false })},
	})
}

func TestAPairThatHibernates(t *testing.T) {
	type obs = failover.Observation
	check(t, map[string]decision{
		"nothing is done": {from: ended, rule: "Hibernated", kind: failover.Holds},
		"pods that end are waited for": {from: ended, rule: "Hibernated", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[1].Pod = failover.Pod{Reading: failover.Read, UID: p1, Deleting: true}
			}},
		"the finalizer of the last primary's pod is taken off": {
			from:  ended,
			rule:  "Hibernated",
			kind:  failover.Acts,
			steps: steps("RemoveFinalizer"),
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Pod = failover.Pod{Reading: failover.Read, UID: p0, Deleting: true, Fenced: true}
			},
		},
		"a failover that is asked for is refused by name": {
			from:  ended,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				o.Operations = []failover.Operation{{Name: "op-1", Verb: failover.VerbFailover, Confirmed: -1, CreatedAt: t0}}
			},
		},
		"a switchover too": {
			from:  ended,
			rule:  "OperationRefused",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *obs) {
				o.Operations = []failover.Operation{{Name: "op-1", Verb: failover.VerbSwitchover, Confirmed: -1, CreatedAt: t0}}
			},
		},
		"awake, its next pod is waited for however long it hibernated": {from: ended, rule: "Wake", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Settings.Hibernate = false
				o.StatefulSet.Replicas = 2
				o.Evidence.SawEpoch(4, t0.Add(-time.Hour))
			}},
		"the other member answers first and is not promoted": {
			from: woken, rule: "Wake", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Reach = failover.Refused
				o.Members[0].State = nil
			},
		},
		"nor in Async": {
			from: woken, rule: "Wake", kind: failover.Waits,
			with: func(_ *testing.T, o *obs) {
				o.Settings.Lossless = false
				o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
				o.Members[0].Reach = failover.Refused
				o.Members[0].State = nil
			},
		},
		"the last primary goes on with a proof for the other": {from: woken, rule: "Wake", kind: failover.Acts,
			steps: steps("Cease", "AddFinalizer", "Fence", "PointService")},
		"one that never comes back is a doubt in the end": {
			from: woken, rule: "NoTrustedCopy", kind: failover.Doubts,
			with: func(_ *testing.T, o *obs) {
				o.Members[0].Reach = failover.TimedOut
				o.Members[0].State = nil
				for i := range o.Members {
					o.Members[i].Pod.CreatedAt = t0.Add(-2 * time.Minute)
				}
			},
		},
	})
}

func TestWhatAPairThatHibernatesSays(t *testing.T) {
	p := failover.Decide(ended())
	if !strings.Contains(p.Fact, "kubectl dbpair wake shop -n ns") {
		t.Errorf("no command that wakes it: %s", p.Fact)
	}
	if p.FailoverReady.Ready || p.FailoverReady.Rule != failover.RuleHibernated || p.Evictable {
		t.Errorf("failover ready: %+v, evictable %v", p.FailoverReady, p.Evictable)
	}
	for name, o := range map[string]failover.Observation{"awake": toHibernate(), "ended": ended()} {
		if why := failover.UnfitForDrill(o, failover.Decide(o), failover.Switchover{}); !strings.Contains(why, "hibernate") {
			t.Errorf("%s: a drill is not kept back: %q", name, why)
		}
	}
	if ended().Hibernates() == false || toHibernate().Hibernates() || woken().Hibernates() {
		t.Error("a pair hibernates that does not, or the other way round")
	}
}
