package checksum

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// verifyAttempts bounds how often rows are locked that are written to.
const verifyAttempts = 8

// verify reads rows that seemed to differ in snapshots that were not taken
// under a lock again, under row locks on the primary: nobody changes them
// until the passive has reached the same place. It counts those that differ.
func (n narrowing) verify(ctx context.Context, batch []candidate) error {
	for attempt := range verifyAttempts {
		differing, held, err := n.verifyOnce(ctx, batch)
		n.t.noteLock(held)
		switch {
		case err == nil:
			if len(differing) > 0 { // between members that changed roles any row may differ
				if err := n.t.checkRoles(ctx); err != nil {
					return err
				}
			}
			n.take(differing)
			return nil
		case errors.Is(err, tablesql.ErrTableChanged) || ctx.Err() != nil:
			return err
		case !errors.Is(err, tablesql.ErrLockWait) && !errors.Is(err, errHeldTooLong) && !errors.Is(err, errNotReached):
			return err
		}
		if err := sleep(ctx, lockPause<<min(attempt, 4)); err != nil {
			return err
		}
	}
	if len(batch) > 1 { // one of them may be what all wait for
		for i := range batch {
			if err := n.verify(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	n.tally.unverified++
	return nil
}

func (n narrowing) verifyOnce(ctx context.Context, batch []candidate) (differing []candidate, held time.Duration, err error) {
	sessions, err := n.t.sessions(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() { lane{sessions}.end(ctx, err) }()
	set, err := sessions.primary.Executed(ctx)
	if err != nil {
		return nil, 0, err
	}
	// What lags now need not be waited for under the lock.
	if _, err := sessions.passive.AwaitExecuted(ctx, set, catchUpStep); err != nil {
		return nil, 0, err
	}
	if err := sessions.primary.Exec(ctx, "START TRANSACTION"); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	killed := n.t.guard(sessions.primary)
	differing, err = n.readLocked(ctx, sessions, batch)
	if err == nil {
		err = sessions.primary.Exec(ctx, "COMMIT")
	}
	held = time.Since(began)
	if killed() {
		err = errHeldTooLong
	}
	if err != nil {
		return nil, held, err
	}
	return differing, held, nil
}

// readLocked reads the rows of batch on both members while they are locked on
// the primary, and returns those that differ.
func (n narrowing) readLocked(ctx context.Context, sessions pairOf[*tablesql.Session], batch []candidate) ([]candidate, error) {
	keys := make([][]string, len(batch))
	for i, one := range batch {
		keys[i] = one.row.Key
	}
	where := n.t.table.Key.In(keys)
	var found pairOf[map[string]keyed]
	var err error
	if found.primary, err = n.t.rowDigests(ctx, sessions.primary, plain, where+" FOR SHARE"); err != nil {
		return nil, err
	}
	set, err := inBinlog(ctx, sessions.primary)
	if err != nil {
		return nil, err
	}
	there, err := sessions.passive.AwaitExecuted(ctx, set, n.t.MaxLockTime/2)
	if err == nil && !there {
		err = errNotReached
	}
	if err != nil {
		return nil, err
	}
	if err := sessions.passive.Exec(ctx, snapshot); err != nil {
		return nil, err
	}
	if found.passive, err = n.t.rowDigests(ctx, sessions.passive, plain, where); err != nil {
		return nil, err
	}
	differing := difference(found)
	return differing, n.describe(ctx, pairOf[reader]{plainReader(sessions.primary), plainReader(sessions.passive)}, differing)
}

func plain(ctx context.Context, s *tablesql.Session, query string, scan func([]sql.RawBytes) error) error {
	return s.Rows(ctx, query, scan)
}

func plainReader(s *tablesql.Session) reader {
	return func(ctx context.Context, query string, scan func([]sql.RawBytes) error) error {
		return s.Rows(ctx, query, scan)
	}
}

// inBinlog returns all transactions whose effects can be visible on the
// primary. A commit lets its row locks go a moment before it is in
// gtid_executed; until then it is in gtid_owned, which is therefore read first.
func inBinlog(ctx context.Context, s *tablesql.Session) (string, error) {
	row, err := s.Row(ctx, "SELECT @@GLOBAL.gtid_owned")
	if err != nil {
		return "", err
	}
	owned, err := mysqlops.ParseOwned(row[0])
	if err != nil {
		return "", fmt.Errorf("read gtid_owned: %w", err)
	}
	text, err := s.Executed(ctx)
	if err != nil {
		return "", err
	}
	executed, err := gtid.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read gtid_executed: %w", err)
	}
	return executed.Union(owned).String(), nil
}

// noteLock keeps the longest time that a lock was held.
func (t *tableRun) noteLock(held time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.LongestLock = max(t.report.LongestLock, held)
	t.report.Aligned = false
}

// tell hands a row to anyone who wants all of them.
func (t *tableRun) tell(row Row) {
	if t.OnRow == nil {
		return
	}
	t.telling.Lock()
	defer t.telling.Unlock()
	t.OnRow(t.size.TableName, row)
}
