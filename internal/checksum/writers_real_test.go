package checksum

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// runsUnderWrites is how often a table is compared while it is written to:
// few by default, as many as DBPAIR_CHECKSUM_RUNS says (make test-checksum: 100).
func runsUnderWrites(t *testing.T) int {
	text := os.Getenv("DBPAIR_CHECKSUM_RUNS")
	if text == "" {
		return 6
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("DBPAIR_CHECKSUM_RUNS=%q: want a number from 1", text)
	}
	return n
}

const (
	writers     = 8
	writtenRows = 12_000
)

// workload writes until stop is called, which returns the longest time of one
// statement and how many there were.
type workload struct {
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	longest atomic.Int64
	count   atomic.Int64
	failed  atomic.Pointer[error]
}

func (w *world) startWriters(tables int) *workload {
	ctx, cancel := context.WithCancel(context.Background())
	load := &workload{cancel: cancel}
	for i := range writers {
		conn, err := w.onA.Conn(ctx)
		if err != nil {
			w.Fatal(err)
		}
		random := rand.New(rand.NewPCG(uint64(i), 7))
		load.wait.Go(func() {
			defer conn.Close()
			for ctx.Err() == nil {
				load.write(ctx, conn, random, tables)
				// The applier has to keep up on a small machine.
				_ = sleep(ctx, time.Duration(random.IntN(20))*time.Millisecond)
			}
		})
	}
	w.Cleanup(func() { load.stop() })
	return load
}

// write is one change: of one row, of a range, in a transaction over tables, a
// row gone and back.
func (l *workload) write(ctx context.Context, conn *sql.Conn, random *rand.Rand, tables int) {
	table := fmt.Sprintf("w.t%d", random.IntN(tables))
	id := random.IntN(writtenRows)
	statements := [][]string{
		{fmt.Sprintf("UPDATE %s SET n = n + 1 WHERE id = %d", table, id)},
		{fmt.Sprintf("UPDATE %s SET s = CONCAT('x', n) WHERE id BETWEEN %d AND %d", table, id, id+3)},
		{fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id)},
		{fmt.Sprintf("REPLACE INTO %s (id, n, s) VALUES (%d, 0, 'new')", table, id)},
		{"BEGIN", fmt.Sprintf("UPDATE w.t0 SET n = n + 1 WHERE id = %d", id), fmt.Sprintf("UPDATE %s SET n = n - 1 WHERE id = %d", table, id+1), "COMMIT"},
	}
	for _, statement := range statements[random.IntN(len(statements))] {
		began := time.Now()
		_, err := conn.ExecContext(ctx, statement)
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !isConflict(err) {
			l.failed.CompareAndSwap(nil, &err)
			return
		}
		l.count.Add(1)
		for old := l.longest.Load(); int64(took) > old && !l.longest.CompareAndSwap(old, int64(took)); old = l.longest.Load() {
		}
	}
}

// isConflict: the writers deadlock with each other now and then.
func isConflict(err error) bool {
	text := err.Error()
	return len(text) > 10 && (text[:10] == "Error 1213" || text[:10] == "Error 1205")
}

func (l *workload) stop() (count int64, longest time.Duration) {
	l.cancel()
	l.wait.Wait()
	return l.count.Load(), time.Duration(l.longest.Load())
}

func (w *world) makeWritten(tables int) {
	w.Cleanup(func() { w.dropping("w") })
	w.exec("CREATE DATABASE w", "SET cte_max_recursion_depth = 100000")
	for i := range tables {
		w.exec(fmt.Sprintf("CREATE TABLE w.t%d (id INT PRIMARY KEY, n INT NOT NULL, s VARCHAR(20), KEY (n))", i),
			fmt.Sprintf("INSERT INTO w.t%d WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i, i, 'old' FROM r", i, writtenRows))
	}
	w.sync()
}

func testWritesAreNoDifferences(w *world) {
	t := w.T
	const tables = 3
	w.makeWritten(tables)
	load := w.startWriters(tables)
	options := w.options()
	options.Include = []string{"w"}
	options.SkipSchemaDrift = true
	options.Throttle.MaxLag = time.Minute
	// Time enough for the passive to be where the primary is while the lock is held.
	options.MaxLockTime = 4 * DefaultMaxLockTime
	aligned := 0
	compared := 0
	skipped := 0
	var longest time.Duration
	runs := runsUnderWrites(t)
	for i := range runs {
		options.LockAttempts = []int{DefaultLockAttempts, -1, 1}[i%3]
		report := w.compare(options)
		for _, table := range report.Tables {
			switch table.State {
			case Different:
				t.Fatalf("run %d: %+v", i, table)
			case Skipped: // on a machine so busy that the passive is late each time it is asked
				t.Logf("run %d: %+v", i, table)
				skipped++
				continue
			case Consistent:
			}
			compared++
			if table.Aligned {
				aligned++
			}
			longest = max(longest, table.LongestLock)
		}
	}
	count, slowest := load.stop()
	if err := load.failed.Load(); err != nil {
		t.Errorf("a writer failed: %v", *err)
	}
	t.Logf("%d runs, %d tables compared, %d given up, %d under the table lock; %d writes, the slowest %v; longest lock %v", runs, compared, skipped, aligned, count, slowest, longest)
	if skipped > compared/10 {
		t.Errorf("%d of %d tables were given up", skipped, skipped+compared)
	}
	if aligned == 0 || aligned == compared {
		t.Errorf("%d of %d comparisons were aligned: both ways should have been taken", aligned, compared)
	}
	// Anyone who ends a lock that is held for too long gets its turn late on a busy machine.
	if most := 8 * options.MaxLockTime; longest > most {
		t.Errorf("a lock was held for %v, more than %v", longest, most)
	}
}

func testAltersAreNoDifferences(w *world) {
	t := w.T
	const tables = 2
	w.makeWritten(tables)
	load := w.startWriters(tables)
	ctx, cancel := context.WithCancel(t.Context())
	var alters atomic.Int64
	var altering sync.WaitGroup
	altering.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			statement := []string{
				"ALTER TABLE w.t0 ADD COLUMN x INT DEFAULT 5",
				"ALTER TABLE w.t1 ADD KEY extra (s), ALGORITHM=INPLACE",
				"ALTER TABLE w.t0 DROP COLUMN x",
				"ALTER TABLE w.t1 DROP KEY extra",
				"ALTER TABLE w.t1 MODIFY s VARCHAR(30), ALGORITHM=COPY",
				"ALTER TABLE w.t1 MODIFY s VARCHAR(20), ALGORITHM=COPY",
			}[i%6]
			if _, err := w.onA.ExecContext(ctx, statement); err == nil {
				alters.Add(1)
			}
			_ = sleep(ctx, 500*time.Millisecond)
		}
	})
	options := w.options()
	options.Include = []string{"w"}
	options.SkipSchemaDrift = true
	options.Throttle.MaxLag = time.Minute
	compared := 0
	restarts := 0
	runs := (runsUnderWrites(t) + 1) / 2 // each takes longer
	for i := range runs {
		options.LockAttempts = []int{DefaultLockAttempts, -1}[i%2]
		for _, table := range w.compare(options).Tables {
			if table.State == Different {
				t.Fatalf("run %d: %+v", i, table)
			}
			if table.State == Consistent {
				compared++
			}
			restarts += table.Restarts
		}
	}
	cancel()
	altering.Wait()
	load.stop()
	t.Logf("%d runs, %d tables compared to their end, %d restarts, %d ALTERs", runs, compared, restarts, alters.Load())
	if compared == 0 || alters.Load() == 0 {
		t.Errorf("%d tables compared, %d ALTERs: want some of both", compared, alters.Load())
	}
	options.LockAttempts = DefaultLockAttempts
	for _, table := range w.compare(options).Tables {
		if table.State != Consistent {
			t.Errorf("after all: %+v", table)
		}
	}
}
