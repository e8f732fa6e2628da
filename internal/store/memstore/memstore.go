package memstore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/store"
)

// Store is empty when made; it is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	objects map[string]object
	now     func() time.Time
	fail    func(op, key string) error
}

type object struct {
	content  []byte
	modified time.Time
}

// New returns an empty store whose clock is now.
func New(now func() time.Time) *Store {
	return &Store{
		objects: map[string]object{},
		now:     now,
		fail:    func(string, string) error { return nil },
	}
}

// FailWith lets every operation ask fail first: put, get, list, stat, delete.
func (s *Store) FailWith(fail func(op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// Overwrite changes or makes an object, which no user of a store can.
func (s *Store) Overwrite(key string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = object{
		content:  bytes.Clone(content),
		modified: s.now(),
	}
}

// Put writes an object once.
func (s *Store) Put(_ context.Context, key string, content []byte) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := store.CheckSize(key, len(content)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("put", key); err != nil {
		return err
	}
	if _, ok := s.objects[key]; ok {
		return failure("put", key, store.Exists)
	}
	s.objects[key] = object{
		content:  bytes.Clone(content),
		modified: s.now(),
	}
	return nil
}

// Get reads an object.
func (s *Store) Get(_ context.Context, key string) ([]byte, error) {
	found, err := s.find("get", key)
	return bytes.Clone(found.content), err
}

// Stat is what is known of an object.
func (s *Store) Stat(_ context.Context, key string) (store.Info, error) {
	found, err := s.find("stat", key)
	if err != nil {
		return store.Info{}, err
	}
	return found.info(key), nil
}

// List visits the objects below a prefix in the order of their keys.
func (s *Store) List(_ context.Context, prefix string, visit func(store.Info) error) error {
	infos, err := s.below(prefix)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if err := visit(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes an object; one that is not there is success.
func (s *Store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("delete", key); err != nil {
		return err
	}
	delete(s.objects, key)
	return nil
}

func (s *Store) find(op, key string) (object, error) {
	if err := store.CheckKey(key); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail(op, key); err != nil {
		return object{}, err
	}
	found, ok := s.objects[key]
	if !ok {
		return object{}, failure(op, key, store.NotFound)
	}
	return found, nil
}

func (s *Store) below(prefix string) ([]store.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("list", prefix); err != nil {
		return nil, err
	}
	var infos []store.Info
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) {
			infos = append(infos, o.info(key))
		}
	}
	slices.SortFunc(infos, func(a, b store.Info) int { return strings.Compare(a.Key, b.Key) })
	return infos, nil
}

func (o object) info(key string) store.Info {
	return store.Info{
		Key:      key,
		Size:     int64(len(o.content)),
		Modified: o.modified,
	}
}

func failure(op, key string, class store.Class) error {
	return &store.Error{
		Op:    op,
		Key:   key,
		Class: class,
		Err:   errors.New("memory"),
	}
}
