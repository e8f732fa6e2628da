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

// bothRestarted: both machines lost power. The primary is up and closed with a tail, and its
// passive has been up for long and does not stream.
func bothRestarted(errant string) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		closed(o)
		a := o.Members[0].State
		b := o.Members[1].State
		a.Mysqld.Incarnation = "next-0"
		b.Mysqld.Incarnation = "next-1"
		b.Server.Receiver.Running = false
		o.History.LostSince = t0.Add(-time.Minute)
		o.History.Closed = failover.Closed{Since: t0.Add(-time.Minute), Incarnation: "next-0"}
		b.Compared = &agentapi.Comparison{
			DataID:            b.DataID,
			Incarnation:       "next-1",
			HolderDataID:      a.DataID,
			HolderIncarnation: "next-0",
			Errant:            errant,
		}
		delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	}
}

// closed: the primary is up, closed, and the passive may lack its tail.
func closed(o *failover.Observation) {
	s := o.Members[0].State
	s.Phase = agentapi.PhaseClosed
	s.OpenEpoch = 0
	s.TailUncovered = true
	s.Server.SuperReadOnly = true
	s.Server.ReadOnly = true
	s.Server.OfflineMode = true
}

// then makes one scenario of several.
func then(all ...func(*testing.T, *failover.Observation)) func(*testing.T, *failover.Observation) {
	return func(t *testing.T, o *failover.Observation) {
		for _, f := range all {
			f(t, o)
		}
	}
}

func TestAPrimaryWhoseDataWasRolledBack(t *testing.T) {
	type obs = failover.Observation
	own := serverOf(m0) + ":90-95"
	others := serverOf(m1) + ":7"
	silent := func(d time.Duration) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.Members[1].Reach, o.Members[1].SilentSince = failover.TimedOut, t0.Add(-d)
		}
	}
	unknown := func(_ *testing.T, o *obs) { o.Members[1].State.Compared = nil }
	remembered := func(_ *testing.T, o *obs) {
		o.History.RolledBack = failover.RolledBack{
			Primary:    m0,
			DataID:     "data-shop-0",
			PeerDataID: "data-shop-1",
			GTIDs:      own,
		}
	}
	sets := func(mine, theirs string) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.Members[0].State.Server.BinlogGTIDs, o.Members[1].State.Server.BinlogGTIDs = theirs, mine
		}
	}
	check(t, map[string]decision{
		"is neither opened nor left alone": {
			from: steady,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: bothRestarted(own),
		},
		"nor one that lacks what its peer wrote as the former primary": {
			from: steady,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: bothRestarted(others),
		},
		"one that was compared and lacks nothing goes on alone": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  bothRestarted(""),
		},
		"one that was not compared waits": {
			from: steady,
			rule: "SoloForClosedHolder",
			kind: failover.Waits,
			with: then(bothRestarted(own), unknown),
		},
		"a comparison with a former run says nothing": {
			from: steady,
			rule: "SoloForClosedHolder",
			kind: failover.Waits,
			with: then(bothRestarted(""), func(_ *testing.T, o *obs) { o.Members[1].State.Compared.HolderIncarnation = "former" }),
		},
		"members that cannot reach each other are compared by what both say": {
			from: steady,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: then(bothRestarted(""), unknown, sets(serverOf(m0)+":1-95", serverOf(m0)+":1-89")),
		},
		"a binlog of the primary that was not read shows no loss": {
			from: steady,
			rule: "SoloForClosedHolder",
			kind: failover.Waits,
			with: then(bothRestarted(""), unknown, sets(serverOf(m0)+":1-95", "")),
		},
		"and go on when nothing is missing": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  then(bothRestarted(""), unknown, sets(serverOf(m0)+":1-89", serverOf(m0)+":1-95")),
		},
		"a passive that has just not answered may yet say what it has": {
			from: steady,
			rule: "SoloForClosedHolder",
			kind: failover.Waits,
			with: then(bothRestarted(""), unknown, silent(time.Second)),
		},
		"one that cannot be asked is not waited for": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  then(bothRestarted(""), unknown, silent(time.Minute), askedInVain(time.Minute)),
		},
		"one that was hardly asked in a minute, since the operator could not look, may answer yet": {
			from: steady,
			rule: "SoloForClosedHolder",
			kind: failover.Waits,
			with: then(bothRestarted(""), unknown, silent(time.Minute), askedInVain(time.Second)),
		},
		"unless it is remembered what it had": {
			from: steady,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: then(bothRestarted(""), unknown, remembered, silent(time.Minute)),
		},
		"a passive whose data was deleted has nothing to lose": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: then(bothRestarted(own), remembered, func(_ *testing.T, o *obs) {
				o.Members[1].State = member(m1, p1, agentapi.PhaseEmpty).State
			}),
		},
		"a passive that runs on in sync takes over": {
			from:  steady,
			rule:  "PrimaryDataRolledBack",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  then(bothRestarted(own), entered),
		},
		"when a person says so, in mode Manual": {
			from: steady,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: then(bothRestarted(own), entered, func(_ *testing.T, o *obs) { o.Settings.AutomaticFailover = false }),
		},
		"a primary that is alone has lost what its passive still has": {
			from: solo,
			rule: "PrimaryDataRolledBack",
			kind: failover.Doubts,
			with: bothRestarted(own),
		},
		"what someone wrote on the passive of a primary that runs on is no loss of the primary": {
			from:  steady,
			rule:  "SoloEntry",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with: func(_ *testing.T, o *obs) {
				waits(o)
				o.Members[1].State.Compared = &agentapi.Comparison{
					DataID:            "data-shop-1",
					Incarnation:       "inc-shop-1",
					HolderDataID:      "data-shop-0",
					HolderIncarnation: "inc-shop-0",
					Errant:            others,
				}
			},
		},
		"it is not appointed again": {
			from:  between,
			rule:  "PrimaryDataRolledBack",
			kind:  failover.Doubts,
			steps: steps("PointService"),
			with:  then(bothRestarted(own), func(_ *testing.T, o *obs) { o.Members[0].Pod.Deleting = false }),
		},
	})
}

// entered: the passive is the run that was shown to be in sync.
func entered(_ *testing.T, o *failover.Observation) {
	o.Members[1].State.Mysqld.Incarnation, o.Members[1].State.Compared.Incarnation = "inc-shop-1", "inc-shop-1"
}

// waits: a commit has waited for longer than passiveTimeout.
func waits(o *failover.Observation) {
	o.Members[0].State.Server.WaitSessions, o.Members[0].State.Server.OldestWait = 1, 6*time.Second
	o.Members[1].State.Server.Receiver.Running = false
	delete(o.Members[1].Pod.Labels, pair.LabelReadable)
}

// What the passive cannot receive while the primary is down says nothing about the passive.
// askedInVain: the passive's agent was asked for this long and did not answer.
func askedInVain(d time.Duration) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.History.Unheard = failover.Unheard{For: d, Last: t0}
	}
}

// TestOnePauseIsNotEnoughWithAShortDeadAfter: two answers that did not come, and nothing between.
func TestOnePauseIsNotEnoughWithAShortDeadAfter(t *testing.T) {
	o := steady()
	o.Settings.DeadAfter = time.Second
	o.Members[1].Reach = failover.TimedOut
	o.History = o.History.Next(o)
	o.Now = o.Now.Add(time.Minute)
	o.History = o.History.Next(o)
	if got := o.History.Unheard.For; got >= o.Settings.DeadAfter {
		t.Errorf("after two questions it is %s", got)
	}
}

// TestAPauseOfTheOperatorIsNoSilence: what an agent did not answer counts only while it was asked.
func TestAPauseOfTheOperatorIsNoSilence(t *testing.T) {
	o := steady()
	o.Members[1].Reach = failover.TimedOut
	o.History = o.History.Next(o)
	if got := o.History.Unheard; got.For != 0 || got.Last != t0 {
		t.Fatalf("at the first observation it is %+v", got)
	}
	for range 4 {
		o.Now = o.Now.Add(500 * time.Millisecond)
		o.History = o.History.Next(o)
		o.History = o.History.Next(o) // the same observation counts once
	}
	if got := o.History.Unheard.For; got != 2*time.Second {
		t.Errorf("asked for two seconds, it is %s", got)
	}
	o.Now = o.Now.Add(time.Minute)
	o.History = o.History.Next(o)
	if got := o.History.Unheard.For; got > 4*time.Second {
		t.Errorf("after a minute without an observation it is %s", got)
	}
	o.Members[1].Reach = failover.Answered
	o.History = o.History.Next(o)
	if got := o.History.Unheard; got != (failover.Unheard{}) {
		t.Errorf("after an answer it is %+v", got)
	}
}

func TestAClosedPrimaryIsLeftAloneForItsPassivesAbsenceOnly(t *testing.T) {
	type obs = failover.Observation
	up := func(d time.Duration) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.History.Closed = failover.Closed{Since: t0.Add(-d), Incarnation: "next-0"}
		}
	}
	check(t, map[string]decision{
		"its own downtime does not count": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: then(bothRestarted(""), up(time.Second)),
		},
		"nor that of a former run": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: then(bothRestarted(""), func(_ *testing.T, o *obs) { o.History.Closed.Incarnation = "former" }),
		},
		"since it is up it does": {
			from:  steady,
			rule:  "SoloForClosedHolder",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  then(bothRestarted(""), up(6*time.Second)),
		},
		"a primary that opens is not left alone": {
			from: steady,
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: then(bothRestarted(""), func(_ *testing.T, o *obs) { o.Members[0].State.Phase = agentapi.PhaseOpening }),
		},
	})
}

func TestSinceWhenThePrimaryIsClosed(t *testing.T) {
	o := steady()
	bothRestarted("")(t, &o)
	o.History.Closed = failover.Closed{}
	o.History = o.History.Next(o)
	if want := (failover.Closed{Since: t0, Incarnation: "next-0"}); o.History.Closed != want {
		t.Fatalf("it is %+v, not %+v", o.History.Closed, want)
	}
	first := o.History.Closed
	o.Now = t0.Add(time.Second)
	o.Members[0].Reach = failover.TimedOut
	if again := o.History.Next(o).Closed; again != first {
		t.Errorf("after an answer that did not come it is %+v", again)
	}
	o.Members[0].Reach, o.Members[0].State.Mysqld.Incarnation = failover.Answered, "third"
	if again := o.History.Next(o).Closed; again.Since != o.Now {
		t.Errorf("of the next run it is %+v", again)
	}
	o.Members[0].State.Phase = agentapi.PhaseOpen
	if again := o.History.Next(o).Closed; again != (failover.Closed{}) {
		t.Errorf("of an open primary it is %+v", again)
	}
}

func TestTheDoubtNamesWhatIsLostAndTheCommand(t *testing.T) {
	o := steady()
	bothRestarted(serverOf(m0)+":90-95")(t, &o)
	p := failover.Decide(o)
	for _, want := range []string{"lacks 6 transactions", serverOf(m0) + ":90-95", "kubectl dbpair force-promote shop shop-1 -n ns"} {
		if !strings.Contains(p.Fact+strings.Join(p.Remedy.Commands("ns", "shop"), " "), want) {
			t.Errorf("the fact %q does not say %q", p.Fact, want)
		}
	}
}

func TestARolledBackPrimaryIsRememberedWhileItsDataIsThere(t *testing.T) {
	o := steady()
	bothRestarted(serverOf(m0)+":90-95")(t, &o)
	o.History = o.History.Next(o)
	if o.History.RolledBack.GTIDs != serverOf(m0)+":90-95" {
		t.Fatalf("remembered: %+v", o.History.RolledBack)
	}
	o.Members[1].State.Compared = nil
	if again := o.History.Next(o).RolledBack; again != o.History.RolledBack {
		t.Errorf("without a new comparison it is %+v", again)
	}
	o.Authority.Record.Data[m0] = "copied"
	if again := o.History.Next(o).RolledBack; again != (failover.RolledBack{}) {
		t.Errorf("of new data it is %+v", again)
	}
}

// The usual cure of an errant transaction is an empty one with its GTID on the primary.
func TestAnErrantTransactionThatThePrimaryHasByNowIsErrantNoMore(t *testing.T) {
	o := steady()
	o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
	o.Members[0].State.Server.Waiting = false
	o.History.Errant = map[pair.MemberName]failover.Errant{m1: {GTIDs: serverOf(m1) + ":5", DataID: "data-shop-1", Incarnation: "inc-shop-1"}}
	if p := failover.Decide(o); p.Rule != failover.RuleDiverged {
		t.Errorf("with it: %s (%s)", p.Rule, p.Fact)
	}
	o.Members[0].State.Server.BinlogGTIDs = serverOf(m1) + ":5"
	if p := failover.Decide(o); p.Rule != failover.RuleBeginJoining {
		t.Errorf("after the cure: %s (%s)", p.Rule, p.Fact)
	}
}
