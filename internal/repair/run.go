package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	program = "dbpair-repair"
	// maxRows bounds what one pass remembers; more is left to the next.
	maxRows = 100_000
	// maxOthers bounds how many other tables are compared again; the names of
	// the rest are in the reasons.
	maxOthers = 50
)

// Run repairs one table and blocks until it compares equal or cannot be made
// so. A refusal is a Report, not an error; an error is checksum.ErrRolesChanged,
// checksum.ErrSessionLost, or what stopped the repair on its way. It is safe to
// call again after any end: it starts by comparing.
func Run(ctx context.Context, options Options) (Report, error) {
	options = options.withDefaults()
	r := &run{
		Options: options,
		report:  Report{Table: options.Table},
		touched: make(map[checksum.TableName]bool),
	}
	if err := options.validate(); err != nil {
		return r.report, fmt.Errorf("repair: %w", err)
	}
	err := r.connect()
	if err == nil {
		err = r.all(ctx)
	}
	r.disconnect()
	if errors.Is(err, tablesql.ErrKilled) && !errors.Is(err, checksum.ErrRolesChanged) {
		err = fmt.Errorf("%w: %w", checksum.ErrSessionLost, err)
	}
	if err != nil {
		return r.report, fmt.Errorf("repair of %s: %w", options.Table, err)
	}
	return r.report, nil
}

type run struct {
	Options
	report   Report
	progress Progress

	primary, passive, writer *tablesql.Member
	// table and uniques are those of the primary.
	table   *tablesql.Table
	uniques []unique
	// uuid is the primary's server.
	uuid string
	// touched are other tables that the passive applied changes to while it
	// was lenient.
	touched map[checksum.TableName]bool
}

func (r *run) connect() (err error) {
	if r.primary, err = tablesql.Connect(r.Primary, program); err != nil {
		return err
	}
	if r.passive, err = tablesql.Connect(r.Passive, program); err != nil {
		return err
	}
	if !r.DryRun {
		r.writer, err = tablesql.Connect(r.Writer, program)
	}
	return err
}

func (r *run) disconnect() {
	for _, member := range []*tablesql.Member{r.primary, r.passive, r.writer} {
		if member != nil {
			member.Close()
		}
	}
}

func (r *run) step(step Step) {
	r.progress.Step = step
	r.progress.Checksum = nil
	r.tell()
}

func (r *run) tell() {
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

// all is the whole repair.
func (r *run) all(ctx context.Context) error {
	r.step(Checking)
	reasons, err := r.refusals(ctx)
	if err != nil {
		return err
	}
	if len(reasons) > 0 {
		r.report.Result = Refused
		r.report.Reasons = reasons
		return nil
	}
	if err := r.goOn(ctx); err != nil {
		return err
	}
	for pass := 1; ; pass++ {
		r.progress = Progress{Pass: pass}
		r.step(Comparing)
		found, rows, err := r.compare(ctx, r.Table)
		if err != nil {
			return err
		}
		r.report.Passes = pass
		if pass == 1 {
			r.report.Before = &found
			r.report.Missing = found.Missing
			r.report.Extra = found.Extra
			r.report.Changed = found.Changed
		}
		r.report.After = &found
		if done := r.judge(found, pass, len(rows)); done {
			break
		}
		if err := r.repairRows(ctx, rows); err != nil {
			return err
		}
	}
	return r.recheckOthers(ctx)
}

// goOn helps an applier that stopped at a row of this table: a passive that was restarted
// in the middle of a repair is strict again, with a transaction of the repair before it.
// Whatever is forced through now is compared afterwards, as in a repair that nothing
// happened to; it is not known what was forced through by one that has died.
func (r *run) goOn(ctx context.Context) error {
	passive, err := r.passive.Session(ctx)
	if err != nil {
		return err
	}
	defer passive.Close()
	failure, err := passive.ApplierFailure(ctx)
	if err != nil || failure.Number == 0 {
		return err
	}
	if r.DryRun || !failure.IsAboutRowOf(r.Table) {
		return fmt.Errorf("%w: the applier of %s is stopped: error %d: %s",
			checksum.ErrNotReplicating, r.Passive.Member, failure.Number, failure.Message)
	}
	r.Log.Info("the passive stopped at a row of this table, going on from there", "table", r.Table.String(), "error", failure.Message)
	primary, err := r.primary.Session(ctx)
	if err != nil {
		return err
	}
	defer primary.Close()
	b := &batcher{
		run:     r,
		primary: primary,
		passive: passive,
	}
	before, err := b.writes(ctx)
	if err != nil {
		return err
	}
	if err := b.leniently(ctx, func(ctx context.Context) (string, error) { return primary.Executed(ctx) }); err != nil {
		return err
	}
	return b.noteTouched(ctx, before)
}

// judge sets the result and reports whether there is nothing more to do.
func (r *run) judge(found checksum.TableReport, pass, rows int) (done bool) {
	result := &r.report.Result
	switch {
	case found.State == checksum.Skipped && pass == 1:
		*result = Refused
		r.report.Reasons = append(r.report.Reasons, "it cannot be compared: "+found.Reason)
	case found.State == checksum.Skipped:
		*result = StillDifferent
		r.report.Reasons = append(r.report.Reasons, "it cannot be compared again: "+found.Reason)
	case found.State == checksum.Consistent && (r.report.Written > 0 || r.report.Lenient > 0):
		*result = Repaired
	case found.State == checksum.Consistent:
		*result = NothingToDo
	case r.DryRun:
		*result = Planned
	case pass > r.Passes && rows < maxRows:
		*result = StillDifferent
		r.report.Reasons = append(r.report.Reasons, fmt.Sprintf("%d rows still differ after %d passes", found.DifferingRows(), r.Passes))
	default:
		return false
	}
	return true
}

// compare compares one table and returns the rows that differ, up to maxRows.
func (r *run) compare(ctx context.Context, table checksum.TableName) (checksum.TableReport, []checksum.Row, error) {
	var rows []checksum.Row
	seen := make(map[string]bool) // a scan that began again says rows again
	options := checksum.Options{
		Primary:         r.Primary,
		Passive:         r.Passive,
		Table:           &table,
		SkipSchemaDrift: true,
		Parallelism:     r.Parallelism,
		MaxLockTime:     r.MaxLockTime,
		Throttle:        r.Throttle,
		MaxRowsKept:     100,
		Now:             r.Now,
		Log:             r.Log,
		OnRow: func(_ checksum.TableName, row checksum.Row) {
			key := strings.Join(row.Key, ",")
			if len(rows) < maxRows && !seen[key] {
				seen[key] = true
				rows = append(rows, row)
			}
		},
	}
	if r.Progress != nil {
		options.Save = func(state checksum.State) {
			r.progress.Checksum = &state
			r.tell()
		}
	}
	report, err := checksum.Run(ctx, options)
	if err != nil {
		return checksum.TableReport{}, nil, err
	}
	if r.uuid == "" {
		r.uuid = report.PrimaryUUID
	}
	if report.PrimaryUUID != r.uuid {
		return checksum.TableReport{}, nil, fmt.Errorf("%w: another server answers for %s", checksum.ErrRolesChanged, r.Primary.Member)
	}
	if len(report.Tables) != 1 {
		return checksum.TableReport{}, nil, fmt.Errorf("table %s: not in the report of its comparison", table)
	}
	return report.Tables[0], rows, nil
}

// repairRows rewrites rows, a transaction for each batch.
func (r *run) repairRows(ctx context.Context, rows []checksum.Row) error {
	r.progress.Rows = int64(len(rows))
	writer, err := r.writer.Session(ctx)
	if err != nil {
		return err
	}
	defer writer.Close()
	reader, err := r.primary.Session(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	passive, err := r.passive.Session(ctx)
	if err != nil {
		return err
	}
	defer passive.Close()
	b := &batcher{
		run:     r,
		writer:  writer,
		primary: reader,
		passive: passive,
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for batch := range slices.Chunk(rows, r.BatchRows) {
		if err := b.repair(ctx, batch); err != nil {
			return err
		}
		r.progress.Repaired += int64(len(batch))
		r.step(Repairing)
	}
	return nil
}

// recheckOthers compares the tables that the passive applied changes to while
// errors of the applier were passed over.
func (r *run) recheckOthers(ctx context.Context) error {
	others := make([]checksum.TableName, 0, len(r.touched))
	for name := range r.touched {
		others = append(others, name)
	}
	slices.SortFunc(others, func(a, b checksum.TableName) int { return strings.Compare(a.String(), b.String()) })
	for i, name := range others {
		if i >= maxOthers {
			r.report.Reasons = append(r.report.Reasons,
				fmt.Sprintf("%d more tables were written to meanwhile, from %s on: compare them", len(others)-i, name))
			break
		}
		r.step(Rechecking)
		found, _, err := r.compare(ctx, name)
		if err != nil {
			return err
		}
		r.report.Others = append(r.report.Others, found)
		if found.State == checksum.Different {
			r.report.Reasons = append(r.report.Reasons, fmt.Sprintf("%s, which was written to meanwhile, differs: repair it too", name))
		}
	}
	return nil
}
