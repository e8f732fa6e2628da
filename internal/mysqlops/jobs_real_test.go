package mysqlops_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// jobSession is one session as a Job would have it.
func jobSession(t *testing.T, member *mysqldtest.Instance, user string, password mysqlops.Secret) *sql.Conn {
	t.Helper()
	conn, err := member.Client(user, password, true).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTheLocksOfJobsAreSeenAndTheirSessionsEnded(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	root := member.Root()
	mustExec(t, root, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE TABLE d.u (id INT PRIMARY KEY)")
	if err := member.Ops.WatchJobLocks(ctx); err != nil {
		t.Fatal(err)
	}
	locks := func() []mysqlops.JobLock {
		t.Helper()
		list, err := member.Ops.JobTableLocks(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	reader := jobSession(t, member, mysqlops.UserChecksum, mysqldtest.Passwords.Checksum)
	for _, statement := range []string{"START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT * FROM d.t"} {
		if _, err := reader.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if got := locks(); len(got) > 0 {
		t.Errorf("a snapshot that reads counts as a lock: %+v", got)
	}
	mustExec(t, root, "INSERT INTO d.u VALUES (1)")
	if _, err := reader.ExecContext(ctx, "SELECT * FROM d.u FOR SHARE"); err != nil {
		t.Fatal(err)
	}
	asked := time.Time{}
	mysqldtest.Await(t, "the locks on rows are seen", func() bool {
		if time.Since(asked) < 200*time.Millisecond {
			return false
		}
		got, err := member.Ops.JobRowLocks(ctx)
		asked = time.Now()
		return err == nil && len(got) == 1 && got[0].Transaction != ""
	})
	if _, err := reader.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	locker := jobSession(t, member, mysqlops.UserChecksum, mysqldtest.Passwords.Checksum)
	if _, err := locker.ExecContext(ctx, "LOCK TABLES d.t READ"); err != nil {
		t.Fatal(err)
	}
	got := locks()
	if len(got) != 1 || got[0].Schema != "d" || got[0].Table != "t" || got[0].User != mysqlops.UserChecksum {
		t.Fatalf("locks %+v, want one of d.t", got)
	}
	status, err := member.Ops.Status(ctx)
	if err != nil || status.Sessions.Jobs != 2 || status.Sessions.Clients < 2 {
		t.Errorf("sessions %+v, %v: want two of jobs, which count as clients", status.Sessions, err)
	}
	for range 2 { // idempotent
		if err := member.Ops.EndJobSession(ctx, got[0].SessionID); err != nil {
			t.Fatal(err)
		}
	}
	mysqldtest.Await(t, "the lock is gone", func() bool { return len(locks()) == 0 })
	if _, err := root.ExecContext(ctx, "INSERT INTO d.t VALUES (1)"); err != nil {
		t.Errorf("writing after the lock was ended: %v", err)
	}
	var other int64
	conn, err := root.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&other); err != nil {
		t.Fatal(err)
	}
	if err := member.Ops.EndJobSession(ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := conn.PingContext(ctx); err != nil {
		t.Errorf("a session of someone else was ended: %v", err)
	}

	_ = jobSession(t, member, mysqlops.UserRepair, mysqldtest.Passwords.Repair)
	killed, err := member.Ops.EndJobSessions(ctx)
	if err != nil || killed != 2 {
		t.Errorf("ended %d sessions, %v; want the reader and the repair", killed, err)
	}
	mysqldtest.Await(t, "no session of a job is left", func() bool {
		status, err := member.Ops.Status(ctx)
		return err == nil && status.Sessions.Jobs == 0
	})
}

// A lock of a Job's must not hold up a fence: super_read_only waits for it.
func TestTheFencePassesALockOfAJob(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(), "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	if err := member.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	locker := jobSession(t, member, mysqlops.UserChecksum, mysqldtest.Passwords.Checksum)
	if _, err := locker.ExecContext(ctx, "LOCK TABLES d.t READ"); err != nil {
		t.Fatal(err)
	}
	fenced, err := member.Ops.Fence(ctx)
	if err != nil || !fenced.Complete() {
		t.Fatalf("fence %+v, %v", fenced, err)
	}
	// What waits for a lock has an error after a second.
	for _, step := range fenced.Steps {
		if step.Err != nil {
			t.Errorf("%s: %v", step.Name, step.Err)
		}
	}
}

func TestMissingAccountsAreMadeOnTheOpenPrimary(t *testing.T) {
	p := mysqldtest.StartPair(t)
	ctx := t.Context()
	if _, err := p.B.Ops.EnsureAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{}); err != nil {
		t.Errorf("with nothing to make: %v", err)
	}
	p.A.Open(false)
	mustExec(t, p.A.Root(), "DROP USER dbpair_checksum, dbpair_repair, app")
	p.B.AwaitStatus("the drop is applied", func(s mysqlops.Status) bool {
		a, err := p.A.Ops.Status(ctx)
		return err == nil && s.Executed.Covers(a.Executed)
	})
	if _, err := p.B.Ops.EnsureAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{}); !errors.Is(err, mysqlops.ErrReadOnly) {
		t.Errorf("on the passive: %v, want ErrReadOnly", err)
	}
	for _, want := range [][]string{{"dbpair_checksum", "dbpair_repair"}, nil} {
		done, err := p.A.Ops.EnsureAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(mysqlops.AccountChanges{Made: want}, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
	}
	mysqldtest.Await(t, "the account is on the passive", func() bool {
		if err := p.B.Ops.OpenReadOnly(ctx); err != nil {
			return false
		}
		return p.B.Client(mysqlops.UserChecksum, mysqldtest.Passwords.Checksum, true).PingContext(ctx) == nil
	})
}

func TestTheApplierForcesRowsThroughOnlyWhileItMay(t *testing.T) {
	p := mysqldtest.StartPair(t)
	ctx := t.Context()
	p.A.Open(false)
	mustExec(t, p.A.Root(), "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", "INSERT INTO d.t VALUES (1, 1), (2, 2), (3, 3)")
	caughtUp := func(s mysqlops.Status) bool {
		a, err := p.A.Ops.Status(ctx)
		return err == nil && s.Executed.Covers(a.Executed)
	}
	p.B.AwaitStatus("the rows are there", caughtUp)
	drift := p.B.Root()
	drift.SetMaxOpenConns(1)
	mustExec(t, drift, "SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF", "DELETE FROM d.t WHERE id = 1", "SET GLOBAL super_read_only = ON")

	if err := p.B.Ops.SetIdempotent(ctx, true); err != nil {
		t.Fatal(err)
	}
	differences, err := p.B.Ops.VerifyOwned(ctx, []mycnf.Expectation{{Variable: "replica_exec_mode", Want: "STRICT"}})
	if err != nil || len(differences) != 1 {
		t.Errorf("the read-back does not see the lease: %v, %v", differences, err)
	}
	mustExec(t, p.A.Root(), "DELETE FROM d.t WHERE id = 1")
	p.B.AwaitStatus("the missing row is passed", caughtUp)
	if err := p.B.Ops.SetIdempotent(ctx, false); err != nil {
		t.Fatal(err)
	}
	mustExec(t, drift, "SET GLOBAL super_read_only = OFF", "DELETE FROM d.t WHERE id = 2", "SET GLOBAL super_read_only = ON")
	mustExec(t, p.A.Root(), "DELETE FROM d.t WHERE id = 2")
	p.B.AwaitStatus("the applier stops at a missing row again", func(s mysqlops.Status) bool {
		return !s.Channel.ApplierRunning && s.Channel.ApplierError.Number != 0
	})
}

func TestARepairMayWriteTheTableItIsAboutAndNoOther(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(), "CREATE DATABASE `d_1`", "CREATE TABLE `d_1`.`t``x` (id INT PRIMARY KEY)", "CREATE TABLE `d_1`.u (id INT PRIMARY KEY)")
	for _, schema := range []string{"mysql", "MySQL", "dbpair", "sys", ""} {
		if err := member.Ops.GrantRepair(ctx, schema, "user"); !errors.Is(err, mysqlops.ErrInvalid) {
			t.Errorf("schema %q: %v, want ErrInvalid", schema, err)
		}
	}
	db := member.Client(mysqlops.UserRepair, mysqldtest.Passwords.Repair, true)
	allowed := func(statement string, want bool) {
		t.Helper()
		if _, err := db.ExecContext(ctx, statement); (err == nil) != want {
			t.Errorf("%s: %v, allowed should be %t", statement, err, want)
		}
	}
	allowed("INSERT INTO `d_1`.`t``x` VALUES (1)", false)
	for range 2 {
		if err := member.Ops.GrantRepair(ctx, "d_1", "t`x"); err != nil {
			t.Fatal(err)
		}
	}
	if had, err := member.Ops.RevokeRepair(ctx, "d_1", "t`x"); err != nil || had {
		t.Errorf("revoking all but the one: %t, %v", had, err)
	}
	allowed("INSERT INTO `d_1`.`t``x` VALUES (1)", true)
	allowed("DELETE FROM `d_1`.`t``x`", true)
	allowed("INSERT INTO `d_1`.u VALUES (1)", false)
	allowed("CREATE USER x", false)
	for _, want := range []bool{true, false} {
		if had, err := member.Ops.RevokeRepair(ctx, "", ""); err != nil || had != want {
			t.Errorf("revoked: %t, %v, want %t", had, err, want)
		}
	}
	allowed("INSERT INTO `d_1`.`t``x` VALUES (2)", false)
}
