//go:build store

package blobstore

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/conformance"
)

// TestAnyStore runs the suite against the store that the URL in DBPAIR_STORE names, below a prefix
// of its own, with the credentials that the environment has: make test-store. What it writes stays.
func TestAnyStore(t *testing.T) {
	location, err := url.Parse(os.Getenv("DBPAIR_STORE"))
	if err != nil || location.Scheme == "" {
		t.Fatalf("DBPAIR_STORE %q is no URL of a store: %v", location, err)
	}
	root := strings.TrimSuffix(location.Path, "/")
	run := time.Now().UTC().Format("20060102T150405")
	var stores atomic.Int32
	next := func(t *testing.T) *Store {
		t.Helper()
		one := *location
		one.Path = fmt.Sprintf("%s/suite-%s/%d", root, run, stores.Add(1))
		return opened(t, one.String())
	}
	conformance.Run(t, func(t *testing.T) conformance.Store { return next(t) })
	t.Run("a head is the beginning of an object", func(t *testing.T) {
		s := next(t)
		if err := s.Put(t.Context(), "a", []byte("content")); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Head(t.Context(), "a", 3); err != nil || string(got) != "con" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.Head(t.Context(), "b", 3); store.ClassOf(err) != store.NotFound {
			t.Errorf("of nothing: %v", err)
		}
	})
	t.Run("a bucket that is not there", func(t *testing.T) {
		none := *location
		none.Host = "dbpair-no-such-bucket"
		conformance.RunWithoutBucket(t, opened(t, none.String()))
	})
}
