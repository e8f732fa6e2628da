package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestALeaseThatSaysNothingIsPublished(t *testing.T) {
	for name, c := range map[string]struct {
		says leaseSays
		told bool
	}{
		"it is there":            {leaseSays{outcome: authority.ReadFound}, false},
		"it is gone":             {leaseSays{outcome: authority.ReadMissing, err: lease.ErrMissing}, true},
		"another party wrote it": {leaseSays{outcome: authority.ReadFailed, err: authority.ErrNotAuthentic}, true},
		"it cannot be read":      {leaseSays{outcome: authority.ReadFailed, err: lease.ErrMalformed}, true},
		"no answer for long":     {leaseSays{outcome: authority.ReadFailed, err: context.DeadlineExceeded}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var events []authority.Event
			var counted []authority.ReadOutcome
			confirm := &confirming{
				lease:     c.says,
				state:     newTestBoard(),
				post:      func(e authority.Event) { events = append(events, e) },
				countRead: func(o authority.ReadOutcome) { counted = append(counted, o) },
			}
			confirm.readLease(t.Context(), authority.ReadLease{Limit: time.Minute})
			if told := slices.Contains(published(confirm.state), agentapi.ProblemAuthorityUnread); told != c.told {
				t.Errorf("published: %t", told)
			}
			event, ok := events[0].(authority.LeaseRead)
			if !ok || event.Outcome != c.says.outcome || event.AskedAt > event.At {
				t.Errorf("reported %+v", events)
			}
			if !slices.Equal(counted, []authority.ReadOutcome{c.says.outcome}) {
				t.Errorf("counted %q", counted)
			}
		})
	}
}

// confirms is a peer with one answer.
type confirms authority.VouchAnswered

func (c confirms) vouch(context.Context, agentapi.VouchRequest, bool) authority.VouchAnswered {
	return authority.VouchAnswered(c)
}

func TestThePeersAnswerIsHandedOnAndCounted(t *testing.T) {
	for want, answer := range map[string]authority.VouchAnswered{
		"unanswered": {},
		"given":      {Answered: true, Given: true},
		"refused":    {Answered: true},
	} {
		var events []authority.Event
		var counted []string
		confirm := &confirming{
			peer:        confirms(answer),
			post:        func(e authority.Event) { events = append(events, e) },
			countAnswer: func(result string) { counted = append(counted, result) },
		}
		confirm.askPeer(t.Context(), authority.AskVouch{Limit: time.Minute})
		if !slices.Equal(counted, []string{want}) || len(events) != 1 {
			t.Errorf("counted %q, reported %+v; want %q", counted, events, want)
		}
	}
}

// newTestCommands is that of a machine which answers each event so.
func newTestCommands(server statusReader, reply func(id string) authority.Action) *commands {
	waiting := &answers{}
	state := newTestBoard()
	return &commands{
		self:    agentapi.State{Member: "shop-0"},
		gate:    gate{pairUID: "pair-a", state: state},
		log:     logr.Discard(),
		ops:     server,
		mysqld:  running("run-1"),
		state:   state,
		answers: waiting,
		post: func(e authority.Event) {
			if asked, ok := e.(authority.Commanded); ok {
				waiting.deliver(asked.ID, reply(asked.ID))
			}
		},
	}
}

func TestWhatTheMachineRefusesIsRefusedForItsReason(t *testing.T) {
	for reason, want := range map[authority.RefusalReason]agentapi.ErrorCode{
		authority.RefusedStale:     agentapi.ErrorStale,
		authority.RefusedWrongPair: agentapi.ErrorWrongPair,
		authority.RefusedFailed:    agentapi.ErrorRefused,
	} {
		c := newTestCommands(&recorder{}, func(id string) authority.Action {
			return authority.Refuse{ID: id, Reason: reason, Why: "no"}
		})
		_, err := c.command(t.Context(), authority.CommandCease, agentapi.Command{})
		var r refusal
		if !errors.As(err, &r) || r.code != want {
			t.Errorf("%s is %v, want %s", reason, err, want)
		}
	}
}

func TestAFenceSaysOnlyWhatItsKindProves(t *testing.T) {
	everything := func(id string) authority.Action {
		return authority.Answer{ID: id, Ceased: true, ProcessStopped: true, Demoted: true, ReceiverStopped: true}
	}
	for kind, want := range map[authority.CommandKind]agentapi.FenceReply{
		authority.CommandCease:    {Ceased: true},
		authority.CommandFence:    {Ceased: true, ProcessStopped: true, Demoted: true},
		authority.CommandAckFence: {Ceased: true, ReceiverStopped: true},
	} {
		got, err := newTestCommands(&recorder{}, everything).fence(t.Context(), kind, agentapi.Command{})
		want.Member = "shop-0"
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", kind, got, err, want)
		}
	}
}

func TestAnAckFenceThatNamesNoSetIsRefused(t *testing.T) {
	stops := func(id string) authority.Action { return authority.Answer{ID: id, ReceiverStopped: true} }
	head := agentapi.Command{PairUID: "pair-a"}
	for receive, fine := range map[string]bool{"": true, ownUUID + ":1-3": true, "x": false} {
		c := newTestCommands(&recorder{status: closedStatus("", ownUUID+":1-3")}, stops)
		reply, err := c.ackFence(t.Context(), agentapi.AckFenceCommand{Command: head, Receive: receive})
		if (err == nil) != fine || reply.ReceiverStopped != fine {
			t.Errorf("receive %q: %+v, %v", receive, reply, err)
		}
	}
}

func TestTheEpochFileIsWrittenAndItsEndReported(t *testing.T) {
	vol := volume.Open(t.TempDir(), "")
	if err := vol.Lock(); err != nil {
		t.Fatal(err)
	}
	events := make(chan authority.Event, 4)
	f := &memoryFile{
		log:      logr.Discard(),
		vol:      vol,
		state:    newTestBoard(),
		post:     func(e authority.Event) { events <- e },
		due:      make(chan memory, 1),
		failures: &failpoints{},
	}
	f.persist(authority.Persist{Seq: 1, Durable: authority.Durable{Known: 5}})
	// The writer is behind: what cannot be handed over is reported as not written.
	f.persist(authority.Persist{Seq: 2, Durable: authority.Durable{Known: 6}})
	if e, ok := (<-events).(authority.Persisted); !ok || e.Seq != 2 || e.OK {
		t.Errorf("reported %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go f.run(ctx)
	if e, ok := (<-events).(authority.Persisted); !ok || e.Seq != 1 || !e.OK {
		t.Errorf("reported %+v", e)
	}
	if found, _, err := vol.ReadMemory(); err != nil || found.Known != 5 {
		t.Errorf("the volume says %+v, %v", found.Durable, err)
	}
}

func TestAnAnswerIsOfOneRunOfMysqld(t *testing.T) {
	for incarnation, fine := range map[string]bool{"run-1": true, "": false} {
		p := &reports{
			gate:   gate{pairUID: "pair-a", state: newTestBoard()},
			ops:    &recorder{status: closedStatus("", "")},
			mysqld: &instance{child: child{up: incarnation != ""}},
			state:  newTestBoard(),
		}
		p.mysqld.child.incarnation = "run-1"
		if _, run, err := p.oneRun(t.Context()); (err == nil) != fine || (fine && run != "run-1") {
			t.Errorf("with %q up: %q, %v", incarnation, run, err)
		}
	}
	restarted := running("run-1")
	p := &reports{
		ops:    restarting{restarted},
		mysqld: restarted,
		state:  newTestBoard(),
	}
	if _, _, err := p.oneRun(t.Context()); err == nil {
		t.Error("an answer of a mysqld that was started meanwhile counts")
	}
}

// restarting is a mysqld that is restarted while it is asked.
type restarting struct{ mysqld *instance }

func (r restarting) Status(context.Context) (mysqlops.Status, error) {
	r.mysqld.mu.Lock()
	r.mysqld.child.incarnation = "run-2"
	r.mysqld.mu.Unlock()
	return mysqlops.Status{}, nil
}

func (r restarting) ClientSessions(context.Context) ([]mysqlops.ClientSession, error) {
	return nil, nil
}
