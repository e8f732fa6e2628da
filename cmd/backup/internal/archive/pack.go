package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/store"
)

// packAge is how old the newest segment of a pack is at least, so that the end of the archive,
// where its writer is, stays as it was written.
const packAge = time.Hour

// Compact puts neighboring small segments into packs, and removes what packs already have, in
// that order, so that every transaction can be read at any moment. A pack has the segments as they
// are: it takes no identity to make one. It is idempotent and can be repeated after an error.
// Two processes may do it at once.
func Compact(ctx context.Context, objects Objects, now time.Time) (packs int, err error) {
	c, err := Load(ctx, objects)
	if err != nil {
		return 0, err
	}
	if err := removeAll(ctx, objects, c.Covered); err != nil {
		return 0, err
	}
	for _, run := range c.Runs {
		for _, group := range packable(run.Segments, now) {
			if err := pack(ctx, objects, group); err != nil {
				return packs, err
			}
			packs++
		}
	}
	return packs, nil
}

// packable are groups of at least two segments that fit into one object each. It is pure.
func packable(segments []Segment, now time.Time) [][]Segment {
	const least = 2
	var groups [][]Segment
	var group []Segment
	var size int64
	done := func() {
		if len(group) >= least {
			groups = append(groups, group)
		}
		group = nil
		size = 0
	}
	for _, s := range segments {
		if !packs(s, now) {
			done()
			continue
		}
		// The header of a segment stands in the pack, too; what it has at most is counted.
		need := s.Header.Size + int64(prefixSize) + int64(headerEstimate(s.Header))
		follows := len(group) == 0 || group[len(group)-1].Header.Last+1 == s.Header.First
		if !follows || size+need > packSize {
			done()
		}
		group = append(group, s)
		size += need
	}
	done()
	return groups
}

// packs reports whether a segment may be put into a pack.
func packs(s Segment, now time.Time) bool {
	newest := latest(s.Header.Latest, s.Header.Complete)
	settled := !newest.IsZero() && now.Sub(newest) > packAge
	return settled && len(s.Objects) == 1 && s.Header.Pack == nil && s.Header.Size < rawLimit/2
}

// headerEstimate is at least what a header has in bytes.
func headerEstimate(h Header) int {
	const fixed = 1 << 10
	return fixed + len(h.Before.String()) + len(h.Adds.String()) + len(h.Pair) + len(h.Writer)
}

// pack writes segments into one object, then removes them.
func pack(ctx context.Context, objects Objects, group []Segment) error {
	first := group[0].Header
	h := Header{
		Pair:      first.Pair,
		Writer:    first.Writer,
		Source:    first.Source,
		First:     first.First,
		Last:      group[len(group)-1].Header.Last,
		Before:    first.Before,
		Encrypted: first.Encrypted,
	}
	var body []byte
	var keys []string
	for _, s := range group {
		key := s.Objects[0].Key
		content, err := objects.Get(ctx, key)
		if err != nil {
			return err
		}
		inner, _, err := decode(key, content)
		if err != nil {
			return err
		}
		h.Adds = h.Adds.Union(inner.Adds)
		h.Transactions += inner.Transactions
		h.Raw += inner.Raw
		h.Complete = latest(h.Complete, inner.Complete)
		h.Latest = latest(h.Latest, inner.Latest)
		if !inner.Earliest.IsZero() {
			h.Earliest = earliest(h.Earliest, inner.Earliest)
		}
		h.Pack = append(h.Pack, Entry{
			First: inner.First,
			Size:  int64(len(content)),
		})
		body = append(body, content...)
		keys = append(keys, key)
	}
	content, err := encode(h, body)
	if err != nil {
		return err
	}
	key := keyOf(h.First, h.Last)
	if err := objects.Put(ctx, key, content); err != nil && store.ClassOf(err) != store.Exists {
		return err
	}
	// What is removed has to be in the pack as the store returns it.
	there, err := objects.Get(ctx, key)
	if err != nil {
		return err
	}
	if string(there) != string(content) {
		return fmt.Errorf("the store does not return pack %s as it was written", key)
	}
	return removeAll(ctx, objects, keys)
}

func removeAll(ctx context.Context, objects Objects, keys []string) error {
	for _, key := range keys {
		if err := objects.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
