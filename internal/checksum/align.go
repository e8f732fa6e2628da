package checksum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// catchUpLimit is how long the passive may take to reach the primary before
	// a lock is taken, so that the lock needs to wait for almost nothing.
	catchUpLimit = 30 * time.Minute
	catchUpStep  = 5 * time.Second
	// lockPause grows with each attempt.
	lockPause = 100 * time.Millisecond
	// killAt is the part of MaxLockTime after which a holder is killed; the
	// rest is for the kill to arrive.
	killAt = 0.8

	snapshot  = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	savepoint = "SAVEPOINT chunk"
	release   = "ROLLBACK TO SAVEPOINT chunk"
)

var (
	// errHeldTooLong: a lock was taken away from its holder.
	errHeldTooLong = errors.New("lock held for maxLockTime")
	// errNotReached: the passive was too far behind.
	errNotReached = errors.New("the passive did not reach the primary")
)

// lane is one session on each member, which read the same chunk at the same
// time, each in its snapshot.
type lane struct{ pairOf[*tablesql.Session] }

// end closes the sessions, or releases them when nothing went wrong.
func (l lane) end(ctx context.Context, err error) {
	for _, session := range []*tablesql.Session{l.primary, l.passive} {
		switch {
		case session == nil:
		case err == nil:
			session.Release(ctx)
		default:
			session.Close()
		}
	}
}

// align puts all lanes into snapshots in which the table is at one place of
// its history: under the table lock if it comes in a few attempts, and without
// it otherwise. Then t.aligned is false, and the snapshots differ by the writes
// of a moment.
func (t *tableRun) align(ctx context.Context) error {
	for attempt := range t.LockAttempts {
		if err := t.catchUp(ctx, t.desk.pairOf); err != nil {
			return err
		}
		held, err := t.alignLocked(ctx)
		t.report.LongestLock = max(t.report.LongestLock, held)
		switch {
		case err == nil:
			t.aligned = true
			return t.checkRoles(ctx)
		case errors.Is(err, tablesql.ErrLockWait) || errors.Is(err, errHeldTooLong) || errors.Is(err, errNotReached):
			t.Log.V(1).Info("table lock not obtained", "table", t.report.Table.String(), "attempt", attempt+1, "reason", err.Error())
		default:
			return err
		}
		if err := sleep(ctx, lockPause<<attempt); err != nil {
			return err
		}
	}
	t.aligned = false
	t.report.Aligned = false
	if err := t.alignFree(ctx); err != nil {
		return err
	}
	return t.checkRoles(ctx)
}

// catchUp waits until the passive has what the primary has now. While it makes
// progress there is no limit: the run gives way.
func (r *run) catchUp(ctx context.Context, on pairOf[*tablesql.Session]) error {
	set, err := on.primary.Executed(ctx)
	if err != nil {
		return err
	}
	for waited := time.Duration(0); waited < catchUpLimit; waited += catchUpStep {
		there, err := on.passive.AwaitExecuted(ctx, set, catchUpStep)
		if err != nil || there {
			return err
		}
		r.book.waiting("passive lags behind")
		if err := r.checkRoles(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w within %s", ErrNotReplicating, errNotReached, catchUpLimit)
}

// alignLocked takes the snapshots under the table lock. While that is held
// nothing changes the table, so that the order of the primary's snapshots and
// the reading of the position does not matter.
func (t *tableRun) alignLocked(ctx context.Context) (held time.Duration, err error) {
	locker, err := t.primary.Session(ctx)
	if err != nil {
		return 0, err
	}
	if err := locker.Exec(ctx, "LOCK TABLES "+t.report.Table.SQL()+" READ"); err != nil {
		locker.Close()
		return 0, err
	}
	began := time.Now() // a lock is measured on the real clock
	killed := t.guard(locker)
	taken := t.takeSnapshots(ctx, locker, time.Duration(float64(t.MaxLockTime)*killAt), true)
	err = locker.Exec(ctx, "UNLOCK TABLES")
	held = time.Since(began)
	// Only a lock that was given back was held all the time.
	switch {
	case killed():
		locker.Close()
		return held, errHeldTooLong
	case err != nil:
		locker.Close()
	default:
		locker.Release(ctx)
	}
	return held, errors.Join(taken, err)
}

// guard kills the holder of a lock when its time is over. The returned function
// ends the guard and reports whether it has killed.
func (r *run) guard(holder *tablesql.Session) (killed func() bool) {
	timer := time.AfterFunc(time.Duration(float64(r.MaxLockTime)*killAt), func() { r.kill(holder.ID) })
	return func() bool { return !timer.Stop() }
}

// kill ends a session of the primary by the session that waits for that, or by
// a new one if that has gone.
func (r *run) kill(id int64) {
	r.killing.Lock()
	defer r.killing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := r.killer.Kill(ctx, id); err != nil {
		if err := r.primary.Kill(id); err != nil {
			r.Log.Error(err, "a lock could not be ended", "member", r.Primary.Member)
		}
	}
}

// alignFree takes the snapshots without a lock: those of the passive the moment
// it has executed what the primary had after its own were taken.
func (t *tableRun) alignFree(ctx context.Context) error {
	for {
		if err := t.catchUp(ctx, t.desk.pairOf); err != nil {
			return err
		}
		err := t.takeSnapshots(ctx, t.desk.primary, catchUpStep, false)
		if !errors.Is(err, errNotReached) {
			return err
		}
	}
}

// takeSnapshots opens all snapshots, those of the passive once it has executed
// what position says the primary has.
func (t *tableRun) takeSnapshots(ctx context.Context, position *tablesql.Session, limit time.Duration, locked bool) error {
	var group, first errgroup.Group
	for _, l := range t.lanes {
		first.Go(func() error { return l.primary.Exec(ctx, snapshot, savepoint) })
	}
	if !locked { // then the position must not be older than the snapshots
		if err := first.Wait(); err != nil {
			return err
		}
	}
	set, err := position.Executed(ctx)
	if err != nil {
		return errors.Join(err, first.Wait())
	}
	for _, l := range t.lanes {
		group.Go(func() error {
			there, err := l.passive.AwaitExecuted(ctx, set, limit)
			if err == nil && !there {
				err = fmt.Errorf("%w within %s", errNotReached, limit)
			}
			if err != nil {
				return err
			}
			return l.passive.Exec(ctx, snapshot, savepoint)
		})
	}
	t.snapshotAt = t.Now()
	return errors.Join(group.Wait(), first.Wait())
}
