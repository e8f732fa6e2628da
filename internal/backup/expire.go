package backup

import (
	"context"
	"slices"

	"github.com/dbpair/dbpair/internal/store"
)

// Remove deletes what PlanRemoval decided. It is idempotent and can be repeated after an
// error. A manifest goes before the objects that it names, so that no reader meets a backup
// without its objects.
func Remove(ctx context.Context, objects Objects, removal Removal) error {
	for _, id := range slices.Concat(removal.Backups, removal.Incomplete) {
		if err := removeFolder(ctx, objects, id); err != nil {
			return err
		}
	}
	for _, key := range removal.Segments {
		if err := objects.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func removeFolder(ctx context.Context, objects Objects, id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	if err := objects.Delete(ctx, keyOf(id, manifestName)); err != nil {
		return err
	}
	var keys []string
	err := objects.List(ctx, keyOf(id, ""), func(info store.Info) error {
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := objects.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
