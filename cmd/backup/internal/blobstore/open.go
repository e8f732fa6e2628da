package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/fileblob"  // file://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/memblob"   // mem://

	"github.com/dbpair/dbpair/internal/store"
)

// Store is one bucket, container or directory, below a prefix. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	// dir is the directory of a file:// store, else empty.
	dir string
}

// Open opens the store of a URL and does not talk to it yet, except that a directory has to
// exist:
//
//	s3://BUCKET/PREFIX?region=R&endpoint=URL&use_path_style=true
//	gs://BUCKET/PREFIX
//	azblob://CONTAINER/PREFIX
//	file:///DIRECTORY
//	mem://                      for tests; it is empty at each Open
//
// The parameters of s3 are use_path_style and those of gocloud.dev/aws. The caller calls Close.
func Open(ctx context.Context, location string) (*Store, error) {
	target, err := parse(location)
	if err != nil {
		return nil, err
	}
	if target.dir != "" {
		if err := requireDirectory(target.dir); err != nil {
			return nil, err
		}
	}
	bucket, err := open(ctx, target.url)
	if err != nil {
		return nil, fail("open", "", err)
	}
	if target.prefix != "" {
		bucket = blob.PrefixedBucket(bucket, target.prefix+"/")
	}
	return &Store{bucket: bucket, dir: target.dir}, nil
}

func open(ctx context.Context, location string) (*blob.Bucket, error) {
	scheme, _, _ := strings.Cut(location, ":")
	switch scheme {
	case "s3":
		return openS3(ctx, location)
	case "gs":
		return openGCS(ctx, location)
	default:
		return blob.OpenBucket(ctx, location)
	}
}

// Close releases connections.
func (s *Store) Close() error { return s.bucket.Close() }

// target is a location as gocloud.dev/blob takes it.
type target struct {
	url    string
	prefix string
	dir    string
}

func parse(location string) (target, error) {
	u, err := url.Parse(location)
	if err != nil {
		return target{}, fmt.Errorf("store URL: %w", err)
	}
	switch u.Scheme {
	case "file":
		return parseFile(u)
	case "mem":
		return target{url: "mem://"}, nil
	case "s3", "gs", "azblob":
		return parseBucket(u)
	default:
		return target{}, fmt.Errorf("store URL %q: the scheme %q is not known, use s3, gs, azblob or file", location, u.Scheme)
	}
}

func parseFile(u *url.URL) (target, error) {
	if u.Host != "" || !filepath.IsAbs(u.Path) {
		return target{}, fmt.Errorf("store URL %q: write an absolute directory, as in file:///backups", u)
	}
	if u.RawQuery != "" {
		return target{}, fmt.Errorf("store URL %q: file takes no parameters", u)
	}
	clean := filepath.Clean(u.Path)
	// Temporary files stay on the volume, or a rename would cross file systems.
	file := url.URL{
		Scheme:   "file",
		Path:     clean,
		RawQuery: "no_tmp_dir=true&metadata=skip",
	}
	return target{url: file.String(), dir: clean}, nil
}

func parseBucket(u *url.URL) (target, error) {
	if u.Host == "" {
		return target{}, fmt.Errorf("store URL %q: the name of the bucket is missing, as in %s://BUCKET/PREFIX", u, u.Scheme)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		if err := store.CheckKey(prefix); err != nil {
			return target{}, fmt.Errorf("store URL %q: prefix: %w", u, err)
		}
	}
	bucket := url.URL{
		Scheme:   u.Scheme,
		Host:     u.Host,
		RawQuery: u.RawQuery,
	}
	return target{url: bucket.String(), prefix: prefix}, nil
}

func requireDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	if err == nil {
		return nil
	}
	class := store.NoBucket
	if errors.Is(err, fs.ErrPermission) {
		class = store.Denied
	}
	return &store.Error{
		Op:    "open",
		Class: class,
		Err:   err,
	}
}
