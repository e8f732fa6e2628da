package agent_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// A planned switchover as the operator does it: the primary is drained, closed, and stays; the
// other member receives everything that it has, and both stay in sync.
func TestAPlannedSwitchoverLeavesBothInSync(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	app := a.db("app")
	if err := a.exec(app, "CREATE TABLE app.switched (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	busy, err := app.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec("INSERT INTO app.switched VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	drain := agentapi.DrainCommand{Command: w.head(), Operation: "shop-switchover-1", For: 30 * time.Second}
	if _, err := b.client.Drain(t.Context(), drain); !errors.Is(err, agentclient.ErrRefused) {
		t.Errorf("the passive drains: %v", err)
	}
	if _, err := a.client.Drain(t.Context(), drain); err != nil {
		t.Fatal(err)
	}
	s := a.awaitState("the drain waits for the transaction", patience, func(s agentapi.State) bool { return s.Drain != nil && s.Drain.Rounds > 0 })
	if s.Drain.InFlight != 1 || len(s.Drain.Busy) != 1 || s.Drain.Busy[0].User != "app" {
		t.Errorf("the drain shows %+v", s.Drain)
	}
	if err := busy.Commit(); err != nil {
		t.Fatalf("a transaction in flight was cut: %v", err)
	}
	a.awaitState("the primary is drained", patience, func(s agentapi.State) bool { return s.Drain != nil && s.Drain.InFlight == 0 && s.Drain.Closed > 0 })

	a.awaitState("the reverse channel streams", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.Receiver.Running })
	receiver := a.receiverThread()

	w.revoke()
	fenced, err := a.client.Fence(t.Context(), w.head())
	if err != nil || !fenced.Demoted {
		t.Fatalf("fence: %+v %v", fenced, err)
	}
	if holds, err := gtid.Parse(fenced.BinlogGTIDs); err != nil || holds.IsEmpty() {
		t.Fatalf("the proof does not say what the binlog holds: %q %v", fenced.BinlogGTIDs, err)
	}
	a.awaitState("a closed member drains no longer", patience, func(s agentapi.State) bool { return s.Drain == nil })
	received, err := b.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head(), Receive: fenced.BinlogGTIDs})
	if err != nil || !received.ReceiverStopped {
		t.Fatalf("ack fence: %+v %v", received, err)
	}
	b.awaitState("applied all", patience, func(s agentapi.State) bool { return s.AppliedAll })
	w.write(func(r *authority.Record) {
		r.Holder = b.holder()
		r.Epoch++ // the ledger stays as it is
	})
	for _, m := range []*member{b, a} {
		if _, err := m.client.ReadLease(t.Context(), w.head()); err != nil {
			t.Fatal(err)
		}
	}
	b.awaitPhase(agentapi.PhaseOpen, patience)
	if err := b.exec(b.db("app"), "INSERT INTO app.switched VALUES (2)"); err != nil {
		t.Fatalf("a write on the new primary: %v", err)
	}
	// The state that is published may be that of the moment before it opened.
	b.awaitState("the new primary waits for the former one", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.Waiting })
	if now := a.receiverThread(); now != receiver {
		t.Errorf("the former primary's receiver connected again (thread %d, then %d): the first commits wait up to a second for its acknowledgment", receiver, now)
	}
	w.disjoint()
}

// receiverThread is the thread of the receiver that runs now.
func (m *member) receiverThread() int {
	m.w.t.Helper()
	var thread int
	const query = "SELECT COALESCE(THREAD_ID, 0) FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = ''"
	if err := m.db("root").QueryRowContext(m.w.t.Context(), query).Scan(&thread); err != nil {
		m.w.t.Fatal(err)
	}
	return thread
}

// What the candidate of a switchover does not receive in time keeps its receiver running.
func TestAnAckFenceThatDoesNotReceiveEverythingIsRefused(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	b := w.members[1]
	w.revoke()
	command := agentapi.AckFenceCommand{Command: w.head(), Receive: "00000000-0000-0000-0000-00000000abcd:1-5"}
	if _, err := b.client.AckFence(t.Context(), command); !errors.Is(err, agentclient.ErrRefused) {
		t.Errorf("the ack fence of what never comes: %v", err)
	}
	if s := b.now(); s.ReceiverStoppedAt != 0 || !s.Server.Receiver.Running {
		t.Errorf("the receiver stopped at %d", s.ReceiverStoppedAt)
	}
}
