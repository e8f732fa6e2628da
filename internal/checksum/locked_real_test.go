package checksum

import (
	"context"
	"sync"
	"testing"
	"time"
)

// holdTable locks a table of the primary against readers, as an ALTER does that waits for
// somebody's transaction, until the returned function is called.
func (w *world) holdTable(table string) (letGo func()) {
	conn, err := w.onA.Conn(context.Background())
	if err != nil {
		w.Error(err)
		return func() {}
	}
	if _, err := conn.ExecContext(context.Background(), "LOCK TABLES "+table+" WRITE"); err != nil {
		w.Error(err)
	}
	return sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.Background(), "UNLOCK TABLES"); err != nil {
			w.Error(err)
		}
		_ = conn.Close()
	})
}

// testATableThatIsLockedIsWaitedFor: no statement waits for long, and one that gave up is no
// reason to end the run, nor to wait for ever.
func testATableThatIsLockedIsWaitedFor(w *world) {
	w.makeLarge()
	for _, one := range []struct {
		name string
		held time.Duration // negative: to the end
		want TableReport
	}{
		{"for a while", 3 * time.Second, TableReport{State: Different, Rows: 45_000, Chunks: 3, Changed: 3}},
		{"to the end", -1, TableReport{State: Skipped, Rows: 20_000, Chunks: 1, Changed: 1}},
	} {
		w.Run(one.name, func(t *testing.T) {
			w := w.on(t)
			letGo := func() {}
			defer func() { letGo() }()
			options := w.largeOptions()
			options.LockAttempts = -1
			options.Now, options.MaxSnapshotAge = steps(2*time.Second), time.Hour // every chunk is saved
			var once sync.Once
			options.Save = func(state State) { // the only lane waits until it returns
				if chunksOfLarge(state) == 1 {
					once.Do(func() {
						letGo = w.holdTable("l.t")
						if one.held > 0 {
							time.AfterFunc(one.held, letGo)
						}
					})
				}
			}
			report := w.compare(options)
			got := report.table("l.t")
			if got.State != one.want.State || got.Rows != one.want.Rows || got.Chunks < one.want.Chunks || got.Changed != one.want.Changed || int(got.Changed) != len(got.Differing) {
				t.Errorf("want %+v: %+v", one.want, got)
			}
			if small := report.table("l.small"); small.State != Consistent {
				t.Errorf("the other table: %+v", small)
			}
		})
	}
}

// testALaneThatMeetsAnAlterEndsNoOther: of two sessions that read a table one is the first to
// learn that it was altered.
func testALaneThatMeetsAnAlterEndsNoOther(w *world) {
	w.makeLarge()
	w.exec("SET cte_max_recursion_depth = 400000", "INSERT INTO l.t WITH RECURSIVE r AS (SELECT 45001 i UNION ALL SELECT i + 1 FROM r WHERE i < 300000) SELECT i, i FROM r", "ANALYZE TABLE l.t")
	w.sync()
	for _, alter := range []string{"ADD COLUMN y INT", "DROP COLUMN y", "ADD COLUMN y INT", "DROP COLUMN y"} {
		options := w.largeOptions()
		options.Parallelism = 2
		options.Now, options.MaxSnapshotAge = steps(2*time.Second), time.Hour
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
	defer unblock()
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
