package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/dbpair/dbpair/internal/store"
)

// contentType is that of every object, so that no provider guesses one.
const contentType = "application/octet-stream"

// Put writes an object unless one of this key exists, in which case it fails with class
// Exists and changes nothing. When it returns nil, the object is durable. After an error of
// class Unreachable the object may or may not be there.
//
// In a directory the check is safe among the goroutines of one process only.
func (s *Store) Put(ctx context.Context, key string, content []byte) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := store.CheckSize(key, len(content)); err != nil {
		return err
	}
	options := &blob.WriterOptions{
		ContentType: contentType,
		IfNotExist:  true,
	}
	if err := s.bucket.Upload(ctx, key, bytes.NewReader(content), options); err != nil {
		return failBucket("put", key, err)
	}
	if err := s.sync(key); err != nil {
		return fail("put", key, err)
	}
	return nil
}

// Get reads a whole object, and at most store.MaxSize bytes: more is an error.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	reader, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, s.failMissing(ctx, "get", key, err)
	}
	defer reader.Close()
	if reader.Size() > store.MaxSize {
		return nil, store.CheckSize(key, int(reader.Size()))
	}
	content := make([]byte, reader.Size())
	if _, err := io.ReadFull(reader, content); err != nil {
		return nil, fail("get", key, err)
	}
	return content, nil
}

// Head reads the first size bytes of an object, or all of it if it is shorter.
func (s *Store) Head(ctx context.Context, key string, size int64) ([]byte, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	reader, err := s.bucket.NewRangeReader(ctx, key, 0, size, nil)
	if err != nil {
		return nil, s.failMissing(ctx, "get", key, err)
	}
	defer reader.Close()
	content, err := io.ReadAll(io.LimitReader(reader, size))
	if err != nil {
		return nil, fail("get", key, err)
	}
	return content, nil
}

// List calls visit for every object whose key begins with prefix, in the order of keys, and
// stops at visit's first error, which it returns.
func (s *Store) List(ctx context.Context, prefix string, visit func(store.Info) error) error {
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return failBucket("list", prefix, err)
		}
		err = visit(store.Info{
			Key:      object.Key,
			Size:     object.Size,
			Modified: object.ModTime,
		})
		if err != nil {
			return err
		}
	}
}

// Stat is what is known of one object; class NotFound when there is none.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Info{}, err
	}
	attributes, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return store.Info{}, s.failMissing(ctx, "stat", key, err)
	}
	return store.Info{
		Key:      key,
		Size:     attributes.Size,
		Modified: attributes.ModTime,
	}, nil
}

// Delete removes an object; one that is not there is success.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	err := s.bucket.Delete(ctx, key)
	if err == nil {
		return nil
	}
	failure := s.failMissing(ctx, "delete", key, err)
	if store.ClassOf(failure) == store.NotFound {
		return nil
	}
	return failure
}

// failBucket is fail for what names no object that has to be there: where something was not found, it
// is the bucket. Google's answer does not say so.
func failBucket(op, key string, err error) error {
	failure := fail(op, key, err)
	if store.ClassOf(failure) != store.NotFound {
		return failure
	}
	return &store.Error{
		Op:    op,
		Key:   key,
		Class: store.NoBucket,
		Err:   err,
	}
}

// failMissing is fail for one object. Some answers say only that something was not found, or
// that the request was bad, since that of a HEAD has no body: then a list says more.
func (s *Store) failMissing(ctx context.Context, op, key string, err error) error {
	failure := fail(op, key, err)
	class := store.ClassOf(failure)
	vague := class == store.Unknown && statusOf(err) == http.StatusBadRequest
	if class != store.NotFound && !vague {
		return failure
	}
	_, _, listErr := s.bucket.ListPage(ctx, blob.FirstPageToken, 1, nil)
	if listErr == nil {
		return failure
	}
	if vague {
		return fail(op, key, listErr)
	}
	if gcerrors.Code(listErr) != gcerrors.NotFound {
		return failure
	}
	return &store.Error{
		Op:    op,
		Key:   key,
		Class: store.NoBucket,
		Err:   listErr,
	}
}

// sync makes a file of a directory store durable, with the names of the directories that
// lead to it. Other stores are durable when they answer.
func (s *Store) sync(key string) error {
	if s.dir == "" {
		return nil
	}
	path := filepath.Join(s.dir, filepath.FromSlash(key))
	for {
		if err := syncPath(path); err != nil {
			return fmt.Errorf("make %s durable: %w", path, err)
		}
		if path == s.dir {
			return nil
		}
		path = filepath.Dir(path)
	}
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
