package blobstore

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/conformance"
)

// TestS3Server runs the suite against a real S3 server. Each test has a prefix of its own.
func TestS3Server(t *testing.T) {
	for name, options := range map[string]s3test.Options{
		"plain": {},
		"TLS":   {TLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := s3test.Start(t, options)
			server.Use(t, s3test.Owner)
			var stores atomic.Int32
			conformance.Run(t, func(t *testing.T) conformance.Store {
				prefix := fmt.Sprint("ns.shop/", stores.Add(1))
				return opened(t, s3test.Location(server.Endpoint, s3test.Bucket, prefix))
			})
		})
	}
}

// classes insists that every operation of a store fails with a class.
func classes(t *testing.T, s *Store, want store.Class) {
	t.Helper()
	_, getErr := s.Get(t.Context(), "key")
	_, headErr := s.Head(t.Context(), "key", 1)
	_, statErr := s.Stat(t.Context(), "key")
	for op, err := range map[string]error{
		"put":    s.Put(t.Context(), "key", []byte("x")),
		"get":    getErr,
		"head":   headErr,
		"list":   s.List(t.Context(), "", func(store.Info) error { return nil }),
		"stat":   statErr,
		"delete": s.Delete(t.Context(), "key"),
	} {
		if got := store.ClassOf(err); got != want {
			t.Errorf("%s: class %s, want %s: %v", op, got, want, err)
		}
	}
}

func TestWhatAnS3ServerRefuses(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	for name, tc := range map[string]struct {
		keys   s3test.Keys
		bucket string
		want   store.Class
	}{
		"an unknown key":            {s3test.Keys{Access: "nobody", Secret: "secret"}, s3test.Bucket, store.Denied},
		"a wrong secret":            {s3test.Keys{Access: s3test.Owner.Access, Secret: "wrong"}, s3test.Bucket, store.Denied},
		"an account without rights": {s3test.Stranger, s3test.Bucket, store.Denied},
		"a bucket that is not":      {s3test.Owner, "none", store.NoBucket},
	} {
		t.Run(name, func(t *testing.T) {
			server.Use(t, tc.keys)
			classes(t, opened(t, s3test.Location(server.Endpoint, tc.bucket, "p")), tc.want)
		})
	}
	t.Run("a session token that is none", func(t *testing.T) {
		server.Use(t, s3test.Owner)
		t.Setenv("AWS_SESSION_TOKEN", "expired")
		classes(t, opened(t, s3test.Location(server.Endpoint, s3test.Bucket, "p")), store.Denied)
	})
}

func TestAnAccountThatMayOnlyRead(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	location := s3test.Location(server.Endpoint, s3test.Bucket, "p")
	server.Use(t, s3test.Owner)
	if err := opened(t, location).Put(t.Context(), "key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	server.Use(t, s3test.Reader)
	s := opened(t, location)
	if content, err := s.Get(t.Context(), "key"); err != nil || string(content) != "x" {
		t.Errorf("get: %q, %v", content, err)
	}
	if _, err := s.Stat(t.Context(), "none"); store.ClassOf(err) != store.NotFound {
		t.Errorf("stat of nothing: %v", err)
	}
	if err := s.Put(t.Context(), "other", nil); store.ClassOf(err) != store.Denied {
		t.Errorf("put: %v", err)
	}
	if err := s.Delete(t.Context(), "key"); store.ClassOf(err) != store.Denied {
		t.Errorf("delete: %v", err)
	}
	if _, err := s.Get(t.Context(), "key"); err != nil {
		t.Errorf("get after a delete that was refused: %v", err)
	}
}

func TestAServerOfAnotherAuthorityIsUntrusted(t *testing.T) {
	server := s3test.Start(t, s3test.Options{TLS: true})
	other := t.TempDir()
	if err := mysqldtest.WriteCerts(other); err != nil {
		t.Fatal(err)
	}
	location := s3test.Location(server.Endpoint, s3test.Bucket, "p")
	server.Use(t, s3test.Owner)
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(other, "ca.crt"))
	if err := opened(t, location).Put(t.Context(), "key", nil); store.ClassOf(err) != store.Untrusted {
		t.Errorf("put: %v", err)
	}
	t.Setenv("AWS_CA_BUNDLE", "") // the public ones
	if _, err := opened(t, location).Get(t.Context(), "key"); store.ClassOf(err) != store.Untrusted {
		t.Errorf("get with the public authorities: %v", err)
	}
	// By plain HTTP nothing is said to it.
	plain := strings.Replace(server.Endpoint, "https:", "http:", 1)
	if err := opened(t, s3test.Location(plain, s3test.Bucket, "p")).Put(t.Context(), "key", nil); err == nil {
		t.Error("a server of TLS took a put without")
	}
}

func TestAnObjectLockKeepsWhatWasWritten(t *testing.T) {
	server := s3test.Start(t, s3test.Options{Lock: true})
	server.Use(t, s3test.Owner)
	s := opened(t, s3test.Location(server.Endpoint, s3test.LockedBucket, "p"))
	if err := s.Put(t.Context(), "key", []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "key", []byte("second")); store.ClassOf(err) != store.Exists {
		t.Errorf("second put: %v", err)
	}
	if content, err := s.Get(t.Context(), "key"); err != nil || string(content) != "first" {
		t.Errorf("get: %q, %v", content, err)
	}
	// A versioned bucket hides what is deleted, and keeps it.
	if err := s.Delete(t.Context(), "key"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := s.Stat(t.Context(), "key"); store.ClassOf(err) != store.NotFound {
		t.Errorf("stat after delete: %v", err)
	}
	if n := server.Versions(s3test.LockedBucket); n != 1 {
		t.Errorf("%d versions are kept, want that of the put", n)
	}
}

func TestAClockThatDiffersIsSkewed(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	server.Use(t, s3test.Owner)
	endpoint := server.Proxy(func(_ http.ResponseWriter, r *http.Request) bool {
		if err := s3test.SignAt(r.Context(), r, time.Now().Add(-time.Hour)); err != nil {
			t.Error(err)
		}
		return false
	})
	s := opened(t, s3test.Location(endpoint, s3test.Bucket, "p"))
	if err := s.Put(t.Context(), "key", []byte("x")); store.ClassOf(err) != store.Skewed {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Get(t.Context(), "key"); store.ClassOf(err) != store.Skewed {
		t.Errorf("get: %v", err)
	}
}

// TestARealServerAcceptsThePut pins the headers of the requests that a real server accepted.
func TestARealServerAcceptsThePut(t *testing.T) {
	server := s3test.Start(t, s3test.Options{TLS: true})
	server.Use(t, s3test.Owner)
	puts := make(chan request, 10) // the SDK may try again
	endpoint := server.Proxy(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			puts <- request{
				method: r.Method,
				path:   strings.Replace(r.URL.RequestURI(), "/"+s3test.Bucket, "/bucket", 1),
				header: r.Header.Clone(),
				length: r.ContentLength,
				size:   r.ContentLength,
			}
		}
		return false
	})
	s := opened(t, s3test.Location(endpoint, s3test.Bucket, "prefix"))
	if err := s.Put(t.Context(), "a/object", make([]byte, store.MaxSize)); err != nil {
		t.Fatal(err)
	}
	checkPut(t, <-puts, store.MaxSize)
}

func TestAServerThatAnswersNothingIsWaitedFor(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	server.Use(t, s3test.Owner)
	s := opened(t, s3test.Location(server.Endpoint, s3test.Bucket, "p"))
	server.Freeze()
	done := make(chan error, 1)
	go func() { done <- s.Put(t.Context(), "key", []byte("x")) }()
	select {
	case err := <-done:
		t.Fatalf("a frozen server answered: %v", err)
	case <-time.After(time.Second):
	}
	server.Thaw()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
