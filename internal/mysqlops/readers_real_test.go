package mysqlops_test

import (
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// cdc is a user who reads the binary logs.
func cdc() mysqlops.User {
	return mysqlops.User{
		Name:       "cdc",
		Password:   mysqlops.NewSecret("reader's"),
		Databases:  []string{"app"},
		Rights:     []string{"SELECT"},
		RequireTLS: true,
		ReadsLogs:  true,
	}
}

// loginReader logs in as cdc from a local address.
func loginReader(t *testing.T, member *mysqldtest.Instance, local string) (*mysqldtest.Reader, error) {
	t.Helper()
	return mysqldtest.LoginReader(t, local, member.Member.Port, "cdc", "reader's")
}

// dump has a session read the binary logs, and say that it is a semi-sync replica.
func dump(t *testing.T, reader *mysqldtest.Reader, member *mysqldtest.Instance) {
	t.Helper()
	var file string
	var skip any
	if err := member.Root().QueryRow("SHOW BINARY LOGS").Scan(&file, &skip, &skip); err != nil {
		t.Fatal(err)
	}
	if err := reader.DumpAsReplica(file); err != nil {
		t.Fatal(err)
	}
}

func TestAReaderOfTheBinaryLogsLogsInFromOneAddressOnly(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	u := cdc()
	ensureUser(t, member, u)
	if done := ensureUser(t, member, u); len(done.Changed) > 0 {
		t.Errorf("the second time it changed %q", done.Changed)
	}
	if _, err := loginReader(t, member, "127.0.0.1"); err == nil {
		t.Error("it logs in from elsewhere")
	}
	conn, err := loginReader(t, member, mysqlops.ReaderHost)
	if err != nil {
		t.Fatal(err)
	}
	for statement, allowed := range map[string]bool{
		"SHOW BINARY LOGS": true, "SHOW BINARY LOG STATUS": true, "SELECT COUNT(*) FROM information_schema.TABLES": true,
		"CREATE TABLE app.x (id INT)": false, "SET GLOBAL max_connections = 7": false, "FLUSH STATUS": false, "PURGE BINARY LOGS BEFORE NOW()": false,
	} {
		if _, err := conn.Execute(statement); (err == nil) != allowed {
			t.Errorf("%s: %v", statement, err)
		}
	}
	everywhere := u
	everywhere.ReadsLogs = false
	if _, err := member.Ops.EnsureUser(t.Context(), everywhere, time.Hour); err == nil {
		t.Error("two accounts of one name")
	}
	if found, err := member.Ops.RemoveUser(t.Context(), "cdc", false); err != nil || !found {
		t.Errorf("removed: %t, %v", found, err)
	}
	if err := conn.Ping(); err == nil {
		t.Error("its session goes on")
	}
	if _, err := loginReader(t, member, mysqlops.ReaderHost); err == nil {
		t.Error("it logs in after it was removed")
	}
	ensureUser(t, member, everywhere) // the other one is locked
}

// One packet of a reader lets every later commit pass, also after the reader was cut: this is why
// readers are never where commits wait.
func TestTrapAReaderAcknowledgesWhatIsNotWrittenYet(t *testing.T) {
	pair, app := openPair(t)
	mustExec(t, pair.A.Root(), "CREATE USER cdc@'%' IDENTIFIED BY 'reader''s'", "GRANT REPLICATION SLAVE ON *.* TO cdc@'%'")
	if err := pair.B.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	pair.A.AwaitStatus("nobody acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 0 })
	waits := goExec(t, app, "INSERT INTO app.t VALUES (70, 0)")
	pair.A.AwaitStatus("a commit waits", commitWaits)
	conn, err := loginReader(t, pair.A, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dump(t, conn, pair.A)
	pair.A.AwaitStatus("it counts as a replica", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 1 })
	if err := conn.Acknowledge("binlog.999999", 4); err != nil {
		t.Fatal(err)
	}
	if err, came := soon(waits, time.Minute); !came || err != nil {
		t.Errorf("trap: the waiting commit gave %v (%t), it used to pass", err, came)
	}
	if n, err := pair.A.Ops.EndReaders(t.Context(), mysqlops.UserReplication); err != nil || n != 1 {
		t.Errorf("ended %d, %v", n, err)
	}
	pair.A.AwaitStatus("nobody acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 0 && len(s.DumpThreads) == 0 })
	err, came := soon(goExec(t, app, "INSERT INTO app.t VALUES (71, 0)"), 5*time.Second)
	t.Logf("trap: a commit without any replica, after the reader was cut: %v, returned %t", err, came)
	if !came || err != nil {
		t.Errorf("trap: a later commit gave %v (%t), it used to pass", err, came)
	}
	b, err := pair.B.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := pair.A.Ops.Status(t.Context())
	if err != nil || b.Received.Covers(a.Executed) {
		t.Errorf("trap: the passive has %s of %s, %v", b.Received, a.Executed, err)
	}
}

func TestReadersOfARemovedAccountEnd(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	ensureUser(t, pair.A, cdc())
	if err := pair.B.Ops.OpenReadOnly(ctx); err != nil {
		t.Fatal(err)
	}
	var reader *mysqldtest.Reader
	mysqldtest.Await(t, "the account is on the passive", func() (in bool) {
		var err error
		reader, err = loginReader(t, pair.B, mysqlops.ReaderHost)
		return err == nil
	})
	dump(t, reader, pair.B)
	pair.B.AwaitStatus("it reads", func(s mysqlops.Status) bool { return len(s.DumpThreads) == 1 })
	if n, err := pair.B.Ops.EndRemovedReaders(ctx); err != nil || n != 0 {
		t.Errorf("ended %d whose account is there, %v", n, err)
	}
	if _, err := pair.A.Ops.RemoveUser(ctx, "cdc", false); err != nil {
		t.Fatal(err)
	}
	mysqldtest.Await(t, "it is ended", func() bool {
		n, err := pair.B.Ops.EndRemovedReaders(ctx)
		return err == nil && n == 1
	})
}

func TestReadersEnd(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	ensureUser(t, member, cdc())
	reads, err := loginReader(t, member, mysqlops.ReaderHost)
	if err != nil {
		t.Fatal(err)
	}
	dump(t, reads, member)
	asks, err := loginReader(t, member, mysqlops.ReaderHost)
	if err != nil {
		t.Fatal(err)
	}
	var asked sync.WaitGroup
	defer asked.Wait() // its session has ended then, or the test has
	asked.Go(func() { _, _ = asks.Execute("SELECT SLEEP(600)") })
	member.AwaitStatus("one reads", func(s mysqlops.Status) bool {
		return len(s.DumpThreads) == 1 && s.DumpThreads[0].Port > 0 && s.DumpThreads[0].CaughtUp
	})
	mysqldtest.Await(t, "both are ended", func() bool {
		n, err := member.Ops.EndReaders(t.Context(), mysqlops.UserReplication)
		return err == nil && n == 0
	})
	if left := mysqldtest.SessionIDs(t, member.Root(),
		"SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE PROCESSLIST_USER = 'cdc'"); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}
}
