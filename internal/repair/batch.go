package repair

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// leaseTime is for how long the passive is asked to be lenient; it is
	// extended while a transaction is on its way, and ended when it arrived.
	leaseTime = 10 * time.Second
	leaseStep = 3 * time.Second
	// applyLimit bounds how long the passive may take to apply a batch.
	applyLimit = 2 * time.Minute
	// attempts bounds lock waits and rows that turn out to be in the way.
	attempts = 5
	retry    = 200 * time.Millisecond
	// kept is the temporary table with the primary's rows.
	kept = "`dbpair repair`"
)

// batcher repairs batches with one session for each purpose.
type batcher struct {
	*run
	writer, primary, passive *tablesql.Session
	// columns are those that are written, quoted.
	columns string
	written []tablesql.Column
}

// version is one row of one member: literals of the written columns by key.
type version struct{ key, values []string }

// prepare sets the writer's session up: no checks of foreign keys, since a row
// that is rewritten is gone only inside the transaction.
func (b *batcher) prepare(ctx context.Context) error {
	for _, c := range b.table.Columns {
		if !c.Generated {
			b.written = append(b.written, c)
		}
	}
	names := make([]string, len(b.written))
	for i, c := range b.written {
		names[i] = tablesql.Name(c.Name)
	}
	b.columns = strings.Join(names, ", ")
	row, err := b.writer.Row(ctx, "SELECT @@GLOBAL.server_uuid, @@GLOBAL.super_read_only")
	if err != nil {
		return err
	}
	if row[0] != b.uuid || row[1] != "0" {
		return fmt.Errorf("%w: %s is not the open primary", checksum.ErrRolesChanged, b.Writer.Member)
	}
	schema := tablesql.Name(b.Table.Schema)
	return b.writer.Exec(ctx, "SET SESSION foreign_key_checks = OFF", "USE "+schema,
		// With a key of its own: sql_require_primary_key may be on.
		"CREATE TEMPORARY TABLE "+kept+" (`dbpair repair n` BIGINT AUTO_INCREMENT PRIMARY KEY) AS SELECT "+b.columns+
			" FROM "+b.table.SQL()+" LIMIT 0")
}

// repair saves the rows of a batch, rewrites them on the primary and waits
// until the passive has applied that.
func (b *batcher) repair(ctx context.Context, rows []checksum.Row) error {
	b.step(Saving)
	keys := make([][]string, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	extra, err := b.save(ctx, rows, keys)
	if err != nil {
		return err
	}
	b.step(Repairing)
	before, err := b.writes(ctx)
	if err != nil {
		return err
	}
	err = b.leniently(ctx, func(ctx context.Context) (string, error) {
		if err := b.rewrite(ctx, keys, extra); err != nil {
			return "", err
		}
		return b.writer.Executed(ctx)
	})
	if err != nil {
		return err
	}
	b.report.Transactions++
	b.report.Written += int64(len(rows))
	return b.noteTouched(ctx, before)
}

// save keeps both versions of all rows and returns the passive's of those that
// the primary lacks.
func (b *batcher) save(ctx context.Context, rows []checksum.Row, keys [][]string) ([]version, error) {
	onPrimary, err := b.versions(ctx, b.primary, keys)
	if err != nil {
		return nil, err
	}
	onPassive, err := b.versions(ctx, b.passive, keys)
	if err != nil {
		return nil, err
	}
	saved := make([]SavedRow, len(rows))
	var extra []version
	for i, row := range rows {
		primary, there := find(onPrimary, row.Key)
		passive, _ := find(onPassive, row.Key)
		saved[i] = SavedRow{
			Table:   b.Table,
			Kind:    row.Kind,
			Key:     row.Key,
			Primary: b.byName(primary),
			Passive: b.byName(passive),
		}
		if !there && passive.values != nil {
			extra = append(extra, passive)
		}
	}
	// A key may be spelled otherwise on the passive where its collation says
	// equal; such rows were not found by the primary's spelling.
	for _, one := range onPassive {
		if !slices.ContainsFunc(saved, func(s SavedRow) bool { return slices.Equal(s.Key, one.key) }) {
			saved = append(saved, SavedRow{
				Table:   b.Table,
				Kind:    checksum.Changed,
				Key:     one.key,
				Passive: b.byName(one),
			})
		}
	}
	if err := b.Saver.Save(ctx, saved); err != nil {
		return nil, fmt.Errorf("save both versions of %d rows: %w", len(saved), err)
	}
	return extra, nil
}

func find(list []version, key []string) (version, bool) {
	i := slices.IndexFunc(list, func(v version) bool { return slices.Equal(v.key, key) })
	if i < 0 {
		return version{}, false
	}
	return list[i], true
}

func (b *batcher) byName(v version) map[string]string {
	if v.values == nil {
		return nil
	}
	out := make(map[string]string, len(v.values))
	for i, c := range b.written {
		out[c.Name] = v.values[i]
	}
	return out
}

// versions reads rows by their keys.
func (b *batcher) versions(ctx context.Context, s *tablesql.Session, keys [][]string) ([]version, error) {
	expressions := make([]string, len(b.written))
	for i, c := range b.written {
		expressions[i] = c.Source()
	}
	var out []version
	query := "SELECT " + b.table.Key.Select() + ", " + strings.Join(expressions, ", ") + " FROM " + b.table.SQL() + " WHERE " +
		b.table.Key.In(keys)
	err := s.Rows(ctx, query, func(row []sql.RawBytes) error {
		one := version{key: b.table.Key.Literals(row)}
		for i, c := range b.written {
			one.values = append(one.values, c.Literal(row[len(b.table.Key.Columns)+i]))
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

// leniently holds the passive's idempotentApplier until it has applied the transactions that write
// returns.
func (b *batcher) leniently(ctx context.Context, write func(context.Context) (string, error)) (err error) {
	began := b.Now()
	defer func() {
		took := b.Now().Sub(began)
		b.report.Lenient += took
		b.report.LongestLenient = max(b.report.LongestLenient, took)
	}()
	if err := b.IdempotentApplier.Hold(ctx, leaseTime); err != nil {
		return fmt.Errorf("make the passive lenient: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime)
		defer cancel()
		if failed := b.IdempotentApplier.Release(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("end the passive's idempotentApplier, which ends by itself in %s: %w", leaseTime, failed))
		}
	}()
	set, err := write(ctx)
	if err != nil {
		return err
	}
	for waited := time.Duration(0); waited < applyLimit; waited += leaseStep {
		there, err := b.passive.AwaitExecuted(ctx, set, leaseStep)
		if err != nil || there {
			return err
		}
		if err := b.IdempotentApplier.Hold(ctx, leaseTime); err != nil {
			return fmt.Errorf("keep the passive lenient: %w", err)
		}
	}
	return fmt.Errorf("the passive has not applied the repair within %s", applyLimit)
}

// rewrite is the transaction, tried again when rows of the primary are locked
// or stand in the way of an extra one.
func (b *batcher) rewrite(ctx context.Context, keys [][]string, extra []version) error {
	var err error
	for range attempts {
		if err = b.rewriteOnce(ctx, keys, extra); err == nil {
			return nil
		}
		_ = b.writer.Exec(context.WithoutCancel(ctx), "ROLLBACK")
		switch {
		case errors.Is(err, tablesql.ErrDuplicate):
			more, failed := b.inTheWay(ctx, extra)
			if failed != nil {
				return errors.Join(err, failed)
			}
			keys = append(slices.Clone(keys), more...)
		case errors.Is(err, tablesql.ErrLockWait):
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry):
		}
	}
	return err
}

// rewriteOnce writes all rows again. The primary's own are kept by the server
// meanwhile, so that no value passes through a text. All deletions come before
// the insertions: rows may have exchanged values of a unique key.
func (b *batcher) rewriteOnce(ctx context.Context, keys [][]string, extra []version) error {
	table, in := b.table.SQL(), b.table.Key.In(keys)
	err := b.writer.Exec(ctx, "START TRANSACTION", "DELETE FROM "+kept,
		"INSERT INTO "+kept+" ("+b.columns+") SELECT "+b.columns+" FROM "+table+" WHERE "+in+" FOR UPDATE")
	if err != nil {
		return err
	}
	var present [][]string
	err = b.writer.Rows(ctx, "SELECT "+b.table.Key.Select()+" FROM "+kept, func(row []sql.RawBytes) error {
		present = append(present, b.table.Key.Literals(row))
		return nil
	})
	if err != nil {
		return err
	}
	if len(present) > 0 {
		if err := b.writer.Exec(ctx, "DELETE FROM "+table+" WHERE "+b.table.Key.In(present)); err != nil {
			return err
		}
	}
	for _, one := range extra {
		if _, there := find(toVersions(present), one.key); there {
			continue // it came to the primary meanwhile
		}
		err := b.writer.Exec(ctx, "INSERT INTO "+table+" ("+b.columns+") VALUES ("+strings.Join(one.values, ", ")+")",
			"DELETE FROM "+table+" WHERE "+b.table.Key.In([][]string{one.key}))
		if err != nil {
			return err
		}
	}
	return b.writer.Exec(ctx, "INSERT INTO "+table+" ("+b.columns+") SELECT "+b.columns+" FROM "+kept, "COMMIT")
}

func toVersions(keys [][]string) []version {
	out := make([]version, len(keys))
	for i, key := range keys {
		out[i].key = key
	}
	return out
}

// inTheWay returns the keys of the primary's rows that have a value of a unique
// key in common with an extra row; they are rewritten with it.
func (b *batcher) inTheWay(ctx context.Context, extra []version) ([][]string, error) {
	var out [][]string
	for _, key := range b.uniques {
		if !key.whole {
			return nil, fmt.Errorf("its unique key %s covers parts of columns or expressions", key.name)
		}
		for _, one := range extra {
			conditions := make([]string, len(key.columns))
			for i, c := range key.columns {
				conditions[i] = tablesql.Name(c.Name) + " = " + b.valueOf(one, c)
			}
			query := "SELECT " + b.table.Key.Select() + " FROM " + b.table.SQL() + " WHERE " + strings.Join(conditions, " AND ")
			err := b.primary.Rows(ctx, query, func(row []sql.RawBytes) error {
				out = append(out, b.table.Key.Literals(row))
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (b *batcher) valueOf(v version, column tablesql.Column) string {
	i := slices.IndexFunc(b.written, func(c tablesql.Column) bool { return c.Name == column.Name })
	if i < 0 {
		return "NULL"
	}
	return v.values[i]
}

// writes reads how often each table of the passive was written to.
func (b *batcher) writes(ctx context.Context) (map[checksum.TableName]string, error) {
	out := make(map[checksum.TableName]string)
	err := b.passive.Rows(ctx, `SELECT OBJECT_SCHEMA, OBJECT_NAME, COUNT_WRITE FROM performance_schema.table_io_waits_summary_by_table
		WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA NOT IN ('mysql', 'performance_schema', 'information_schema', 'sys') AND COUNT_WRITE > 0`,
		func(row []sql.RawBytes) error {
			out[checksum.TableName{Schema: string(row[0]), Name: string(row[1])}] = string(row[2])
			return nil
		})
	return out, err
}

func (b *batcher) noteTouched(ctx context.Context, before map[checksum.TableName]string) error {
	after, err := b.writes(ctx)
	if err != nil {
		return err
	}
	for name, count := range after {
		if name != b.Table && before[name] != count {
			b.touched[name] = true
		}
	}
	return nil
}
