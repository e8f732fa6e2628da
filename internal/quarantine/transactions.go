package quarantine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// Wanted is what to show of an entry.
type Wanted struct {
	// GTIDs restricts it to these transactions, unless that is the empty set.
	GTIDs gtid.Set
	// Transactions and Rows are how many of them are printed at most. All are counted.
	Transactions, Rows int64
}

// tableName is a key to count by.
type tableName struct{ schema, table string }

type counts map[tableName]*agentapi.QuarantineTable

func (c counts) of(name tableName) *agentapi.QuarantineTable {
	if c[name] == nil {
		c[name] = &agentapi.QuarantineTable{Schema: name.schema, Table: name.table}
	}
	return c[name]
}

// sorted by name.
func (c counts) sorted() []agentapi.QuarantineTable {
	var list []agentapi.QuarantineTable
	for _, name := range slices.SortedFunc(maps.Keys(c), func(a, b tableName) int {
		return cmp.Or(cmp.Compare(a.schema, b.schema), cmp.Compare(a.table, b.table))
	}) {
		list = append(list, *c[name])
	}
	return list
}

// reading is the state of a pass over the files of an entry.
type reading struct {
	wanted Wanted
	emit   func(agentapi.QuarantineRecord) error

	file string
	// current transaction; nil between two. It may go on in the next file of a relay log.
	current *transaction
	// tables by the number that row events name them with.
	tables map[uint64]tableName

	printed, rows int64
	summary       agentapi.QuarantineSummary
	totals        counts
	has           collected
}

// transaction is one that is being read.
type transaction struct {
	agentapi.QuarantineTransaction
	counts counts
	// begun: BEGIN was seen, so that its end is an event of its own.
	begun bool
	// skipped is not asked for.
	skipped bool
}

// readFile reads one file to its end. What is wrong with it is an emitted problem; the error is
// one of emit.
func (r *reading) readFile(name string, from io.Reader) error {
	r.file = name
	source, err := openEvents(from)
	if err != nil {
		return r.problem(0, err)
	}
	for {
		h, err := source.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.event(source, h, h.offset)
		}
		var failed emitError
		switch {
		case errors.As(err, &failed):
			return failed.error
		case err != nil:
			return r.problem(h.offset, err)
		}
	}
}

// emitError: what was read could not be printed.
type emitError struct{ error }

func (r *reading) problem(offset int64, err error) error {
	if err := r.flush(); err != nil {
		return err
	}
	return r.emit(agentapi.QuarantineRecord{Problem: &agentapi.QuarantineProblem{
		File:    r.file,
		Offset:  offset,
		Message: err.Error(),
	}})
}

// event takes one event. The offset is its place in the file, that of the outer one for those
// that were compressed into it.
func (r *reading) event(source *events, h header, offset int64) error {
	if h.kind == replication.TRANSACTION_PAYLOAD_EVENT {
		return r.compressed(source, h, offset)
	}
	if r.skips(h.kind) {
		return nil
	}
	if h.length > mostEvent {
		return r.large(source, h)
	}
	raw, err := source.whole(h)
	if err != nil {
		return err
	}
	switch kind := h.kind; {
	case kind == replication.FORMAT_DESCRIPTION_EVENT:
		_, err := source.decode(raw)
		return err
	case begins(kind):
		decoded, err := source.decode(raw)
		if err != nil {
			return err
		}
		return r.begin(decoded, h, offset)
	case r.current == nil:
		return nil // of the file itself
	case kind == replication.XID_EVENT, kind == replication.XA_PREPARE_LOG_EVENT:
		r.current.Incomplete = false
		return nil
	case kind == replication.QUERY_EVENT:
		return r.statement(source, raw)
	case kind == replication.TABLE_MAP_EVENT:
		return r.tableMap(source, raw)
	case isRows(kind):
		return r.rowsEvent(source, h, raw)
	}
	return nil
}

// skips: an event of this kind is of a transaction that was not asked for.
func (r *reading) skips(kind replication.EventType) bool {
	return r.current != nil && r.current.skipped && !begins(kind) && kind != replication.FORMAT_DESCRIPTION_EVENT
}

func begins(kind replication.EventType) bool {
	return kind == replication.GTID_EVENT || kind == replication.GTID_TAGGED_LOG_EVENT || kind == replication.ANONYMOUS_GTID_EVENT
}

func isRows(kind replication.EventType) bool {
	switch kind { //nolint:exhaustive // all others are no rows
	case replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2,
		replication.PARTIAL_UPDATE_ROWS_EVENT:
		return true
	}
	return false
}

// compressed takes the events that were compressed into one.
func (r *reading) compressed(source *events, h header, offset int64) error {
	if r.current == nil || r.current.skipped {
		return nil
	}
	inner, done, err := source.inner(h)
	if err != nil {
		return err
	}
	defer done()
	for {
		within, err := inner.next()
		if errors.Is(err, io.EOF) {
			return source.endInner()
		}
		if err == nil {
			err = r.event(inner, within, offset)
		}
		if err != nil {
			return err
		}
	}
}

// begin ends the transaction before, which is incomplete if nothing ended it.
func (r *reading) begin(decoded replication.Event, h header, offset int64) error {
	if err := r.flush(); err != nil {
		return emitError{err}
	}
	r.current = &transaction{
		QuarantineTransaction: agentapi.QuarantineTransaction{
			At:         committedAt(decoded, h),
			File:       r.file,
			Offset:     offset,
			Incomplete: true,
		},
		counts: counts{},
	}
	r.tables = map[uint64]tableName{}
	if h.kind == replication.ANONYMOUS_GTID_EVENT {
		r.current.skipped = !r.wanted.GTIDs.IsEmpty()
		return nil
	}
	id, err := rewind.GTIDOf(decoded)
	if err != nil {
		return err
	}
	r.current.GTID = id.String()
	r.current.skipped = !r.wanted.GTIDs.IsEmpty() && !r.wanted.GTIDs.Contains(id)
	if !r.current.skipped {
		r.has.add(id)
	}
	return nil
}

// committedAt is when the transaction was committed where it was made, or when it began.
func committedAt(decoded replication.Event, h header) time.Time {
	var plain *replication.GTIDEvent
	switch event := decoded.(type) {
	case *replication.GTIDEvent:
		plain = event
	case *replication.GtidTaggedLogEvent:
		plain = &event.GTIDEvent
	}
	if plain == nil || plain.OriginalCommitTimestamp == 0 {
		return h.time()
	}
	return plain.OriginalCommitTime().UTC()
}

// flush emits the transaction that was read last.
func (r *reading) flush() error {
	one := r.current
	r.current = nil
	if one == nil || one.skipped {
		return nil
	}
	r.summary.Transactions++
	for name, count := range one.counts {
		total := r.totals.of(name)
		total.Inserted += count.Inserted
		total.Updated += count.Updated
		total.Deleted += count.Deleted
	}
	if r.printed >= r.wanted.Transactions {
		r.summary.NotPrinted++
		return nil
	}
	r.printed++
	one.Tables = one.counts.sorted()
	return r.emit(agentapi.QuarantineRecord{Transaction: &one.QuarantineTransaction})
}

// statement takes a statement: the beginning or the end of a transaction, or what it does.
func (r *reading) statement(source *events, raw []byte) error {
	decoded, err := source.decode(raw)
	if err != nil {
		return err
	}
	query, ok := decoded.(*replication.QueryEvent)
	if !ok {
		return fmt.Errorf("%w: %T where a statement is due", errDamaged, decoded)
	}
	one := r.current
	switch text := string(query.Query); {
	case text == "BEGIN":
		one.begun = true
		return nil
	case one.begun && (text == "COMMIT" || text == "ROLLBACK"):
		one.Incomplete = false
		return nil
	default:
		one.note(string(query.Schema), text)
	}
	return nil
}

const (
	mostStatement  = 300 // bytes of one
	mostStatements = 20  // of a transaction
)

// note adds a statement, which is the end of a transaction that has no BEGIN.
func (t *transaction) note(schema, text string) {
	if !t.begun {
		t.Incomplete = false
	}
	if len(t.Statements) >= mostStatements {
		t.MoreStatements++
		return
	}
	if text = clip(text, mostStatement); schema != "" {
		text = "USE " + quoteName(schema) + "; " + text
	}
	t.Statements = append(t.Statements, text)
}

// collected are GTIDs that mostly come in order, so that a set is made of few parts.
type collected struct {
	set         gtid.Set
	first, last gtid.GTID
}

func (c *collected) add(id gtid.GTID) {
	next := c.last
	next.Number++
	if c.last.Number > 0 && id == next {
		c.last = id
		return
	}
	c.set = c.all()
	c.first = id
	c.last = id
}

// all of them.
func (c *collected) all() gtid.Set {
	if c.last.Number == 0 {
		return c.set
	}
	interval, err := gtid.Parse(fmt.Sprintf("%s-%d", c.first, c.last.Number))
	if err != nil {
		return c.set // cannot be: both are GTIDs of one server and tag
	}
	return c.set.Union(interval)
}
