package archive

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/sealed"
)

// Draft is a segment that is not written yet.
type Draft struct {
	Adds         gtid.Set
	Transactions int
	Part         int
	More         bool
	Earliest     time.Time
	Latest       time.Time

	body      []byte
	raw       int64
	encrypted bool
}

// Builder makes segments out of a stream of events: it is a binlog.Sink. Its memory is that of
// one segment, however large a transaction is.
type Builder struct {
	sealer *sealed.Writer
	emit   func(Draft) error

	format  binlog.FormatEvent
	current binlog.Transaction
	draft   Draft
	adds    collector
}

var _ binlog.Sink = (*Builder)(nil)

// NewBuilder calls emit for each segment that is full; the draft is valid until emit returns.
// The segment is encrypted if there are recipients.
func NewBuilder(recipients []age.Recipient, emit func(Draft) error) (*Builder, error) {
	s, err := sealed.NewWriter(recipients)
	if err != nil {
		return nil, err
	}
	return &Builder{
		sealer: s,
		emit:   emit,
	}, nil
}

// Pending is how many transactions the next segment has so far.
func (b *Builder) Pending() int { return b.draft.Transactions }

// Format implements binlog.Sink: segments have one format each.
func (b *Builder) Format(f binlog.FormatEvent) error {
	if err := b.Flush(); err != nil {
		return err
	}
	b.format = f
	return nil
}

// Begin implements binlog.Sink.
func (b *Builder) Begin(t binlog.Transaction, event []byte) error {
	if b.draft.Transactions > 0 && uint64(b.sealer.Raw())+t.Length > rawLimit {
		if err := b.Flush(); err != nil {
			return err
		}
	}
	b.current = t
	return b.add(event)
}

// Event implements binlog.Sink.
func (b *Builder) Event(binlog.Header) error { return nil }

// Body implements binlog.Sink.
func (b *Builder) Body(piece []byte) error { return b.add(piece) }

// add appends to the segment, and to as many more as it takes.
func (b *Builder) add(piece []byte) error {
	if b.sealer.Raw() == 0 && b.draft.Part == 0 {
		if _, err := b.sealer.Write(b.format.Served()); err != nil {
			return err
		}
	}
	for len(piece) > 0 {
		if b.sealer.Raw() == rawLimit {
			b.draft.More = true
			if err := b.flush(); err != nil {
				return err
			}
		}
		count := min(len(piece), rawLimit-b.sealer.Raw())
		if _, err := b.sealer.Write(piece[:count]); err != nil {
			return err
		}
		piece = piece[count:]
	}
	return nil
}

// End implements binlog.Sink. The last part of a transaction that has several is a segment of
// its own.
func (b *Builder) End() error {
	b.adds.add(b.current.GTID)
	b.draft.Transactions++
	b.draft.Earliest = earliest(b.draft.Earliest, b.current.Committed)
	b.draft.Latest = latest(b.draft.Latest, b.current.Committed)
	if b.draft.Part > 0 {
		return b.flush()
	}
	return nil
}

// Flush emits what has come so far; nothing is no segment. It may not be called inside a
// transaction.
func (b *Builder) Flush() error {
	if b.draft.Transactions == 0 {
		if b.sealer.Raw() > 0 {
			return errors.New("a segment cannot end inside a transaction")
		}
		return nil
	}
	return b.flush()
}

func (b *Builder) flush() error {
	body, raw, err := b.sealer.Seal()
	if err != nil {
		return err
	}
	draft := b.draft
	draft.body = body
	draft.raw = int64(raw)
	draft.encrypted = b.sealer.Encrypts()
	if draft.Adds, err = b.adds.set(); err != nil {
		return err
	}
	b.draft = Draft{}
	b.adds = collector{}
	if draft.More {
		b.draft.Part = draft.Part + 1
	}
	return b.emit(draft)
}

// collector makes a set of the GTIDs of a stream, in which most follow each other.
type collector struct {
	ranges []numbers
	last   map[gtid.GTID]int
}

// numbers are those of a server and tag, from that of from on.
type numbers struct {
	from gtid.GTID
	to   int64
}

func (c *collector) add(id gtid.GTID) {
	key := id
	key.Number = 0
	if at, ok := c.last[key]; ok && c.ranges[at].to == id.Number-1 {
		c.ranges[at].to++
		return
	}
	if c.last == nil {
		c.last = map[gtid.GTID]int{}
	}
	c.last[key] = len(c.ranges)
	c.ranges = append(c.ranges, numbers{
		from: id,
		to:   id.Number,
	})
}

// set is what was added.
func (c *collector) set() (gtid.Set, error) {
	var text strings.Builder
	for _, r := range c.ranges {
		fmt.Fprintf(&text, "%s-%d,", r.from, r.to)
	}
	return gtid.Parse(text.String())
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
