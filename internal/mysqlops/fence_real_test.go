package mysqlops_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// fenceLimit is the five deadlines of a fence, and what a busy machine adds to them.
const fenceLimit = 6 * mysqldtest.FenceTimeout

func TestFenceClosesAndCutsPrivilegedSessions(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	root := pair.A.Root()
	mustExec(t, root, "CREATE USER boss@'%' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO boss@'%'")
	boss := pair.A.Client("boss", mysqlops.NewSecret("x"), false)
	if err := boss.PingContext(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := pair.A.Ops.Fence(ctx); !errors.Is(err, mysqlops.ErrNotWarm) {
		t.Fatalf("a fence without warm sessions: %v, want ErrNotWarm", err)
	}
	if err := pair.A.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	fenced, err := pair.A.Ops.Fence(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !fenced.Complete() {
		t.Errorf("not complete: %+v", fenced)
	}
	if fenced.Killed < 2 {
		t.Errorf("killed %d sessions, want root's and boss's", fenced.Killed)
	}
	if _, err := client.ExecContext(ctx, "INSERT INTO app.t VALUES (9, 9)"); err == nil {
		t.Error("a client writes on a closed member")
	}
	if !pair.A.Ops.IsWarm() {
		t.Error("the fence path is cold after a fence without trouble")
	}
	// The passive still streams, so that the last transactions can flow out.
	status, err := pair.A.Ops.Status(ctx)
	if err != nil || len(status.DumpThreads) != 1 || !status.IsClosed() {
		t.Errorf("after the fence: %+v, %v", status, err)
	}
	got, err := pair.A.Ops.VerifyOwned(ctx, mycnf.Expect(pair.A.Member, mycnf.State{Waiting: true}))
	if err != nil || len(got) > 0 {
		t.Errorf("after the fence %v, %v", got, err)
	}
	if err := pair.A.Ops.StopWaiting(ctx, 0); err != nil {
		t.Error(err)
	}
	if err := pair.A.Ops.OpenReadOnly(ctx); err != nil {
		t.Error(err)
	}
	if _, err := client.ExecContext(ctx, "INSERT INTO app.t VALUES (9, 9)"); err == nil {
		t.Error("a client writes on a readable member")
	}
	if _, err := client.ExecContext(ctx, "SELECT * FROM app.t"); err != nil {
		t.Errorf("a client can not read on a readable member: %v", err)
	}
}

func TestFenceSaysWhatItDidNotReachWhileACommitWaits(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	if err := pair.A.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	done := goExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
	pair.A.AwaitStatus("a commit waits", commitWaits)
	if err := pair.A.Ops.StopWaiting(ctx, 0); !errors.Is(err, mysqlops.ErrNotClosed) {
		t.Errorf("stop waiting on an open member: %v, want ErrNotClosed", err)
	}
	began := time.Now()
	fenced, err := pair.A.Ops.Fence(ctx)
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %v: %+v", took, fenced)
	if fenced.Complete() || fenced.SuperReadOnly || !fenced.OfflineMode || !fenced.ReRead || fenced.WaitingCommits == 0 {
		t.Errorf("evidence %+v, want offline mode without super_read_only", fenced)
	}
	if took > fenceLimit {
		t.Errorf("fence took %v", took)
	}
	if err := <-done; err == nil {
		t.Error("the client of a waiting commit got OK from a fence")
	}
	pair.A.Kill()
}

func TestFenceWhileCreateUserBlocksLogins(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	root := pair.A.Root()
	if err := pair.A.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	goExec(t, root, "CREATE USER stuck@'%' IDENTIFIED BY 'x'")
	pair.A.AwaitStatus("the statement waits", func(s mysqlops.Status) bool { return s.SemiSync.WaitSessions > 0 })
	began := time.Now()
	fenced, err := pair.A.Ops.Fence(ctx)
	t.Logf("took %v: %+v, %v", time.Since(began), fenced, err)
	if fenced.Complete() {
		t.Error("complete with a commit waiting")
	}
	if time.Since(began) > fenceLimit {
		t.Error("fence took too long")
	}
	pair.A.Kill()
}

func TestReadOnlyIsKept(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	got, err := member.Ops.KeepReadOnly(ctx)
	if err != nil || got.Needed {
		t.Fatalf("a closed member needs correction: %+v, %v", got, err)
	}
	mustExec(t, member.Root(), "SET GLOBAL read_only = OFF")
	got, err = member.Ops.KeepReadOnly(ctx)
	if err != nil || !got.Needed || got.ReadOnly {
		t.Fatalf("correction %+v, %v", got, err)
	}
	status, err := member.Ops.Status(ctx)
	if err != nil || !status.IsClosed() {
		t.Errorf("after the correction %+v, %v", status, err)
	}
}

func TestAnOpenMemberIsKeptWritable(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	mustExec(t, member.Root(), "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF", "SET GLOBAL offline_mode = OFF")
	got, err := member.Ops.KeepWritable(ctx)
	if err != nil || got.Needed {
		t.Fatalf("an open member needs correction: %+v, %v", got, err)
	}
	mustExec(t, member.Root(), "SET GLOBAL super_read_only = ON")
	got, err = member.Ops.KeepWritable(ctx)
	if err != nil || !got.Needed || !got.SuperReadOnly || got.OfflineMode {
		t.Fatalf("correction %+v, %v", got, err)
	}
	status, err := member.Ops.Status(ctx)
	if err != nil || status.ReadOnly || status.SuperReadOnly || status.OfflineMode {
		t.Errorf("after the correction %+v, %v", status, err)
	}
}

func TestPersistedSettingsDoNotOpenAtTheNextStart(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	mustExec(t, member.Root(), "SET PERSIST super_read_only = OFF", "SET PERSIST read_only = OFF", "SET PERSIST offline_mode = OFF",
		"SET PERSIST_ONLY skip_replica_start = OFF", "SET PERSIST rpl_semi_sync_source_enabled = ON")
	member.Kill()
	member.Boot()
	status, err := member.Ops.Status(t.Context())
	if err != nil || !status.IsClosed() || status.SemiSync.SourceEnabled {
		t.Errorf("after the start %+v, %v", status, err)
	}
	got, err := member.Ops.VerifyOwned(t.Context(), mycnf.Expect(member.Member, mycnf.State{}))
	if err != nil || len(got) > 0 {
		t.Errorf("owned settings: %v, %v", got, err)
	}
}

func TestOpeningRefusesWhatIsNotAsOwned(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	mustExec(t, member.Root(), "SET GLOBAL sync_binlog = 0")
	closed := mycnf.Expect(member.Member, mycnf.State{})
	err := member.Ops.OpenReadWrite(ctx, closed, false)
	var drift *mysqlops.DriftError
	if !errors.As(err, &drift) || len(drift.Differences) != 1 || drift.Differences[0].Variable != "sync_binlog" {
		t.Fatalf("error %v, want a drift of sync_binlog", err)
	}
	status, err := member.Ops.Status(ctx)
	if err != nil || !status.IsClosed() {
		t.Errorf("after the refusal %+v, %v", status, err)
	}
	mustExec(t, member.Root(), "SET GLOBAL sync_binlog = 1")
	if err := member.Ops.OpenReadWrite(ctx, closed, false); err != nil {
		t.Fatal(err)
	}
	if err := member.Ops.OpenReadWrite(ctx, closed, false); !errors.Is(err, mysqlops.ErrNotClosed) {
		t.Errorf("opening twice: %v, want ErrNotClosed", err)
	}
}
