package backup

import (
	"slices"
	"time"
)

// Complete is what retention knows of a backup that has a manifest.
type Complete struct {
	ID string
	// Started is when the backup began: the binary log from then on leads from its data to
	// every later moment.
	Started time.Time
	// Finished is the moment that the backup alone restores at the latest.
	Finished time.Time
	// Pinned backups stay until they are unpinned.
	Pinned bool
	// Proven is when a restore of it was last verified; zero if never.
	Proven time.Time
}

// Incomplete is a folder without a manifest.
type Incomplete struct {
	ID string
	// Newest is when its last object was written.
	Newest time.Time
}

// Segment is one object of the binary log archive.
type Segment struct {
	Key string
	// First and Last are the commit times of its first and last transaction.
	First, Last time.Time
}

// Catalog is what a listing of a pair's folder found. One that failed is none.
type Catalog struct {
	Backups    []Complete
	Incomplete []Incomplete
	Segments   []Segment
	// Newest is when the newest object was written, by the clock of the store.
	Newest time.Time
}

// RestorePlan is what a restore to one moment reads.
type RestorePlan struct {
	Backup string
	// Segments are the keys of what is replayed after it, in order.
	Segments []string
}

// PlanRestore finds the newest backup that was finished at moment or before and the segments
// from its start up to there. It reports whether both exist. Without segments only the
// moments in which a backup finished can be restored, which is no plan for any later one.
func (c Catalog) PlanRestore(moment time.Time) (RestorePlan, bool) {
	base, ok := newestFinished(c.Backups, moment)
	if !ok {
		return RestorePlan{}, false
	}
	plan := RestorePlan{Backup: base.ID}
	if base.Finished.Equal(moment) {
		return plan, true
	}
	segments := slices.Clone(c.Segments)
	slices.SortFunc(segments, func(a, b Segment) int { return a.First.Compare(b.First) })
	reached := base.Started
	for _, segment := range segments {
		if segment.Last.Before(base.Started) || segment.First.After(moment) {
			continue
		}
		if segment.First.After(reached) {
			return RestorePlan{}, false
		}
		plan.Segments = append(plan.Segments, segment.Key)
		reached = latest(reached, segment.Last)
	}
	return plan, !reached.Before(moment)
}

// newestFinished is the backup with the latest Finished that is not after moment.
func newestFinished(backups []Complete, moment time.Time) (Complete, bool) {
	var newest Complete
	found := false
	for _, b := range backups {
		if b.Finished.After(moment) {
			continue
		}
		if !found || newer(b, newest) {
			newest = b
			found = true
		}
	}
	return newest, found
}

// newer orders backups by Finished, and by ID where that is equal.
func newer(a, b Complete) bool {
	if a.Finished.Equal(b.Finished) {
		return a.ID > b.ID
	}
	return a.Finished.After(b.Finished)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
