package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Write names one kind of write to one object.
type Write struct {
	// Verb is create, update, patch, apply or delete.
	Verb string
	// Kind and Name of the object.
	Kind, Name string
}

// String is the verb and the object.
func (w Write) String() string { return w.Verb + " " + w.Kind + " " + w.Name }

// The kinds of objects that a change of roles writes, beside operations' records.
const (
	KindLease   = "Lease"
	KindPod     = "Pod"
	KindService = "Service"
	// KindPair is the pair's own; the operator writes nothing of it but the status.
	KindPair = "DatabasePair"
)

// RefusedWrite is a write that the API server has refused repeatedly, without a success in
// between.
type RefusedWrite struct {
	Write
	// Says are the API server's own words.
	Says string
	// Since is when the first of these refusals came.
	Since time.Time
}

// String is a sentence without its end, and stays the same while the refusal lasts.
func (w RefusedWrite) String() string {
	return fmt.Sprintf("the API server has refused to %s since %s: %s", w.Write, w.Since.UTC().Format(time.RFC3339), w.Says)
}

const (
	// refusalsNamed is how often in a row a write has to be refused to be named, and
	// refusalLasts for how long: a webhook that is restarted refuses a write or two.
	refusalsNamed = 2
	refusalLasts  = time.Second
	// refusalForgotten is the time after which a write that is not tried any more is not
	// named any more. What is still wanted is tried again at least every 15 seconds.
	refusalForgotten = time.Minute
	// saysLimit bounds the API server's words, in bytes.
	saysLimit = 500
)

// refusals are those of one write in a row.
type refusals struct {
	count       int
	since, last time.Time
	says        string
}

// Writes counts in a row the refusals of each write. It is a value: Refused and Done give the
// next one and change nothing. The zero value knows of no refusals.
type Writes struct {
	inRow map[Write]refusals
}

// Refused is what is known after a write was refused.
func (w Writes) Refused(now time.Time, write Write, says string) Writes {
	next := Writes{inRow: maps.Clone(w.inRow)}
	if next.inRow == nil {
		next.inRow = map[Write]refusals{}
	}
	r := next.inRow[write]
	if r.count == 0 || now.Sub(r.last) > refusalForgotten {
		r = refusals{since: now}
	}
	r.count++
	r.last = now
	// Ports and the like differ from one refusal to the next, and the status is not to be
	// written for that.
	if says = clipped(says); withoutDigits(says) != withoutDigits(r.says) {
		r.says = says
	}
	next.inRow[write] = r
	return next
}

// Done is what is known after a write was accepted, or has become moot.
func (w Writes) Done(write Write) Writes {
	if _, known := w.inRow[write]; !known {
		return w
	}
	next := Writes{inRow: maps.Clone(w.inRow)}
	delete(next.inRow, write)
	return next
}

// Repeated are the writes that are refused again and again, ordered by object and verb.
func (w Writes) Repeated(now time.Time) []RefusedWrite {
	var out []RefusedWrite
	for write, r := range w.inRow {
		named := r.count >= refusalsNamed && now.Sub(r.since) >= refusalLasts
		if named && now.Sub(r.last) <= refusalForgotten {
			out = append(out, RefusedWrite{
				Write: write,
				Says:  r.says,
				Since: r.since,
			})
		}
	}
	slices.SortFunc(out, func(a, b RefusedWrite) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Verb, b.Verb))
	})
	return out
}

func clipped(says string) string {
	const more = "..."
	says = strings.Join(strings.Fields(says), " ")
	if len(says) > saysLimit {
		return strings.ToValidUTF8(says[:saysLimit-len(more)], "") + more
	}
	return says
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// RefusedForRoles are the refused writes without which clients are not led to another
// primary: those of the Lease, the members' pods and the client Service.
func (o Observation) RefusedForRoles() []RefusedWrite {
	var out []RefusedWrite
	members := o.Settings.Members()
	for _, w := range o.Refused {
		ofMember := w.Kind == KindPod && slices.Contains(members[:], pair.MemberName(w.Name))
		ofPair := (w.Kind == KindLease || w.Kind == KindService) && w.Name == o.Settings.Name
		if ofMember || ofPair {
			out = append(out, w)
		}
	}
	return out
}

// RefusedFact is a sentence about refused writes; empty for none.
func RefusedFact(writes []RefusedWrite) string {
	const shown = 5
	var parts []string
	for i, w := range writes {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more writes are refused", len(writes)-shown))
			break
		}
		parts = append(parts, w.String())
	}
	return strings.Join(parts, "; ")
}
