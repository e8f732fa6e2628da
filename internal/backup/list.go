package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/store"
)

// Listing is what the store has of backups.
type Listing struct {
	Catalog
	// Manifests are those of the complete backups, oldest first.
	Manifests []Manifest
}

// List reads the listing of the store and every manifest. It fails if any of them cannot be
// read: nothing may be removed by a listing with holes.
func List(ctx context.Context, objects Objects) (Listing, error) {
	folders := map[string]*found{}
	var listing Listing
	err := objects.List(ctx, folder, func(info store.Info) error {
		listing.Newest = latest(listing.Newest, info.Modified)
		id, name, _ := strings.Cut(strings.TrimPrefix(info.Key, folder), "/")
		if CheckID(id) != nil {
			return nil // not ours, so it stays
		}
		if folders[id] == nil {
			folders[id] = &found{}
		}
		return folders[id].add(name, info)
	})
	if err != nil {
		return Listing{}, err
	}
	ids := make([]string, 0, len(folders))
	for id := range folders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := listing.add(ctx, objects, id, *folders[id]); err != nil {
			return Listing{}, err
		}
	}
	return listing, nil
}

// found is what the listing says of one folder.
type found struct {
	newest   time.Time
	complete bool
	pinned   bool
	proven   time.Time
}

func (f *found) add(name string, info store.Info) error {
	f.newest = latest(f.newest, info.Modified)
	switch {
	case name == manifestName:
		f.complete = true
	case name == pinName:
		f.pinned = true
	case strings.HasPrefix(name, proofPrefix):
		proven, err := time.Parse(timeLayout, strings.TrimPrefix(name, proofPrefix))
		if err != nil {
			return fmt.Errorf("object %s: its name has no time: %w", info.Key, err)
		}
		f.proven = latest(f.proven, proven)
	}
	return nil
}

func (l *Listing) add(ctx context.Context, objects Objects, id string, f found) error {
	if !f.complete {
		l.Incomplete = append(l.Incomplete, Incomplete{
			ID:     id,
			Newest: f.newest,
		})
		return nil
	}
	m, err := ReadManifest(ctx, objects, id)
	if err != nil {
		return err
	}
	l.Manifests = append(l.Manifests, m)
	l.Backups = append(l.Backups, Complete{
		ID:       id,
		Started:  m.Started,
		Finished: m.Finished,
		Pinned:   f.pinned,
		Proven:   f.proven,
	})
	return nil
}

// Pin keeps a backup until Unpin. Both are idempotent.
func Pin(ctx context.Context, objects Objects, id string) error {
	if _, err := ReadManifest(ctx, objects, id); err != nil {
		return err
	}
	err := objects.Put(ctx, keyOf(id, pinName), nil)
	if store.ClassOf(err) == store.Exists {
		return nil
	}
	return err
}

// Unpin leaves a backup to the policy.
func Unpin(ctx context.Context, objects Objects, id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	return objects.Delete(ctx, keyOf(id, pinName))
}

// MarkProven records that a restore of a backup was verified at a time. It is idempotent.
func MarkProven(ctx context.Context, objects Objects, id string, at time.Time) error {
	if _, err := ReadManifest(ctx, objects, id); err != nil {
		return err
	}
	err := objects.Put(ctx, keyOf(id, proofPrefix+at.UTC().Format(timeLayout)), nil)
	if store.ClassOf(err) == store.Exists {
		return nil
	}
	return err
}
