package checksum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// maxRestarts bounds how often ALTERs may make a table begin again.
	maxRestarts = 10
	// restartPause lets an ALTER reach the passive.
	restartPause = 200 * time.Millisecond
	// maxBlocked bounds how often in a row someone's lock may keep a statement of ours
	// waiting for as long as it waits; between two times pauses grow from lockPause.
	maxBlocked = 7
)

// skipError ends one table without a verdict.
type skipError struct{ reason string }

func (e skipError) Error() string { return e.reason }

func skip(format string, args ...any) error { return skipError{fmt.Sprintf(format, args...)} }

// tableRun is the comparison of one table.
type tableRun struct {
	*run
	size tablesql.Size
	// lanes hold the snapshots; desk is for everything else.
	lanes   []lane
	desk    lane
	began   time.Time
	table   *tablesql.Table
	aligned bool
	// definition is the signature that an earlier run compared with.
	definition string
	// snapshotAt is when the snapshots were taken.
	snapshotAt time.Time

	mu sync.Mutex
	// report counts the chunks up to after, in their order; ready holds those
	// that were finished before an earlier one.
	report TableReport
	after  []string
	ready  map[int]chunk
	// handed is the number of chunks given to workers, merged that of those
	// in report, cursor where the next begins.
	handed, merged int
	cursor         []string
	// rows is how many of them the next chunk has.
	rows int64
	// last is the primary's largest key where that is one integer, noNumber
	// while unknown; sparse says that counting would hit gaps.
	last      int64
	sparse    atomic.Bool
	exhausted bool
	// blocked counts passes in a row that a lock of someone else ended.
	blocked int
	// renew is set when the snapshots are too old for another chunk.
	renew bool
	// unverified counts rows that seemed to differ and could not be read under a lock.
	unverified int64
}

func newTableRun(r *run, size tablesql.Size, lanes int) *tableRun {
	t := &tableRun{
		run:   r,
		size:  size,
		lanes: make([]lane, lanes),
		began: r.Now(),
	}
	t.report = TableReport{
		Table:   size.TableName,
		Bytes:   size.Bytes,
		Aligned: true,
	}
	t.rows = rowsOf(size, int64(r.ChunkRows))
	return t
}

// compareTable compares the table until there is a verdict. It fails only when the
// whole run has to end.
func (t *tableRun) compareTable(ctx context.Context) (err error) {
	if t.size.Engine != "InnoDB" {
		return t.finish(skip("engine %s has no snapshots", t.size.Engine))
	}
	defer func() {
		for _, l := range append(t.lanes, t.desk) {
			l.end(ctx, err)
		}
	}()
	if t.desk.pairOf, err = t.sessions(ctx); err != nil {
		return err
	}
	for i := range t.lanes {
		sessions, err := t.sessions(ctx)
		t.lanes[i] = lane{sessions}
		if err != nil {
			return err
		}
	}
	t.takeUp()
	for {
		err := t.pass(ctx)
		if err == nil && !t.renew {
			return t.finish(nil)
		}
		if err == nil {
			continue // snapshots are renewed and the scan goes on where it was
		}
		if done, err := t.afterFailure(ctx, err); done || err != nil {
			return err
		}
	}
}

// afterFailure prepares the next pass after one that failed, and waits until it may begin. done
// is true when the table ends with the failure; an error ends the whole run.
func (t *tableRun) afterFailure(ctx context.Context, failed error) (done bool, err error) {
	var skipped skipError
	switch {
	case errors.As(failed, &skipped):
		return true, t.finish(failed)
	case errors.Is(failed, tablesql.ErrTableChanged):
		if t.report.Restarts >= maxRestarts {
			return true, t.finish(skip("its definition changed %d times: %v", maxRestarts, failed))
		}
		t.Log.Info("table begins again", "table", t.size.String(), "reason", failed.Error())
		t.restart()
		return false, sleep(ctx, restartPause)
	case errors.Is(failed, tablesql.ErrLockWait):
		if t.blocked++; t.blocked >= maxBlocked {
			return true, t.finish(skip("someone's lock kept it from being read %d times: %v", maxBlocked, failed))
		}
		t.Log.Info("table is locked", "table", t.size.String(), "reason", failed.Error())
		t.rewind()
		return false, sleep(ctx, lockPause<<t.blocked)
	}
	return true, fmt.Errorf("table %s: %w", t.size.TableName, failed)
}

// pass scans with one set of snapshots.
func (t *tableRun) pass(ctx context.Context) error {
	if err := t.letGo(ctx); err != nil {
		return err
	}
	if err := t.gate.open(ctx); err != nil {
		return err
	}
	t.renew = false
	t.last = noNumber
	if err := t.align(ctx); err != nil {
		return err
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	if t.table.Key == nil {
		return t.compareKeyless(ctx)
	}
	// What ends one lane lets the others finish their chunks: ending a statement costs its
	// session, which the next pass needs.
	var group errgroup.Group
	for _, l := range t.lanes {
		group.Go(func() error {
			err := t.scan(ctx, l)
			if err != nil {
				t.giveUpSnapshots()
			}
			return err
		})
	}
	return group.Wait()
}

// letGo ends all snapshots: what waits for its turn holds none.
func (t *tableRun) letGo(ctx context.Context) error {
	for _, l := range t.lanes {
		err := atOnce(
			func() error { return l.primary.Exec(ctx, "ROLLBACK") },
			func() error { return l.passive.Exec(ctx, "ROLLBACK") },
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads the definition on both members, which must agree.
func (t *tableRun) load(ctx context.Context) error {
	var found pairOf[*tablesql.Table]
	name := t.size.TableName
	var errs pairOf[error]
	_ = atOnce(
		func() error { found.primary, errs.primary = tablesql.Load(ctx, t.desk.primary, name); return nil },
		func() error { found.passive, errs.passive = tablesql.Load(ctx, t.desk.passive, name); return nil },
	)
	last := t.report.Restarts >= maxRestarts/2
	switch {
	case errors.Is(errs.primary, tablesql.ErrTableChanged):
		return skip("it was dropped while the run went on")
	case errors.Is(errs.passive, tablesql.ErrTableChanged) && last:
		return skip("it is not on the passive")
	case errs != (pairOf[error]{}):
		return errors.Join(errs.primary, errs.passive)
	case found.primary.Signature() != found.passive.Signature() && last:
		return skip("its columns or its key are not the same on the passive")
	case found.primary.Signature() != found.passive.Signature():
		return fmt.Errorf("%w: an ALTER has reached one member only", tablesql.ErrTableChanged)
	}
	former := t.definition
	if t.table != nil {
		former = t.table.Signature()
	}
	if former != "" && former != found.primary.Signature() {
		t.table = nil
		t.definition = ""
		return fmt.Errorf("%w: altered between two snapshots", tablesql.ErrTableChanged)
	}
	t.table = found.primary
	if err := t.table.Check(); err != nil {
		return skip("%v", err)
	}
	return nil
}

// takeUp continues where an earlier run was.
func (t *tableRun) takeUp() {
	position, found := t.book.takeUp(t.size.TableName)
	if !found || len(position.After) == 0 {
		t.book.drop(position.Partial.Differing)
		return
	}
	t.report = position.Partial
	t.definition = position.Definition
	t.after = position.After
	t.cursor = position.After
	t.began = t.began.Add(-time.Duration(position.Partial.Seconds * float64(time.Second)))
}

// restart throws away what was compared under another definition.
func (t *tableRun) restart() {
	t.book.drop(t.report.Differing)
	t.report = TableReport{
		Table:       t.report.Table,
		Bytes:       t.report.Bytes,
		Aligned:     true,
		LongestLock: t.report.LongestLock,
		Restarts:    t.report.Restarts + 1,
	}
	t.table = nil
	t.definition = ""
	t.after = nil
	t.cursor = nil
	t.ready = nil
	t.handed = 0
	t.merged = 0
	t.exhausted = false
	t.unverified = 0
}

// rewind goes back to the last chunk that is in the report, in the same definition.
func (t *tableRun) rewind() {
	t.cursor = t.after
	t.ready = nil
	t.handed = 0
	t.merged = 0
	t.exhausted = false
}

// finish notes the verdict; reason is nil when the table was compared to its
// end.
func (t *tableRun) finish(reason error) error {
	r := &t.report
	r.Seconds = t.Now().Sub(t.began).Seconds()
	switch {
	case reason != nil:
		r.State = Skipped
		r.Reason = reason.Error()
	case r.DifferingRows() > 0:
		r.State = Different
	case t.unverified > 0:
		r.State = Skipped
		r.Reason = fmt.Sprintf("%d rows were written to all the time and could not be compared", t.unverified)
	default:
		r.State = Consistent
	}
	t.book.finishTable(*r)
	t.Log.Info("table compared", "table", r.Table.String(), "state", r.State, "reason", r.Reason, "rows", r.Rows,
		"differing", r.DifferingRows(), "duration", r.Seconds, "longestLock", r.LongestLock, "aligned", r.Aligned)
	return nil
}

// sleep waits or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
