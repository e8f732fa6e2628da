package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

const imported = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500"

// lacking: a dump was imported on the primary with SET GTID_PURGED.
func lacking(_ *testing.T, o *failover.Observation) {
	o.Members[1].State.Lacks = &agentapi.Lack{DataID: "data-shop-1", PeerDataID: "data-shop-0", GTIDs: imported}
}

// joining: the ledger says that the passive may lack something.
func joining(_ *testing.T, o *failover.Observation) {
	o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Joining, First: m0}
}

func TestAPassiveThatLacksDataOfThePrimary(t *testing.T) {
	type obs = failover.Observation
	ended := func(_ *testing.T, o *obs) { exited(o) }
	async := func(_ *testing.T, o *obs) { o.Settings.Lossless = false }
	compared := func(_ *testing.T, o *obs) {
		o.Members[1].State.Compared = &agentapi.Comparison{
			DataID:            "data-shop-1",
			Incarnation:       "inc-shop-1",
			HolderDataID:      "data-shop-0",
			HolderIncarnation: "inc-shop-0",
		}
	}
	about := func(data, peer pair.DataID) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.Members[1].State.Lacks.DataID, o.Members[1].State.Lacks.PeerDataID = data, peer
		}
	}
	lost := func(_ *testing.T, o *obs) { o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State }
	check(t, map[string]decision{
		"is not promotable any more": {
			from:  steady,
			rule:  "PassiveLacksData",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  lacking,
		},
		"and not verified in vain again and again": {
			from: steady,
			rule: "PassiveLacksData",
			kind: failover.Holds,
			with: then(lacking, joining),
		},
		"nor joined while the primary is alone": {
			from: solo,
			rule: "PassiveLacksData",
			kind: failover.Holds,
			with: lacking,
		},
		"but copied while the primary is alone, when it has nothing of its own": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(lacking, compared),
		},
		"is no candidate at the very observation that shows it": {
			from:  steady,
			rule:  "PassiveLacksData",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  then(lacking, ended),
		},
		"is no candidate when the primary's mysqld has ended": {
			from: steady,
			rule: "NoCandidate",
			kind: failover.Holds,
			with: then(lacking, joining, ended),
		},
		"nor in Async": {
			from: solo,
			rule: "NoCandidate",
			kind: failover.Holds,
			with: then(async, lacking, ended),
		},
		"nor when the primary's volume is lost, which is for a person to decide": {
			from: steady,
			rule: "NoTrustedCopy",
			kind: failover.Doubts,
			with: then(lacking, joining, lost),
		},
		"nor between two holders": {
			from:  between,
			rule:  "NoTrustedCopy",
			kind:  failover.Doubts,
			steps: steps("PointService"),
			with:  then(lacking, lost, func(_ *testing.T, o *obs) { o.Authority.Record.LastHolder.Ended = "ProcessStopped" }),
		},
		"a closed primary does not wait for it": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: then(lacking, joining, func(_ *testing.T, o *obs) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseClosed, 0
				o.History.Closed = failover.Closed{Since: t0.Add(-time.Minute), Incarnation: "inc-shop-0"}
			}),
		},
		"before it was up for as long as a passive is waited for, it does": {
			from: steady,
			rule: "PassiveLacksData",
			kind: failover.Holds,
			with: then(lacking, joining, func(_ *testing.T, o *obs) {
				o.Members[0].State.Phase, o.Members[0].State.OpenEpoch = agentapi.PhaseClosed, 0
				o.History.Closed = failover.Closed{Since: t0.Add(-time.Second), Incarnation: "inc-shop-0"}
			}),
		},
		"a finding about former data of the passive says nothing": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: then(lacking, about("former", "data-shop-0")),
		},
		"nor one about former data of the primary": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: then(lacking, about("data-shop-1", "former")),
		},
	})
}

func TestFailoverReadyNamesWhatThePassiveLacksAndTheCure(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *failover.Observation){
		"before the ledger says so": lacking,
		"after":                     then(lacking, joining),
		"while the passive lags": then(lacking, joining, func(_ *testing.T, o *failover.Observation) {
			o.Members[1].State.Server.LagSeconds = int64(time.Hour / time.Second)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			change(t, &o)
			got := failover.Decide(o).FailoverReady
			if got.Ready || got.Rule != failover.RulePassiveLacksData {
				t.Errorf("FailoverReady is %+v", got)
			}
			for _, want := range []string{"shop-1 lacks 500 transactions", imported, "kubectl dbpair reseed shop shop-1 -n ns"} {
				if !strings.Contains(got.Fact, want) {
					t.Errorf("it does not say %q: %s", want, got.Fact)
				}
			}
			if p := failover.Decide(o); p.Evictable {
				t.Error("the primary may be evicted")
			}
		})
	}
}
