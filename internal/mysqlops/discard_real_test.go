package mysqlops_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// withDuplicate is a pair whose passive cannot apply the transaction with the number 3: it has
// that row already. Three transactions are received and not applied.
func withDuplicate(t *testing.T) mysqldtest.Pair {
	t.Helper()
	pair, client := openPair(t)
	pair.B.AwaitStatus("all is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(s.Received) && s.Executed.Count() == 2 })
	conn, err := pair.B.Root().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustExecOn(t, conn, "SET sql_log_bin = 0", "SET GLOBAL super_read_only = OFF", "INSERT INTO app.t VALUES (5, 5)", "SET GLOBAL super_read_only = ON")
	mustExec(t, client, "INSERT INTO app.t VALUES (5, 1)", "INSERT INTO app.t VALUES (6, 1)", "INSERT INTO app.t VALUES (7, 1)")
	pair.B.AwaitStatus("the applier has stopped", func(s mysqlops.Status) bool {
		return s.Channel.ApplierError.Number == 1062 && !s.Channel.ApplierRunning && s.Applying.IsEmpty()
	})
	return pair
}

func mustExecOn(t *testing.T, conn *sql.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestWhatCannotBeAppliedIsDiscarded(t *testing.T) {
	pair := withDuplicate(t)
	ctx := t.Context()
	ops := pair.B.Ops
	if err := ops.DiscardReceived(ctx); !errors.Is(err, mysqlops.ErrReceiving) {
		t.Fatalf("while the receiver runs: %v, want ErrReceiving", err)
	}
	if err := ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	before := status(t, ops)
	if left := before.Received.Subtract(before.Executed); left.Count() != 3 {
		t.Fatalf("trap: %s is received and not applied, want three", left)
	}
	for range 2 { // both are idempotent
		if err := ops.InterruptApplier(ctx); err != nil {
			t.Fatal(err)
		}
		if err := ops.DiscardReceived(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s := status(t, ops)
	if !s.Executed.Equal(before.Executed) || !s.Received.Equal(s.Executed) || s.Channel.ApplierError.Number != 0 || !s.Channel.Configured {
		t.Errorf("after the discard: executed %s, received %s, channel %+v; want both %s", s.Executed, s.Received, s.Channel, before.Executed)
	}
	if err := ops.EndApplying(ctx); err != nil {
		t.Errorf("the member cannot be opened: %v", err)
	}
	if err := ops.StartApplier(ctx); err != nil {
		t.Fatal(err)
	}
	pair.B.AwaitStatus("the applier runs", func(s mysqlops.Status) bool { return s.Channel.ApplierRunning })
	if err := ops.DiscardReceived(ctx); !errors.Is(err, mysqlops.ErrApplying) {
		t.Errorf("while the applier runs: %v, want ErrApplying", err)
	}
}

// An ALTER that waits for a reader of its table would wait for as long as that reads.
func TestAnApplierThatWaitsIsInterrupted(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	ops := pair.B.Ops
	pair.B.AwaitStatus("all is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(s.Received) && s.Executed.Count() == 2 })
	reader, err := pair.B.Root().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustExecOn(t, reader, "BEGIN", "SELECT * FROM app.t")
	mustExec(t, client, "ALTER TABLE app.t ADD COLUMN w INT", "INSERT INTO app.t VALUES (6, 1, 1)")
	var altered gtid.Set
	pair.B.AwaitStatus("the applier waits", func(s mysqlops.Status) bool {
		altered = s.Applying
		return s.Received.Subtract(s.Executed).Count() == 2 && !altered.IsEmpty()
	})
	if err := ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := ops.InterruptApplier(limited); err != nil {
		t.Fatal(err)
	}
	s := status(t, ops)
	if s.Channel.ApplierRunning || !s.Applying.IsEmpty() || s.Received.Subtract(s.Executed).Count() != 2 {
		t.Errorf("applying %s, received %s, executed %s: want an applier that stands still, and both transactions received",
			s.Applying, s.Received, s.Executed)
	}
	if err := ops.DiscardReceived(ctx); err != nil {
		t.Fatal(err)
	}
	if s := status(t, ops); !s.Received.Equal(s.Executed) || !s.Executed.Intersect(altered).IsEmpty() {
		t.Errorf("after the discard: executed %s, received %s, and %s was interrupted", s.Executed, s.Received, altered)
	}
}

func status(t *testing.T, ops *mysqlops.Server) mysqlops.Status {
	t.Helper()
	s, err := ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
