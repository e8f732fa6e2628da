package backup

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// hour is n hours after the start of the test's history.
func hour(n int) time.Time { return epoch.Add(time.Duration(n) * time.Hour) }

// drawCatalog makes a history of 400 hours: backups that may overlap, some pinned or proven,
// and an archive that may have gaps.
func drawCatalog(t *rapid.T) Catalog {
	var c Catalog
	for i := range rapid.IntRange(0, 12).Draw(t, "backups") {
		start := rapid.IntRange(0, 390).Draw(t, "start")
		b := Complete{
			ID:       fmt.Sprintf("b%02d", i),
			Started:  hour(start),
			Finished: hour(start + rapid.IntRange(0, 9).Draw(t, "takes")),
			Pinned:   rapid.IntRange(0, 4).Draw(t, "pinned") == 0,
		}
		if rapid.IntRange(0, 3).Draw(t, "proven") == 0 {
			b.Proven = b.Finished.Add(time.Hour)
		}
		c.Backups = append(c.Backups, b)
		c.Newest = latest(c.Newest, b.Finished)
	}
	for at := rapid.IntRange(0, 100).Draw(t, "archiveStart"); at < 399; {
		length := rapid.IntRange(1, 40).Draw(t, "length")
		end := min(at+length, 399)
		if rapid.IntRange(0, 9).Draw(t, "gap") != 0 {
			c.Segments = append(c.Segments, Segment{
				Key:   fmt.Sprintf("s%03d", at),
				First: hour(at),
				Last:  hour(end),
			})
			c.Newest = latest(c.Newest, hour(end))
		}
		at = end
	}
	return c
}

func drawPolicy(t *rapid.T) Policy {
	return Policy{
		KeepFor:  time.Duration(rapid.IntRange(0, 300).Draw(t, "keepFor")) * time.Hour,
		KeepLast: rapid.IntRange(1, 4).Draw(t, "keepLast"),
	}
}

// without is the catalog after a removal.
func without(c Catalog, r Removal) Catalog {
	after := c
	after.Backups = slices.DeleteFunc(slices.Clone(c.Backups), func(b Complete) bool { return slices.Contains(r.Backups, b.ID) })
	after.Segments = slices.DeleteFunc(slices.Clone(c.Segments), func(s Segment) bool { return slices.Contains(r.Segments, s.Key) })
	after.Incomplete = slices.DeleteFunc(slices.Clone(c.Incomplete), func(i Incomplete) bool { return slices.Contains(r.Incomplete, i.ID) })
	return after
}

func TestEveryMomentOfTheWindowStaysRestorable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		p := drawPolicy(t)
		now := latest(c.Newest, hour(rapid.IntRange(0, 500).Draw(t, "now")))
		removal, err := PlanRemoval(c, p, now, true)
		if err != nil {
			t.Fatal(err)
		}
		after := without(c, removal)
		for moment := now.Add(-p.KeepFor); !moment.After(now); moment = moment.Add(30 * time.Minute) {
			before, possible := c.PlanRestore(moment)
			if !possible {
				continue
			}
			if got, ok := after.PlanRestore(moment); !ok || !cmp.Equal(got, before) {
				t.Fatalf("%s was restorable by %+v, afterwards %+v, %v; removed %+v", moment, before, got, ok, removal)
			}
		}
	})
}

func TestLastProvenAndNewestStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		p := drawPolicy(t)
		removal, err := PlanRemoval(c, p, latest(c.Newest, hour(5000)), true)
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := lastProven(c.Backups); ok && slices.Contains(removal.Backups, id) {
			t.Fatalf("the last proven backup %s would go", id)
		}
		left := len(c.Backups) - len(removal.Backups)
		if left < min(p.KeepLast, len(c.Backups)) {
			t.Fatalf("%d backups are left, keep-last is %d", left, p.KeepLast)
		}
		for _, b := range c.Backups {
			if b.Pinned && slices.Contains(removal.Backups, b.ID) {
				t.Fatalf("pinned %s would go", b.ID)
			}
		}
	})
}

func TestPinChangesNoSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		p := drawPolicy(t)
		now := latest(c.Newest, hour(400))
		loose := c
		loose.Backups = slices.Clone(c.Backups)
		for i := range loose.Backups {
			loose.Backups[i].Pinned = false
		}
		with, err := PlanRemoval(c, p, now, true)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := PlanRemoval(loose, p, now, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bare.Segments, with.Segments); diff != "" {
			t.Fatalf("pins change which segments go (-without +with):\n%s", diff)
		}
	})
}

func TestRemovalIsDoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		p := drawPolicy(t)
		now := latest(c.Newest, hour(400))
		removal, err := PlanRemoval(c, p, now, true)
		if err != nil {
			t.Fatal(err)
		}
		again, err := PlanRemoval(without(c, removal), p, now, true)
		if err != nil || !again.Empty() {
			t.Fatalf("a second run would remove %+v, %v", again, err)
		}
	})
}

func TestNothingGoesWithAClockBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		c.Newest = latest(c.Newest, hour(1))
		now := c.Newest.Add(-time.Duration(rapid.IntRange(1, 1e6).Draw(t, "behind")) * time.Second)
		removal, err := PlanRemoval(c, drawPolicy(t), now, rapid.Bool().Draw(t, "confirmed"))
		if !errors.Is(err, ErrClockBehind) || !removal.Empty() {
			t.Fatalf("removal %+v, %v", removal, err)
		}
	})
}

func TestMoreThanHalfNeedsConfirmation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		p := drawPolicy(t)
		now := latest(c.Newest, hour(rapid.IntRange(0, 3000).Draw(t, "now")))
		all, err := PlanRemoval(c, p, now, true)
		if err != nil {
			t.Fatal(err)
		}
		half := 2*len(all.Backups) > len(c.Backups) || 2*len(all.Segments) > len(c.Segments)
		if _, err := PlanRemoval(c, p, now, false); errors.Is(err, ErrConfirm) != half {
			t.Fatalf("%d of %d backups and %d of %d segments: %v", len(all.Backups), len(c.Backups), len(all.Segments), len(c.Segments), err)
		}
	})
}

func TestDailyBackups(t *testing.T) {
	var c Catalog
	for day := range 12 {
		c.Backups = append(c.Backups, Complete{
			ID:       fmt.Sprintf("day%02d", day),
			Started:  hour(24 * day),
			Finished: hour(24*day + 1),
		})
		c.Segments = append(c.Segments, Segment{
			Key:   fmt.Sprintf("log%02d", day),
			First: hour(24 * day),
			Last:  hour(24*day + 23),
		})
	}
	c.Backups[1].Pinned = true
	c.Incomplete = []Incomplete{
		{ID: "old", Newest: hour(24 * 3)},
		{ID: "running", Newest: hour(24*11 + 1)},
	}
	now := hour(24*11 + 2)
	removal, err := PlanRemoval(c, Policy{KeepFor: 7 * 24 * time.Hour, KeepLast: 2}, now, false)
	if err != nil {
		t.Fatal(err)
	}
	want := Removal{
		// Day 4 is the base from which the start of the window is reached.
		Backups:    []string{"day00", "day02", "day03"},
		Incomplete: []string{"old"},
		Segments:   []string{"log00", "log01", "log02", "log03"},
	}
	if diff := cmp.Diff(want, removal); diff != "" {
		t.Errorf("removal (-want +got):\n%s", diff)
	}
}

func TestPolicyRefusesToKeepNothing(t *testing.T) {
	for _, p := range []Policy{{KeepFor: time.Hour}, {KeepFor: -1, KeepLast: 1}} {
		if _, err := PlanRemoval(Catalog{}, p, epoch, true); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
}

func TestWindowEndsNow(t *testing.T) {
	var c Catalog
	for day := range 5 {
		c.Backups = append(c.Backups, Complete{
			ID:       fmt.Sprintf("day%02d", day),
			Started:  hour(24 * day),
			Finished: hour(24*day + 1),
		})
	}
	// The schedule stopped long ago: the window has nothing but what leads to its start.
	removal, err := PlanRemoval(c, Policy{KeepFor: 3 * 24 * time.Hour, KeepLast: 1}, hour(24*20), true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"day00", "day01", "day02", "day03"}
	if diff := cmp.Diff(want, removal.Backups); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}
}

func TestWhatAPersonMayNotRemove(t *testing.T) {
	one := Complete{ID: "a", Finished: hour(1)}
	two := Complete{
		ID:       "b",
		Finished: hour(2),
		Proven:   hour(3),
	}
	three := Complete{
		ID:       "c",
		Finished: hour(4),
		Pinned:   true,
	}
	for name, tc := range map[string]struct {
		backups []Complete
		id      string
		want    string
	}{
		"one of several":  {[]Complete{one, two, three}, "a", ""},
		"the last proven": {[]Complete{one, two, three}, "b", "it is the last one that a restore has proven"},
		"a pinned one":    {[]Complete{one, two, three}, "c", "it is pinned"},
		"the only one":    {[]Complete{one}, "a", "it is the only complete backup"},
		"none":            {[]Complete{one}, "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Protected(Catalog{Backups: tc.backups}, tc.id); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
