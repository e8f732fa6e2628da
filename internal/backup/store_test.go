package backup

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/memstore"
)

const idOne = "20260101T000000Z-00000001"

// write puts a small backup with three objects and returns its manifest.
func write(t *testing.T, objects Objects, id string, started time.Time) Manifest {
	t.Helper()
	m := Manifest{
		Version:  formatVersion,
		ID:       id,
		Started:  started,
		Finished: started.Add(time.Hour),
		Server:   Server{UUID: "uuid", Version: "9.7.4"},
	}
	var entries []Object
	for i, name := range []string{openingName, "s2/000-00000000.dbb", "s3/000-00000000.dbb"} {
		content := fmt.Appendf(nil, "content %d", i)
		put(t, objects, keyOf(id, name), content)
		entries = append(entries, Object{
			Key:    name,
			Size:   int64(len(content)),
			SHA256: sumOf(content),
			Stage:  i,
		})
	}
	m.Objects = len(entries)
	list, err := encodeList(entries)
	if err != nil {
		t.Fatal(err)
	}
	put(t, objects, keyOf(id, listName(0)), list)
	m.Lists = []Object{{
		Key:    listName(0),
		Size:   int64(len(list)),
		SHA256: sumOf(list),
	}}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	put(t, objects, keyOf(id, manifestName), text)
	return m
}

func put(t *testing.T, objects Objects, key string, content []byte) {
	t.Helper()
	if err := objects.Put(t.Context(), key, content); err != nil {
		t.Fatal(err)
	}
}

// keysOf lists all keys of a store.
func keysOf(t *testing.T, objects Objects) []string {
	t.Helper()
	var keys []string
	err := objects.List(t.Context(), "", func(info store.Info) error {
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestVerifyNamesEachDamagedObject(t *testing.T) {
	objects := memstore.New(time.Now)
	write(t, objects, idOne, epoch)
	if damaged, err := Verify(t.Context(), objects, idOne); err != nil || len(damaged) > 0 {
		t.Fatalf("an intact backup: %v, %v", damaged, err)
	}
	for _, key := range keysOf(t, objects) {
		content, err := objects.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		flipped := append([]byte{}, content...)
		flipped[len(flipped)/2] ^= 1
		for name, change := range map[string]func(){
			"flipped":   func() { objects.Overwrite(key, flipped) },
			"truncated": func() { objects.Overwrite(key, content[:len(content)-1]) },
			"missing":   func() { _ = objects.Delete(t.Context(), key) },
		} {
			change()
			if name == "missing" && key == keyOf(idOne, manifestName) {
				if _, err := Verify(t.Context(), objects, idOne); store.ClassOf(err) != store.NotFound {
					t.Errorf("without a manifest: %v", err)
				}
			} else if damaged, err := Verify(t.Context(), objects, idOne); err != nil || len(damaged) != 1 || damaged[0].Key != key {
				t.Errorf("%s %s: %v, %v", name, key, damaged, err)
			}
			objects.Overwrite(key, content)
		}
	}
}

func TestVerifyTellsAStoreThatFailsFromDamage(t *testing.T) {
	objects := memstore.New(time.Now)
	write(t, objects, idOne, epoch)
	denied := &store.Error{Op: "get", Class: store.Denied, Err: errors.New("no")}
	objects.FailWith(func(op, key string) error {
		if op == "get" && key == keyOf(idOne, openingName) {
			return denied
		}
		return nil
	})
	damaged, err := Verify(t.Context(), objects, idOne)
	if store.ClassOf(err) != store.Denied || len(damaged) > 0 {
		t.Errorf("verify returned %v, %v", damaged, err)
	}
}

func TestListAndMarks(t *testing.T) {
	objects := memstore.New(func() time.Time { return hour(500) })
	m := write(t, objects, idOne, epoch)
	const open = "20260102T000000Z-00000002"
	put(t, objects, keyOf(open, openingName), nil)
	put(t, objects, "backups/of-someone-else/x", nil)
	ctx := t.Context()
	for range 2 {
		if err := Pin(ctx, objects, idOne); err != nil {
			t.Fatal(err)
		}
		if err := MarkProven(ctx, objects, idOne, hour(7)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Pin(ctx, objects, open); store.ClassOf(err) != store.NotFound {
		t.Errorf("an incomplete backup was pinned: %v", err)
	}
	listing, err := List(ctx, objects)
	if err != nil {
		t.Fatal(err)
	}
	want := Catalog{
		Backups: []Complete{{
			ID:       idOne,
			Started:  m.Started,
			Finished: m.Finished,
			Pinned:   true,
			Proven:   hour(7),
		}},
		Incomplete: []Incomplete{{ID: open, Newest: hour(500)}},
		Newest:     hour(500),
	}
	if diff := cmp.Diff(want, listing.Catalog); diff != "" {
		t.Errorf("catalog (-want +got):\n%s", diff)
	}
	if err := Unpin(ctx, objects, idOne); err != nil {
		t.Fatal(err)
	}
	if listing, err = List(ctx, objects); err != nil || listing.Backups[0].Pinned {
		t.Errorf("after unpin: %+v, %v", listing.Backups, err)
	}
}

func TestListFailsOnADamagedManifest(t *testing.T) {
	objects := memstore.New(time.Now)
	write(t, objects, idOne, epoch)
	objects.Overwrite(keyOf(idOne, manifestName), []byte("{}"))
	var damaged *DamagedError
	if _, err := List(t.Context(), objects); !errors.As(err, &damaged) || damaged.Key != keyOf(idOne, manifestName) {
		t.Errorf("list: %v", err)
	}
}

func TestRemoveDeletesTheManifestFirst(t *testing.T) {
	objects := memstore.New(time.Now)
	write(t, objects, idOne, epoch)
	const other = "20260103T000000Z-00000003"
	write(t, objects, other, hour(48))
	var deleted []string
	objects.FailWith(func(op, key string) error {
		if op == "delete" {
			deleted = append(deleted, key)
		}
		return nil
	})
	if err := Remove(t.Context(), objects, Removal{Backups: []string{idOne}}); err != nil {
		t.Fatal(err)
	}
	if len(deleted) == 0 || deleted[0] != keyOf(idOne, manifestName) {
		t.Errorf("deleted in this order: %q", deleted)
	}
	for _, key := range keysOf(t, objects) {
		if key[:len(keyOf(other, ""))] != keyOf(other, "") {
			t.Errorf("%s is left", key)
		}
	}
	if damaged, err := Verify(t.Context(), objects, other); err != nil || len(damaged) > 0 {
		t.Errorf("the other backup: %v, %v", damaged, err)
	}
}
