package backup

import (
	"context"

	"github.com/dbpair/dbpair/internal/store"
)

// Objects is the store that backups are in.
type Objects interface {
	// Put writes an object unless one of this key exists: class Exists.
	Put(ctx context.Context, key string, content []byte) error
	// Get reads an object.
	Get(ctx context.Context, key string) ([]byte, error)
	// List visits the objects below a prefix in the order of their keys.
	List(ctx context.Context, prefix string, visit func(store.Info) error) error
	// Delete removes an object; one that is not there is success.
	Delete(ctx context.Context, key string) error
}
