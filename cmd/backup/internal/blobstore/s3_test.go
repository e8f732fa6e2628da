package blobstore

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/dbpair/dbpair/internal/store"
)

// fakeCredentials keeps the SDK from looking for any.
func fakeCredentials(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func openedS3(t *testing.T, endpoint string) *Store {
	t.Helper()
	query := url.Values{
		"endpoint":       {endpoint},
		"region":         {"us-east-1"},
		"use_path_style": {"true"},
	}
	return opened(t, "s3://bucket/prefix?"+query.Encode())
}

// request is what a server saw of one.
type request struct {
	method string
	path   string
	header http.Header
	length int64
	size   int64
}

// recordRequests returns a store over a server that accepts everything, and what it saw.
func recordRequests(t *testing.T) (*Store, func() []request) {
	t.Helper()
	fakeCredentials(t)
	var mu sync.Mutex
	var seen []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, request{
			method: r.Method,
			path:   r.URL.RequestURI(),
			header: r.Header.Clone(),
			length: r.ContentLength,
			size:   size,
		})
	}))
	t.Cleanup(server.Close)
	return openedS3(t, server.URL), func() []request {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func TestHeadersOfPut(t *testing.T) {
	for _, size := range []int{0, 1, 5 << 20, store.MaxSize} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			s, requests := recordRequests(t)
			if err := s.Put(t.Context(), "a/object", make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			seen := requests()
			if len(seen) != 1 {
				t.Fatalf("%d requests, want one PUT: %+v", len(seen), seen)
			}
			checkPut(t, seen[0], int64(size))
		})
	}
}

func checkPut(t *testing.T, r request, size int64) {
	t.Helper()
	if r.method != http.MethodPut || !strings.HasPrefix(r.path, "/bucket/prefix/a/object") {
		t.Errorf("%s %s, want PUT /bucket/prefix/a/object", r.method, r.path)
	}
	if r.length != size || r.size != size {
		t.Errorf("Content-Length %d with %d bytes, want %d", r.length, r.size, size)
	}
	if got := r.header.Get("If-None-Match"); got != "*" {
		t.Errorf("If-None-Match is %q: the object could be overwritten", got)
	}
	// Buckets with a default retention of object lock insist on it.
	if got := r.header.Get("Content-Md5"); got == "" {
		t.Error("no Content-MD5")
	}
	for name, values := range r.header {
		lower := strings.ToLower(name)
		checksum := strings.HasPrefix(lower, "x-amz-checksum") || strings.HasPrefix(lower, "x-amz-sdk-checksum") || lower == "x-amz-trailer"
		if checksum {
			t.Errorf("header %s: %q is refused by many stores", name, values)
		}
		for _, value := range values {
			if strings.Contains(strings.ToLower(value), "aws-chunked") || strings.HasPrefix(value, "STREAMING-") {
				t.Errorf("header %s: %q is refused by many stores", name, value)
			}
		}
	}
	if len(r.header["Transfer-Encoding"]) > 0 {
		t.Errorf("Transfer-Encoding %q", r.header["Transfer-Encoding"])
	}
}

// answer is a server that fails every request the same way.
func answer(t *testing.T, status int, code string) *Store {
	t.Helper()
	fakeCredentials(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		if r.Method != http.MethodHead && code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
		}
	}))
	t.Cleanup(server.Close)
	return openedS3(t, server.URL)
}

func TestClassesOfS3(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   store.Class
	}{
		{http.StatusForbidden, "AccessDenied", store.Denied},
		{http.StatusForbidden, "InvalidAccessKeyId", store.Denied},
		{http.StatusForbidden, "SignatureDoesNotMatch", store.Denied},
		{http.StatusBadRequest, "ExpiredToken", store.Denied},
		{http.StatusForbidden, "RequestTimeTooSkewed", store.Skewed},
		{http.StatusNotFound, "NoSuchBucket", store.NoBucket},
		{http.StatusPreconditionFailed, "PreconditionFailed", store.Exists},
		{http.StatusConflict, "ConditionalRequestConflict", store.Unreachable},
		{http.StatusServiceUnavailable, "SlowDown", store.Unreachable},
		{http.StatusInternalServerError, "InternalError", store.Unreachable},
		{http.StatusBadGateway, "", store.Unreachable},
		{http.StatusForbidden, "SomethingNew", store.Denied},
		{http.StatusForbidden, "QuotaExceeded", store.Full},
		{http.StatusInsufficientStorage, "", store.Full},
		{http.StatusInsufficientStorage, "XMinioStorageFull", store.Full},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.code), func(t *testing.T) {
			s := answer(t, test.status, test.code)
			err := s.Put(t.Context(), "key", []byte("x"))
			var failure *store.Error
			if !errors.As(err, &failure) {
				t.Fatalf("put: %v has no class", err)
			}
			if failure.Class != test.want {
				t.Errorf("put: %v, want class %s", err, test.want)
			}
			if failure.Op != "put" || failure.Key != "key" {
				t.Errorf("the error names %s %q", failure.Op, failure.Key)
			}
		})
	}
}

func TestMissingBucketIsToldFromMissingObject(t *testing.T) {
	s := answer(t, http.StatusNotFound, "NoSuchBucket")
	if _, err := s.Get(t.Context(), "key"); store.ClassOf(err) != store.NoBucket {
		t.Errorf("get: %v", err)
	}
	// A HEAD has no body that could name the bucket.
	if _, err := s.Stat(t.Context(), "key"); store.ClassOf(err) != store.NoBucket {
		t.Errorf("stat: %v", err)
	}
	if err := s.Delete(t.Context(), "key"); store.ClassOf(err) != store.NoBucket {
		t.Errorf("delete: %v", err)
	}
}

func TestNobodyListensIsUnreachable(t *testing.T) {
	fakeCredentials(t)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	s := openedS3(t, server.URL)
	if err := s.Put(t.Context(), "key", []byte("x")); store.ClassOf(err) != store.Unreachable {
		t.Errorf("put: %v", err)
	}
}

func TestNoCredentialsIsDenied(t *testing.T) {
	fakeCredentials(t)
	none := t.TempDir() + "/none"
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_CONFIG_FILE", none)
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	s := openedS3(t, server.URL)
	if err := s.Put(t.Context(), "key", []byte("x")); store.ClassOf(err) != store.Denied {
		t.Errorf("put: %v", err)
	}
}
