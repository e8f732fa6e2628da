package blobstore

import (
	"context"
	"os"

	"gocloud.dev/blob"
	"gocloud.dev/gcp"

	"github.com/dbpair/dbpair/internal/store"
)

// envEmulator names a server that answers like Google Cloud Storage, and needs no credentials.
const envEmulator = "STORAGE_EMULATOR_HOST"

// openGCS opens a bucket of Google Cloud Storage. Without credentials it fails at once, where
// gocloud.dev writes a warning to standard output and fails at the first request.
func openGCS(ctx context.Context, location string) (*blob.Bucket, error) {
	if os.Getenv(envEmulator) == "" {
		if _, err := gcp.DefaultCredentials(ctx); err != nil {
			return nil, &store.Error{
				Op:    "open",
				Class: store.Denied,
				Err:   err,
			}
		}
	}
	return blob.OpenBucket(ctx, location)
}
