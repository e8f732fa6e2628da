package blobstore

import (
	"testing"

	"github.com/dbpair/dbpair/internal/store"
)

func TestHead(t *testing.T) {
	for _, location := range []string{"mem://", "file://" + t.TempDir()} {
		s := opened(t, location)
		if err := s.Put(t.Context(), "a/b", []byte("content")); err != nil {
			t.Fatal(err)
		}
		for size, want := range map[int64]string{0: "", 3: "con", 7: "content", 100: "content"} {
			got, err := s.Head(t.Context(), "a/b", size)
			if err != nil || string(got) != want {
				t.Errorf("%s: %d bytes are %q, %v", location, size, got, err)
			}
		}
		if _, err := s.Head(t.Context(), "a/c", 3); store.ClassOf(err) != store.NotFound {
			t.Errorf("%s: an object that is not there: %v", location, err)
		}
	}
}
