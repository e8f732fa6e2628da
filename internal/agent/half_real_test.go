package agent_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestATransactionReceivedByHalfIsRolledBackBeforeThePromotion: the primary is killed while
// it sends a large transaction. Its passive has the beginning, and its applier holds the rows
// and the GTID. The promoted member must write these rows at once, the former primary's tail
// must be cut, and both must hold the same in the end.
func TestATransactionReceivedByHalfIsRolledBackBeforeThePromotion(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	relay := mysqldtest.NewRelay(t, a.ports["admin"])
	b.peerAdmin = fmt.Sprintf("127.0.0.1:%d", relay.Port)
	w.bootstrap()
	app := a.db("app")
	for _, statement := range []string{"CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO big VALUES (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x'), (5, 'x'), (6, 'x'), (7, 'x'), (8, 'x')"} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	relay.PassAtMost(1 << 20)
	refused := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := app.ExecContext(ctx, "UPDATE big SET v = REPEAT('0123456789', 40000)")
		refused <- err
	}()
	w.await("the link stalls", patience, relay.Holding)
	b.awaitState("the applier is in the middle of it", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.ApplyingGTIDs != ""
	})
	w.setAPIDown(true) // or it would go on in place
	if err := syscall.Kill(a.mysqldPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.revoke()
	w.setAPIDown(false)
	if err := <-refused; err == nil {
		t.Fatal("a commit that nobody acknowledged got an OK")
	}
	relay.Cut()
	a.awaitPhase(agentapi.PhaseHeld, patience)
	if s := b.now(); s.Server == nil || s.Server.ApplyingGTIDs == "" {
		t.Fatalf("trap: the applier of the passive holds nothing any more: %+v", s.Server)
	}
	w.failover(a, b)

	promoted := b.db("app")
	for _, statement := range []string{"SET SESSION innodb_lock_wait_timeout = 1", "UPDATE big SET v = 'z'"} {
		if err := b.exec(promoted, statement); err != nil {
			t.Fatalf("%s on the promoted member: %v", statement, err)
		}
	}
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	rewind := agentapi.RewindCommand{Command: w.head(), HolderGTIDs: snapshot.BinlogGTIDs, Target: "data-0"}
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	w.join(a, b)
	returned := a.db("app")
	var rows, same int
	w.await("the former primary has what the promoted member wrote", patience, func() bool {
		return returned.QueryRow("SELECT COUNT(*), COALESCE(SUM(v = 'z'), 0) FROM big").Scan(&rows, &same) == nil && same == 8
	})
	if rows != 8 {
		t.Errorf("%d rows, want 8", rows)
	}
	b.awaitState("the reverse channel runs", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Receiver.Running && s.Server.Applier.Running
	})
	w.disjoint()
}
