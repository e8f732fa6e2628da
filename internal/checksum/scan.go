package checksum

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// span is a range of the key: low < key <= high; nil has no bound.
type span struct{ low, high []string }

// A chunk is one statement, which neither the throttle nor an ALTER can interrupt: rows that
// are large make chunks of few.
const (
	chunkBytes = 32 << 20
	longChunk  = time.Second
	shortChunk = longChunk / 4
)

// rowsOf is how many rows the first chunk of a table has, at most limit. How many rows there
// are is an estimate, which says little of a table that was filled a moment ago.
func rowsOf(size tablesql.Size, limit int64) int64 {
	if size.Rows < 1 || size.Bytes <= chunkBytes {
		return limit
	}
	each := max(size.Bytes/size.Rows, 1)
	return max(min(limit, chunkBytes/each), 1)
}

// adapt makes the next chunks smaller or larger when one of that many rows took long or not.
func (t *tableRun) adapt(rows int64, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case took > longChunk:
		t.rows = max(min(t.rows, rows/2), 1)
	case took < shortChunk:
		t.rows = max(t.rows, min(rows*2, int64(t.ChunkRows)))
	}
}

// meant is a span that should hold so many rows.
type meant struct {
	span
	rows int64
}

// digest is what one member says of a span.
type digest struct {
	rows int64
	sum  string
}

// chunk is a compared span.
type chunk struct {
	span
	rows  int64
	found tally
}

// tally collects differing rows: counts of all and as many rows as there is
// room for.
type tally struct {
	missing, extra, changed int64
	unverified              int64
	rows                    []Row
}

func (t *tally) add(row Row) {
	switch row.Kind {
	case Missing:
		t.missing++
	case Extra:
		t.extra++
	case Changed:
		t.changed++
	}
}

// scan compares chunk after chunk until none is left.
func (t *tableRun) scan(ctx context.Context, l lane) error {
	for {
		leave, err := t.gate.enter(ctx, keptWhileShut)
		if errors.Is(err, errShut) {
			t.giveUpSnapshots()
			return nil
		}
		if err != nil {
			return err
		}
		number, part, ok, err := t.next(ctx, l)
		if err != nil || !ok {
			leave()
			return err
		}
		done, err := t.compareChunk(ctx, l, part)
		leave()
		if err != nil {
			return err
		}
		t.complete(number, done)
	}
}

// giveUpSnapshots has the scan go on in new ones.
func (t *tableRun) giveUpSnapshots() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renew = t.renew || !t.exhausted
}

// next hands out the next chunk. Its end is found by walking the key of the
// primary; what lies beyond the last key on either member belongs to the last
// chunk.
func (t *tableRun) next(ctx context.Context, l lane) (number int, part meant, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exhausted {
		return 0, meant{}, false, nil
	}
	if t.Now().Sub(t.snapshotAt) > t.MaxSnapshotAge {
		t.renew = true
	}
	if t.renew {
		return 0, meant{}, false, nil
	}
	part.low = t.cursor
	part.rows = t.rows
	if part.high, err = t.end(ctx, l); err != nil {
		return 0, meant{}, false, err
	}
	t.cursor = part.high
	t.exhausted = part.high == nil
	number = t.handed
	t.handed++
	return number, part, true, nil
}

// keptWhileShut is for how long snapshots are kept while nothing may be read.
const keptWhileShut = 10 * time.Second

// noNumber is below all keys that are counted; half of what there is, so that
// sums do not overflow.
const noNumber = math.MinInt64 / 2

// end returns the upper bound of the chunk after cursor, nil for the last.
// Where a single integer is the key and few of its values are unused, it is
// counted, which is cheaper than walking the key; a span of n integers has at
// most n rows on either member.
func (t *tableRun) end(ctx context.Context, l lane) ([]string, error) {
	rows := t.rows
	if low, ok := t.number(t.cursor); ok && !t.sparse.Load() && low < t.last-rows {
		return []string{strconv.FormatInt(low+rows, 10)}, nil
	}
	high, err := t.boundary(ctx, l.primary, span{low: t.cursor}, rows)
	if err != nil || high == nil {
		return nil, err
	}
	low, isNumber := t.number(t.cursor)
	until, _ := t.number(high)
	if isNumber && t.last == noNumber {
		if t.last, err = t.lastNumber(ctx, l); err != nil {
			return nil, err
		}
	}
	t.sparse.Store(!isNumber || until-low > 2*rows)
	return high, nil
}

// number is the value of a key that is one integer.
func (t *tableRun) number(key []string) (int64, bool) {
	if len(key) != 1 || !t.table.Key.IsInteger() {
		return 0, false
	}
	n, err := strconv.ParseInt(key[0], 10, 64)
	return n, err == nil && n > noNumber+1 && n < -noNumber
}

// lastNumber reads the primary's largest key.
func (t *tableRun) lastNumber(ctx context.Context, l lane) (int64, error) {
	last := int64(noNumber + 1)
	err := read(ctx, l.primary, t.table.Last(), func(row []sql.RawBytes) error {
		if n, ok := t.number(t.table.Key.Literals(row)); ok {
			last = n
		}
		return nil
	})
	return last, err
}

// boundary returns the n-th key of a span, nil when there are fewer.
func (t *tableRun) boundary(ctx context.Context, s *tablesql.Session, part span, n int64) ([]string, error) {
	var key []string
	err := read(ctx, s, t.table.Boundary(part.low, part.high, n), func(row []sql.RawBytes) error {
		key = t.table.Key.Literals(row)
		return nil
	})
	return key, err
}

// read runs a query in the session's snapshot and lets go of the table's
// definition, which the query has locked.
func read(ctx context.Context, s *tablesql.Session, query string, scan func([]sql.RawBytes) error) error {
	if err := s.Rows(ctx, query, scan); err != nil {
		return err
	}
	return s.Exec(ctx, release)
}

// compareChunk compares one span, down to its rows where it differs.
func (t *tableRun) compareChunk(ctx context.Context, l lane, part meant) (chunk, error) {
	began := time.Now() // what a statement takes is measured on the real clock
	both, err := t.digests(ctx, l, part.span)
	if err != nil {
		return chunk{}, err
	}
	t.adapt(part.rows, time.Since(began))
	done := chunk{span: part.span, rows: both.primary.rows}
	if done.rows < part.rows/4 {
		t.sparse.Store(true) // mostly gaps: walk the key
	}
	if both.primary == both.passive {
		return done, nil
	}
	n := narrowing{
		t:     t,
		lane:  l,
		tally: &done.found,
	}
	if err := n.narrow(ctx, part.span, both); err != nil {
		return chunk{}, err
	}
	if t.aligned && done.found.missing+done.found.extra+done.found.changed == 0 {
		return chunk{}, skip("a chunk after %v differs and none of its rows does", part.low)
	}
	return done, nil
}

// digests reads the digest of a span on both members.
func (t *tableRun) digests(ctx context.Context, l lane, part span) (pairOf[digest], error) {
	query, err := t.table.ChunkDigest(t.table.Key.Within(part.low, part.high))
	if err != nil {
		return pairOf[digest]{}, err
	}
	one := func(s *tablesql.Session, into *digest) func() error {
		return func() error {
			return read(ctx, s, query, func(row []sql.RawBytes) (err error) {
				into.sum = string(row[1])
				into.rows, err = strconv.ParseInt(string(row[0]), 10, 64)
				return err
			})
		}
	}
	var both pairOf[digest]
	err = atOnce(one(l.primary, &both.primary), one(l.passive, &both.passive))
	return both, err
}

// complete merges a chunk once all before it are merged.
func (t *tableRun) complete(number int, done chunk) {
	t.mu.Lock()
	if t.ready == nil {
		t.ready = make(map[int]chunk)
	}
	t.ready[number] = done
	for {
		one, ok := t.ready[t.merged]
		if !ok {
			break
		}
		delete(t.ready, t.merged)
		t.merged++
		t.merge(one)
	}
	position := Position{
		Partial:    t.report,
		After:      t.after,
		Definition: t.table.Signature(),
	}
	position.Partial.Seconds = t.Now().Sub(t.began).Seconds()
	t.mu.Unlock()
	t.book.progress(position)
}

func (t *tableRun) merge(one chunk) {
	r := &t.report
	t.blocked = 0
	r.Chunks++
	r.Rows += one.rows
	r.Missing += one.found.missing
	r.Extra += one.found.extra
	r.Changed += one.found.changed
	r.Differing = append(r.Differing[:len(r.Differing):len(r.Differing)], t.book.keep(one.found.rows)...)
	t.unverified += one.found.unverified
	if one.high != nil {
		t.after = one.high
	}
}

// compareKeyless compares a table without a usable key as one chunk.
func (t *tableRun) compareKeyless(ctx context.Context) error {
	if !t.aligned {
		return skip("it has no key, and the table lock was not to be had in %d attempts", t.LockAttempts)
	}
	l := t.lanes[0]
	limit := t.MaxKeylessRows
	var rows pairOf[int64]
	count := func(s *tablesql.Session, into *int64) func() error {
		query := fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s LIMIT %d) few", t.table.SQL(), limit+1)
		return func() error {
			return read(ctx, s, query, func(row []sql.RawBytes) (err error) {
				*into, err = strconv.ParseInt(string(row[0]), 10, 64)
				return err
			})
		}
	}
	if err := atOnce(count(l.primary, &rows.primary), count(l.passive, &rows.passive)); err != nil {
		return err
	}
	if max(rows.primary, rows.passive) > limit {
		return skip("it has no key and more than %d rows; give it a primary key", limit)
	}
	done := chunk{rows: rows.primary}
	n := narrowing{
		t:     t,
		lane:  l,
		tally: &done.found,
	}
	if err := n.copies(ctx); err != nil {
		return err
	}
	t.complete(t.handed, done)
	t.handed++
	return nil
}
