package mysqlops_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// mustExec runs plain SQL, as a client would.
func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// goExec runs one statement in the background; its result comes on the channel.
func goExec(t *testing.T, db *sql.DB, statement string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), statement)
		done <- err
	}()
	return done
}

// openPair returns a pair whose A is open and waits, with a table t.
func openPair(t *testing.T) (mysqldtest.Pair, *sql.DB) {
	t.Helper()
	pair := mysqldtest.StartPair(t)
	pair.A.Open(true)
	client := pair.A.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	mustExec(t, client, "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t VALUES (1, 1)")
	return pair, client
}

func TestPairReplicatesWithAcknowledgements(t *testing.T) {
	pair, _ := openPair(t)
	a, err := pair.A.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !a.SemiSync.SourceEnabled || a.SemiSync.Clients != 1 || a.Executed.Count() != 2 {
		t.Errorf("open primary shows %+v", a)
	}
	if len(a.DumpThreads) != 1 || a.DumpThreads[0].User != mysqlops.UserReplication {
		t.Errorf("dump threads: %+v", a.DumpThreads)
	}
	if err := pair.B.Ops.WaitApplied(t.Context(), a.Executed, time.Minute); err != nil {
		t.Fatal(err)
	}
	b, err := pair.B.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !b.SemiSync.ReplicaActive || b.Channel.SourceUUID != a.ServerUUID || !b.IsClosed() {
		t.Errorf("passive shows %+v", b)
	}
	if a.DumpThreads[0].ReplicaUUID != b.ServerUUID {
		t.Errorf("dump thread of %q, want %q", a.DumpThreads[0].ReplicaUUID, b.ServerUUID)
	}
	got, err := pair.A.Ops.VerifyOwned(t.Context(), mycnf.Expect(pair.A.Member, mycnf.State{Open: true, Waiting: true}))
	if err != nil || len(got) > 0 {
		t.Errorf("open primary is not as owned: %v, %v", got, err)
	}
}

func TestBinlogHoldsACommitThatWaits(t *testing.T) {
	pair, client := openPair(t)
	if err := pair.B.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := pair.A.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := goExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
	status := pair.A.AwaitStatus("a commit waits", commitWaits)
	if !status.Executed.Equal(before.Executed) {
		t.Errorf("a waiting commit is in gtid_executed: %v", status.Executed)
	}
	waiting := gtid.GTID{Server: status.ServerUUID, Number: int64(before.Executed.Count()) + 1}
	if want := before.Binlog.Union(waiting.Set()); !status.Binlog.Equal(want) {
		t.Errorf("binlog %v, want %v", status.Binlog, want)
	}
	later := pair.A.AwaitStatus("the wait gets older", func(s mysqlops.Status) bool { return s.SemiSync.OldestWait > 300*time.Millisecond })
	if later.SemiSync.OldestWait > 10*time.Second {
		t.Errorf("oldest wait %v", later.SemiSync.OldestWait)
	}
	if err := pair.B.Ops.StartReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("commit after the receiver came back: %v", err)
	}
	pair.B.AwaitStatus("received", func(s mysqlops.Status) bool { return s.Received.Contains(waiting) })
}

func TestChannelIsPointedElsewhereWithoutLosingTheRelayLog(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	b := pair.B.Ops
	same, err := b.ConfigureChannel(ctx, pair.A.SourceOf(pair.B.TLSFiles()), false)
	if err != nil || same {
		t.Fatalf("configuring the same again: changed %t, %v", same, err)
	}
	if err := b.StopApplier(ctx); err != nil {
		t.Fatal(err)
	}
	mustExec(t, client, "INSERT INTO app.t VALUES (3, 3)")
	elsewhere := pair.A.SourceOf(pair.B.TLSFiles())
	elsewhere.Host = "localhost"
	if _, err := b.ConfigureChannel(ctx, elsewhere, false); !errors.Is(err, mysqlops.ErrUnapplied) {
		t.Fatalf("with a stopped applier: %v, want ErrUnapplied", err)
	}
	if err := b.ResetReplicaAll(ctx, false); !errors.Is(err, mysqlops.ErrUnapplied) {
		t.Fatalf("reset: %v, want ErrUnapplied", err)
	}
	// An applier that runs and cannot get on: the relay log has to survive.
	lock, err := pair.B.Root().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(ctx, "LOCK TABLES app.t READ"); err != nil {
		t.Fatal(err)
	}
	if err := b.StartApplier(ctx); err != nil {
		t.Fatal(err)
	}
	before := pair.B.AwaitStatus("lag", func(s mysqlops.Status) bool { return s.Channel.LagTransactions > 0 && s.Channel.ApplierRunning })
	changed, err := b.ConfigureChannel(ctx, elsewhere, false)
	if err != nil || !changed {
		t.Fatalf("changed %t, %v", changed, err)
	}
	after, err := b.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Received.Equal(before.Received) {
		t.Errorf("received %v, before the change %v", after.Received, before.Received)
	}
	if _, err := lock.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitApplied(ctx, before.Received, time.Minute); err != nil {
		t.Error(err)
	}
}
