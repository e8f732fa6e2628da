package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// expire pins the new backup if that was asked for, applies the retention, and says what is stored then. That it cannot
// makes no backup a bad one.
func (j *podJob) expire(ctx context.Context, objects archive.Objects, taken *v1alpha1.BackupResult) {
	var err error
	if j.request.Backup.Pin {
		err = backup.Pin(ctx, objects, taken.ID)
	}
	if err == nil {
		taken.Removed, err = j.applyRetention(ctx, objects)
	}
	if err != nil {
		taken.RetentionProblem = err.Error()
	}
	listing, err := backup.List(ctx, objects)
	if err != nil {
		taken.RetentionProblem = err.Error()
		return
	}
	j.catalog = catalogOf(j.request.Backup.Store, listing)
	taken.StoredTotal = int64(len(listing.Manifests))
	for i := len(listing.Manifests) - 1; i >= 0 && len(taken.Stored) < jobapi.MaxStored; i-- {
		taken.Stored = append(taken.Stored, entryOf(listing.Manifests[i], listing.Backups[i]))
	}
}

// applyRetention marks what is to be pinned, and returns the IDs of the backups that it removed. Nothing is removed when a
// mark cannot be written.
func (j *podJob) applyRetention(ctx context.Context, objects archive.Objects) ([]string, error) {
	listing, err := backup.List(ctx, objects)
	if err != nil {
		return nil, err
	}
	if err := j.mark(ctx, objects, &listing); err != nil {
		return nil, err
	}
	return j.remove(ctx, objects, listing)
}

// mark writes the pins that the request asks for into the store and the listing.
func (j *podJob) mark(ctx context.Context, objects backup.Objects, listing *backup.Listing) error {
	asked := j.request.Backup
	for i := range listing.Backups {
		b := &listing.Backups[i]
		switch {
		case !b.Pinned && slices.Contains(asked.Pins, b.ID):
			if err := backup.Pin(ctx, objects, b.ID); err != nil {
				return fmt.Errorf("pin backup %s: %w", b.ID, err)
			}
			b.Pinned = true
		case b.Pinned && slices.Contains(asked.Unpins, b.ID):
			if err := backup.Unpin(ctx, objects, b.ID); err != nil {
				return fmt.Errorf("unpin backup %s: %w", b.ID, err)
			}
			b.Pinned = false
		}
	}
	return nil
}

// workExpire removes the backup that the request names, or applies the retention, and says what is stored then.
func (j *podJob) workExpire(ctx context.Context, objects archive.Objects) (jobapi.Result, error) {
	started := j.now()
	result := jobapi.Result{Outcome: jobapi.Done}
	removed, refused, err := j.removeAsked(ctx, objects)
	if err != nil {
		return jobapi.Result{}, fmt.Errorf("remove from the store: %w", err)
	}
	listing, err := backup.List(ctx, objects)
	if err != nil {
		return jobapi.Result{}, err
	}
	j.catalog = catalogOf(j.request.Backup.Store, listing)
	left := len(listing.Manifests)
	id := j.request.Backup.Remove
	switch {
	case refused != "":
		result.Outcome = jobapi.Refused
		result.Message = refused
	case id != "" && len(removed) == 0:
		result.Message = fmt.Sprintf("backup %s is not in the store; %d are there", id, left)
	default:
		result.Message = fmt.Sprintf("removed from the store: %d backups; %d are left", len(removed), left)
	}
	result.OperationResult = v1alpha1.OperationResult{
		Duration: &metav1.Duration{Duration: j.now().Sub(started)},
		Expire: &v1alpha1.ExpireResult{
			Removed:     removed[:min(len(removed), jobapi.MaxStored)],
			StoredTotal: int64(left),
		},
	}
	return result, nil
}

// removeAsked removes the one backup of the request, or what the retention no longer needs. A backup that is not there
// is no error: another pod of this Job may have removed it. refused says why one stays.
func (j *podJob) removeAsked(ctx context.Context, objects archive.Objects) (removed []string, refused string, err error) {
	id := j.request.Backup.Remove
	if id == "" {
		j.say("removing what spec.backup.retention no longer needs")
		removed, err = j.applyRetention(ctx, objects)
		return removed, "", err
	}
	if err := backup.CheckID(id); err != nil {
		return nil, "", fmt.Errorf("%w: spec.expire.backupID: %w", errForGood, err)
	}
	j.say("removes backup " + id)
	listing, err := backup.List(ctx, objects)
	if err != nil {
		return nil, "", err
	}
	if err := j.mark(ctx, objects, &listing); err != nil {
		return nil, "", err
	}
	complete := slices.ContainsFunc(listing.Backups, func(b backup.Complete) bool { return b.ID == id })
	if !complete {
		return nil, "", nil
	}
	if why := backup.Protected(listing.Catalog, id); why != "" && !j.request.Backup.Force {
		return nil, fmt.Sprintf("backup %s stays: %s", id, why), nil
	}
	if err := backup.Remove(ctx, objects, backup.Removal{Backups: []string{id}}); err != nil {
		return nil, "", err
	}
	return []string{id}, "", nil
}

// clocksApart is how much the clocks of the node and of the store may differ: what was written
// just now must not look as if it came from the future.
const clocksApart = time.Minute

func (j *podJob) remove(ctx context.Context, objects archive.Objects, listing backup.Listing) ([]string, error) {
	now := j.now()
	if ahead := listing.Newest.Sub(now); ahead > 0 && ahead <= clocksApart {
		now = listing.Newest
	}
	policy := backup.Policy{
		KeepFor:  j.request.Backup.KeepFor,
		KeepLast: j.request.Backup.KeepLast,
	}
	removal, err := backup.PlanRemoval(listing.Catalog, policy, now, false)
	if err != nil {
		return nil, err
	}
	if removal.Segments, err = unneededSegments(ctx, objects, listing, policy, now); err != nil {
		return nil, err
	}
	if err := backup.Remove(ctx, objects, removal); err != nil {
		return nil, err
	}
	return removal.Backups, nil
}
