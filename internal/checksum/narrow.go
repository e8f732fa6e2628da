package checksum

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// rowsAtOnce is up to how many rows are compared one by one.
	rowsAtOnce = 1000
	// fanOut is into how many parts a differing span is divided.
	fanOut = 8
	// keysAtOnce is how many rows are looked at by their keys in one query.
	keysAtOnce = 100
	// valueLimit bounds a value in the report, in bytes of its literal.
	valueLimit = 256
)

// narrowing finds the rows in which a span differs.
type narrowing struct {
	t     *tableRun
	lane  lane
	tally *tally
}

// candidate is a row that differs, as far as its digests say.
type candidate struct {
	match string
	row   Row
}

// narrow divides a differing span until its parts are small enough to compare
// row by row.
func (n narrowing) narrow(ctx context.Context, part span, both pairOf[digest]) error {
	rows := max(both.primary.rows, both.passive.rows)
	if rows <= min(rowsAtOnce, n.t.fewRows()) {
		return n.compareRows(ctx, part)
	}
	// The member with more rows says where to divide.
	guide := n.lane.primary
	if both.passive.rows > both.primary.rows {
		guide = n.lane.passive
	}
	for rest := part; ; {
		high, err := n.t.boundary(ctx, guide, rest, (rows+fanOut-1)/fanOut)
		if err != nil {
			return err
		}
		one := span{rest.low, high}
		if high == nil {
			one.high = part.high
		}
		found, err := n.t.digests(ctx, n.lane, one)
		if err != nil {
			return err
		}
		if found.primary != found.passive {
			if err := n.narrow(ctx, one, found); err != nil {
				return err
			}
		}
		if high == nil {
			return nil
		}
		rest.low = high
	}
}

// fewRows are as many as a chunk has, and a few in any case: anyone who differs in all of them
// is not divided further.
func (t *tableRun) fewRows() int64 {
	const least = 16
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.rows, least)
}

// compareRows compares a small span row by row.
func (n narrowing) compareRows(ctx context.Context, part span) error {
	where := n.t.table.Key.Within(part.low, part.high)
	var found pairOf[map[string]keyed]
	one := func(s *tablesql.Session, into *map[string]keyed) func() error {
		return func() (err error) {
			*into, err = n.t.rowDigests(ctx, s, read, where)
			return err
		}
	}
	if err := atOnce(one(n.lane.primary, &found.primary), one(n.lane.passive, &found.passive)); err != nil {
		return err
	}
	differing := difference(found)
	for batch := range slices.Chunk(differing, keysAtOnce) {
		if !n.t.aligned {
			if err := n.verify(ctx, batch); err != nil {
				return err
			}
			continue
		}
		if err := n.describe(ctx, pairOf[reader]{n.lane.primaryReader(), n.lane.passiveReader()}, batch); err != nil {
			return err
		}
		n.take(batch)
	}
	return nil
}

// take counts rows that are known to differ.
func (n narrowing) take(batch []candidate) {
	for _, one := range batch {
		n.tally.add(one.row)
		if len(n.tally.rows) < n.t.MaxRowsKept {
			n.tally.rows = append(n.tally.rows, one.row)
		}
		n.t.tell(one.row)
	}
}

// keyed is one row of one member.
type keyed struct {
	key  []string
	hash string
}

type queryFunc func(context.Context, *tablesql.Session, string, func([]sql.RawBytes) error) error

// reader reads on one member, in a snapshot or in a transaction.
type reader func(ctx context.Context, query string, scan func([]sql.RawBytes) error) error

func (l lane) primaryReader() reader {
	return func(ctx context.Context, query string, scan func([]sql.RawBytes) error) error {
		return read(ctx, l.primary, query, scan)
	}
}

func (l lane) passiveReader() reader {
	return func(ctx context.Context, query string, scan func([]sql.RawBytes) error) error {
		return read(ctx, l.passive, query, scan)
	}
}

// rowDigests reads the rows that fulfill where, by the value that is equal
// exactly for equal keys.
func (t *tableRun) rowDigests(ctx context.Context, s *tablesql.Session, run queryFunc, where string) (map[string]keyed, error) {
	query, err := t.table.RowDigests(where)
	if err != nil {
		return nil, err
	}
	out := make(map[string]keyed)
	n := len(t.table.Key.Columns)
	err = run(ctx, s, query, func(row []sql.RawBytes) error {
		out[matchOf(row[n:2*n])] = keyed{t.table.Key.Literals(row), string(row[2*n])}
		return nil
	})
	return out, err
}

func matchOf(row []sql.RawBytes) string { return strings.Join(tablesql.Texts(row), ",") }

// difference lists the rows that are not the same on both members, in an order
// that is always the same.
func difference(found pairOf[map[string]keyed]) []candidate {
	all := maps.Clone(found.passive)
	maps.Copy(all, found.primary)
	var out []candidate
	for _, match := range slices.Sorted(maps.Keys(all)) {
		primary, onPrimary := found.primary[match]
		passive, onPassive := found.passive[match]
		row := Row{
			Key:     all[match].key,
			Primary: primary.hash,
			Passive: passive.hash,
		}
		switch {
		case primary.hash == passive.hash:
			continue
		case !onPassive:
			row.Kind = Missing
		case !onPrimary:
			row.Kind = Extra
		default:
			row.Kind = Changed
		}
		out = append(out, candidate{match, row})
	}
	return out
}

// describe adds to the rows in which columns they differ and, if asked, their
// values, as long as someone can use that.
func (n narrowing) describe(ctx context.Context, from pairOf[reader], batch []candidate) error {
	if len(batch) == 0 || (!n.t.book.hasRoom() && n.t.OnRow == nil) {
		return nil
	}
	exact, err := n.columns(ctx, from, batch, tablesql.Column.Exact, nil)
	if err != nil {
		return err
	}
	for i := range batch {
		one := &batch[i]
		if one.row.Kind != Changed {
			continue
		}
		primary := exact.primary[one.match]
		passive := exact.passive[one.match]
		for c, column := range n.t.table.Columns {
			if primary != nil && passive != nil && primary[c] != passive[c] {
				one.row.Columns = append(one.row.Columns, column.Name)
			}
		}
	}
	if !n.t.Values {
		return nil
	}
	values, err := n.columns(ctx, from, batch, tablesql.Column.Source, func(c tablesql.Column, value []byte) string {
		return clip(c.Literal(value))
	})
	if err != nil {
		return err
	}
	for i := range batch {
		one := &batch[i].row
		one.PrimaryValues = n.valuesOf(*one, values.primary[batch[i].match])
		one.PassiveValues = n.valuesOf(*one, values.passive[batch[i].match])
	}
	return nil
}

func clip(literal string) string {
	if len(literal) > valueLimit {
		return literal[:valueLimit] + "…"
	}
	return literal
}

func (n narrowing) valuesOf(row Row, values []string) map[string]string {
	if values == nil {
		return nil
	}
	out := make(map[string]string)
	for c, column := range n.t.table.Columns {
		if row.Kind != Changed || slices.Contains(row.Columns, column.Name) {
			out[column.Name] = values[c]
		}
	}
	return out
}

// columns reads one expression of every column for the rows of a batch. form
// makes a text of a value; nil takes it as it is, with a mark for NULL.
func (n narrowing) columns(ctx context.Context, from pairOf[reader], batch []candidate,
	expression func(tablesql.Column) string, form func(tablesql.Column, []byte) string) (pairOf[map[string][]string], error) {
	keys := make([][]string, len(batch))
	for i, one := range batch {
		keys[i] = one.row.Key
	}
	table := n.t.table
	query := table.ColumnsOf(table.Key.In(keys), expression)
	if form == nil {
		form = func(_ tablesql.Column, value []byte) string {
			if value == nil {
				return "NULL"
			}
			return "=" + string(value)
		}
	}
	one := func(from reader, into *map[string][]string) func() error {
		return func() error {
			*into = make(map[string][]string)
			return from(ctx, query, func(row []sql.RawBytes) error {
				width := len(table.Key.Columns)
				values := make([]string, len(table.Columns))
				for i, column := range table.Columns {
					values[i] = form(column, row[width+i])
				}
				(*into)[matchOf(row[:width])] = values
				return nil
			})
		}
	}
	var out pairOf[map[string][]string]
	err := atOnce(one(from.primary, &out.primary), one(from.passive, &out.passive))
	return out, err
}

// copies compares a table without a key: by how many rows have each content.
func (n narrowing) copies(ctx context.Context) error {
	query, err := n.t.table.CopyDigests()
	if err != nil {
		return err
	}
	var found pairOf[map[string]int64]
	one := func(from reader, into *map[string]int64) func() error {
		return func() error {
			*into = make(map[string]int64)
			return from(ctx, query, func(row []sql.RawBytes) (err error) {
				(*into)[string(row[0])], err = strconv.ParseInt(string(row[1]), 10, 64)
				return err
			})
		}
	}
	if err := atOnce(one(n.lane.primaryReader(), &found.primary), one(n.lane.passiveReader(), &found.passive)); err != nil {
		return err
	}
	all := maps.Clone(found.passive)
	maps.Copy(all, found.primary)
	for _, hash := range slices.Sorted(maps.Keys(all)) {
		primary := found.primary[hash]
		passive := found.passive[hash]
		switch row := (Row{Copies: max(primary, passive) - min(primary, passive)}); {
		case primary > passive:
			row.Kind = Missing
			row.Primary = hash
			n.tally.missing += row.Copies - 1
			n.take([]candidate{{hash, row}})
		case passive > primary:
			row.Kind = Extra
			row.Passive = hash
			n.tally.extra += row.Copies - 1
			n.take([]candidate{{hash, row}})
		}
	}
	return nil
}
