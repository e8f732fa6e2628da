package archive

import (
	"context"
	"slices"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/store"
)

// failing refuses deletions from one on, as a process sees it that is killed there.
type failing struct {
	Objects

	deletions int
}

func (f *failing) Delete(ctx context.Context, key string) error {
	if f.deletions == 0 {
		return &store.Error{
			Op:    "delete",
			Key:   key,
			Class: store.Unreachable,
			Err:   context.Canceled,
		}
	}
	f.deletions--
	return f.Objects.Delete(ctx, key)
}

// Whatever an archive has, and wherever compaction is interrupted: it reads the same before,
// in between and afterwards, and a writer goes on.
func TestCompactionChangesNothing(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		objects := newStore(t)
		w := newWriter(t, objects, identity.Recipient())
		next := 1
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				w.watermark(second(next))
			case 1:
				if _, err := w.log.Gap(context.Background(), set(next, next+1), server); err != nil {
					t.Fatal(err)
				}
				next += 2
			default:
				count := rapid.IntRange(1, 4).Draw(t, "count")
				w.segment(next, next+count-1, 5)
				next += count
			}
		}
		read := func() (all []gtid.GTID, c Catalog) {
			a := openArchive(t, objects, identity)
			damages, _, err := a.Verify(context.Background())
			if err != nil || len(damages) > 0 {
				t.Fatal(err, damages)
			}
			for i, run := range a.catalog.Runs {
				ids, _ := replayed(t, a, a.cut(i, len(run.Segments), nil), gtid.Set{})
				all = append(all, ids...)
			}
			return all, a.catalog
		}
		before, was := read()
		// A restore that began before goes on meanwhile.
		reading := openArchive(t, objects, identity)
		later := second(next).Add(2 * packAge)
		_, _ = Compact(context.Background(), &failing{Objects: objects, deletions: rapid.IntRange(0, 3).Draw(t, "deletions")}, later)
		between, _ := read()
		if _, err := Compact(context.Background(), objects, later); err != nil {
			t.Fatal(err)
		}
		after, is := read()
		var meanwhile []gtid.GTID
		for i, run := range reading.catalog.Runs {
			ids, _ := replayed(t, reading, reading.cut(i, len(run.Segments), nil), gtid.Set{})
			meanwhile = append(meanwhile, ids...)
		}
		if diff := cmp.Diff(before, between) + cmp.Diff(before, after) + cmp.Diff(before, meanwhile); diff != "" {
			t.Fatalf("transactions (-before +compacted):\n%s", diff)
		}
		if len(is.Covered) > 0 || len(is.Runs) != len(was.Runs) || len(is.Gaps) != len(was.Gaps) || is.Objects > was.Objects {
			t.Fatalf("before %+v, compacted %+v", was, is)
		}
		if packs, err := Compact(context.Background(), objects, later); err != nil || packs != 0 {
			t.Fatalf("compacted again: %d packs, %v", packs, err)
		}
		resumed := newWriter(t, objects, identity.Recipient())
		if !resumed.log.All().Equal(w.log.All()) {
			t.Fatalf("it resumes after %s, not %s", resumed.log.All(), w.log.All())
		}
		resumed.segment(next, next, 5)
		if all, _ := read(); len(all) != len(before)+1 {
			t.Fatalf("%d transactions, then %d", len(before), len(all))
		}
	})
}

func TestTheEndOfTheArchiveIsNotPacked(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	w.segment(1, 3, 5)
	w.segment(4, 6, 5)
	if packs, err := Compact(t.Context(), objects, second(6).Add(packAge)); err != nil || packs != 0 {
		t.Errorf("%d packs, %v", packs, err)
	}
}

// Whatever was archived and whichever backups stay: what leads from one of them to a later
// moment stays, in one run, and the archive has no gap that it did not have.
func TestRetentionKeepsWhatARestoreReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objects := newStore(t)
		w := newWriter(t, objects)
		next := 1
		for range rapid.IntRange(1, 8).Draw(t, "segments") {
			count := rapid.IntRange(1, 5).Draw(t, "count")
			w.segment(next, next+count-1, 5)
			next += count
		}
		var bases []gtid.Set
		for range rapid.IntRange(0, 3).Draw(t, "backups") {
			bases = append(bases, set(1, rapid.IntRange(0, next-1).Draw(t, "base")))
		}
		keys := Unneeded(openArchive(t, objects).Catalog(), bases)
		if len(bases) == 0 && len(keys) > 0 {
			t.Fatalf("without a backup %v would go", keys)
		}
		// They may go one by one, and the process may end in between.
		for _, key := range keys {
			if err := objects.Delete(context.Background(), key); err != nil {
				t.Fatal(err)
			}
			if c := openArchive(t, objects).Catalog(); len(c.Runs) != 1 || len(c.Gaps) > 0 {
				t.Fatalf("without %s: %+v", key, c)
			}
		}
		a := openArchive(t, objects)
		cut := a.mustCut(t, Target{})
		for _, base := range bases {
			if err := cut.Start(base); err != nil {
				t.Fatalf("from %s: %v", base, err)
			}
			if ids, _ := replayed(t, a, cut, base); uint64(len(ids)) != set(1, next-1).Subtract(base).Count() {
				t.Fatalf("from %s there are %v", base, ids)
			}
		}
		if again := Unneeded(a.Catalog(), bases); len(again) > 0 {
			t.Fatalf("a second time %v would go", again)
		}
	})
}

func TestAPinnedBackupKeepsNoSegments(t *testing.T) {
	listing := backup.Listing{Manifests: []backup.Manifest{
		{ID: "pinned", GTIDBefore: set(1, 5).String()},
		{ID: "needed", GTIDBefore: set(1, 50).String()},
	}}
	bases, err := Needed(listing, backup.Removal{Backups: []string{"pinned"}})
	if err != nil || len(bases) != 1 || !bases[0].Equal(set(1, 50)) {
		t.Errorf("%v, %v", bases, err)
	}
}

func TestPacksAreNotLargerThanAnObject(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	var segments []Segment
	for n := range 40 {
		h := w.log.header(server)
		h.First = uint64(n + 1)
		h.Last = h.First
		h.Latest = second(n)
		h.Size = 1 << 20
		segments = append(segments, Segment{
			Objects: []Object{{Header: h}},
			Header:  h,
		})
	}
	groups := packable(segments, second(0).Add(24*time.Hour))
	count := 0
	for _, group := range groups {
		size := int64(headerLimit + prefixSize)
		for _, s := range group {
			size += s.Header.Size + int64(headerEstimate(s.Header))
		}
		if size > store.MaxSize {
			t.Errorf("a pack of %d bytes", size)
		}
		count += len(group)
	}
	if count != 40 || !slices.IsSortedFunc(groups, func(a, b []Segment) int { return int(a[0].Header.First) - int(b[0].Header.First) }) {
		t.Errorf("%d of 40 segments are in %d packs", count, len(groups))
	}
}
