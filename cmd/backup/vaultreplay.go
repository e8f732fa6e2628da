package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/cmd/backup/internal/recovery"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/store"
)

// plan finds what leads to the target: the backup, which is the chosen one unless another is nearer
// to the target, and what is replayed on it.
func (v vault) plan(ctx context.Context, objects archive.Objects, chosen stored, all []stored) (stored, source.Source, error) {
	nothing := source.Source{}
	target, err := archive.ParseTarget(v.request.Target.Time, v.request.Target.GTID, v.request.Target.BeforeGTID)
	if err != nil {
		return chosen, nothing, &unservable{
			reason: jobapi.TargetInvalid,
			text:   restoreField + "." + err.Error(),
		}
	}
	if !v.request.Replay {
		return chosen, nothing, nil
	}
	identities, err := v.identities()
	if err != nil {
		return chosen, nothing, err
	}
	opened, err := archive.Open(ctx, objects, identities)
	if err != nil {
		return chosen, nothing, err
	}
	candidates := all
	if named := v.request.BackupID != v1alpha1.LatestBackup; named || target.Latest() {
		candidates = []stored{chosen}
	}
	backups, err := v.manifests(ctx, objects, candidates)
	if err != nil {
		return chosen, nothing, err
	}
	plan, err := recovery.Choose(ctx, opened, backups, target, time.Now())
	if err != nil {
		return chosen, nothing, v.planFailure(err)
	}
	chosen.id = plan.Backup.ID
	fmt.Fprintf(v.log, "the archive is served up to %s: %s\n", target, plan.Cut.Through)
	return chosen, source.Source{
		Archive: opened,
		Cut:     plan.Cut,
	}, nil
}

// manifests reads those of backups. Of several, one that is damaged is left out: an older one and
// the archive lead to the same.
func (v vault) manifests(ctx context.Context, objects archive.Objects, candidates []stored) ([]backup.Manifest, error) {
	var backups []backup.Manifest
	var last error
	for _, one := range candidates {
		m, err := backup.ReadManifest(ctx, objects, one.id)
		var damaged *backup.DamagedError
		switch {
		case err == nil:
			backups = append(backups, m)
		case errors.As(err, &damaged):
			fmt.Fprintln(v.log, "left out:", err)
			last = err
		default:
			return nil, err
		}
	}
	if len(backups) == 0 {
		return nil, last
	}
	return backups, nil
}

// planFailure gives the error of a plan its reason.
func (v vault) planFailure(err error) error {
	var unreached *recovery.TargetError
	switch {
	case errors.As(err, &unreached):
		return &unservable{
			reason: jobapi.TargetUnreachable,
			text:   restoreField + ".target: " + err.Error(),
		}
	case errors.Is(err, recovery.ErrNoArchive):
		return &unservable{
			reason: jobapi.ArchiveNotFound,
			text: fmt.Sprintf("%s.target: %v of pair %s in %s, so that only its backups can be restored: leave target out",
				restoreField, err, v.request.Pair, v.request.Store),
		}
	case errors.Is(err, archive.ErrNoIdentity):
		return &unservable{
			reason: jobapi.IdentityMissing,
			text: "the archive is encrypted: name the Secret of an identity of one of its recipients in " +
				restoreField + ".identitySecretRef",
		}
	}
	return err
}

// unreadable reports whether a replay has ended because of the store, and not of the receiver.
func unreadable(err error) bool {
	var damaged *backup.DamagedError
	var foreign *age.NoIdentityMatchError
	return errors.As(err, &damaged) || errors.As(err, &foreign) || errors.Is(err, archive.ErrNoIdentity) ||
		store.ClassOf(err) != store.Unknown
}
