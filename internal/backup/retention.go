package backup

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// incompleteFor is how long a folder without a manifest stays after its last object, since
// its run may go on.
const incompleteFor = 24 * time.Hour

// Policy says how long backups stay.
type Policy struct {
	// KeepFor is the window: every moment in it that can be restored stays restorable.
	KeepFor time.Duration
	// KeepLast is how many of the newest backups stay whatever their age, at least 1.
	KeepLast int
}

// Check refuses a policy that could leave no backup.
func (p Policy) Check() error {
	if p.KeepFor < 0 {
		return fmt.Errorf("keep-for is %s: it cannot be negative", p.KeepFor)
	}
	if p.KeepLast < 1 {
		return fmt.Errorf("keep-last is %d: keep at least 1 backup", p.KeepLast)
	}
	return nil
}

// Removal is what the policy no longer needs.
type Removal struct {
	// Backups and Incomplete are IDs, Segments are keys.
	Backups    []string
	Incomplete []string
	Segments   []string
}

// Empty reports whether there is nothing to remove.
func (r Removal) Empty() bool { return len(r.Backups)+len(r.Incomplete)+len(r.Segments) == 0 }

var (
	// ErrClockBehind: the clock is behind the newest object, so no age can be trusted.
	ErrClockBehind = errors.New("the clock of this machine is behind the newest object: check both clocks, then try again")
	// ErrConfirm: more than half would be removed at once, which a wrong clock or a wrong policy also causes.
	ErrConfirm = errors.New("more than half would be removed at once: check the clock and the policy, then confirm")
)

// PlanRemoval decides what goes at the time now. It is pure. With ErrConfirm it returns what
// it would remove, with any other error nothing.
func PlanRemoval(c Catalog, p Policy, now time.Time, confirmed bool) (Removal, error) {
	if err := p.Check(); err != nil {
		return Removal{}, err
	}
	if now.Before(c.Newest) {
		return Removal{}, fmt.Errorf("%w (clock %s, newest object %s)",
			ErrClockBehind, now.UTC().Format(time.RFC3339), c.Newest.UTC().Format(time.RFC3339))
	}
	needed := neededBackups(c.Backups, p, now)
	removal := Removal{
		Backups:    unneeded(c.Backups, needed),
		Incomplete: abandoned(c.Incomplete, now),
		Segments:   unneededSegments(c, needed),
	}
	half := len(removal.Backups)*2 > len(c.Backups) || len(removal.Segments)*2 > len(c.Segments)
	if half && !confirmed {
		return removal, fmt.Errorf("%w (%d of %d backups, %d of %d segments)", ErrConfirm,
			len(removal.Backups), len(c.Backups), len(removal.Segments), len(c.Segments))
	}
	return removal, nil
}

// neededBackups are the IDs that the policy needs, whether they are pinned or not.
func neededBackups(backups []Complete, p Policy, now time.Time) map[string]bool {
	needed := map[string]bool{}
	start := now.Add(-p.KeepFor)
	for _, b := range backups {
		if b.Finished.After(start) {
			needed[b.ID] = true
		}
	}
	// The start of the window is reached only from a backup before it.
	if base, ok := newestFinished(backups, start); ok {
		needed[base.ID] = true
	}
	for _, id := range newestIDs(backups, p.KeepLast) {
		needed[id] = true
	}
	if id, ok := lastProven(backups); ok {
		needed[id] = true
	}
	return needed
}

// Protected says why a person's removal of one backup is refused; empty when it is not. A backup that is
// not complete, or not there, is not protected.
func Protected(c Catalog, id string) string {
	proven, hasProven := lastProven(c.Backups)
	for _, b := range c.Backups {
		switch {
		case b.ID != id:
		case b.Pinned:
			return "it is pinned"
		case len(c.Backups) == 1:
			return "it is the only complete backup"
		case hasProven && proven == id:
			return "it is the last one that a restore has proven"
		}
	}
	return ""
}

func newestIDs(backups []Complete, count int) []string {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, func(a, b Complete) int {
		if newer(a, b) {
			return -1
		}
		return 1
	})
	var ids []string
	for _, b := range sorted[:min(count, len(sorted))] {
		ids = append(ids, b.ID)
	}
	return ids
}

// lastProven is the newest of the backups that a restore has proven.
func lastProven(backups []Complete) (string, bool) {
	proven := slices.DeleteFunc(slices.Clone(backups), func(b Complete) bool { return b.Proven.IsZero() })
	ids := newestIDs(proven, 1)
	if len(ids) == 0 {
		return "", false
	}
	return ids[0], true
}

func unneeded(backups []Complete, needed map[string]bool) []string {
	var ids []string
	for _, b := range backups {
		if !needed[b.ID] && !b.Pinned {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

func abandoned(folders []Incomplete, now time.Time) []string {
	var ids []string
	for _, f := range folders {
		if now.Sub(f.Newest) > incompleteFor {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// unneededSegments are those that end before every needed backup begins. A backup that stays
// only because it is pinned restores its own data and pins no segments. Without any backup
// all segments stay: a first backup may be on its way.
func unneededSegments(c Catalog, needed map[string]bool) []string {
	var oldest time.Time
	for _, b := range c.Backups {
		if needed[b.ID] && (oldest.IsZero() || b.Started.Before(oldest)) {
			oldest = b.Started
		}
	}
	if oldest.IsZero() {
		return nil
	}
	var keys []string
	for _, s := range c.Segments {
		if s.Last.Before(oldest) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}
