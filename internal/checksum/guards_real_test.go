package checksum

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// One ALTER comes between two chunks of a scan that stands still: it must not wait for the
// snapshots, neither here nor on the passive, and what was read before it does not count.
func testAnAlterWaitsForNoSnapshot(w *world) {
	w.makeLarge()
	for _, one := range []struct {
		name, alter string
		attempts    int
		restarts    int
	}{
		// The snapshot's rows are what they were, the columns that were asked for; on a busy
		// machine mysqld refuses to show them now and then.
		{"a column is added", "ALTER TABLE l.t ADD COLUMN x INT DEFAULT 5", DefaultLockAttempts, 0},
		{"a column goes", "ALTER TABLE l.t DROP COLUMN x", DefaultLockAttempts, 1},
		{"a copy, under the table lock", "ALTER TABLE l.t ADD COLUMN y INT, ALGORITHM=COPY", DefaultLockAttempts, 1},
		{"a copy, without it", "ALTER TABLE l.t DROP COLUMN y, ALGORITHM=COPY", -1, 1},
	} {
		fine := w.Run(one.name, func(t *testing.T) {
			w := w.on(t)
			options := w.largeOptions()
			options.LockAttempts = one.attempts
			options.Now = steps(2 * time.Second)
			options.MaxSnapshotAge = time.Hour // every chunk is saved
			var once sync.Once
			options.Save = func(state State) { // the only lane waits until it returns
				if chunksOfLarge(state) == 1 {
					once.Do(func() { w.alterInTime(one.alter) })
				}
			}
			table := w.compare(options).table("l.t")
			if table.State != Different || table.Changed != 3 || len(table.Differing) != 3 || table.Rows != 45_000 || table.Chunks < 3 || table.Restarts < one.restarts {
				t.Errorf("want 3 chunks, or more where one took long, and %d restarts or more: %+v", one.restarts, table)
			}
		})
		if !fine {
			return // what waits now would make the next wait as well
		}
	}
}

// alterInTime fails the test when the statement has to wait on either member.
func (w *world) alterInTime(statement string) {
	conn, err := w.onA.Conn(w.Context())
	if err != nil {
		w.Error(err)
		return
	}
	defer conn.Close()
	var late bool
	for _, one := range []string{"SET SESSION lock_wait_timeout = 60", statement, "SET SESSION lock_wait_timeout = DEFAULT"} {
		if _, err := conn.ExecContext(w.Context(), one); err != nil {
			w.Errorf("%s: %v", one, err)
			return
		}
	}
	var set string
	if err := w.onA.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&set); err != nil {
		w.Error(err)
	}
	if err := w.onB.QueryRow("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 60)", set).Scan(&late); err != nil || late {
		w.Errorf("the passive's applier waits for a snapshot: %v", err)
	}
}

// aligner is a table run that can be told to align.
func (w *world) aligner() *tableRun {
	w.Helper()
	options := w.largeOptions().withDefaults()
	options.MaxLockTime = 2 * time.Minute
	r := &run{Options: options, book: newBook(options)}
	if err := r.connect(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(r.disconnect)
	t := newTableRun(r, tablesql.Size{TableName: TableName{Schema: "l", Name: "t"}, Engine: "InnoDB"}, 1)
	var err error
	for _, into := range []*pairOf[*tablesql.Session]{&r.control, &t.desk.pairOf, &t.lanes[0].pairOf} {
		if *into, err = r.sessions(w.Context()); err != nil {
			w.Fatal(err)
		}
	}
	if r.killer, err = r.primary.Session(w.Context()); err != nil {
		w.Fatal(err)
	}
	return t
}

// testALostLockAlignsNothing: someone ends the session that holds the lock, and the table
// is written to while the passive is still waited for.
func testALostLockAlignsNothing(w *world) {
	w.makeLarge()
	t := w.aligner()
	unblock := w.blockApplier()
	defer unblock()
	w.exec("UPDATE l.t SET n = n + 1 WHERE id = 7")
	done := make(chan error, 1)
	go func() {
		_, err := t.alignLocked(w.Context())
		done <- err
	}()
	var holder int64
	mysqldtest.Await(w, "the table is locked", func() bool {
		err := w.onA.QueryRow(`SELECT t.PROCESSLIST_ID FROM performance_schema.threads t JOIN performance_schema.metadata_locks m ON m.OWNER_THREAD_ID = t.THREAD_ID
			WHERE t.PROCESSLIST_USER = ? AND m.OBJECT_NAME = 't' AND m.LOCK_TYPE = 'SHARED_READ_ONLY' AND m.LOCK_STATUS = 'GRANTED'`, checksumUser).Scan(&holder)
		return err == nil
	})
	w.exec(fmt.Sprintf("KILL %d", holder), "UPDATE l.t SET n = n + 1 WHERE id = 8")
	unblock()
	if err := <-done; err == nil {
		w.Error("snapshots whose lock was lost in between are taken for aligned")
	}
}

// testSnapshotsShowWhatThePositionSays: the snapshots are taken while the passive is behind.
// Both must show the write that the passive had not applied when it was asked.
func testSnapshotsShowWhatThePositionSays(w *world) {
	w.makeLarge()
	for _, locked := range []bool{true, false} {
		w.Run(fmt.Sprintf("locked: %t", locked), func(tt *testing.T) {
			w := w.on(tt)
			t := w.aligner()
			w.sync()
			unblock := w.blockApplier()
			defer unblock()
			w.exec("UPDATE l.t SET n = n + 1 WHERE id = 9")
			done := make(chan error, 1)
			go func() {
				var err error
				if locked {
					_, err = t.alignLocked(w.Context())
				} else {
					err = t.takeSnapshots(w.Context(), t.desk.primary, time.Minute, false)
				}
				done <- err
			}()
			w.awaitSemiSyncEnabled()
			unblock()
			if err := <-done; err != nil {
				tt.Fatal(err)
			}
			var seen pairOf[[]string]
			for session, into := range map[*tablesql.Session]*[]string{t.lanes[0].primary: &seen.primary, t.lanes[0].passive: &seen.passive} {
				err := session.Rows(w.Context(), "SELECT n FROM l.t WHERE id = 9", func(row []sql.RawBytes) error {
					*into = tablesql.Texts(row)
					return nil
				})
				if err != nil {
					tt.Fatal(err)
				}
			}
			if len(seen.primary) != 1 || !slices.Equal(seen.primary, seen.passive) {
				tt.Errorf("the snapshots show %v and %v", seen.primary, seen.passive)
			}
		})
	}
}

func testAPassiveThatIsLateAlignsNothing(w *world) {
	w.makeLarge()
	t := w.aligner()
	w.sync()
	defer w.blockApplier()()
	w.exec("UPDATE l.t SET n = n + 1 WHERE id = 9")
	for _, locked := range []bool{true, false} {
		if err := t.takeSnapshots(w.Context(), t.desk.primary, 200*time.Millisecond, locked); !errors.Is(err, errNotReached) {
			w.Errorf("locked %t: %v, want %v", locked, err, errNotReached)
		}
		if err := t.lanes[0].primary.Exec(w.Context(), "ROLLBACK"); err != nil {
			w.Fatal(err)
		}
	}
}

// testARowIsLockedWhileItIsReadAgain: what the passive is waited for would otherwise not
// be what was read.
func testARowIsLockedWhileItIsReadAgain(w *world) {
	w.makeLarge()
	t := w.aligner()
	if err := t.load(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.sync()
	unblock := w.blockApplier()
	defer unblock()
	w.exec("UPDATE l.t SET n = n + 1 WHERE id = 9")
	type answer struct {
		rows []candidate
		err  error
	}
	done := make(chan answer, 1)
	sessions := t.lanes[0].pairOf
	if err := sessions.primary.Exec(w.Context(), "START TRANSACTION"); err != nil {
		w.Fatal(err)
	}
	go func() {
		n := narrowing{t: t, lane: t.lanes[0], tally: &tally{}}
		rows, err := n.readLocked(w.Context(), sessions, []candidate{{row: Row{Key: []string{"9"}}}})
		done <- answer{rows, err}
	}()
	w.awaitSemiSyncEnabled()
	conn, err := w.onA.Conn(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	w.run(conn, []string{"SET SESSION innodb_lock_wait_timeout = 1"})
	if _, err := conn.ExecContext(w.Context(), "UPDATE l.t SET n = n + 1 WHERE id = 9"); err == nil || !isConflict(err) {
		w.Errorf("the row was written to meanwhile: %v", err)
	}
	w.run(conn, []string{"SET SESSION innodb_lock_wait_timeout = DEFAULT"})
	unblock()
	if got := <-done; got.err != nil || len(got.rows) != 0 {
		w.Errorf("the row differs as %+v, %v; it was only late", got.rows, got.err)
	}
}

// awaitSemiSyncEnabled returns while a comparison waits for the passive.
func (w *world) awaitSemiSyncEnabled() {
	w.Helper()
	mysqldtest.Await(w, "the passive is waited for", func() bool {
		var n int
		err := w.onB.QueryRow(`SELECT COUNT(*) FROM performance_schema.threads
			WHERE PROCESSLIST_USER = ? AND PROCESSLIST_INFO LIKE 'SELECT WAIT_FOR_EXECUTED_GTID_SET%'`, checksumUser).Scan(&n)
		return err == nil && n > 0
	})
}

// testACommitUnderWayIsInThePosition: a commit lets its locks go before it is in
// gtid_executed. One that waits for the passive stands between the two for as long as it takes.
func testACommitUnderWayIsInThePosition(w *world) {
	w.makeLarge()
	t := w.aligner()
	w.sync()
	before, err := t.desk.primary.Executed(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.onB.Exec("STOP REPLICA IO_THREAD"); err != nil {
		w.Fatal(err)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := w.onA.Exec("UPDATE l.t SET n = n + 1 WHERE id = 9"); err != nil {
			w.Error(err)
		}
	})
	defer writing.Wait()
	defer func() {
		if _, err := w.onB.Exec("START REPLICA IO_THREAD"); err != nil {
			w.Error(err)
		}
	}()
	mysqldtest.Await(w, "a commit waits", func() bool {
		status, err := w.a.Ops.Status(w.Context())
		return err == nil && status.SemiSync.WaitSessions > 0
	})
	text, err := inBinlog(w.Context(), t.desk.primary)
	if err != nil {
		w.Fatal(err)
	}
	old, _ := gtid.Parse(before)
	got, err := gtid.Parse(text)
	if err != nil || !got.Covers(old) || old.Covers(got) {
		w.Errorf("the position %s has no more than %s: %v", text, before, err)
	}
}

// testServerSettingsChangeNothing: what a server's settings make of sessions that say nothing
// about it themselves.
func testServerSettingsChangeNothing(w *world) {
	w.makeLarge()
	settings := map[string]string{
		"sql_select_limit":        "1",
		"max_join_size":           "10",
		"max_execution_time":      "1",
		"sql_safe_updates":        "ON",
		"completion_type":         "CHAIN",
		"transaction_isolation":   "'READ-COMMITTED'",
		"transaction_read_only":   "ON",
		"autocommit":              "OFF",
		"div_precision_increment": "0",
	}
	set := func(value func(string) string) {
		for name := range settings {
			for _, db := range []*sql.DB{w.onA, w.onB} {
				if _, err := db.Exec("SET GLOBAL " + name + " = " + value(name)); err != nil {
					w.Error(err)
				}
			}
		}
	}
	set(func(name string) string { return settings[name] })
	defer set(func(string) string { return "DEFAULT" })
	report := w.compare(w.largeOptions())
	if table := report.table("l.t"); table.State != Different || table.Changed != 3 || len(table.Differing) != 3 || table.Rows != 45_000 {
		w.Errorf("%+v", table)
	}
	if table := report.table("l.small"); table.State != Consistent {
		w.Errorf("the other table: %+v", table)
	}
}

// testALongHistoryIsNotKeptByUs: what the run waits for is that InnoDB forgets old versions,
// and InnoDB waits for the run's snapshots.
func testALongHistoryIsNotKeptByUs(w *world) {
	w.makeLarge()
	const limit = 500
	// By default an idle server takes its time to note what it has forgotten.
	truncate := func(frequency string) {
		if _, err := w.onA.Exec("SET GLOBAL innodb_purge_rseg_truncate_frequency = " + frequency); err != nil {
			w.Error(err)
		}
	}
	truncate("1")
	defer truncate("DEFAULT")
	mysqldtest.Await(w, "the history is short", func() bool { return seenHistory(w) < limit/2 })
	options := w.largeOptions()
	options.Throttle.MaxHistory = limit
	run := w.stand(atRow("25000"), options)
	w.exec("CREATE PROCEDURE l.age() BEGIN DECLARE i INT DEFAULT 0; WHILE i < 1000 DO UPDATE l.small SET id = -id; SET i = i + 1; END WHILE; END",
		"SET SESSION sql_log_bin = OFF", "CALL l.age()", "SET SESSION sql_log_bin = ON") // what is made an even number of times is nothing for the passive
	run.await("the history is long, and the run knows", func() bool { return strings.Contains(run.state().Waiting, "history") })
	report, err := run.end()
	if err != nil {
		w.Fatal(err)
	}
	if table := report.table("l.t"); table.State != Different || table.Changed != 3 || table.Rows != 45_000 || report.Shut == 0 {
		w.Errorf("nothing was read for %v: %+v", report.Shut, table)
	}
}

func seenHistory(w *world) (n int64) {
	if err := w.onA.QueryRow("SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'").Scan(&n); err != nil {
		w.Error(err)
	}
	return n
}

// testAClientBetweenTwoStatementsIsActive: most looks at writers of short statements come
// between two of them.
func testAClientBetweenTwoStatementsIsActive(w *world) {
	const app = "client"
	w.exec("CREATE USER " + app + " IDENTIFIED BY 'x'")
	w.Cleanup(func() {
		if _, err := w.onA.Exec("DROP USER " + app); err != nil {
			w.Error(err)
		}
	})
	t := w.aligner()
	active := func() int {
		p, err := t.desk.primary.Pressure(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		return p.Active
	}
	mysqldtest.Await(w, "nobody is active", func() bool { return active() == 0 })
	client := w.a.Client(app, mysqlops.NewSecret("x"), false)
	mysqldtest.Await(w, "the client is active after its statement", func() bool {
		if _, err := client.ExecContext(w.Context(), "DO 1"); err != nil {
			w.Fatal(err)
		}
		return active() == 1
	})
	mysqldtest.Await(w, "the client is not active any more", func() bool { return active() == 0 })
}
