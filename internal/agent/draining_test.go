package agent

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func openAt(epoch pair.Epoch) authority.View {
	return authority.View{
		Known:     epoch,
		Serving:   authority.Serves,
		OpenEpoch: epoch,
	}
}

func newTestDraining(t *testing.T, view authority.View) (*draining, *recorder) {
	t.Helper()
	server := &recorder{drained: mysqlops.Drained{Closed: 2, InFlight: []mysqlops.ClientSession{{ID: 7, InFlight: true}}}}
	state := newTestBoard()
	state.see(view)
	d := &draining{
		gate:  gate{pairUID: "pair-a", state: state},
		log:   logr.Discard(),
		ops:   server,
		state: state,
		life:  func() context.Context { return t.Context() },
	}
	state.from.drain = d.describe
	return d, server
}

func drainCommand(operation string, epoch pair.Epoch, limit time.Duration) agentapi.DrainCommand {
	return agentapi.DrainCommand{
		Command:   agentapi.Command{PairUID: "pair-a", Epoch: epoch},
		Operation: operation,
		For:       limit,
	}
}

func TestWhoMayDrain(t *testing.T) {
	for name, c := range map[string]struct {
		view    authority.View
		command agentapi.DrainCommand
		fine    bool
	}{
		"the open member":          {openAt(3), drainCommand("o1", 3, time.Second), true},
		"an operation of no name":  {openAt(3), drainCommand("", 3, time.Second), false},
		"at a later epoch":         {openAt(3), drainCommand("o1", 4, time.Second), false},
		"at an epoch that is over": {openAt(3), drainCommand("o1", 2, time.Second), false},
		"for too long":             {openAt(3), drainCommand("o1", 3, time.Hour), false},
		"a member that is closed":  {authority.View{Serving: authority.Shut}, drainCommand("o1", 3, time.Second), false},
		"the end of no drain":      {openAt(3), drainCommand("o1", 3, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			d, server := newTestDraining(t, c.view)
			if _, err := d.order(t.Context(), c.command); (err == nil) != c.fine {
				t.Errorf("it is answered %v", err)
			}
			d.end("o1")
			if !c.fine && len(server.done()) != 0 {
				t.Error("a drain that was refused closed sessions")
			}
		})
	}
}

func TestADrainEndsWithTheMembersBeingOpen(t *testing.T) {
	d, server := newTestDraining(t, openAt(3))
	if _, err := d.order(t.Context(), drainCommand("o1", 3, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for !server.has("close idle sessions") || d.describe().Rounds == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := d.describe(); got.Operation != "o1" || got.Closed < 2 || got.InFlight != 1 || len(got.Busy) != 1 || got.Busy[0].ID != 7 {
		t.Errorf("described as %+v", got)
	}
	d.end("o2")
	if d.describe() == nil {
		t.Error("another operation ended it")
	}
	d.state.see(authority.View{Serving: authority.Closing})
	for d.describe() != nil {
		time.Sleep(time.Millisecond)
	}
}

// Observers wait for news: the operator would ask over and over for a renewal that it does not see.
func TestARenewalOfADrainIsNews(t *testing.T) {
	d, _ := newTestDraining(t, openAt(3))
	for want := 1; want <= 2; want++ {
		if _, err := d.order(t.Context(), drainCommand("o1", 3, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if s := d.state.snapshot(); s.Drain == nil || s.Drain.Asked != want {
			t.Errorf("after %d requests the state says %+v", want, s.Drain)
		}
	}
	was := keyOf(d.state.snapshot(), agentapi.Config{})
	if _, err := d.order(t.Context(), drainCommand("o1", 3, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if keyOf(d.state.snapshot(), agentapi.Config{}) == was {
		t.Error("a renewal is no news")
	}
	d.end("o1")
}
