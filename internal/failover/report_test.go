package failover_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// promoted is a pair whose shop-0 was appointed at epoch 3 by a failover from shop-1.
func promoted() failover.Observation {
	o := steady()
	o.History.LastOpen, o.History.OpenedAt = t0.Add(-3*time.Second), t0.Add(-500*time.Millisecond)
	o.Operations = []failover.Operation{{
		Name:       "shop-failover-2",
		Verb:       failover.VerbFailover,
		Running:    true,
		ByOperator: true,
		Confirmed:  -1,
		Epoch:      2,
		From:       m1,
	}}
	return o
}

func note(t *testing.T, p failover.Plan) failover.OperationNote {
	t.Helper()
	if len(p.Steps) == 1 {
		if n, ok := p.Steps[0].(failover.NoteOperation); ok {
			return n.Note
		}
	}
	t.Fatalf("plan %+v, want one note of an operation", p)
	return failover.OperationNote{}
}

func TestAFailoverEndsWhenClientsAreLedToTheNewPrimary(t *testing.T) {
	o := promoted()
	o.Service.Leads = failover.LeadsDoor
	o.Service.PortLeads = failover.LeadsDoor
	p := failover.Decide(o)
	if p.Rule != failover.RuleServiceFollows || p.Operation == nil || p.Operation.Name != "shop-failover-2" || p.Operation.Phase != pair.OperationRunning {
		t.Errorf("the way of the Service is not in the report: %+v", p)
	}
	got := note(t, failover.Decide(promoted()))
	if got.Phase != pair.OperationSucceeded || got.To != m0 || got.WriteGap != 2500*time.Millisecond {
		t.Errorf("note %+v", got)
	}
}

func TestAFailoverEndsAlsoWhenTheAuthorityHasGoneOn(t *testing.T) {
	o := promoted()
	o.Operations[0].Epoch = 1
	o.Members[0].State.OpenEpoch = 0
	if got := note(t, failover.Decide(o)); got.Phase != pair.OperationSucceeded {
		t.Errorf("note %+v", got)
	}
	o.Operations[0].From = m0
	if got := note(t, failover.Decide(o)); got.Phase != pair.OperationAbandoned {
		t.Errorf("note %+v", got)
	}
}

func TestTheReportSaysHowManyClientsWereHeld(t *testing.T) {
	o := promoted()
	o.Members[0].State.Door = &agentapi.Door{
		Released:    o.Authority.Record.Epoch,
		HeldInAll:   12,
		LongestHold: 400 * time.Millisecond,
	}
	want := failover.Held{Clients: 12, Longest: 400 * time.Millisecond}
	if got := note(t, failover.Decide(o)); got.Held == nil || *got.Held != want {
		t.Errorf("held %+v, want %+v", got.Held, want)
	}
	o.Members[0].State.Door.Released--
	if got := note(t, failover.Decide(o)); got.Held != nil {
		t.Errorf("held %+v of an earlier change of roles", got.Held)
	}
}

func TestAnUnheardGapIsNotGuessed(t *testing.T) {
	o := promoted()
	o.History.LastOpen = time.Time{}
	if got := note(t, failover.Decide(o)); got.WriteGap != 0 {
		t.Errorf("note %+v", got)
	}
}

func TestTheReportSaysWhatTheMembersHad(t *testing.T) {
	o := between()
	o.Members[0].State.Server.BinlogGTIDs = "a:1-9"
	o.Members[1].State.Server.GTIDReceived, o.Members[1].State.Server.GTIDExecuted = "a:1-8", "a:1-7"
	o.Members[1].State.ReceiverStoppedAt = 4
	p := failover.Decide(o)
	want := failover.GTIDs{Received: "a:1-8", Executed: "a:1-7", Former: "a:1-9"}
	if p.Operation == nil || p.Operation.GTIDs != want {
		t.Errorf("operation %+v, want %+v", p.Operation, want)
	}
}

func TestAReleasedFenceSaysSo(t *testing.T) {
	o := steady()
	o.Operations = []failover.Operation{
		{
			Name:      "fence",
			Verb:      failover.VerbFence,
			Running:   true,
			Confirmed: -1,
			Epoch:     2,
			From:      m0,
		},
		{
			Name:      "release",
			Verb:      failover.VerbRelease,
			Running:   true,
			Confirmed: -1,
		},
	}
	got := note(t, failover.Decide(o))
	if got.Name != "fence" || got.Phase != pair.OperationSucceeded || got.To != "" || got.Message != "released: shop-0 is the primary again" {
		t.Errorf("note %+v", got)
	}
}

func TestTheWriteGapIsWhatTheMembersMeasured(t *testing.T) {
	o := promoted()
	o.Members[0].HeardAt, o.Members[1].HeardAt = t0, t0.Add(-300*time.Millisecond)
	o.Authority.Record.LastHolder = &authority.LastHolder{Holder: pair.Holder{Member: m1, PodUID: p1}, Epoch: 1}
	epoch := o.Authority.Record.Epoch
	o.Members[0].State.LastOpen = &agentapi.OpenInterval{Epoch: epoch, OpenedAge: 2 * time.Second}
	o.Members[1].State.LastOpen = &agentapi.OpenInterval{Epoch: 1, OpenedAge: time.Hour, ClosedAge: 2200 * time.Millisecond}
	o.History = o.History.Next(o)
	if got := note(t, failover.Decide(o)); got.WriteGap != 500*time.Millisecond {
		t.Errorf("gap %s", got.WriteGap)
	}
	// An end of an earlier epoch is not the one that this failover began with.
	o = promoted()
	o.Authority.Record.LastHolder = &authority.LastHolder{Holder: pair.Holder{Member: m1, PodUID: p1}, Epoch: 1}
	o.Members[0].State.LastOpen = &agentapi.OpenInterval{Epoch: epoch, OpenedAge: 2 * time.Second}
	o.Members[1].State.LastOpen = &agentapi.OpenInterval{Epoch: 0, OpenedAge: time.Hour, ClosedAge: time.Minute}
	before := o.History
	o.History = o.History.Next(o)
	if !o.History.AcceptedUntil.IsZero() {
		t.Errorf("ended at %s; before %+v", o.History.AcceptedUntil, before)
	}
}
