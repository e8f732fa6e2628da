package backup

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/store"
)

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
)

// uploader writes objects and waits while the store cannot be reached.
type uploader struct {
	objects Objects
	// sleep returns early, with the context's error, when that ends.
	sleep func(context.Context, time.Duration) error
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put writes an object. It repeats what failed with class Unreachable until ctx ends. An
// attempt that failed may have written the object: then the next one finds it there.
func (u uploader) put(ctx context.Context, key string, content []byte) error {
	pause := firstPause
	for attempt := 0; ; attempt++ {
		err := u.objects.Put(ctx, key, content)
		switch store.ClassOf(err) {
		case store.Unreachable:
		case store.Exists:
			if attempt == 0 {
				return err
			}
			return u.confirm(ctx, key, content, err)
		case store.Denied, store.NoBucket, store.Skewed, store.Untrusted, store.Full, store.NotFound, store.Unknown:
			return err // nil has no class either
		}
		if waitErr := u.sleep(ctx, pause); waitErr != nil {
			return fmt.Errorf("%w, last: %w", waitErr, err)
		}
		pause = min(2*pause, maxPause)
	}
}

// confirm accepts an object that exists if it is the one that was to be written.
func (u uploader) confirm(ctx context.Context, key string, content []byte, exists error) error {
	there, err := u.objects.Get(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		return exists
	}
	return nil
}
