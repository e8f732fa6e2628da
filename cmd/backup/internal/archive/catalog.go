package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/store"
)

// Segment is an object of the archive, or the several that have one large transaction.
type Segment struct {
	// Objects are those that a reader reads, in order.
	Objects []Object
	// Header is what they say together.
	Header Header
}

// Object is one object in the store.
type Object struct {
	Key    string
	Header Header
}

// Run is a part of the archive in which nothing is missing.
type Run struct {
	// Base is what a server has to have before the first segment.
	Base     gtid.Set
	Segments []Segment
}

// End is everything that a server has after the run.
func (r Run) End() gtid.Set {
	end := r.Base
	for _, s := range r.Segments {
		end = end.Union(s.Header.Adds)
	}
	return end
}

// Window is the time between the first and the last moment that the run leads to; false if it
// knows of none.
func (r Run) Window() (from, to time.Time, ok bool) {
	for _, s := range r.Segments {
		for _, at := range []time.Time{s.Header.Earliest, s.Header.Latest, s.Header.Complete} {
			if at.IsZero() {
				continue
			}
			// The first segment's begin is that of the window: what is before depends on its base.
			if from.IsZero() {
				from = at
			}
			to = latest(to, at)
		}
	}
	return from, to, !from.IsZero()
}

// Gap is what lies between two runs.
type Gap struct {
	// Missing are the transactions that are lost to the archive.
	Missing gtid.Set
	// Recorded is whether the archiver found it itself: no server had them any more. Else
	// segments are lost.
	Recorded bool
	// At is the number of the object before which it is.
	At uint64
	// Found is when the archiver found it; zero if that is not known.
	Found time.Time
}

func (g Gap) String() string {
	if g.Recorded {
		return fmt.Sprintf("before object %d: %s was purged before it was archived", g.At, g.Missing)
	}
	return fmt.Sprintf("before object %d: segments with %s are missing", g.At, g.Missing)
}

// Catalog is what the store has of an archive.
type Catalog struct {
	// Runs are in order; a gap is between each and the next.
	Runs []Run
	Gaps []Gap
	// Void are parts of transactions that were never finished: nobody reads them.
	Void []Object
	// Covered are the keys of objects that are in packs as well.
	Covered []string
	// Objects and Size are the number and the bytes of what is read.
	Objects int
	Size    int64
}

// parallelReads is how many headers are read at once.
const parallelReads = 8

// errChanged says that an object went between its listing and its reading.
var errChanged = errors.New("an object went while the archive was listed")

// Load reads the listing and the header of each object. It fails if one of them is damaged: a
// catalog with holes is none.
func Load(ctx context.Context, objects Objects) (Catalog, error) {
	const attempts = 3
	var err error
	for range attempts {
		var c Catalog
		if c, err = load(ctx, objects); !errors.Is(err, errChanged) {
			return c, err
		}
	}
	return Catalog{}, err
}

func load(ctx context.Context, objects Objects) (Catalog, error) {
	var found []listed
	err := objects.List(ctx, folder, func(info store.Info) error {
		if first, last, ok := parseKey(info.Key); ok {
			found = append(found, listed{
				key:   info.Key,
				size:  info.Size,
				first: first,
				last:  last,
			})
		}
		return nil
	})
	if err != nil {
		return Catalog{}, err
	}
	kept, covered, err := uncovered(found)
	if err != nil {
		return Catalog{}, err
	}
	items, err := readHeaders(ctx, objects, kept)
	if err != nil {
		return Catalog{}, err
	}
	c := chain(items)
	c.Covered = covered
	c.Objects = len(kept)
	for _, one := range kept {
		c.Size += one.size
	}
	return c, nil
}

// listed is one object as the listing has it.
type listed struct {
	key         string
	size        int64
	first, last uint64
}

// uncovered are the objects of a listing that stand for themselves, in order, and the keys of
// those that a pack has.
func uncovered(found []listed) (kept []listed, covered []string, err error) {
	slices.SortFunc(found, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
	})
	for _, one := range found {
		if n := len(kept); n > 0 && one.first <= kept[n-1].last {
			if one.last > kept[n-1].last {
				return nil, nil, damaged(one.key, "it overlaps with %s", kept[n-1].key)
			}
			covered = append(covered, one.key)
			continue
		}
		kept = append(kept, one)
	}
	return kept, covered, nil
}

// readHeaders reads the headers of objects, some at a time.
func readHeaders(ctx context.Context, objects Objects, kept []listed) ([]Object, error) {
	items := make([]Object, len(kept))
	failures := make([]error, len(kept))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	slots := make(chan struct{}, parallelReads)
	for i, one := range kept {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			h, err := readHeader(ctx, objects, one.key)
			if err != nil {
				failures[i] = err
				cancel()
			}
			items[i] = Object{
				Key:    one.key,
				Header: h,
			}
		})
	}
	group.Wait()
	for _, err := range failures {
		if store.ClassOf(err) == store.NotFound {
			return nil, fmt.Errorf("%w: %w", errChanged, err)
		}
	}
	for _, err := range failures {
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, err
		}
	}
	return items, errors.Join(failures...)
}

// chain puts objects together to runs. It is pure.
func chain(items []Object) Catalog {
	b := chaining{}
	for _, item := range items {
		b.add(item)
	}
	b.dropParts()
	return b.catalog
}

// chaining is a chain so far.
type chaining struct {
	catalog Catalog
	// all is everything that was archived or is known to be missing.
	all gtid.Set
	// parts are those of a transaction whose last part is to come.
	parts []Object
	// known is whether there was an object before, and begun whether the last run goes on.
	known bool
	begun bool
}

func (b *chaining) add(item Object) {
	h := item.Header
	continues := len(b.parts) > 0 && h.Part == len(b.parts) && h.First == b.parts[len(b.parts)-1].Header.Last+1
	if !continues {
		b.dropParts()
		if h.Part > 0 {
			b.catalog.Void = append(b.catalog.Void, item)
			return
		}
	}
	if h.More {
		b.parts = append(b.parts, item)
		return
	}
	if lost := h.Before.Subtract(b.all); b.known && !lost.IsEmpty() {
		b.gap(Gap{
			Missing: lost,
			At:      h.First,
		})
	}
	b.known = true
	if !h.Missing.IsEmpty() {
		b.gap(Gap{
			Missing:  h.Missing,
			Recorded: true,
			At:       h.First,
			Found:    h.Found,
		})
		b.all = b.all.Union(h.after())
		return
	}
	if !b.begun {
		b.catalog.Runs = append(b.catalog.Runs, Run{Base: h.Before})
		b.begun = true
	}
	run := &b.catalog.Runs[len(b.catalog.Runs)-1]
	run.Segments = append(run.Segments, Segment{
		Objects: append(b.parts, item),
		Header:  h,
	})
	b.parts = nil
	b.all = b.all.Union(h.after())
}

func (b *chaining) gap(g Gap) {
	b.catalog.Gaps = append(b.catalog.Gaps, g)
	b.all = b.all.Union(g.Missing)
	b.begun = false
}

func (b *chaining) dropParts() {
	b.catalog.Void = append(b.catalog.Void, b.parts...)
	b.parts = nil
}
