package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlogtest"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/store"
)

const server = gtid.ServerUUID("0000000a-0000-0000-0000-00000000abcd")

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// second is n seconds after the start of the test's history.
func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

func numbered(n int) gtid.GTID {
	return gtid.GTID{
		Server: server,
		Number: int64(n),
	}
}

func set(first, last int) gtid.Set {
	if first > last {
		return gtid.Set{}
	}
	return gtid.MustParse(fmt.Sprintf("%s:%d-%d", server, first, last))
}

type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newStore(t tester) *blobstore.Store {
	t.Helper()
	objects, err := blobstore.Open(context.Background(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// writer archives made-up transactions: number n is committed n seconds after the start, unless
// at says otherwise.
type writer struct {
	t       tester
	log     *Log
	builder *Builder
	scanner *binlog.Scanner
	at      func(n int) time.Time
}

func newWriter(t tester, objects Objects, recipients ...age.Recipient) *writer {
	t.Helper()
	log, err := Resume(context.Background(), objects, "pair")
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{
		t:   t,
		log: log,
		at:  second,
	}
	w.builder, err = NewBuilder(recipients, func(d Draft) error {
		return log.Append(context.Background(), d, server, time.Time{})
	})
	if err != nil {
		t.Fatal(err)
	}
	w.scanner = binlog.NewScanner(w.builder)
	w.write(binlogtest.Format("9.7.4"))
	return w
}

func (w *writer) write(event []byte) {
	w.t.Helper()
	if _, err := w.scanner.Write(event); err != nil {
		w.t.Fatal(err)
	}
}

// segment writes one with the transactions first to last.
func (w *writer) segment(first, last, size int) {
	w.t.Helper()
	for n := first; n <= last; n++ {
		w.write(binlogtest.Transaction(numbered(n), w.at(n), size))
	}
	if err := w.builder.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// watermark says that nothing is missing up to a time.
func (w *writer) watermark(at time.Time) {
	w.t.Helper()
	if err := w.log.Append(context.Background(), Draft{}, server, at); err != nil {
		w.t.Fatal(err)
	}
}

func openArchive(t tester, objects Objects, identities ...age.Identity) *Archive {
	t.Helper()
	a, err := Open(context.Background(), objects, identities)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// replayed are the transactions up to a cut, as they come out.
func replayed(t tester, a *Archive, c Cut, have gtid.Set) (ids []gtid.GTID, size int) {
	t.Helper()
	got := &sizes{}
	if err := a.Replay(context.Background(), c, have, got); err != nil {
		t.Fatal(err)
	}
	for _, one := range got.transactions {
		ids = append(ids, one.GTID)
	}
	return ids, got.size
}

type sizes struct {
	listing

	size int
}

func (s *sizes) Body(piece []byte) error {
	s.size += len(piece)
	return nil
}

func (a *Archive) mustCut(t tester, target Target) Cut {
	t.Helper()
	c, err := a.Cut(context.Background(), target, second(1e6))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsArchivedComesBack(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, recipients := range map[string][]age.Recipient{"plain": nil, "encrypted": {identity.Recipient()}} {
		t.Run(name, func(t *testing.T) {
			objects := newStore(t)
			w := newWriter(t, objects, recipients...)
			w.log.Start(set(1, 10))
			w.segment(11, 20, 100)
			w.segment(21, 21, 3*rawLimit) // in several objects
			w.segment(22, 30, 100)
			w.watermark(second(100))
			a := openArchive(t, objects, identity)
			c := a.Catalog()
			if len(c.Runs) != 1 || len(c.Gaps) != 0 || len(c.Runs[0].Segments) != 4 || c.Objects != 7 {
				t.Fatalf("catalog %+v", c)
			}
			ids, size := replayed(t, a, a.mustCut(t, Target{}), set(1, 12))
			var want []gtid.GTID
			for n := 13; n <= 30; n++ {
				want = append(want, numbered(n))
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("transactions (-want +got):\n%s", diff)
			}
			if want := 17*(100+23) + 3*rawLimit + 23; size != want {
				t.Errorf("%d bytes of events, want %d", size, want)
			}
			if len(recipients) > 0 {
				_, _, err := openArchive(t, objects).Verify(t.Context())
				if !errors.Is(err, ErrNoIdentity) {
					t.Errorf("without an identity: %v", err)
				}
			}
			damages, count, err := a.Verify(t.Context())
			if err != nil || len(damages) > 0 || count != 20 {
				t.Errorf("verify: %d transactions, %v, %v", count, damages, err)
			}
			if resumed := newWriter(t, objects); !resumed.log.All().Equal(set(1, 30)) {
				t.Errorf("it resumes after %s", resumed.log.All())
			}
		})
	}
}

func TestEveryFlippedByteAndEveryCutOfAnObjectIsFound(t *testing.T) {
	objects := newStore(t)
	newWriter(t, objects).segment(1, 3, 10)
	key := keyOf(1, 1)
	whole, err := objects.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		for _, content := range [][]byte{flipped(whole, at), whole[:at]} {
			damagedStore := newStore(t)
			if err := damagedStore.Put(t.Context(), key, content); err != nil {
				t.Fatal(err)
			}
			a, err := Open(t.Context(), damagedStore, nil)
			var damages []error
			if err == nil {
				damages, _, err = a.Verify(t.Context())
			}
			if all := errors.Join(append(damages, err)...); all == nil || !isDamage(all) || !strings.Contains(all.Error(), key) {
				t.Fatalf("byte %d, %d of %d bytes: %v", at, len(content), len(whole), all)
			}
		}
	}
}

func flipped(content []byte, at int) []byte {
	content = bytes.Clone(content)
	content[at] ^= 0x10
	return content
}

// A segment that was lost, whichever it is, leaves a gap with its name; the last leaves an end.
func TestAMissingSegmentIsAGap(t *testing.T) {
	for lost := 2; lost < 5; lost++ {
		objects := newStore(t)
		w := newWriter(t, objects)
		for n := range 5 {
			w.segment(10*n+1, 10*n+10, 5)
		}
		if err := objects.Delete(t.Context(), keyOf(uint64(lost), uint64(lost))); err != nil {
			t.Fatal(err)
		}
		c := openArchive(t, objects).Catalog()
		if len(c.Gaps) != 1 || !c.Gaps[0].Missing.Equal(set(10*lost-9, 10*lost)) || c.Gaps[0].Recorded || len(c.Runs) != 2 {
			t.Errorf("without segment %d: gaps %v, %d runs", lost, c.Gaps, len(c.Runs))
		}
	}
}

func TestARecordedGapEndsARun(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	w.segment(1, 10, 5)
	if _, err := w.log.Gap(t.Context(), set(11, 20), server); err != nil {
		t.Fatal(err)
	}
	w.segment(21, 30, 5)
	a := openArchive(t, objects)
	c := a.Catalog()
	if len(c.Gaps) != 1 || !c.Gaps[0].Missing.Equal(set(11, 20)) || !c.Gaps[0].Recorded || len(c.Runs) != 2 {
		t.Fatalf("gaps %v, %d runs", c.Gaps, len(c.Runs))
	}
	latest := a.mustCut(t, Target{})
	if err := latest.Start(set(1, 10)); err == nil {
		t.Error("a server from before the gap may begin after it")
	}
	if err := latest.Start(set(1, 25)); err != nil {
		t.Error(err)
	}
	var unreached *UnreachableError
	_, err := a.Cut(t.Context(), Target{Time: second(15)}, second(100))
	if !errors.As(err, &unreached) || !cmp.Equal(unreached.Nearest, []time.Time{second(10), second(21)}) {
		t.Errorf("inside the gap: %v", err)
	}
	inside := numbered(15)
	_, err = a.Cut(t.Context(), Target{GTIDs: inside.Set()}, second(100))
	if !errors.As(err, &unreached) || !cmp.Equal(unreached.Nearest, []time.Time{second(10), second(21)}) {
		t.Errorf("inside the gap: %v", err)
	}
}

// A process that was killed leaves parts of a transaction. The next one writes it again.
func TestPartsOfAnUnfinishedTransactionAreVoid(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	w.segment(1, 3, 5)
	event := binlogtest.Transaction(numbered(4), second(4), 2*rawLimit)
	w.write(event[:rawLimit+rawLimit/2])
	again := newWriter(t, objects)
	again.segment(4, 4, 2*rawLimit)
	a := openArchive(t, objects)
	if c := a.Catalog(); len(c.Void) != 1 || len(c.Gaps) != 0 || len(c.Runs) != 1 {
		t.Fatalf("%d void objects, gaps %v, %d runs", len(c.Void), c.Gaps, len(c.Runs))
	}
	if ids, _ := replayed(t, a, a.mustCut(t, Target{}), gtid.Set{}); len(ids) != 4 {
		t.Errorf("%v", ids)
	}
}

func TestTwoWritersDoNotMix(t *testing.T) {
	objects := newStore(t)
	first := newWriter(t, objects)
	second := newWriter(t, objects)
	first.segment(1, 3, 5)
	err := second.log.Append(t.Context(), Draft{}, server, start)
	if !errors.Is(err, ErrForeign) {
		t.Errorf("the second writer: %v", err)
	}
	if _, err := Resume(t.Context(), objects, "other"); !errors.Is(err, ErrForeign) {
		t.Errorf("another pair: %v", err)
	}
}

// losing is a store whose answers get lost.
type losing struct {
	Objects

	lost int
}

func (l *losing) Put(ctx context.Context, key string, content []byte) error {
	err := l.Objects.Put(ctx, key, content)
	if l.lost > 0 {
		l.lost--
		return &store.Error{
			Op:    "put",
			Key:   key,
			Class: store.Unreachable,
			Err:   errors.New("no answer"),
		}
	}
	return err
}

func TestALostAnswerWritesNothingTwice(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, &losing{Objects: objects, lost: 1})
	waited := 0
	w.log.Waiting = func(error) error { waited++; return nil }
	w.segment(1, 3, 5)
	w.segment(4, 6, 5)
	c := openArchive(t, objects).Catalog()
	if waited != 1 || c.Objects != 2 || len(c.Gaps) > 0 || !c.Runs[0].End().Equal(set(1, 6)) {
		t.Errorf("waited %d times, catalog %+v", waited, c)
	}
}

// Whatever the history: a cut for a time has exactly the transactions that were committed by
// then, and one for a transaction those up to it.
func TestCutsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objects := newStore(t)
		w := newWriter(t, objects)
		base := rapid.IntRange(0, 5).Draw(t, "base")
		w.log.Start(set(1, base))
		next := base + 1
		for range rapid.IntRange(1, 6).Draw(t, "segments") {
			count := rapid.IntRange(0, 5).Draw(t, "count")
			if count == 0 {
				w.watermark(second(next - 1))
				continue
			}
			w.segment(next, next+count-1, 5)
			next += count
		}
		last := next - 1
		a := openArchive(t, objects)
		at := rapid.IntRange(-2, 40).Draw(t, "at")
		id := numbered(max(1, at))
		for name, target := range map[string]Target{
			"time":   {Time: second(at)},
			"gtid":   {GTIDs: id.Set()},
			"before": {Before: &id},
		} {
			want := at
			switch name {
			case "gtid":
				want = int(id.Number)
			case "before":
				want = int(id.Number) - 1
			}
			c, err := a.Cut(context.Background(), target, second(1000))
			inside := at > base && at <= last
			if name != "time" {
				inside = int(id.Number) > base && int(id.Number) <= last
			}
			var unreached *UnreachableError
			if errors.As(err, &unreached) && !inside {
				continue
			}
			if err != nil {
				t.Fatalf("%s %d of %d to %d: %v", name, at, base+1, last, err)
			}
			if name != "time" && !inside {
				t.Fatalf("%s %d of %d to %d was found", name, at, base+1, last)
			}
			if !c.Through.Equal(set(1, max(base, want))) {
				t.Fatalf("%s %d: through %s", name, at, c.Through)
			}
			if ids, _ := replayed(t, a, c, gtid.Set{}); len(ids) != max(base, want)-base {
				t.Fatalf("%s %d: %v", name, at, ids)
			}
		}
	})
}

func TestTargetsOutsideTheWindow(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	w.log.Start(set(1, 9))
	w.segment(10, 20, 5)
	w.watermark(second(60))
	a := openArchive(t, objects)
	early, unknown := numbered(5), numbered(500)
	for name, c := range map[string]struct {
		target  Target
		says    string
		nearest []time.Time
	}{
		"too early":   {Target{Time: second(9)}, "begins later", []time.Time{second(10)}},
		"not yet":     {Target{Time: second(61)}, "complete up to an earlier time", []time.Time{second(60)}},
		"future":      {Target{Time: second(200)}, "in the future", []time.Time{second(60)}},
		"before it":   {Target{GTIDs: early.Set()}, "begins after it", []time.Time{second(10)}},
		"beyond it":   {Target{GTIDs: set(5, 21)}, "does not have " + set(21, 21).String(), []time.Time{second(60)}},
		"unknown one": {Target{Before: &unknown}, "does not have", []time.Time{second(60)}},
	} {
		_, err := a.Cut(t.Context(), c.target, second(100))
		var unreached *UnreachableError
		if !errors.As(err, &unreached) || !strings.Contains(err.Error(), c.says) || !cmp.Equal(unreached.Nearest, c.nearest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := a.mustCut(t, Target{Time: second(59)}); !c.Through.Equal(set(1, 20)) {
		t.Errorf("before the watermark: %s", c.Through)
	}
	if c := a.mustCut(t, Target{GTIDs: set(3, 12).Union(set(14, 14))}); !c.Through.Equal(set(1, 14)) {
		t.Errorf("after all of a set: %s", c.Through)
	}
}

func TestClocksThatRunBackwards(t *testing.T) {
	objects := newStore(t)
	w := newWriter(t, objects)
	w.at = func(n int) time.Time {
		if n > 10 {
			return second(n - 5)
		}
		return second(n)
	}
	w.segment(1, 10, 5)
	w.segment(11, 20, 5)
	a := openArchive(t, objects)
	_, err := a.Cut(t.Context(), Target{Time: second(8)}, second(100))
	if err == nil || !strings.Contains(err.Error(), "beforeGTID "+numbered(9).String()) || !strings.Contains(err.Error(), "gtid "+numbered(11).String()) {
		t.Errorf("between both clocks: %v", err)
	}
	if c := a.mustCut(t, Target{Time: second(5)}); !c.Through.Equal(set(1, 5)) {
		t.Errorf("before both: %s", c.Through)
	}
	if c := a.mustCut(t, Target{Time: second(12)}); !c.Through.Equal(set(1, 17)) {
		t.Errorf("after both: %s", c.Through)
	}
}

func TestParseTarget(t *testing.T) {
	got, err := ParseTarget("2026-01-02T03:04:05+02:00", "", "")
	if want := time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC); err != nil || !got.Time.Equal(want) {
		t.Errorf("%s, %v", got.Time, err)
	}
	id := numbered(7).String()
	for _, c := range []struct{ time, gtid, before, says string }{
		{"2026-01-02T03:04:05", "", "", "offset"},
		{"2026-01-02 03:04:05", "", "", "offset"},
		{"yesterday", "", "", "target.time"},
		{"", "7", "", "target.gtid"},
		{"", id + "-3", "", "target.gtid"},
		{"", " ", "", "target.gtid"},
		{"", "", string(server), "target.beforeGTID"},
		{"2026-01-02T03:04:05Z", id, "", "one of"},
	} {
		if _, err := ParseTarget(c.time, c.gtid, c.before); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// FuzzObject: no object of a store makes a panic, or more than its header may say.
func FuzzObject(f *testing.F) {
	objects := newStore(f)
	newWriter(f, objects).segment(1, 3, 10)
	whole, err := objects.Get(context.Background(), keyOf(1, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, content []byte) {
		a := &Archive{}
		scanner := binlog.NewScanner(nothing{})
		err := a.unpack(keyOf(1, 1), content, Header{Last: math.MaxUint64}, scanner)
		var damage *backup.DamagedError
		if err != nil && !errors.As(err, &damage) && !errors.Is(err, ErrNoIdentity) && !errors.Is(err, binlog.ErrMalformed) {
			t.Error(err)
		}
	})
}
