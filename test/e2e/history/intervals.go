package history

import (
	"fmt"
	"slices"
	"time"
)

// Interval is a time in which a member could accept clients.
type Interval struct {
	Member string
	Epoch  int64
	From   Stamp
	// To is zero while the end is not known.
	To Stamp
	// ConfirmedAt is the start of the question whose answer last confirmed the member,
	// zero if the agent did not say.
	ConfirmedAt Stamp
	// Why it ended.
	Why string
}

// Ended reports whether the end is known.
func (i Interval) Ended() bool { return i.To != 0 }

// Frozen is a time in which a member's machine did not run.
type Frozen struct {
	Member   string
	From, To Stamp
	// Grace is how long after the thaw the deadman may take to kill. Clients cannot be
	// acknowledged in it (the writes and the binlogs are checked for that).
	Grace time.Duration
}

// Overlap is a time in which both members were open.
type Overlap struct {
	A, B Interval
}

// Error describes the overlap.
func (o Overlap) Error() string {
	return fmt.Sprintf("%s (epoch %d) was open from %d to %d, %s (epoch %d) from %d to %d",
		o.A.Member, o.A.Epoch, o.A.From, o.A.To, o.B.Member, o.B.Epoch, o.B.From, o.B.To)
}

// Overlaps are all pairs of intervals of different members that have a moment in common
// in which neither machine was frozen. An interval without an end lasts forever.
func Overlaps(intervals []Interval, frozen []Frozen) []Overlap {
	var pieces []Interval
	for _, i := range intervals {
		pieces = append(pieces, thaw(i, frozen)...)
	}
	var found []Overlap
	for n, a := range pieces {
		for _, b := range pieces[n+1:] {
			if a.Member != b.Member && before(a.From, b.To) && before(b.From, a.To) {
				found = append(found, Overlap{a, b})
			}
		}
	}
	return found
}

// thaw cuts the times out of an interval in which its machine stood still.
func thaw(i Interval, frozen []Frozen) []Interval {
	pieces := []Interval{i}
	for _, f := range frozen {
		if f.Member != i.Member {
			continue
		}
		until := f.To.Add(f.Grace)
		var next []Interval
		for _, p := range pieces {
			if !before(p.From, until) || !before(f.From, p.To) {
				next = append(next, p)
				continue
			}
			if p.From < f.From {
				head := p
				head.To = f.From
				next = append(next, head)
			}
			if before(until, p.To) {
				tail := p
				tail.From = until
				next = append(next, tail)
			}
		}
		pieces = next
	}
	return pieces
}

// before reports whether a comes before the end b; an end of zero never comes.
func before(a, b Stamp) bool { return b == 0 || a < b }

// ClosedLate are the intervals that ended later than T after the last confirmation.
// Intervals whose agent did not say when it was confirmed are left out, as are those
// that the caller ended for want of a stamp.
func ClosedLate(intervals []Interval, leaseDuration time.Duration) []Interval {
	var late []Interval
	for _, i := range intervals {
		if i.Ended() && i.ConfirmedAt != 0 && i.To.Sub(i.ConfirmedAt) > leaseDuration {
			late = append(late, i)
		}
	}
	return late
}

// Sample is one look of the poller at one member.
type Sample struct {
	Member   string `json:"m"`
	Server   string `json:"u,omitempty"`
	Asked    Stamp  `json:"t0"`
	Answered Stamp  `json:"t1"`
	Writable bool   `json:"w"`
	// Failed: there was no answer, which says nothing about the member.
	Failed bool `json:"f,omitempty"`
}

// WritableSpans joins consecutive looks at one member that found it writable. A span
// reaches from the first answer to the last question, which is the time in which it was
// surely writable; maxGap apart, two looks are not joined.
func WritableSpans(samples []Sample, maxGap time.Duration) []Interval {
	byMember := map[string][]Sample{}
	for _, s := range samples {
		byMember[s.Member] = append(byMember[s.Member], s)
	}
	var spans []Interval
	for member, list := range byMember {
		slices.SortFunc(list, func(a, b Sample) int { return int(a.Asked - b.Asked) })
		spans = append(spans, memberSpans(member, list, maxGap)...)
	}
	slices.SortFunc(spans, func(a, b Interval) int { return int(a.From - b.From) })
	return spans
}

func memberSpans(member string, list []Sample, maxGap time.Duration) []Interval {
	var spans []Interval
	joined := false
	for n, s := range list {
		if !s.Writable {
			joined = false
			continue
		}
		if joined && s.Asked.Sub(list[n-1].Answered) <= maxGap {
			spans[len(spans)-1].To = max(s.Asked, spans[len(spans)-1].From)
			continue
		}
		// A single look is a span of no length: it overlaps only what surrounds it.
		spans = append(spans, Interval{
			Member: member,
			From:   s.Answered,
			To:     s.Answered,
		})
		joined = true
	}
	return spans
}

// Turnovers is how often another member was opened than the one before.
func Turnovers(intervals []Interval) int {
	list := slices.Clone(intervals)
	slices.SortFunc(list, func(a, b Interval) int { return int(a.From - b.From) })
	n := 0
	for i := 1; i < len(list); i++ {
		if list[i].Member != list[i-1].Member {
			n++
		}
	}
	return n
}
