package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// changing is a mysqld whose role changes, and replication with it. It fails at one step.
type changing struct {
	recorder
	fails  string
	fenced mysqlops.Fenced
}

func (c *changing) do(what string) error {
	_ = c.change(what)
	if c.fails == what {
		return errors.New("no answer")
	}
	return nil
}

func (c *changing) CloseReads(context.Context) error { return c.do("close reads") }

func (c *changing) StopEvents(context.Context) error { return c.do("stop events") }

func (c *changing) Warm(context.Context) error { return c.do("warm") }

func (c *changing) OpenReadWrite(context.Context, []mycnf.Expectation, bool) error {
	return c.do("open")
}

func (c *changing) Fence(context.Context) (mysqlops.Fenced, error) { return c.fenced, c.do("fence") }

func (c *changing) PrepareShutdown(context.Context) error { return c.do("prepare shutdown") }

func (c *changing) take(context.Context) error { return c.do("take the turn") }

func (c *changing) giveBack() {}

func (c *changing) order(o order, _ pair.Epoch) { _ = c.change("order " + string(o)) }

func (c *changing) halt(context.Context) error { return c.do("halt the receiver") }

func (c *changing) hurry() {}

func (c *changing) applyReceived(context.Context, time.Duration) error { return c.do("apply") }

func (c *changing) endAll(context.Context, string) {}

// armed is a deadman that answers, or does not.
type armed bool

func (a armed) Armed(authority.Instant, time.Duration) bool { return bool(a) }

// newTestOpening is that of a closed mysqld which is up.
func newTestOpening(server *changing) *opening {
	state := newTestBoard()
	return &opening{
		log:    logr.Discard(),
		ops:    server,
		mysqld: running("run-1"),
		state:  state,
		follow: server,
		jobs:   server,
		forcing: &forcing{
			ops:   &recorder{},
			state: state,
		},
		waiting:  &waiting{log: logr.Discard(), ops: &recorder{}, state: state},
		member:   func() mycnf.Member { return mycnf.Member{} },
		config:   func() agentapi.Config { return agentapi.Config{} },
		failures: &failpoints{},
	}
}

func TestAMemberOpensAfterEveryStepOrNotAtAll(t *testing.T) {
	steps := []string{
		"order None", "halt the receiver", "apply", "take the turn", "close reads", "stop events", "warm", "open", "order Lead",
	}
	for i, fails := range append(slices.Clone(steps), "") {
		if fails == "order None" || fails == "order Lead" {
			continue // these do not fail
		}
		server := &changing{fails: fails}
		o := newTestOpening(server)
		err := o.try(t.Context(), authority.Open{Epoch: 4, Ledger: 2}, armed(true), 0)
		want := steps[:min(i+1, len(steps))]
		if done := server.done(); !slices.Equal(done, want) || (err == nil) != (fails == "") {
			t.Errorf("failing at %q: did %q, %v; want %q", fails, done, err, want)
		}
		_, last := o.mysqld.now()
		if opened := last.opened != 0; opened != (fails == "") {
			t.Errorf("failing at %q: it says that it was open: %t", fails, opened)
		}
		// From before the statement that opens, it counts as open until it is proven closed.
		if may := o.mysqld.provenClosed("").epoch == 4; may != (fails == "" || fails == "open") {
			t.Errorf("failing at %q: it counts as open: %t", fails, may)
		}
	}
}

func TestNothingOpensWithoutADeadman(t *testing.T) {
	server := &changing{}
	o := newTestOpening(server)
	if err := o.try(t.Context(), authority.Open{Epoch: 4}, armed(false), 0); err == nil {
		t.Error("it opened")
	}
	if done := server.done(); len(done) != 0 {
		t.Errorf("did %q", done)
	}
}

func TestAnOpeningOfAMysqldThatHasEndedFails(t *testing.T) {
	server := &changing{}
	o := newTestOpening(server)
	events := make(chan authority.Event, 1)
	o.post = func(e authority.Event) { events <- e }
	failed := 0
	o.failed = func() { failed++ }
	o.open(t.Context(), authority.Open{Epoch: 4})
	if event, ok := (<-events).(authority.Opened); !ok || event.OK || failed != 1 {
		t.Errorf("reported %+v, counted %d", event, failed)
	}
}

// complete is a fence that proves that the member is closed.
var complete = mysqlops.Fenced{OfflineMode: true, ReadOnly: true, SuperReadOnly: true, ReRead: true}

func TestAMemberIsClosedWhenTheFenceProvesIt(t *testing.T) {
	withClient := complete
	withClient.ClientSessions = 1
	for name, c := range map[string]struct {
		fenced mysqlops.Fenced
		fails  string
		fences bool
		proven bool
	}{
		"everything is read back":     {fenced: complete, fences: true, proven: true},
		"a client is left":            {fenced: withClient, fences: true},
		"a statement had no answer":   {fenced: complete, fails: "fence", fences: true},
		"another part keeps the turn": {fenced: complete, fails: "take the turn"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &changing{fenced: c.fenced, fails: c.fails}
			state := newTestBoard()
			mysqld := running("run-1")
			mysqld.mayBeOpen(interval{epoch: 4, openedAt: 1})
			mysqld.hasOpened(stamp{epoch: 4, opened: 1})
			var events []authority.Event
			closer := &closing{
				log:      logr.Discard(),
				ops:      server,
				mysqld:   mysqld,
				state:    state,
				follow:   server,
				jobs:     server,
				record:   openRecord{log: logr.Discard(), mysqld: mysqld, state: state},
				post:     func(e authority.Event) { events = append(events, e) },
				failures: &failpoints{},
			}
			closer.close(t.Context(), authority.Close{By: process.Now().Add(time.Minute)})
			if len(events) != 1 {
				t.Fatalf("reported %+v", events)
			}
			if event, ok := events[0].(authority.Closed); !ok || event.Proven != c.proven {
				t.Errorf("reported %+v", events[0])
			}
			if fences := server.has("fence"); fences != c.fences {
				t.Errorf("fenced: %t", fences)
			}
			if _, last := mysqld.now(); (last.closed != 0) != c.proven {
				t.Errorf("its last stretch of being open is over: %t", last.closed != 0)
			}
		})
	}
}

func TestACloseWaitsForTheEndOfAnOpening(t *testing.T) {
	server := &changing{fenced: complete}
	mysqld := running("run-1")
	opened := make(chan struct{})
	mysqld.opening(func() {
		_ = server.change("cancel the opening")
		close(opened)
	}, opened)
	state := newTestBoard()
	closer := &closing{
		log:      logr.Discard(),
		ops:      server,
		mysqld:   mysqld,
		state:    state,
		follow:   server,
		jobs:     server,
		record:   openRecord{log: logr.Discard(), mysqld: mysqld, state: state},
		post:     func(authority.Event) {},
		failures: &failpoints{},
	}
	closer.close(t.Context(), authority.Close{By: process.Now().Add(time.Minute)})
	if want := []string{"cancel the opening", "order None", "take the turn", "fence"}; !slices.Equal(server.done(), want) {
		t.Errorf("it did not %q", want)
	}
	// One that does not end keeps mysqld from being called closed.
	mysqld.opening(func() {}, make(chan struct{}))
	closer.close(t.Context(), authority.Close{By: process.Now()})
	if done := server.done(); len(done) != 0 {
		t.Errorf("did %q while it was opened", done)
	}
}

func TestTheReceiverCountsAsStoppedWhenItStandsStill(t *testing.T) {
	for fails, fine := range map[string]bool{"": true, "halt the receiver": false} {
		server := &changing{fails: fails}
		var events []authority.Event
		closer := &closing{
			log:    logr.Discard(),
			state:  newTestBoard(),
			follow: server,
			jobs:   server,
			post:   func(e authority.Event) { events = append(events, e) },
		}
		closer.stopReceiver(t.Context(), authority.StopReceiver{Epoch: 5})
		if event, ok := events[0].(authority.ReceiverIsStopped); !ok || event.OK != fine || len(events) != 1 {
			t.Errorf("failing at %q: reported %+v", fails, events)
		}
		if want := []string{"order Fenced", "halt the receiver"}; !slices.Equal(server.done(), want) {
			t.Errorf("it did not %q", want)
		}
	}
}

func TestTheTailIsCoveredByWhatARunningPeerReceived(t *testing.T) {
	covered := func() *agentapi.State {
		s := &agentapi.State{PairUID: "pair-a", Server: &agentapi.Server{GTIDReceived: ownUUID + ":1-3"}}
		s.Mysqld.Running = true
		s.Server.Receiver.Running = true
		return s
	}
	for name, c := range map[string]struct {
		change func(*agentapi.State)
		want   bool
	}{
		"it has everything":    {func(*agentapi.State) {}, true},
		"it lacks one":         {func(s *agentapi.State) { s.Server.GTIDReceived = ownUUID + ":1-2" }, false},
		"it is another pair's": {func(s *agentapi.State) { s.PairUID = "pair-b" }, false},
		"its mysqld is down":   {func(s *agentapi.State) { s.Mysqld.Running = false }, false},
		"it does not receive":  {func(s *agentapi.State) { s.Server.Receiver.Running = false }, false},
		"its mysqld is silent": {func(s *agentapi.State) { s.Server = nil }, false},
		"its set is no set":    {func(s *agentapi.State) { s.Server.GTIDReceived = "x" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			state := covered()
			c.change(state)
			var events []authority.Event
			check := &tailCheck{
				pairUID: "pair-a",
				ops:     &recorder{status: closedStatus(ownUUID+":1-3", "")},
				mysqld:  running("run-1"),
				state:   newTestBoard(),
				peer:    heard{state: state},
				post:    func(e authority.Event) { events = append(events, e) },
			}
			check.check(t.Context())
			if (len(events) == 1) != c.want {
				t.Fatalf("reported %+v", events)
			}
			if c.want && events[0].(authority.TailCovered).Incarnation != "run-1" {
				t.Errorf("reported %+v", events[0])
			}
		})
	}
}
