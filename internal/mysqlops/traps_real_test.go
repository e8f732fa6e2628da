package mysqlops_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Each test here walks into a trap of semi-sync with plain SQL, to show that
// it is there, and then does the same by way of this package. When a first
// half fails, a newer mysqld has lost the trap and the rule can go.

// waitingPair returns a pair with one commit that nobody acknowledges.
func waitingPair(t *testing.T) (pair mysqldtest.Pair, answer <-chan error) {
	t.Helper()
	pair, client := openPair(t)
	if err := pair.A.Ops.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer = goExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
	pair.A.AwaitStatus("a commit waits", commitWaits)
	return pair, answer
}

// soon returns what comes on answer, or false when nothing does for a while.
func soon(answer <-chan error, limit time.Duration) (error, bool) {
	select {
	case err := <-answer:
		return err, true
	case <-time.After(limit):
		return nil, false
	}
}

func TestTrapShutdownSaysOKToWaitingCommits(t *testing.T) {
	pair, answer := waitingPair(t)
	pair.A.Signal(syscall.SIGTERM)
	if err, came := soon(answer, 60*time.Second); !came || err != nil {
		t.Errorf("trap: SHUTDOWN with a waiting commit answered %v (%t), it used to say OK", err, came)
	}
	b, err := pair.B.Ops.Status(t.Context())
	if err != nil || b.Received.Count() != 2 {
		t.Errorf("the peer has %v, %v", b.Received, err)
	}

	pair, answer = waitingPair(t)
	fenced, err := pair.A.Ops.Fence(t.Context())
	if err != nil || fenced.Complete() || fenced.WaitingCommits == 0 {
		t.Errorf("the fence hides the waiting commit: %+v, %v", fenced, err)
	}
	pair.A.Kill() // what the evidence asks for
	if err, came := soon(answer, time.Minute); !came || err == nil {
		t.Errorf("a fence and a kill answered %v (%t), want an error", err, came)
	}
}

func TestTrapSwitchingWaitingOffSaysOK(t *testing.T) {
	pair, answer := waitingPair(t)
	if err := pair.A.Ops.StopWaiting(t.Context(), 0); !errors.Is(err, mysqlops.ErrNotClosed) {
		t.Errorf("StopWaiting: %v, want ErrNotClosed", err)
	}
	if err, came := soon(answer, 500*time.Millisecond); came {
		t.Errorf("a refused StopWaiting released the commit: %v", err)
	}
	mustExec(t, pair.A.Root(), "SET GLOBAL rpl_semi_sync_source_enabled = OFF")
	if err, came := soon(answer, time.Minute); !came || err != nil {
		t.Errorf("trap: switching off answered %v (%t), it used to say OK", err, came)
	}
}

func TestTrapRotationHangsWhileACommitWaits(t *testing.T) {
	pair, answer := waitingPair(t)
	root := pair.A.Root()
	flush := goExec(t, root, "FLUSH BINARY LOGS")
	if err, came := soon(flush, time.Second); came {
		t.Fatalf("trap: FLUSH BINARY LOGS ended with %v, it used to hang", err)
	}
	show := goExec(t, root, "SHOW BINARY LOG STATUS")
	if err, came := soon(show, time.Second); came {
		t.Errorf("trap: SHOW BINARY LOG STATUS ended with %v, it used to hang", err)
	}
	if s, err := pair.A.Ops.Status(t.Context()); err != nil || s.SemiSync.WaitSessions == 0 || s.Binlog.Equal(s.Executed) {
		t.Errorf("status with a hanging rotation: %+v, %v", s, err)
	}
	if _, err := pair.A.Ops.PurgeBinlogs(t.Context(), mysqlops.PurgeLimits{MaxBytes: 1}); !errors.Is(err, mysqlops.ErrCommitsWaiting) {
		t.Errorf("purge: %v, want ErrCommitsWaiting", err)
	}
	if err := pair.B.Ops.StartReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, done := range []<-chan error{answer, flush, show} {
		if err, came := soon(done, time.Minute); !came || err != nil {
			t.Errorf("after the acknowledgement: %v (%t)", err, came)
		}
	}
}

func TestTrapWaitingCreateUserBlocksLogins(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	if err := pair.A.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	goExec(t, pair.A.Root(), "CREATE USER stuck@'%'")
	pair.A.AwaitStatus("the statement waits", func(s mysqlops.Status) bool { return s.SemiSync.WaitSessions > 0 })
	login, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := pair.A.Root().PingContext(login); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("trap: a new login ended with %v, it used to hang", err)
	}
	if s, err := pair.A.Ops.Status(ctx); err != nil || s.SemiSync.WaitSessions == 0 {
		t.Errorf("status: %+v, %v", s, err)
	}
	began := time.Now()
	if fenced, err := pair.A.Ops.Fence(ctx); err != nil || !fenced.ReRead || time.Since(began) > fenceLimit {
		t.Errorf("fence after %v: %+v, %v", time.Since(began), fenced, err)
	}
	pair.A.Kill()
}

func TestTrapSourceSideOnAPassiveStallsItsApplier(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	b := pair.B.Root()
	mustExec(t, b, "SET GLOBAL rpl_semi_sync_source_enabled = ON")
	mustExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
	a, err := pair.A.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pair.B.AwaitStatus("trap: the applier waits", func(s mysqlops.Status) bool { return s.SemiSync.WaitSessions > 0 })
	if err := pair.B.Ops.WaitApplied(ctx, a.Executed, 2*time.Second); !errors.Is(err, mysqlops.ErrDeadline) {
		t.Errorf("trap: applied with %v, it used to stall", err)
	}
	if s, err := pair.B.Ops.Status(ctx); err != nil || !s.Channel.ApplierRunning || s.Channel.ApplierError.Number != 0 || s.SemiSync.WaitSessions == 0 {
		t.Errorf("stalled: %+v, %v", s, err)
	}
	// Our way out knows that no client waits on a closed member, and that one may on another.
	if err := pair.B.Ops.StopWaiting(ctx, 0); !errors.Is(err, mysqlops.ErrCommitsWaiting) {
		t.Errorf("StopWaiting: %v, want ErrCommitsWaiting", err)
	}
	if err := pair.A.Ops.ReleaseApplier(ctx); !errors.Is(err, mysqlops.ErrNotClosed) {
		t.Errorf("ReleaseApplier on a primary: %v, want ErrNotClosed", err)
	}
	if err := pair.B.Ops.ReleaseApplier(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.WaitApplied(ctx, a.Executed, time.Minute); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

// TestTrapAnApplierThatWaitsHoldsUpAShutdown: a mysqld that is asked to end waits for its
// applier, and the applier for an acknowledgement that no replica is left to send.
func TestTrapAnApplierThatWaitsHoldsUpAShutdown(t *testing.T) {
	for name, released := range map[string]bool{"as mysqld does it": false, "with the applier released": true} {
		t.Run(name, func(t *testing.T) {
			pair, client := openPair(t)
			mustExec(t, pair.B.Root(), "SET GLOBAL rpl_semi_sync_source_enabled = ON")
			mustExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
			pair.B.AwaitStatus("the applier waits", func(s mysqlops.Status) bool { return s.SemiSync.WaitSessions > 0 })
			if released {
				if err := pair.B.Ops.PrepareShutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			ended := pair.B.Exited()
			pair.B.Signal(syscall.SIGTERM)
			if released {
				<-ended
				return
			}
			select {
			case <-ended:
				t.Error("trap: mysqld ended by itself, it used to wait forever")
			case <-time.After(8 * time.Second):
			}
			pair.B.Kill()
		})
	}
}

func TestTrapRelayLogRecoveryForgetsWhatWasAcknowledged(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	if err := pair.B.Ops.StopApplier(ctx); err != nil {
		t.Fatal(err)
	}
	mustExec(t, client, "INSERT INTO app.t VALUES (2, 2)") // acknowledged
	a, err := pair.A.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pair.A.Kill()
	pair.B.Kill()
	pair.B.Boot()
	if s, err := pair.B.Ops.Status(ctx); err != nil || !s.Received.Covers(a.Executed) {
		t.Errorf("our start lost what was acknowledged: %v of %v, %v", s.Received, a.Executed, err)
	}
	pair.B.Kill()
	pair.B.BootWith("--relay-log-recovery=ON")
	if s, err := pair.B.Ops.Status(ctx); err != nil || s.Received.Covers(a.Executed) {
		t.Errorf("trap: with relay_log_recovery %v of %v is there, it used to be thrown away; %v", s.Received, a.Executed, err)
	}
}

func TestTrapAThirdMemberAcknowledges(t *testing.T) {
	pair, answer := waitingPair(t)
	ctx := t.Context()
	third := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1})
	third.Follow(pair.A) // with the stolen credentials of the peer
	if err, came := soon(answer, time.Minute); !came || err != nil {
		t.Errorf("trap: the third member's acknowledgement gave %v (%t), it used to count", err, came)
	}
	b, err := pair.B.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := pair.A.Ops.CutForeignDumpThreads(ctx, mysqlops.UserReplication, b.ServerUUID)
	if err != nil || len(cut) != 1 || cut[0].ReplicaUUID == b.ServerUUID {
		t.Errorf("cut %+v, %v", cut, err)
	}
}

func TestTrapCloneCopiesTheDonorsChannel(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	// A replicates from B as a pair does; B is seeded again from A.
	if _, err := pair.A.Ops.ConfigureChannel(ctx, pair.B.SourceOf(pair.A.TLSFiles()), false); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.ResetReplicaAll(ctx, true); err != nil {
		t.Fatal(err)
	}
	// The heartbeat releases nothing here; it only waits for nobody.
	if err := pair.A.Ops.StopWaiting(ctx, 1); err != nil {
		t.Fatal(err)
	}
	donor := mysqlops.Donor{
		Host: "127.0.0.1", Port: pair.A.Member.AdminPort, User: mysqlops.UserClone, Password: mysqldtest.Passwords.Clone, TLS: pair.B.TLSFiles(),
	}
	if err := pair.B.Ops.CloneFrom(ctx, donor, nil); err != nil {
		t.Fatal(err)
	}
	<-pair.B.Exited()
	pair.B.Boot()
	s, err := pair.B.Ops.Status(ctx)
	if err != nil || s.Channel.SourcePort != pair.B.Member.AdminPort {
		t.Errorf("trap: after the clone the channel is %+v, it used to point at the recipient; %v", s.Channel, err)
	}
	if err := pair.B.Ops.ResetReplicaAll(ctx, true); err != nil {
		t.Fatal(err)
	}
	pair.B.Follow(pair.A)
}

func TestTrapOtherEnginesAreRefused(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	root := member.Root()
	for _, engine := range strings.Split("MyISAM,MEMORY,CSV,ARCHIVE,BLACKHOLE,MRG_MYISAM", ",") {
		if _, err := root.ExecContext(t.Context(), "CREATE TABLE app.x (id INT NOT NULL) ENGINE = "+engine); err == nil {
			t.Errorf("a table of %s was made", engine)
		}
	}
	var engine sql.NullString
	mustExec(t, root, "SET SESSION sql_mode = ''", "CREATE TABLE app.y (id INT NOT NULL)")
	err := root.QueryRowContext(t.Context(), "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_NAME = 'y'").Scan(&engine)
	if err != nil || engine.String != "InnoDB" {
		t.Errorf("engine %v, %v", engine, err)
	}
}

func TestTrapSwitchingOnDoesNotEndATimeLimit(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	before, err := pair.A.Ops.Status(ctx)
	if err != nil || !before.SemiSync.Waits() {
		t.Fatalf("a primary that does not wait: %+v, %v", before.SemiSync, err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	root := pair.A.Root()
	mustExec(t, root, "SET GLOBAL rpl_semi_sync_source_timeout = 10")
	mustExec(t, client, "INSERT INTO app.t VALUES (2, 2)") // OK, and nobody has it
	mustExec(t, root, "SET GLOBAL rpl_semi_sync_source_timeout = 4294967295", "SET GLOBAL rpl_semi_sync_source_enabled = ON")
	if s, err := pair.A.Ops.Status(ctx); err != nil || !s.SemiSync.SourceEnabled || s.SemiSync.SourceActive || s.SemiSync.Waits() {
		t.Errorf("trap: after the limit was taken back and waiting switched on %+v, %v; it used not to wait", s.SemiSync, err)
	}
	mustExec(t, client, "INSERT INTO app.t VALUES (3, 3)")

	if err := pair.A.Ops.StartWaiting(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := pair.A.Ops.Status(ctx)
	if err != nil || !s.SemiSync.Waits() || s.SemiSync.Interruptions != before.SemiSync.Interruptions+1 {
		t.Errorf("after StartWaiting %+v, before %+v, %v", s.SemiSync, before.SemiSync, err)
	}
	answer := goExec(t, client, "INSERT INTO app.t VALUES (4, 4)")
	pair.A.AwaitStatus("a commit waits", commitWaits)
	if err := pair.B.Ops.StartReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	if err, came := soon(answer, time.Minute); !came || err != nil {
		t.Errorf("after the acknowledgement: %v (%t)", err, came)
	}
}
