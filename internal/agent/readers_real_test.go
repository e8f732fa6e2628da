package agent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

const (
	readerUser     = "cdc"
	readerPassword = `it's "mine" 100%`
)

// makeReader makes the account of a reader of the binary logs.
func (m *member) makeReader() {
	m.w.t.Helper()
	_, err := m.client.EnsureUser(m.w.t.Context(), agentapi.EnsureUserCommand{
		Command:     m.w.head(),
		User:        readerUser,
		Password:    readerPassword,
		Databases:   []string{"app"},
		Grants:      []string{"SELECT"},
		RequireTLS:  true,
		Replication: true,
	})
	if err != nil {
		m.w.t.Fatal(err)
	}
}

// takesReaders tries to log in as the reader.
func (m *member) takesReaders(port string) error {
	db, err := m.login(readerUser, readerPassword, port, trusting(m.w.ca.CertPEM))
	if err == nil {
		_ = db.Close()
	}
	return err
}

func (m *member) awaitReadersPort(open bool) {
	m.w.t.Helper()
	m.w.await(fmt.Sprintf("the port for readers of %s is open: %t", m.name, open), patience, func() bool {
		return (m.takesReaders("binlog") == nil) == open
	})
}

// binlogReader is a mysqlbinlog that reads until it is ended.
type binlogReader struct {
	cmd      *exec.Cmd
	ended    chan struct{}
	mu       sync.Mutex
	out      strings.Builder
	problems strings.Builder
}

// Write implements io.Writer.
func (r *binlogReader) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(text)
}

func (r *binlogReader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// readBinlog has mysqlbinlog read what is not in has, as docs/clients.md says.
func (m *member) readBinlog(has string) *binlogReader {
	t := m.w.t
	t.Helper()
	var first string
	db, err := m.login(readerUser, readerPassword, "binlog", trusting(m.w.ca.CertPEM))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var skip any
	if err := db.QueryRowContext(t.Context(), "SHOW BINARY LOGS").Scan(&first, &skip, &skip); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--no-defaults", "--read-from-remote-source=BINLOG-DUMP-GTIDS", "--stop-never", "--connection-server-id=4711",
		"--host=127.0.0.1", "--port=" + strconv.Itoa(m.ports["binlog"]), "--user=" + readerUser,
		"--ssl-mode=VERIFY_CA", "--ssl-ca=" + m.path("tls", "ca.crt"), "--base64-output=DECODE-ROWS", "--verbose",
	}
	if has != "" {
		args = append(args, "--exclude-gtids="+has)
	}
	r := &binlogReader{ended: make(chan struct{})}
	r.cmd = exec.CommandContext(t.Context(), filepath.Join(m.w.bins.Dir, "mysqlbinlog"), append(args, first)...)
	r.cmd.Env = append(os.Environ(), "MYSQL_PWD="+readerPassword)
	r.cmd.Stdout = r
	r.cmd.Stderr = &r.problems
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
	})
	return r
}

func (r *binlogReader) await(w *world, row int) {
	w.t.Helper()
	w.await(fmt.Sprintf("mysqlbinlog has row %d", row), patience, func() bool {
		return strings.Contains(r.text(), fmt.Sprintf("###   @2=%d\n", row))
	})
}

// outsideReplica is a mysqld that is no member, with the data of b, and asks to be a semi-sync replica.
type outsideReplica struct {
	w    *world
	root *sql.DB
}

func newOutsideReplica(w *world, b *member) *outsideReplica {
	t := w.t
	t.Helper()
	third := mysqldtest.Start(t, mysqldtest.Options{Bare: true})
	r := &outsideReplica{w: w, root: third.Root()}
	r.exec(
		"SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF", "SET GLOBAL server_id = 77", "RESET BINARY LOGS AND GTIDS",
		"SET SESSION sql_log_bin = 0; CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
	)
	r.exec("SET GLOBAL gtid_purged = '"+w.executedOf(b).String()+"'", "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
		"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('mysql.%', 'dbpair.%')")
	return r
}

func (r *outsideReplica) exec(statements ...string) {
	r.w.t.Helper()
	ctx, cancel := context.WithTimeout(r.w.t.Context(), patience)
	defer cancel()
	conn, err := r.root.Conn(ctx)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer conn.Close()
	for _, list := range statements {
		for one := range strings.SplitSeq(list, "; ") {
			if _, err := conn.ExecContext(ctx, one); err != nil {
				r.w.t.Fatalf("%s: %v", one, err)
			}
		}
		if strings.Contains(list, "sql_log_bin") {
			_, _ = conn.ExecContext(ctx, "SET SESSION sql_log_bin = 1")
		}
	}
}

// follow has it replicate from a member's port for readers.
func (r *outsideReplica) follow(m *member) {
	r.w.t.Helper()
	r.exec("STOP REPLICA",
		fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = '%s', SOURCE_PASSWORD = '%s', "+
			"SOURCE_SSL = 1, SOURCE_SSL_CA = '%s', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 0, SOURCE_HEARTBEAT_PERIOD = 1",
			m.ports["binlog"], readerUser, strings.ReplaceAll(readerPassword, "'", "''"), m.path("tls", "ca.crt")),
		"START REPLICA")
}

func (r *outsideReplica) await(row int) {
	r.w.t.Helper()
	r.w.await(fmt.Sprintf("the replica outside has row %d", row), patience, func() bool {
		var n int
		return r.root.QueryRow("SELECT COUNT(*) FROM app.t WHERE v = ?", row).Scan(&n) == nil && n == 1
	})
}

func (r *outsideReplica) connected() bool {
	var state string
	const query = "SELECT SERVICE_STATE FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = ''"
	return r.root.QueryRow(query).Scan(&state) == nil && state == "ON"
}

func (m *member) insert(row int) {
	m.w.t.Helper()
	if err := m.exec(m.db("app"), fmt.Sprintf("INSERT INTO t (v) VALUES (%d)", row)); err != nil {
		m.w.t.Fatal(err)
	}
}

// A mysqlbinlog and a mysqld that asks to be a semi-sync replica read the passive's binary logs, across
// a failover, and go on by GTID where they were. Neither gets to a primary whose commits wait.
func TestReadersOfTheBinaryLogs(t *testing.T) {
	w, a, b := writing(t)
	a.makeReader()
	b.awaitReadersPort(true)
	for name, c := range map[string]struct {
		m    *member
		port string
		user string
		word string
		want uint16
	}{
		"the primary":                     {a, "binlog", readerUser, readerPassword, 1053},
		"the clients' port, primary":      {a, "mysql", readerUser, readerPassword, 1045},
		"the clients' port, passive":      {b, "mysql", readerUser, readerPassword, 1045},
		"root by the port":                {b, "binlog", "root", "root-secret", 1045},
		"another password by the port":    {b, "binlog", readerUser, "other", 1045},
		"the pair's account by the port":  {b, "binlog", "dbpair_checksum", "other", 1045},
		"the application by another port": {a, "binlog", "app", "app-secret", 1053},
	} {
		_, err := c.m.login(c.user, c.word, c.port, trusting(w.ca.CertPEM))
		var refused *mysql.MySQLError
		if !errors.As(err, &refused) || refused.Number != c.want {
			t.Errorf("%s: %v, want error %d", name, err, c.want)
		}
	}

	third := newOutsideReplica(w, b)
	third.follow(b)
	file := b.readBinlog("")
	a.insert(1001)
	third.await(1001)
	file.await(w, 1001)
	b.awaitState("says who reads", patience, func(s agentapi.State) bool {
		readers := 0
		for _, one := range s.Server.BinlogReaders {
			if one.User == readerUser && strings.HasPrefix(one.From, "127.0.0.1:") && one.CaughtUp {
				readers++
			}
		}
		return readers == 2
	})
	if s := a.now(); s.Server.SemiSyncClients != 1 || len(s.Server.BinlogReaders) != 0 {
		t.Errorf("the primary has %d who acknowledge, and readers %+v", s.Server.SemiSyncClients, s.Server.BinlogReaders)
	}

	// A replica outside cannot connect where commits wait.
	third.follow(a)
	b.holdReceiver()
	late, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := a.db("app").ExecContext(late, "INSERT INTO t (v) VALUES (1002)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit without the passive: %v", err)
	}
	if s := a.now(); s.Server.SemiSyncClients != 0 || third.connected() {
		t.Errorf("%d acknowledge without the passive; the replica outside is connected: %t", s.Server.SemiSyncClients, third.connected())
	}
	b.signal(syscall.SIGCONT)
	a.awaitWrites()
	third.follow(b)
	third.await(1002)

	read := w.executedOf(b)
	w.failover(a, b)
	<-file.ended
	b.insert(1003)
	b.awaitReadersPort(true) // it is alone, and waits for nobody
	third.await(1003)
	w.join(a, b)
	b.awaitReadersPort(false)
	if third.connected() && b.now().Server.SemiSyncClients != 1 {
		t.Error("the replica outside acknowledges")
	}
	a.awaitReadersPort(true)
	third.follow(a)
	file = a.readBinlog(read.String())
	b.asRoot("CREATE USER more IDENTIFIED BY 'more-secret'", "GRANT SELECT ON app.* TO more") // are not for a replica outside
	b.insert(1004)
	third.await(1003)
	third.await(1004)
	file.await(w, 1003)
	file.await(w, 1004)
	if text := file.text(); strings.Contains(text, "###   @2=1001\n") {
		t.Error("mysqlbinlog read again what it had")
	}
	w.await("the replica outside has all", patience, func() bool {
		var has string
		if third.root.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&has) != nil {
			return false
		}
		set, err := gtid.Parse(has)
		all := w.executedOf(b)
		return err == nil && set.Covers(all) && all.Covers(set)
	})
	w.disjoint()
}

// A reader with an account that was made by hand acknowledges what is not written yet. It is cut, and
// what it said is forgotten before the ledger relies on the passive again.
func TestALyingReplicaIsCutAndForgotten(t *testing.T) {
	w, a, b := writing(t)
	a.asRoot("CREATE USER spy IDENTIFIED BY 'spy-secret'", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO spy")
	spy, err := mysqldtest.LoginReader(t, "127.0.0.1", a.ports["mysql"], "spy", "spy-secret")
	if err != nil {
		t.Fatal(err)
	}
	file, err := spy.FirstLog()
	if err != nil {
		t.Fatal(err)
	}
	a.signal(syscall.SIGSTOP) // else it is perhaps cut before it has said anything
	if err := errors.Join(spy.DumpAsReplica(file), spy.Acknowledge("binlog.999999", 4)); err != nil {
		t.Fatal(err)
	}
	waits := "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_clients'"
	root := a.db("root")
	w.await("it counts as a replica", patience, func() bool {
		var n int
		return root.QueryRow(waits).Scan(&n) == nil && n == 2
	})
	began := time.Now()
	a.signal(syscall.SIGCONT)
	w.await("it is cut", patience, func() bool {
		var n int
		return root.QueryRow(waits).Scan(&n) == nil && n == 1
	})
	t.Logf("cut %s after the agent went on", time.Since(began))
	a.awaitProblem(agentapi.ProblemForeignReplica, patience, "spec.replication")
	a.awaitState("the ledger promises too much", patience, func(s agentapi.State) bool { return s.SemiSyncLostAt > 0 })
	w.join(b, a)
	b.holdReceiver()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := a.db("app").ExecContext(ctx, "INSERT INTO t (v) VALUES (1)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit without the passive, after the replica was forgotten: %v", err)
	}
}

// What was written is read on the passive once it has executed the GTIDs of the session that wrote.
func TestReadYourWritesOnThePassive(t *testing.T) {
	_, a, b := writing(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	writes := a.db("app")
	reads := b.db("app")
	if err := b.exec(b.db("root"), "STOP REPLICA SQL_THREAD"); err != nil {
		t.Fatal(err)
	}
	stale := 0
	for row := 2001; row <= 2050; row++ {
		if _, err := writes.ExecContext(ctx, "INSERT INTO t (v) VALUES (?)", row); err != nil {
			t.Fatal(err)
		}
		var token string
		if err := writes.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&token); err != nil {
			t.Fatal(err)
		}
		var n, late int
		const count = "SELECT COUNT(*) FROM t WHERE v = ?"
		if err := reads.QueryRowContext(ctx, count, row).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			stale++
		}
		if err := reads.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 60)", token).Scan(&late); err != nil || late != 0 {
			t.Fatalf("wait: %d, %v", late, err)
		}
		if err := reads.QueryRowContext(ctx, count, row).Scan(&n); err != nil || n != 1 {
			t.Fatalf("row %d is read %d times after the wait, %v", row, n, err)
		}
	}
	t.Logf("%d of 50 rows were not there before the wait", stale)
}
