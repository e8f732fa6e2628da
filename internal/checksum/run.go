package checksum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// program names the sessions in the process lists of the members.
const program = "dbpair-checksum"

// Run compares the members and blocks until it is done or ctx ends; it stops
// within about a second then, also in the middle of a statement. It returns
// the report so far with every error; an error says that the run as a whole
// ended early. Tables that cannot be compared are no error but Skipped.
//
// It only reads, and may be called again at any time, with the last State that
// Save was given to continue. Two runs for one pair at once are safe but each
// slows the other.
func Run(ctx context.Context, options Options) (Report, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return Report{}, fmt.Errorf("checksum: %w: %w", ErrBadRequest, err)
	}
	filter, err := newFilter(options)
	if err != nil {
		return Report{}, fmt.Errorf("checksum: %w: %w", ErrBadRequest, err)
	}
	r := &run{
		Options: options,
		filter:  filter,
		book:    newBook(options),
	}
	err = r.connect()
	if err == nil {
		defer r.disconnect()
		err = r.compare(ctx)
	}
	throttled, shut := r.gate.throttled()
	report := r.book.finish(err == nil, throttled, shut)
	if err != nil {
		return report, fmt.Errorf("checksum: %w", r.meaning(ctx, err))
	}
	return report, nil
}

type run struct {
	Options
	filter filter
	book   *book
	gate   *gate

	primary, passive *tablesql.Member
	// control is a session on each member for looking at it, shared.
	control pairOf[*tablesql.Session]
	looking sync.Mutex
	// uuids are the servers this run compares.
	uuids pairOf[string]
	// killer is a session on the primary that ends a holder of a lock.
	killer  *tablesql.Session
	killing sync.Mutex
	telling sync.Mutex
}

// pairOf holds one value for each member.
type pairOf[T any] struct{ primary, passive T }

func (r *run) connect() (err error) {
	r.gate = newGate(r.Throttle, r.Now)
	r.gate.said = r.book.waiting
	if r.primary, err = tablesql.Connect(r.Primary, program); err != nil {
		return err
	}
	r.passive, err = tablesql.Connect(r.Passive, program)
	return err
}

func (r *run) disconnect() {
	var both sync.WaitGroup
	both.Go(r.primary.Close)
	both.Go(r.passive.Close)
	both.Wait()
}

// compare is the whole run.
func (r *run) compare(ctx context.Context) (err error) {
	if r.control, err = r.sessions(ctx); err != nil {
		return err
	}
	if r.killer, err = r.primary.Session(ctx); err != nil {
		return err
	}
	if err := r.checkRoles(ctx); err != nil {
		return err
	}
	if err := r.book.begin(r.uuids); err != nil {
		return err
	}
	if !r.SkipSchemaDrift && r.Table == nil && !r.book.hasDrift() {
		if err := r.compareSchemas(ctx); err != nil {
			return err
		}
	}
	tables, err := r.listTables(ctx)
	if err != nil {
		return err
	}
	watch, err := r.sessions(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return r.gate.watch(ctx, watch) })
	group.Go(func() error {
		defer stop()
		return r.compareTables(ctx, tables)
	})
	return group.Wait()
}

// sessions opens one session on each member, both at once.
func (r *run) sessions(ctx context.Context) (pairOf[*tablesql.Session], error) {
	var out pairOf[*tablesql.Session]
	err := atOnce(
		func() (err error) { out.primary, err = r.primary.Session(ctx); return err },
		func() (err error) { out.passive, err = r.passive.Session(ctx); return err },
	)
	return out, err
}

// listTables returns what is to be compared, the largest first.
func (r *run) listTables(ctx context.Context) ([]tablesql.Size, error) {
	all, err := tablesql.List(ctx, r.control.primary)
	if err != nil {
		return nil, err
	}
	tables, err := r.chosen(ctx, all)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(tables, func(a, b tablesql.Size) int { return cmp.Compare(b.Bytes, a.Bytes) })
	r.book.plan(tables)
	return slices.DeleteFunc(tables, func(t tablesql.Size) bool { return r.book.isDone(t.TableName) }), nil
}

// compareTables gives each table as many of the sessions as it has chunks, so
// that a large table is scanned by all and small ones beside each other.
func (r *run) compareTables(ctx context.Context, tables []tablesql.Size) error {
	lanes := semaphore.NewWeighted(int64(r.Parallelism))
	group, inner := errgroup.WithContext(ctx)
	for _, table := range tables {
		weight := min(max(table.Rows/int64(r.ChunkRows), 1), int64(r.Parallelism))
		if err := lanes.Acquire(inner, weight); err != nil {
			break // a table failed, or the caller gave up; Wait says which
		}
		group.Go(func() error {
			defer lanes.Release(weight)
			return newTableRun(r, table, int(weight)).compareTable(inner)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// meaning says what is behind a session that ended: our own caller, a change
// of roles, or something else.
func (r *run) meaning(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, tablesql.ErrKilled) && !errors.Is(err, ErrRolesChanged) {
		return fmt.Errorf("%w: %w", ErrSessionLost, err)
	}
	return err
}

// atOnce runs all and returns their errors joined.
func atOnce(all ...func() error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, one := range all {
		wait.Go(func() { errs[i] = one() })
	}
	wait.Wait()
	return errors.Join(errs...)
}
