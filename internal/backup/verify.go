package backup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// readers is how many objects are read at the same time; each has at most store.MaxSize bytes.
const readers = 4

// Verify reads every object of a backup and returns all that are damaged or missing, in the
// order of their keys. It fails when the store cannot be read, which says nothing about the
// backup. It needs no identity: checksums are of what is stored.
func Verify(ctx context.Context, objects Objects, id string) ([]*DamagedError, error) {
	var found damages
	m, err := ReadManifest(ctx, objects, id)
	if err != nil {
		return found.or(err)
	}
	entries, err := readLists(ctx, objects, m)
	if err != nil {
		return found.or(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, entry := range entries {
		group.Go(func() error {
			_, err := fetch(ctx, objects, id, entry)
			_, err = found.or(err)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found.or(nil)
}

// damages collects what is wrong with a backup.
type damages struct {
	mu   sync.Mutex
	list []*DamagedError
}

// or notes a damage and returns all so far, or passes on any other error.
func (d *damages) or(err error) ([]*DamagedError, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var damaged *DamagedError
	switch {
	case errors.As(err, &damaged):
		d.list = append(d.list, damaged)
	case err != nil:
		return nil, err
	}
	slices.SortFunc(d.list, func(a, b *DamagedError) int { return cmp.Compare(a.Key, b.Key) })
	return slices.Clone(d.list), nil
}
