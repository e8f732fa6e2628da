package agent

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	ownUUID   = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	peersUUID = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

// newTestReplication is that of a mysqld that is up, with a peer which says this of itself.
func newTestReplication(server *recorder, peer heard) *replication {
	state := newTestBoard()
	passwords := &settings{revision: "new"}
	return (&replication{
		pairUID:  "pair-a",
		log:      logr.Discard(),
		ops:      server,
		mysqld:   running("run-1"),
		state:    state,
		data:     &dataset{},
		settings: passwords,
		peer:     peer,
		channel: &channel{
			log:      logr.Discard(),
			ops:      server,
			settings: passwords,
			peer:     peer,
			source:   func() (string, int, error) { return "shop-1", 33062, nil },
			tls:      func() mysqlops.TLSFiles { return mysqlops.TLSFiles{} },
			failures: &failpoints{},
		},
		applier: &applier{
			log:       logr.Discard(),
			ops:       server,
			mysqld:    running("run-1"),
			state:     state,
			keepOwned: func(context.Context) error { return nil },
		},
	}).begin()
}

// closedStatus is that of a member which refuses clients, with these transactions.
func closedStatus(executed, received string) mysqlops.Status {
	return mysqlops.Status{
		ReadOnly:      true,
		SuperReadOnly: true,
		OfflineMode:   true,
		Executed:      gtid.MustParse(executed),
		Received:      gtid.MustParse(received),
		Binlog:        gtid.MustParse(executed),
	}
}

// holder is a peer that is open at an epoch with this binlog.
func holder(epoch pair.Epoch, binlog string) heard {
	return heard{state: &agentapi.State{
		PairUID:    "pair-a",
		KnownEpoch: epoch,
		Server:     &agentapi.Server{BinlogGTIDs: binlog},
	}}
}

func TestAPassiveReplicatesOnlyFromAPrimaryThatHasEverything(t *testing.T) {
	const three = ownUUID + ":1-3"
	connected := []string{"replicate from shop-1", "start applier", "acknowledge", "start receiver"}
	for name, c := range map[string]struct {
		peer   heard
		change func(*mysqlops.Status)
		want   []string
		errant bool
		fine   bool
	}{
		"the primary has more":          {peer: holder(4, ownUUID+":1-9"), want: connected, fine: true},
		"the primary does not answer":   {peer: heard{}},
		"the primary knows a new epoch": {peer: holder(5, ownUUID+":1-9")},
		"the primary lacks one":         {peer: holder(4, ownUUID+":1-2"), errant: true},
		"the primary lacks one that still streams from here": {
			peer: holder(4, ownUUID+":1-2"),
			change: func(s *mysqlops.Status) {
				s.Channel.Configured = true
				s.Channel.Receiver = mysqlops.ReceiverStreaming
				s.Channel.ApplierRunning = true
			},
			want:   []string{"stop receiver"},
			errant: true,
		},
		"the source side of semi-sync is left on": {
			peer:   holder(4, ownUUID+":1-9"),
			change: func(s *mysqlops.Status) { s.SemiSync.SourceEnabled = true },
			want:   slices.Concat([]string{"release applier"}, connected),
			fine:   true,
		},
		"it is writable, since it opens or closes": {
			peer:   holder(4, ownUUID+":1-9"),
			change: func(s *mysqlops.Status) { s.SuperReadOnly = false },
			fine:   true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &recorder{status: closedStatus(three, three)}
			server.status.Channel.Receiver = mysqlops.ReceiverStopped
			if c.change != nil {
				c.change(&server.status)
			}
			r := newTestReplication(server, c.peer)
			r.order(orderFollow, 4)
			err := r.step(t.Context())
			if (err == nil) != c.fine || errors.Is(err, errErrant) != c.errant {
				t.Errorf("step = %v", err)
			}
			if done := server.done(); !slices.Equal(done, c.want) {
				t.Errorf("did %q, want %q", done, c.want)
			}
			told := slices.ContainsFunc(r.state.snapshot().Problems, func(p agentapi.Problem) bool { return p.Code == agentapi.ProblemErrant })
			if told != c.errant {
				t.Errorf("errant transactions published: %t", told)
			}
		})
	}
}

func TestAConnectedPassiveServesReadsAndIsComparedOnce(t *testing.T) {
	server := &recorder{status: closedStatus(ownUUID+":1-3", ownUUID+":1-3")}
	server.status.Channel.Receiver = mysqlops.ReceiverStopped
	r := newTestReplication(server, holder(4, ownUUID+":1-9"))
	r.order(orderFollow, 4)
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.done()
	server.status.Channel = mysqlops.ChannelStatus{Configured: true, Receiver: mysqlops.ReceiverStreaming, ApplierRunning: true}
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if done := server.done(); !slices.Equal(done, []string{"serve reads"}) {
		t.Errorf("did %q", done)
	}
	r.mysqld.mu.Lock()
	r.mysqld.child.incarnation = "run-2"
	r.mysqld.mu.Unlock()
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !server.has("start receiver") {
		t.Errorf("after a restart of mysqld it did %q", server.done())
	}
}

func TestTheReceiverStaysStoppedAndTheRestIsApplied(t *testing.T) {
	for name, c := range map[string]struct {
		executed string
		want     []string
		ended    pair.Incarnation
	}{
		"something is left":     {ownUUID + ":1-2", []string{"start applier", "end blockers"}, ""},
		"everything is applied": {ownUUID + ":1-3", []string{"end applying"}, "run-1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &recorder{status: closedStatus(c.executed, ownUUID+":1-3")}
			server.status.Channel = mysqlops.ChannelStatus{Configured: true, Receiver: mysqlops.ReceiverStopped}
			r := newTestReplication(server, heard{})
			r.discards = &discards{loaded: true, data: r.data, state: r.state}
			r.order(orderFenced, 5)
			if err := r.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if done := server.done(); !slices.Equal(done, c.want) {
				t.Errorf("did %q, want %q", done, c.want)
			}
			if r.applier.ended != c.ended {
				t.Errorf("the applier of %q is stopped for good, want %q", r.applier.ended, c.ended)
			}
			if !r.isFencedAt(5) || r.isFencedAt(4) {
				t.Error("it is not fenced at the epoch of the order")
			}
		})
	}
}

func TestAnApplierThatFailedIsNotStartedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		channel  mysqlops.ChannelStatus
		ended    pair.Incarnation
		received string
		starts   bool
	}{
		"it stands still":                {mysqlops.ChannelStatus{Configured: true}, "", ":1-3", true},
		"it runs":                        {mysqlops.ChannelStatus{Configured: true, ApplierRunning: true}, "", ":1-3", false},
		"there is no channel":            {mysqlops.ChannelStatus{}, "", ":1-3", false},
		"it stopped with an error":       {mysqlops.ChannelStatus{Configured: true, ApplierError: mysqlops.ChannelError{Number: 1062}}, "", ":1-3", false},
		"it was stopped for good":        {mysqlops.ChannelStatus{Configured: true}, "run-1", ":1-3", false},
		"more was received since it was": {mysqlops.ChannelStatus{Configured: true}, "run-1", ":1-4", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := &recorder{}
			applier := newTestReplication(server, heard{}).applier
			applier.ended = c.ended
			status := closedStatus(ownUUID+":1-3", ownUUID+c.received)
			status.Channel = c.channel
			if err := applier.start(t.Context(), status); err != nil {
				t.Fatal(err)
			}
			if starts := server.has("start applier"); starts != c.starts {
				t.Errorf("started: %t", starts)
			}
		})
	}
}

// A step of replication must not come between what has the turn and its end.
func TestNothingIsOrderedOfMysqldWithoutTheTurn(t *testing.T) {
	server := &recorder{status: closedStatus("", "")}
	r := newTestReplication(server, heard{})
	if err := r.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func(context.Context) error{
		"a step":        r.step,
		"a stop":        r.halt,
		"a discard":     func(ctx context.Context) error { return r.discard(ctx, agentapi.DiscardCommand{}) },
		"the last wait": func(ctx context.Context) error { return r.applyReceived(ctx, 1) },
	} {
		if err := do(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v", name, err)
		}
	}
	if done := server.done(); len(done) != 0 {
		t.Errorf("did %q", done)
	}
}

func TestTheReverseChannelOpensTowardsAClosedPeerOnly(t *testing.T) {
	open := closedStatus(ownUUID+":1-3", ownUUID+":1-3")
	open.ReadOnly = false
	open.SuperReadOnly = false
	open.OfflineMode = false
	for name, c := range map[string]struct {
		change func(*heard)
		starts bool
	}{
		"it is closed":           {func(*heard) {}, true},
		"it is silent":           {func(h *heard) { h.silent = silentPeer + 1 }, false},
		"nothing was heard":      {func(h *heard) { h.state = nil }, false},
		"it is of another pair":  {func(h *heard) { h.state.PairUID = "pair-b" }, false},
		"it is at another epoch": {func(h *heard) { h.state.KnownEpoch = 3 }, false},
		"it opens":               {func(h *heard) { h.state.Phase = agentapi.PhaseOpening }, false},
		"a commit waits there":   {func(h *heard) { h.state.Server.WaitSessions = 1 }, false},
		"it has one that is not here": {
			func(h *heard) { h.state.Server.BinlogGTIDs += "," + peersUUID + ":7" },
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			peer := holder(4, ownUUID+":1-3")
			peer.state.Phase = agentapi.PhaseClosed
			peer.state.Server.SuperReadOnly = true
			c.change(&peer)
			server := &recorder{status: open}
			r := newTestReplication(server, peer)
			r.order(orderLead, 4)
			err := r.step(t.Context())
			if starts := server.has("start receiver"); starts != c.starts {
				t.Errorf("started: %t (%v)", starts, err)
			}
		})
	}
}
