package mysqlops_test

import (
	"errors"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// halfReceived is a pair whose passive has received the first part of a transaction when the
// primary is killed: 3 MB of rows, of which two or so reach it. The primary's client has no
// answer.
func halfReceived(t *testing.T) (mysqldtest.Pair, *mysqldtest.Relay) {
	t.Helper()
	pair, client := openPair(t)
	mustExec(t, client, "CREATE TABLE app.big (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO app.big VALUES (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x'), (5, 'x'), (6, 'x'), (7, 'x'), (8, 'x')")
	ctx := t.Context()
	relay := mysqldtest.NewRelay(t, pair.A.Member.AdminPort)
	source := pair.A.SourceOf(pair.B.TLSFiles())
	source.Port = relay.Port
	if _, err := pair.B.Ops.ConfigureChannel(ctx, source, false); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StartReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	pair.B.AwaitStatus("receiver streams", func(s mysqlops.Status) bool { return s.Channel.Receiver == mysqlops.ReceiverStreaming })
	relay.PassAtMost(1 << 20)
	done := goExec(t, client, "UPDATE app.big SET v = REPEAT('0123456789', 40000)")
	mysqldtest.Await(t, "the link stalls", relay.Holding)
	pair.B.AwaitStatus("the applier is in the middle of it", func(s mysqlops.Status) bool { return !s.Applying.IsEmpty() })
	pair.A.Kill()
	if err := <-done; err == nil {
		t.Fatal("a commit that nobody acknowledged got an OK")
	}
	return pair, relay
}

func TestATransactionReceivedByHalfIsNotInTheBinlog(t *testing.T) {
	pair, _ := halfReceived(t)
	s, err := pair.B.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Applying.Count() != 1 || !s.Binlog.Equal(s.Executed) || !s.Received.Equal(s.Executed) {
		t.Errorf("applying %s, binlog %s, received %s, executed %s; want one that is applying and in none of the others",
			s.Applying, s.Binlog, s.Received, s.Executed)
	}
}

func TestTheEndOfApplyingRollsBackWhatIsReceivedByHalf(t *testing.T) {
	pair, _ := halfReceived(t)
	ctx := t.Context()
	if err := pair.B.Ops.EndApplying(ctx); !errors.Is(err, mysqlops.ErrReceiving) {
		t.Errorf("while the receiver runs: %v, want ErrReceiving", err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := pair.B.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, pair.B.Root(), "SET GLOBAL replica_parallel_workers = 7")
	for range 2 { // it is idempotent
		if err := pair.B.Ops.EndApplying(ctx); err != nil {
			t.Fatal(err)
		}
	}
	workers := 0
	if err := pair.B.Root().QueryRowContext(ctx, "SELECT @@GLOBAL.replica_parallel_workers").Scan(&workers); err != nil || workers != 7 {
		t.Errorf("the applier goes on with %d workers, want 7 (%v)", workers, err)
	}
	s, err := pair.B.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Applying.IsEmpty() || s.Channel.ApplierRunning || s.Channel.ApplierError.Number != 0 || !s.Executed.Equal(before.Executed) {
		t.Errorf("after the end: %+v", s)
	}
	// Its rows are free: the opened member writes them at once.
	pair.B.Open(false)
	client := pair.B.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	mustExec(t, client, "SET SESSION innodb_lock_wait_timeout = 1", "UPDATE app.big SET v = 'z'")
	// The applier that starts again finds nothing of it in the relay log.
	if err := pair.B.Ops.StartApplier(ctx); err != nil {
		t.Fatal(err)
	}
	s = pair.B.AwaitStatus("the applier runs", func(s mysqlops.Status) bool { return s.Channel.ApplierRunning })
	if !s.Applying.IsEmpty() {
		t.Errorf("the applier holds %s again", s.Applying)
	}
}

func TestApplyingIsNotEndedBeforeItsEnd(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	pair.B.AwaitStatus("all is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(s.Received) && s.Executed.Count() == 2 })
	if err := pair.B.Ops.StopApplier(ctx); err != nil {
		t.Fatal(err)
	}
	mustExec(t, client, "INSERT INTO app.t VALUES (7, 7)")
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.EndApplying(ctx); !errors.Is(err, mysqlops.ErrUnapplied) {
		t.Fatalf("with an unapplied transaction: %v, want ErrUnapplied", err)
	}
	if err := pair.B.Ops.StartApplier(ctx); err != nil {
		t.Fatal(err)
	}
	s := pair.B.AwaitStatus("all is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(s.Received) })
	if err := pair.B.Ops.EndApplying(ctx); err != nil {
		t.Fatal(err)
	}
	// What was executed counts as received from here on too, and the channel still fits.
	after, err := pair.B.Ops.Status(ctx)
	if err != nil || !after.Received.Covers(s.Received) || !after.Channel.Configured || after.Channel.ApplierRunning {
		t.Errorf("after the end: %+v, %v", after, err)
	}
	for _, start := range []func() error{
		func() error { return pair.B.Ops.StartApplier(ctx) }, func() error { return pair.B.Ops.StartReceiver(ctx) },
	} {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, client, "INSERT INTO app.t VALUES (8, 8)")
	pair.B.AwaitStatus("it replicates again", func(s mysqlops.Status) bool { return s.Executed.Count() == 4 })
}
