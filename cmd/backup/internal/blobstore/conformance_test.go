package blobstore

import (
	"testing"

	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/conformance"
)

func opened(t *testing.T, location string) *Store {
	t.Helper()
	s, err := Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestMemory(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Store { return opened(t, "mem://") })
}

func TestDirectory(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Store { return opened(t, "file://"+t.TempDir()) })
}

func TestMissingDirectoryIsNoBucket(t *testing.T) {
	_, err := Open(t.Context(), "file://"+t.TempDir()+"/missing")
	if store.ClassOf(err) != store.NoBucket {
		t.Errorf("open: %v, want class %s", err, store.NoBucket)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, location := range []string{
		"",
		"/backups",
		"http://127.0.0.1/bucket",
		"file://backups",
		"file:///backups?create_dir=true",
		"s3:///prefix",
		"s3://bucket/a/../b",
		"s3://bucket/a b",
		"s3://bucket?no_such_parameter=1",
	} {
		if s, err := Open(t.Context(), location); err == nil {
			s.Close()
			t.Errorf("%q was opened", location)
		}
	}
}
