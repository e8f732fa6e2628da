package checksum

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// hold runs statements on a session of its own, whose locks stay until the returned function
// is called, by any goroutine.
func (w *world) hold(on *sql.DB, statements ...string) (letGo func()) {
	w.Helper()
	conn, err := on.Conn(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	w.run(conn, statements)
	letGo = sync.OnceFunc(func() {
		for _, statement := range []string{"UNLOCK TABLES", "ROLLBACK"} {
			if _, err := conn.ExecContext(context.Background(), statement); err != nil {
				w.Errorf("%s: %v", statement, err)
			}
		}
		_ = conn.Close()
	})
	w.Cleanup(letGo)
	return letGo
}

// blockApplier keeps B from changing the large table.
func (w *world) blockApplier() (unblock func()) {
	w.Helper()
	return w.hold(w.onB, "LOCK TABLES l.t READ")
}

// holdReaders keeps a member's large table from being read: by its lock, and on the passive,
// where nobody gets that, as an ALTER does that waits for someone's transaction.
func (w *world) holdReaders(on *sql.DB) (letGo func()) {
	w.Helper()
	if on == w.onA {
		return w.hold(on, "LOCK TABLES l.t WRITE")
	}
	letGo = w.hold(on, "START TRANSACTION READ ONLY", "SELECT id FROM l.t LIMIT 1")
	w.exec("ALTER TABLE l.t COMMENT = '" + w.Name() + "'")
	mysqldtest.Await(w, "the applier waits for the table", func() bool {
		var n int
		err := on.QueryRow("SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE OBJECT_NAME = 't' AND LOCK_STATUS = 'PENDING'").Scan(&n)
		return err == nil && n > 0
	})
	return letGo
}

// enlarge gives the large table so many rows. From 100,000 on it has chunks in its middle
// whose ends are counted, so that their digest is the first statement that reads them.
func (w *world) enlarge(rows int) {
	w.Helper()
	w.exec("SET cte_max_recursion_depth = 1000000",
		fmt.Sprintf("INSERT INTO l.t WITH RECURSIVE r AS (SELECT 45001 i UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i, i FROM r", rows),
		"ANALYZE TABLE l.t")
	w.sync()
}

// What the large table has when it is enlarged for a test of its chunks, and after how many
// of them the next one's end is counted.
const (
	enlarged   = 105_000
	thenCounts = 2
)

// testATableThatIsLockedIsWaitedFor: no statement waits for long, and one that gave up is no
// reason to end the run, nor to leave its chunk out, nor to wait forever.
func testATableThatIsLockedIsWaitedFor(w *world) {
	w.makeLarge()
	w.enlarge(enlarged)
	for _, one := range []struct {
		name     string
		on       *sql.DB
		attempts int
		toTheEnd bool
	}{
		{"on the primary, for a while", w.onA, -1, false},
		{"on the passive, for a while", w.onB, -1, false},
		{"on the primary, for a while, under the table lock", w.onA, DefaultLockAttempts, false},
		{"on the primary, to the end", w.onA, -1, true},
	} {
		w.Run(one.name, func(t *testing.T) {
			w := w.on(t)
			options := w.largeOptions()
			options.LockAttempts = one.attempts
			log, gaveUp := w.logged("table is locked")
			options.Log = log
			run := w.stand(afterChunks(thenCounts), options)
			before := partOfLarge(run.state())
			letGo := w.holdReaders(one.on)
			run.goOn()
			want := TableReport{State: Skipped, Rows: before.Rows, Changed: before.Changed}
			if !one.toTheEnd {
				run.await("a statement gave up", func() bool { return isClosed(gaveUp) })
				letGo()
				want = TableReport{State: Different, Rows: enlarged, Changed: 3}
			}
			report, err := run.end()
			if err != nil {
				t.Fatal(err)
			}
			got := report.table("l.t")
			if got.State != want.State || got.Rows != want.Rows || got.Changed != want.Changed || int(got.Changed) != len(got.Differing) {
				t.Errorf("want %+v: %+v", want, got)
			}
			if small := report.table("l.small"); small.State != Consistent {
				t.Errorf("the other table: %+v", small)
			}
		})
	}
}

// testAnOpenTransactionKeepsOneRowAway: it keeps the table lock away, and the lock of a row
// that seems to differ. All other rows are compared.
func testAnOpenTransactionKeepsOneRowAway(w *world) {
	w.makeLarge()
	w.hold(w.onA, "START TRANSACTION", "UPDATE l.t SET n = n + 1 WHERE id = 25000")
	options := w.largeOptions()
	options.LockAttempts = 1
	report := w.compare(options)
	if got := report.table("l.t"); got.State != Different || got.Rows != 45_000 || got.Changed != 2 || len(got.Differing) != 2 || got.Aligned {
		w.Errorf("want two rows of three, without the table lock: %+v", got)
	}
	if small := report.table("l.small"); small.State != Consistent || !small.Aligned {
		w.Errorf("the other table: %+v", small)
	}
}

// testALaneThatMeetsAnAlterEndsNoOther: of two sessions that read a table one is the first to
// learn that it was altered.
func testALaneThatMeetsAnAlterEndsNoOther(w *world) {
	w.makeLarge()
	w.enlarge(300_000)
	for _, alter := range []string{"ADD COLUMN y INT", "DROP COLUMN y", "ADD COLUMN y INT", "DROP COLUMN y"} {
		options := w.largeOptions()
		options.Parallelism = 2
		options.Now = steps(2 * time.Second)
		options.MaxSnapshotAge = time.Hour
		var once sync.Once
		options.Save = func(state State) {
			if chunksOfLarge(state) >= 3 {
				once.Do(func() { w.exec("ALTER TABLE l.t " + alter + ", ALGORITHM=COPY") })
			}
		}
		if table := w.compare(options).table("l.t"); table.State != Different || table.Changed != 3 || table.Rows != 300_000 || table.Restarts < 1 {
			w.Errorf("%s: %+v", alter, table)
		}
	}
}

// testWhatIsStillToBeAppliedIsNoDrift: definitions have no snapshots, so that the passive has
// to be waited for, for as long as it is late.
func testWhatIsStillToBeAppliedIsNoDrift(w *world) {
	w.makeLarge()
	w.Cleanup(func() {
		if _, err := w.onA.Exec("DROP USER IF EXISTS late"); err != nil {
			w.Error(err)
		}
	})
	w.sync()
	unblock := w.blockApplier()
	w.exec("UPDATE l.t SET n = n + 1 WHERE id = 9", "CREATE USER late", "CREATE TABLE l.late (id INT PRIMARY KEY)")
	time.AfterFunc(2*catchUpStep+3*time.Second, unblock)
	options := w.largeOptions()
	options.SkipSchemaDrift = false
	for _, one := range w.compare(options).SchemaDrift {
		if one.Name == "l.late" || one.Name == "late@%" {
			w.Errorf("what the passive had not applied yet is called drift: %+v", one)
		}
	}
}
