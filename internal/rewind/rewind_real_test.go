package rewind_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/rewind"
)

// left is a primary that was killed with a tail, and what its peer had.
type left struct {
	pair   mysqldtest.Pair
	member rewind.Member
	// acknowledged is the state to come back to, tail what is beyond it.
	acknowledged, tail gtid.Set
}

// killedWithTail runs each statement in a session of its own while nobody
// acknowledges, and kills the primary when all of them are in the binlog.
func killedWithTail(t *testing.T, before func(app *sql.DB), statements ...string) left {
	t.Helper()
	ctx := t.Context()
	pair := mysqldtest.StartPair(t)
	pair.A.Open(true)
	pair.A.AwaitStatus("the peer acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 1 })
	app := pair.A.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	mustExec(t, app, "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE TABLE app.u (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	if before != nil {
		before(app)
	}
	good, err := pair.A.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	root := pair.A.Root()
	for i, statement := range statements {
		go func() {
			if conn, err := root.Conn(context.WithoutCancel(ctx)); err == nil {
				for text := range strings.SplitSeq(statement, ";") {
					_, _ = conn.ExecContext(context.WithoutCancel(ctx), text)
				}
			}
		}()
		pair.A.AwaitStatus("commits wait", func(s mysqlops.Status) bool { return s.Binlog.Subtract(good.Binlog).Count() == uint64(i+1) })
	}
	bad, err := pair.A.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pair.A.Kill()
	return left{
		pair: pair, acknowledged: good.Executed, tail: bad.Binlog.Subtract(good.Binlog),
		member: rewind.Member{
			BinlogDir: pair.A.Member.DataDir, Server: bad.ServerUUID, Keep: good.Executed, Quarantine: filepath.Join(pair.A.Dir, "quarantine"),
		},
	}
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func one[T any](t *testing.T, db *sql.DB, query string) T {
	t.Helper()
	var value T
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestUncutTailIsCommittedByTheNextStart(t *testing.T) {
	l := killedWithTail(t, nil, "INSERT INTO app.t VALUES (2)")
	contents, err := rewind.Contents(l.member.BinlogDir)
	if err != nil || !contents.Equal(l.acknowledged.Union(l.tail)) {
		t.Errorf("contents %v, %v", contents, err)
	}
	l.pair.A.Boot()
	s, err := l.pair.A.Ops.Status(t.Context())
	if err != nil || !s.Executed.Covers(l.tail) {
		t.Errorf("after the start %v, %v", s.Executed, err)
	}
	if rows := one[int](t, l.pair.A.Root(), "SELECT COUNT(*) FROM app.t"); rows != 2 {
		t.Errorf("%d rows, want 2: the unacknowledged one is visible", rows)
	}
	// Too late now: the tail is in a file before the last one.
	l.pair.A.Kill()
	if _, err := rewind.Cut(l.member, time.Now()); !errors.Is(err, rewind.ErrNotLast) {
		t.Errorf("cut after a start: %v, want ErrNotLast", err)
	}
}

func TestCutTakesBackThreeWaitingCommits(t *testing.T) {
	l := killedWithTail(t, nil, "INSERT INTO app.t VALUES (2)", "INSERT INTO app.t VALUES (3)", "DELETE FROM app.t WHERE id = 1")
	result, err := rewind.Cut(l.member, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if result.Tail.Transactions != 3 || !result.Tail.Errant.Equal(l.tail) {
		t.Errorf("cut %+v, want %v", result.Tail, l.tail)
	}
	again, err := rewind.Cut(l.member, time.Now())
	if err != nil || !again.Tail.IsEmpty() || again.Saved != "" {
		t.Errorf("cut again: %+v, %v", again, err)
	}
	checkSaved(t, result, l.tail)
	comesBack(t, l)
	if ids := one[string](t, l.pair.A.Root(), "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t"); ids != "1" {
		t.Errorf("rows %s, want 1", ids)
	}
}

// comesBack starts the member and lets it follow its peer, which takes over.
func comesBack(t *testing.T, l left) {
	t.Helper()
	l.pair.A.Boot()
	s, err := l.pair.A.Ops.Status(t.Context())
	if err != nil || !s.Executed.Equal(l.acknowledged) || !s.Binlog.Equal(l.acknowledged) {
		t.Fatalf("after the start %v, want %v; %v", s.Executed, l.acknowledged, err)
	}
	l.pair.B.Open(false)
	mustExec(t, l.pair.B.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false), "INSERT INTO app.u VALUES (7)")
	l.pair.A.Follow(l.pair.B)
	source, err := l.pair.B.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.pair.A.Ops.WaitApplied(t.Context(), source.Executed, time.Minute); err != nil {
		t.Error(err)
	}
}

func checkSaved(t *testing.T, result rewind.Result, tail gtid.Set) {
	t.Helper()
	note, err := os.ReadFile(result.Saved + ".json")
	if err != nil || !strings.Contains(string(note), tail.String()) {
		t.Errorf("note %s, %v", note, err)
	}
	program := filepath.Join(mysqldtest.Require(t).Dir, "mysqlbinlog")
	if _, err := os.Stat(program); err != nil {
		t.Logf("no mysqlbinlog: the saved tail was not read back")
		return
	}
	out, err := exec.Command(program, "--verify-binlog-checksum", result.Saved).CombinedOutput()
	if err != nil || strings.Count(string(out), "SET @@SESSION.GTID_NEXT= '"+string(tail.Servers()[0])) != int(tail.Count()) {
		t.Errorf("mysqlbinlog: %v\n%s", err, out)
	}
}

func TestCutTakesBackDefinitionsAccountsAndTags(t *testing.T) {
	for _, statement := range []string{
		"CREATE TABLE app.fresh (id INT PRIMARY KEY)", "DROP TABLE app.u", "ALTER TABLE app.t ADD COLUMN v INT DEFAULT 5",
		"TRUNCATE TABLE app.t", "CREATE USER late@'%'", "INSERT INTO app.t SELECT 100 + id FROM app.t",
		"GRANT SELECT ON app.t TO app@'%'", "CREATE DATABASE late",
		"SET GTID_NEXT = 'AUTOMATIC:late'; DELETE FROM app.t",
		"SET binlog_transaction_compression = ON; DELETE FROM app.t",
		"SET binlog_format = STATEMENT; DELETE FROM app.t",
	} {
		t.Run(statement, func(t *testing.T) {
			l := killedWithTail(t, nil, statement)
			contents, err := rewind.Contents(l.member.BinlogDir)
			if err != nil || !contents.Equal(l.acknowledged.Union(l.tail)) || l.tail.Count() != 1 {
				t.Errorf("contents %v, want %v and %v; %v", contents, l.acknowledged, l.tail, err)
			}
			if _, err := rewind.Cut(l.member, time.Now()); err != nil {
				t.Fatal(err)
			}
			comesBack(t, l)
			root := l.pair.A.Root()
			if rows := one[int](t, root, "SELECT COUNT(*) FROM app.t"); rows != 1 {
				t.Errorf("%d rows in app.t, want 1", rows)
			}
			if tables := one[string](t, root, "SELECT GROUP_CONCAT(TABLE_NAME ORDER BY TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app'"); tables != "t,u" {
				t.Errorf("tables %s, want t,u", tables)
			}
			late := one[int](t, root, "SELECT (SELECT COUNT(*) FROM mysql.user WHERE User = 'late') + (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'late')")
			if late != 0 {
				t.Error("what was created last is still there")
			}
		})
	}
}

func TestCutRefuses(t *testing.T) {
	t.Run("a binlog that was closed cleanly", func(t *testing.T) {
		member := mysqldtest.Start(t, mysqldtest.Options{})
		member.Open(false)
		mustExec(t, member.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY)")
		s, err := member.Ops.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		member.Terminate()
		refused(t, rewind.Member{BinlogDir: member.Member.DataDir, Server: s.ServerUUID}, rewind.ErrClosed)
	})
	l := killedWithTail(t, nil, "INSERT INTO app.t VALUES (2)", "INSERT INTO app.t VALUES (3)")
	t.Run("a tail with something that stays after it", func(t *testing.T) {
		m := l.member
		last := gtid.GTID{Server: m.Server, Number: int64(l.acknowledged.Union(l.tail).Count())}
		m.Keep = m.Keep.Union(last.Set())
		refused(t, m, rewind.ErrMixed)
	})
	t.Run("transactions of another server", func(t *testing.T) {
		m := l.member
		m.Server = "00000000-0000-0000-0000-000000000001"
		refused(t, m, rewind.ErrForeign)
	})
	t.Run("an encrypted binlog", func(t *testing.T) {
		m := l.member
		m.BinlogDir = t.TempDir()
		write(t, filepath.Join(m.BinlogDir, "binlog.index"), "./binlog.000001\n")
		write(t, filepath.Join(m.BinlogDir, "binlog.000001"), "\xfdbin0123456789")
		refused(t, m, rewind.ErrEncrypted)
	})
	t.Run("an XA transaction", func(t *testing.T) {
		l := killedWithXA(t)
		refused(t, l, rewind.ErrEngine)
	})
}

func killedWithXA(t *testing.T) rewind.Member {
	t.Helper()
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	root := member.Root()
	root.SetMaxOpenConns(1)
	mustExec(t, root, "CREATE TABLE app.t (id INT PRIMARY KEY)")
	s, err := member.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, root, "XA START 'x'", "INSERT INTO app.t VALUES (1)", "XA END 'x'", "XA PREPARE 'x'")
	member.Kill()
	return rewind.Member{
		BinlogDir: member.Member.DataDir,
		Server:    s.ServerUUID,
		Keep:      s.Executed,
	}
}

func refused(t *testing.T, member rewind.Member, want error) {
	t.Helper()
	member.Quarantine = filepath.Join(t.TempDir(), "q")
	before := fingerprint(t, member.BinlogDir)
	if _, err := rewind.Cut(member, time.Now()); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if after := fingerprint(t, member.BinlogDir); after != before {
		t.Errorf("a refused cut changed the binlogs: %s, before %s", after, before)
	}
	if _, err := os.Stat(member.Quarantine); err == nil {
		t.Error("a refused cut saved something")
	}
}

func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "binlog.*"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d %v\n", filepath.Base(file), info.Size(), info.ModTime())
	}
	return b.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
