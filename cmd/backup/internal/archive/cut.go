package archive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/gtid"
)

// Cut is a place in an archive.
type Cut struct {
	// Run is the index of the run that it is in.
	Run int
	// Segments are before it, and so many Transactions of the next.
	Segments     int
	Transactions int
	// Base is what a server has to have to begin with the run; Through is everything that it
	// has in the end.
	Base    gtid.Set
	Through gtid.Set
}

// Start reports why a server with the transactions of have cannot be brought to the cut; nil if
// it can.
func (c Cut) Start(have gtid.Set) error {
	if lost := c.Base.Subtract(have); !lost.IsEmpty() {
		return fmt.Errorf("%s is neither there nor in this part of the archive", lost)
	}
	if beyond := have.Subtract(c.Through); !beyond.IsEmpty() {
		return fmt.Errorf("%s is beyond the target", beyond)
	}
	return nil
}

// Cut finds the place of a target. The error is an *UnreachableError if the archive does not
// lead there, at the time now.
func (a *Archive) Cut(ctx context.Context, t Target, now time.Time) (Cut, error) {
	c := &a.catalog
	if len(c.Runs) == 0 {
		return Cut{}, unreachable(t, nil, "the archive is empty")
	}
	switch {
	case !t.GTIDs.IsEmpty():
		return a.cutAfter(ctx, t)
	case t.Before != nil:
		return a.cutBefore(ctx, t)
	case !t.Time.IsZero():
		return a.cutTime(ctx, t, now)
	}
	last := len(c.Runs) - 1
	return a.cut(last, len(c.Runs[last].Segments), nil), nil
}

func unreachable(t Target, nearest []time.Time, format string, args ...any) error {
	return &UnreachableError{
		Target:  t,
		Reason:  fmt.Sprintf(format, args...),
		Nearest: nearest,
	}
}

// cut is after a number of segments of a run and some transactions of the next.
func (a *Archive) cut(run, segments int, rest []binlog.Transaction) Cut {
	r := a.catalog.Runs[run]
	through := Run{
		Base:     r.Base,
		Segments: r.Segments[:segments],
	}.End()
	var more collector
	for _, t := range rest {
		more.add(t.GTID)
	}
	if added, err := more.set(); err == nil { // it writes what it reads
		through = through.Union(added)
	}
	return Cut{
		Run:          run,
		Segments:     segments,
		Transactions: len(rest),
		Base:         r.Base,
		Through:      through,
	}
}

// cutBefore is the place before a transaction.
func (a *Archive) cutBefore(ctx context.Context, t Target) (Cut, error) {
	id := *t.Before
	for i, run := range a.catalog.Runs {
		for j, s := range run.Segments {
			if !s.Header.Adds.Contains(id) {
				continue
			}
			transactions, err := a.transactions(ctx, s)
			if err != nil {
				return Cut{}, err
			}
			place := 0
			for transactions[place].GTID != id {
				place++
			}
			return a.cut(i, j, transactions[:place]), nil
		}
	}
	return Cut{}, a.absent(t, id.Set())
}

// cutAfter is the place after the last transaction of a set, all of which is before it then.
func (a *Archive) cutAfter(ctx context.Context, t Target) (Cut, error) {
	for i, run := range slices.Backward(a.catalog.Runs) {
		for j, s := range slices.Backward(run.Segments) {
			if s.Header.Adds.Intersect(t.GTIDs).IsEmpty() {
				continue
			}
			transactions, err := a.transactions(ctx, s)
			if err != nil {
				return Cut{}, err
			}
			place := len(transactions)
			for !t.GTIDs.Contains(transactions[place-1].GTID) {
				place--
			}
			found := a.cut(i, j, transactions[:place])
			if lost := t.GTIDs.Subtract(found.Through); !lost.IsEmpty() {
				return Cut{}, a.absent(t, lost)
			}
			return found, nil
		}
	}
	return Cut{}, a.absent(t, t.GTIDs)
}

// absent says why no segment has transactions.
func (a *Archive) absent(t Target, lost gtid.Set) error {
	for _, g := range a.catalog.Gaps {
		if !g.Missing.Intersect(lost).IsEmpty() {
			return unreachable(t, a.around(g), "it is inside a gap of the archive")
		}
	}
	for _, run := range a.catalog.Runs {
		if run.Base.Covers(lost) {
			from, _, _ := run.Window()
			return unreachable(t, times(from), "the archive begins after it")
		}
	}
	_, to, _ := a.catalog.Runs[len(a.catalog.Runs)-1].Window()
	return unreachable(t, times(to), "the archive does not have %s", lost)
}

// around are the times at both sides of a gap.
func (a *Archive) around(g Gap) []time.Time {
	var before, after time.Time
	for _, run := range a.catalog.Runs {
		from, to, ok := run.Window()
		if !ok {
			continue
		}
		if run.Segments[0].Header.First < g.At {
			before = to
		} else if after.IsZero() {
			after = from
		}
	}
	return times(before, after)
}

// times are those that are known.
func times(all ...time.Time) []time.Time {
	var known []time.Time
	for _, at := range all {
		if !at.IsZero() {
			known = append(known, at)
		}
	}
	return known
}

// cutTime is before the first transaction that was committed after a time.
func (a *Archive) cutTime(ctx context.Context, t Target, now time.Time) (Cut, error) {
	var before time.Time
	for i, run := range a.catalog.Runs {
		from, to, ok := run.Window()
		if !ok {
			continue
		}
		switch {
		case t.Time.Before(from) && before.IsZero():
			return Cut{}, unreachable(t, times(from), "the archive begins later")
		case t.Time.Before(from):
			return Cut{}, unreachable(t, times(before, from), "it is inside a gap of the archive")
		case !t.Time.After(to):
			return a.cutInRun(ctx, t, i)
		}
		before = to
	}
	if t.Time.After(now) {
		return Cut{}, unreachable(t, times(before), "it is in the future")
	}
	return Cut{}, unreachable(t, times(before), "the archive is complete up to an earlier time only")
}

// cutInRun finds the first transaction of a run that was committed later. Where the clocks of
// two servers differ it can have an earlier one after it: then only a GTID says what is meant.
func (a *Archive) cutInRun(ctx context.Context, t Target, run int) (Cut, error) {
	var found *Cut
	var next gtid.GTID
	for i, s := range a.catalog.Runs[run].Segments {
		h := s.Header
		if h.Transactions == 0 || (found == nil && !h.Latest.After(t.Time)) || (found != nil && h.Earliest.After(t.Time)) {
			continue
		}
		transactions, err := a.transactions(ctx, s)
		if err != nil {
			return Cut{}, err
		}
		for j, one := range transactions {
			late := one.Committed.After(t.Time)
			if late && found == nil {
				cut := a.cut(run, i, transactions[:j])
				found = &cut
				next = one.GTID
			}
			if !late && found != nil {
				return Cut{}, unreachable(t, nil, "the clocks of the members differed: %s was committed later than that, and %s, "+
					"which follows it, earlier. Name the transaction: beforeGTID %s, or gtid %s", next, one.GTID, next, one.GTID)
			}
		}
	}
	if found != nil {
		return *found, nil
	}
	return a.cut(run, len(a.catalog.Runs[run].Segments), nil), nil
}

// transactions are those of a segment, in order.
func (a *Archive) transactions(ctx context.Context, s Segment) ([]binlog.Transaction, error) {
	list := &listing{}
	err := a.read(ctx, s, list)
	return list.transactions, err
}

// listing is a sink that keeps what the transactions are called.
type listing struct {
	nothing

	transactions []binlog.Transaction
}

func (l *listing) Begin(t binlog.Transaction, _ []byte) error {
	l.transactions = append(l.transactions, t)
	return nil
}
