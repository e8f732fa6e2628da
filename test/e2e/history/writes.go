package history

import (
	"fmt"
	"slices"
	"time"
)

// Stamp is CLOCK_BOOTTIME in nanoseconds.
type Stamp int64

// Sub is the time from u to s.
func (s Stamp) Sub(u Stamp) time.Duration { return time.Duration(s - u) }

// Add is the stamp d later.
func (s Stamp) Add(d time.Duration) Stamp { return s + Stamp(d) }

// Key names one write: no writer uses a sequence number twice.
type Key struct {
	Writer int `json:"w"`
	Seq    int `json:"s"`
}

// Attempt is one write as its client saw it.
type Attempt struct {
	Key
	// Sent is the moment before the statement was sent.
	Sent Stamp `json:"t0"`
	// Done is the moment after the answer came.
	Done Stamp `json:"t1"`
	// Server is the server_uuid the session was with; empty if it never got one.
	Server string `json:"u,omitempty"`
	// Error is empty for an acknowledged write.
	Error string `json:"e,omitempty"`
}

// Acknowledged reports whether the write was acknowledged to the client.
func (a Attempt) Acknowledged() bool { return a.Error == "" }

// Lost are the acknowledged writes that are not among the rows, oldest first. Rows that
// no client got an answer to are no defect: an answer may be lost.
func Lost(attempts []Attempt, rows map[Key]bool) []Attempt {
	var lost []Attempt
	for _, a := range attempts {
		if a.Acknowledged() && !rows[a.Key] {
			lost = append(lost, a)
		}
	}
	slices.SortFunc(lost, func(a, b Attempt) int { return int(a.Done - b.Done) })
	return lost
}

// Judge tells acknowledged writes that are lost from those that someone gave up, and which
// of the latter are there all the same. Without givenUp none was.
func Judge(attempts []Attempt, rows map[Key]bool, givenUp func(Attempt) bool) (lost, back []Attempt) {
	for _, a := range Lost(attempts, rows) {
		if givenUp == nil || !givenUp(a) {
			lost = append(lost, a)
		}
	}
	if givenUp == nil {
		return lost, nil
	}
	for _, a := range attempts {
		if a.Acknowledged() && givenUp(a) && rows[a.Key] {
			back = append(back, a)
		}
	}
	return lost, back
}

// Phantoms are rows that no client ever sent.
func Phantoms(attempts []Attempt, rows map[Key]bool) []Key {
	sent := make(map[Key]bool, len(attempts))
	for _, a := range attempts {
		sent[a.Key] = true
	}
	var phantoms []Key
	for k := range rows {
		if !sent[k] {
			phantoms = append(phantoms, k)
		}
	}
	return phantoms
}

// Gap is the longest time in which no write was acknowledged.
type Gap struct {
	From, To Stamp
}

// Length of the gap.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// LongestGap between two acknowledgements, of all writers together. It is an error if
// fewer than two writes were acknowledged: such a run shows nothing.
func LongestGap(attempts []Attempt) (Gap, error) {
	var acks []Stamp
	for _, a := range attempts {
		if a.Acknowledged() {
			acks = append(acks, a.Done)
		}
	}
	if len(acks) < 2 {
		return Gap{}, fmt.Errorf("longest gap: only %d acknowledged writes in %d attempts", len(acks), len(attempts))
	}
	slices.Sort(acks)
	var longest Gap
	for i := 1; i < len(acks); i++ {
		if g := (Gap{acks[i-1], acks[i]}); g.Length() > longest.Length() {
			longest = g
		}
	}
	return longest, nil
}

// FirstAckOf is the first write acknowledged after a moment by a server other than the
// one named: the first sign of life of a new primary.
func FirstAckOf(attempts []Attempt, after Stamp, other string) (Attempt, bool) {
	var first Attempt
	found := false
	for _, a := range attempts {
		if !a.Acknowledged() || a.Done < after || a.Server == other {
			continue
		}
		if !found || a.Done < first.Done {
			first = a
			found = true
		}
	}
	return first, found
}

// SlowestRefusal is the attempt that took longest to fail among those begun in the
// window: clients are to be refused at once, never kept hanging.
func SlowestRefusal(attempts []Attempt, from, to Stamp) (Attempt, bool) {
	var slowest Attempt
	found := false
	for _, a := range attempts {
		if a.Acknowledged() || a.Sent < from || a.Sent > to {
			continue
		}
		if !found || a.Done.Sub(a.Sent) > slowest.Done.Sub(slowest.Sent) {
			slowest = a
			found = true
		}
	}
	return slowest, found
}
