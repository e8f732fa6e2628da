package failover_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// asked is an operation that was just made.
func asked(target pair.MemberName, confirmed pair.Epoch) failover.Operation {
	return failover.Operation{
		Name:          "op-1",
		Verb:          failover.VerbReseed,
		Target:        target,
		Confirmed:     confirmed,
		ConfirmedPair: "shop",
		GiveUp:        confirmed >= 0,
		CreatedAt:     t0,
	}
}

func reseed(change ...func(*failover.Operation)) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		op := asked(m1, -1)
		for _, f := range change {
			f(&op)
		}
		o.Operations = append(o.Operations, op)
	}
}

func giveUp(o *failover.Operation)  { o.GiveUp, o.Confirmed = true, 3 }
func started(o *failover.Operation) { o.Running = true }

func errant(_ *testing.T, o *failover.Observation) {
	o.History.Errant = failover.ErrantByMember{m1: {GTIDs: serverOf(m1) + ":5", DataID: "data-shop-1", Incarnation: "inc-shop-1"}}
}

// heldPassive: the passive ended uncleanly, so that what it has is not known.
func heldPassive(_ *testing.T, o *failover.Observation) {
	s := o.Members[1].State
	s.Phase, s.UncleanAt, s.Server = agentapi.PhaseHeld, 2, nil
	s.Mysqld = agentapi.Mysqld{}
}

// copyOf is the data that the operation of these tests makes.
func copyOf(t *testing.T) pair.DataID {
	t.Helper()
	o := solo()
	reseed(giveUp)(t, &o)
	change, ok := failover.Decide(o).Steps[0].(failover.ChangeAuthority)
	if !ok {
		t.Fatalf("no change of the Lease: %+v", failover.Decide(o))
	}
	return change.Change.(authority.ForgetData).NewData
}

func TestReseed(t *testing.T) {
	type obs = failover.Observation
	copied := copyOf(t)
	given := func(_ *testing.T, o *obs) {
		delete(o.Authority.Record.Data, m1)
		o.Authority.Record.Seeding = &authority.Seeding{Member: m1, DataID: copied}
	}
	named := func(_ *testing.T, o *obs) {
		o.Authority.Record.Data[m1], o.Members[1].State.DataID = copied, copied
	}
	check(t, map[string]decision{
		"the primary goes on alone first": {
			from:  steady,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  reseed(),
		},
		"then the data is given up, once compared": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("GiveUpData"),
			with:  reseed(started),
		},
		"or at once, when that was confirmed": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(errant, reseed(started, giveUp)),
		},
		"a passive whose tail is not known is copied when that was confirmed": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(heldPassive, reseed(giveUp)),
		},
		"and is asked to copy, whatever becomes of the operation": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with:  given,
		},
		"also when its mysqld does not start": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with:  then(given, func(_ *testing.T, o *obs) { o.Members[1].State.Phase = agentapi.PhaseFailed }),
		},
		"a passive that lacks data is copied": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("GiveUpData"),
			with:  then(lacking, reseed(started)),
		},
		"a copy joins like any passive": {
			from:  solo,
			rule:  "BeginJoining",
			kind:  failover.Acts,
			steps: steps("Fence"),
			with:  then(named, reseed(started)),
		},
		"one that has not caught up is not done": {
			from:  steady,
			rule:  "AwaitSemiSyncEnabled",
			kind:  failover.Acts,
			steps: steps("ReadLease"),
			with:  then(named, joining, reseed(started), func(_ *testing.T, o *obs) { o.Members[0].State.ActedLedger = 6 }),
		},
		"one in sync is": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  then(named, reseed(started)),
		},
		"one that was begun goes on at another epoch": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(errant, reseed(started, giveUp, func(o *failover.Operation) { o.Confirmed = 2 })),
		},
		"one that was begun waits for its passive": {
			from: solo,
			rule: "ReseedRequested",
			kind: failover.Holds,
			with: then(reseed(started), func(_ *testing.T, o *obs) {
				o.Members[1].Reach = failover.TimedOut
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			}),
		},
		"its passive does not join before it is copied": {
			from: solo,
			rule: "ReseedRequested",
			kind: failover.Holds,
			with: then(reseed(started), func(_ *testing.T, o *obs) { o.Settings.ContinueAlone, o.Members[1].ClaimDeleting = false, true }),
		},
	})
}

func TestReseedsThatAreRefused(t *testing.T) {
	type obs = failover.Observation
	at := func(target pair.MemberName) func(*failover.Operation) {
		return func(o *failover.Operation) { o.Target = target }
	}
	for name, tt := range map[string]struct {
		with func(*testing.T, *obs)
		want string
	}{
		"of the primary":    {reseed(at(m0)), "shop-0 is the primary: only the passive is copied again"},
		"of nobody":         {reseed(at("shop-7")), "shop-7 is no member"},
		"at another epoch":  {reseed(giveUp, func(o *failover.Operation) { o.Confirmed = 2 }), "its confirmation is not shop/3"},
		"of an errant one":  {then(errant, reseed()), "shop-1 has 1 transactions that shop-0 lacks, such as " + serverOf(m1) + ":5"},
		"of an unknown one": {then(heldPassive, reseed()), "shop-1 is Held, so that what it has cannot be compared with shop-0"},
		"while the primary is not open": {then(reseed(), func(_ *testing.T, o *obs) { closed(o) }),
			"the primary shop-0 is not open: there is nothing to copy from"},
		"while the passive is away": {then(reseed(), func(_ *testing.T, o *obs) { o.Members[1].Reach = failover.TimedOut }),
			"the agent of shop-1 does not answer"},
		"of one that is copied already": {then(reseed(), func(_ *testing.T, o *obs) { o.Members[1].State = member(m1, p1, agentapi.PhaseEmpty).State }),
			"shop-1 is being copied already"},
		"with onPassiveLoss Block": {then(reseed(), func(_ *testing.T, o *obs) { o.Settings.ContinueAlone = false }),
			"durability.onPassiveLoss is Block"},
		"a second one": {then(reseed(started), reseed(func(o *failover.Operation) { o.Name = "op-2" })), "operation op-1 copies shop-1"},
		"during a switchover": {then(func(_ *testing.T, o *obs) {
			*o = draining()
			o.Operations[0].CreatedAt = t0
		}, reseed(func(o *failover.Operation) { o.Name = "op-2" })), "operation op-1 switches over between shop-0 and shop-1"},
		"during a backup": {then(reseed(), func(_ *testing.T, o *obs) { o.Jobs = []string{"shop-backup-1"} }),
			"operation shop-backup-1 is running and reads shop-1: ask again when it has ended, or end it with kubectl delete dbpo shop-backup-1 -n "},
		"between two holders": {then(func(_ *testing.T, o *obs) { *o = between() }, reseed()), "nobody is the primary: there is nothing to copy from"},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			tt.with(t, &o)
			o.Settings.CreatedAt = t0
			var notes []string
			for range 8 {
				p := failover.Decide(o)
				for _, s := range p.Steps {
					if n, ok := s.(failover.NoteOperation); ok {
						notes = append(notes, n.Note.Message)
					}
				}
				o.History = o.History.After(o, p, failover.Outcome{})
			}
			if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, tt.want) }) {
				t.Errorf("refused with %q, want %q; decided %+v", notes, tt.want, failover.Decide(o))
			}
		})
	}
}

// A re-seed that was begun ends by name when the comparison finds what the passive alone has.
func TestAReseedThatFindsErrantTransactionsFails(t *testing.T) {
	o := solo()
	then(errant, reseed(started))(t, &o)
	found := false
	for range 4 {
		p := failover.Decide(o)
		for _, s := range p.Steps {
			n, ok := s.(failover.NoteOperation)
			found = found || ok && n.Note.Phase == pair.OperationFailed && strings.Contains(n.Note.Message, serverOf(m1)+":5")
		}
		o.History = o.History.After(o, p, failover.Outcome{})
	}
	if !found {
		t.Errorf("it goes on: %+v", failover.Decide(o))
	}
}

// What a copy gave up is in the record of its operation, also of one that the operator began by itself.
func TestWhatAReseedGaveUpIsRecorded(t *testing.T) {
	copied := copyOf(t)
	d := &agentapi.Discarded{
		DataID:       copied,
		Former:       "data-shop-1",
		GTIDs:        serverOf(m1) + ":5",
		Transactions: 1,
		Directory:    "/var/lib/dbpair/quarantine/data-shop-1",
	}
	o := steady()
	reseed(started)(t, &o)
	o.Authority.Record.Data[m1] = copied
	o.Members[1].State.DataID = copied
	o.Members[1].State.Discarded = d
	got := note(t, failover.Decide(o))
	if got.Phase != pair.OperationSucceeded || got.Discarded != d || !strings.Contains(got.Message, "gave up 1 transactions") {
		t.Errorf("note %+v", got)
	}
	d.DataID = "another copy"
	if got := note(t, failover.Decide(o)); got.Discarded != nil {
		t.Errorf("what another copy gave up is in the record: %+v", got.Discarded)
	}
}

// The operator keeps a record of the copies that spec.rejoin.onDivergence has it begin.
func TestAnAutomaticReseedHasARecord(t *testing.T) {
	o := solo()
	then(automatic, wroteOn(serverOf(m1)))(t, &o)
	p := failover.Decide(o)
	n := p.Operation
	if n == nil || n.Verb != failover.VerbReseed || n.Target != m1 || n.From != m0 || n.Phase != pair.OperationRunning || n.Name != "shop-reseed-fresh" {
		t.Fatalf("plan %s, note %+v", p.Fact, n)
	}
	recorded := failover.Operation{
		Name:       n.Name,
		Verb:       n.Verb,
		Target:     n.Target,
		Confirmed:  -1,
		Running:    true,
		ByOperator: true,
		Epoch:      n.Epoch,
		StartedAt:  t0,
		CreatedAt:  t0,
	}

	o.Operations = []failover.Operation{recorded}
	if got := failover.Decide(o); got.Rule != failover.RuleReseedDiverged && got.Rule != failover.RuleDiverged {
		t.Errorf("with a record that the Lease does not know yet: %s, %s", got.Rule, got.Fact)
	}
	o.Now = t0.Add(2 * time.Minute)
	if got := failover.Decide(o); note(t, got).Phase != pair.OperationAbandoned {
		t.Errorf("with a record that nothing came of: %s, %s", got.Rule, got.Fact)
	}

	o = steady()
	o.Authority.Record.Data[m1] = "fresh"
	o.Members[1].State.DataID = "fresh"
	o.Members[1].State.Discarded = &agentapi.Discarded{
		DataID:       "fresh",
		Former:       "data-shop-1",
		Transactions: 2,
	}
	o.Operations = []failover.Operation{recorded}
	if got := note(t, failover.Decide(o)); got.Phase != pair.OperationSucceeded || got.Discarded == nil {
		t.Errorf("note %+v", got)
	}
}
