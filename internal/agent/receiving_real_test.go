package agent_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestAPassiveThatReceivesALargeTransactionIsSeenToReceive: the link passes a little of it again
// and again. The primary's commit waits meanwhile, and no set of GTIDs says that anything comes.
func TestAPassiveThatReceivesALargeTransactionIsSeenToReceive(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	relay := mysqldtest.NewRelay(t, a.ports["admin"])
	b.peerAdmin = fmt.Sprintf("127.0.0.1:%d", relay.Port)
	w.bootstrap()
	app := a.db("app")
	for _, statement := range []string{
		"CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)",
		"INSERT INTO big WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 24) SELECT i, 'x' FROM r",
	} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	const step = 64 << 10
	relay.PassAtMost(step)
	committed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := app.ExecContext(ctx, "UPDATE big SET v = REPEAT('0123456789', 100000)")
		committed <- err
	}()
	w.await("the link stalls", patience, relay.Holding)
	// Each row comes in several pieces; the relay log grows with a row that is there as a whole.
	receives := func(s agentapi.State) bool {
		return s.Server != nil && s.Server.ReceivedAge > 0 && s.Server.ReceivedAge < 2*time.Second
	}
	w.await("it is seen to receive while the commit waits", patience, func() bool {
		if relay.Holding() {
			relay.PassAtMost(step)
		}
		waits := a.now().Server
		s := b.now()
		return waits != nil && waits.OldestWait > time.Second && receives(s) && s.Server.ReceivingFor > waits.OldestWait
	})
	b.awaitState("nothing comes any more", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.ReceivedAge > 3*time.Second
	})
	relay.Cut()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
}
