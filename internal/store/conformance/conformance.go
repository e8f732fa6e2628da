package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/dbpair/dbpair/internal/store"
)

// Store is what the suite tests.
type Store interface {
	Put(ctx context.Context, key string, content []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	List(ctx context.Context, prefix string, visit func(store.Info) error) error
	Stat(ctx context.Context, key string) (store.Info, error)
	Delete(ctx context.Context, key string) error
}

// Run runs the suite; open returns an empty store for each test.
func Run(t *testing.T, open func(*testing.T) Store) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"what is put is read back, whole and at the largest size", readsBack},
		{"a second put fails and changes nothing", putsOnce},
		{"of concurrent puts of one key one succeeds", putsOnceConcurrently},
		{"an object that is not there is named NotFound", namesMissing},
		{"delete removes, and a second delete succeeds", deletes},
		{"a list has every object below a prefix, sorted, over many pages", lists},
		{"a list stops at the visitor's error", stopsListing},
		{"keys and sizes that are not allowed are refused", refuses},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// RunWithoutBucket tests a store whose bucket, container or directory is not there: every operation
// says so, and not that an object is missing.
func RunWithoutBucket(t *testing.T, s Store) {
	t.Helper()
	_, getErr := s.Get(t.Context(), "key")
	_, statErr := s.Stat(t.Context(), "key")
	for op, err := range map[string]error{
		"put":    s.Put(t.Context(), "key", []byte("x")),
		"get":    getErr,
		"list":   s.List(t.Context(), "", func(store.Info) error { return nil }),
		"stat":   statErr,
		"delete": s.Delete(t.Context(), "key"),
	} {
		if got := store.ClassOf(err); got != store.NoBucket {
			t.Errorf("%s: class %s, want %s: %v", op, got, store.NoBucket, err)
		}
	}
}

func put(t *testing.T, s Store, key string, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, content); err != nil {
		t.Fatal(err)
	}
}

func readsBack(t *testing.T, s Store) {
	for key, content := range map[string][]byte{
		"empty":               {},
		"a/b/c.json":          []byte("text"),
		"large/" + "0000.zst": bytes.Repeat([]byte{0, 1, 2, 255}, store.MaxSize/4),
	} {
		put(t, s, key, content)
		got, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%s: read %d bytes that differ from the %d written", key, len(got), len(content))
		}
		info, err := s.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != key || info.Size != int64(len(content)) || info.Modified.IsZero() {
			t.Errorf("%s: stat says %+v", key, info)
		}
	}
}

func putsOnce(t *testing.T, s Store) {
	put(t, s, "a/once", []byte("first"))
	if err := s.Put(t.Context(), "a/once", []byte("second")); store.ClassOf(err) != store.Exists {
		t.Errorf("second put: %v, want class %s", err, store.Exists)
	}
	got, err := s.Get(t.Context(), "a/once")
	if err != nil || string(got) != "first" {
		t.Errorf("read %q, %v after the second put, want the first", got, err)
	}
}

func putsOnceConcurrently(t *testing.T, s Store) {
	const writers = 8
	var succeeded atomic.Int32
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			err := s.Put(t.Context(), "one", fmt.Append(nil, "writer ", i))
			switch {
			case err == nil:
				succeeded.Add(1)
			case store.ClassOf(err) != store.Exists:
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if n := succeeded.Load(); n != 1 {
		t.Errorf("%d puts of one key succeeded", n)
	}
}

func namesMissing(t *testing.T, s Store) {
	if _, err := s.Get(t.Context(), "no/such"); store.ClassOf(err) != store.NotFound {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Stat(t.Context(), "no/such"); store.ClassOf(err) != store.NotFound {
		t.Errorf("stat: %v", err)
	}
}

func deletes(t *testing.T, s Store) {
	put(t, s, "gone", []byte("x"))
	for range 2 {
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(t.Context(), "gone"); store.ClassOf(err) != store.NotFound {
		t.Errorf("stat after delete: %v", err)
	}
	put(t, s, "gone", []byte("again"))
}

func lists(t *testing.T, s Store) {
	const objects = 1205
	const atOnce = 16
	var want []string
	var puts errgroup.Group
	puts.SetLimit(atOnce)
	for i := range objects {
		key := fmt.Sprintf("list/%02d/%05d", i/100, i)
		puts.Go(func() error { return s.Put(t.Context(), key, []byte("x")) })
		want = append(want, key)
	}
	if err := puts.Wait(); err != nil {
		t.Fatal(err)
	}
	put(t, s, "listen", []byte("another prefix"))
	var got []string
	err := s.List(t.Context(), "list/", func(info store.Info) error {
		got = append(got, info.Key)
		if info.Size != 1 || info.Modified.IsZero() {
			t.Errorf("list says %+v", info)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func stopsListing(t *testing.T, s Store) {
	put(t, s, "a", nil)
	put(t, s, "b", nil)
	stop := errors.New("enough")
	visits := 0
	err := s.List(t.Context(), "", func(store.Info) error {
		visits++
		return stop
	})
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("list returned %v after %d visits", err, visits)
	}
}

func refuses(t *testing.T, s Store) {
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a\x00", "ä", "a\"b"} {
		if err := s.Put(t.Context(), key, nil); err == nil {
			t.Errorf("key %q was accepted", key)
		}
		if _, err := s.Get(t.Context(), key); err == nil {
			t.Errorf("key %q was read", key)
		}
	}
	if err := s.Put(t.Context(), "big", make([]byte, store.MaxSize+1)); err == nil {
		t.Error("an object above the limit was accepted")
	}
}
