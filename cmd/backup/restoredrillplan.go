package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/cmd/backup/internal/recovery"
	"github.com/dbpair/dbpair/internal/backup"
)

// identityField is where the identity of a drill comes from.
const identityField = "spec.backup.encryption.identitySecretRef"

// archivePulse is the time between two looks at an archive that is behind.
const archivePulse = 5 * time.Second

// identities are those that decrypt a backup.
func (d *restoreDrill) identities(m backup.Manifest) ([]age.Identity, error) {
	if !d.request.Identity {
		if m.Encrypted {
			return nil, forGood("backup %s is encrypted: name the Secret of an identity of one of its recipients in %s", m.ID, identityField)
		}
		return nil, nil
	}
	identities, err := readIdentities(d.identityFile)
	if err != nil {
		// The error may quote what is no identity, but another secret.
		return nil, forGood("%s is no age identity as age-keygen writes it: correct the Secret or its key", identityField)
	}
	return identities, nil
}

// archive finds what is replayed after a backup: all of the archive. A backup that has just ended may be ahead of it
// for a moment.
func (d *restoreDrill) archive(
	ctx context.Context, objects archive.Objects, m backup.Manifest, identities []age.Identity,
) (source.Source, error) {
	nothing := source.Source{}
	if !d.request.Replay {
		d.note = "; no binary logs are archived"
		return nothing, nil
	}
	for begun := time.Now(); ; {
		opened, err := archive.Open(ctx, objects, identities)
		if err != nil {
			return nothing, err
		}
		plan, err := recovery.Choose(ctx, opened, []backup.Manifest{m}, archive.Target{}, d.now())
		var unreached *recovery.TargetError
		switch {
		case err == nil:
			d.until(opened.Catalog())
			return source.Source{
				Archive: opened,
				Cut:     plan.Cut,
			}, nil
		case errors.Is(err, recovery.ErrNoArchive):
			d.note = "; nothing is archived yet"
			return nothing, nil
		case !errors.As(err, &unreached):
			return nothing, err
		case time.Since(begun) >= d.patience:
			return nothing, forGood("the archive does not lead on from backup %s: a restore of it has nothing of what came later "+
				"(the condition Archiving says how the archive does)", m.ID)
		}
		d.say("waits until the archive has what the backup has")
		select {
		case <-ctx.Done():
			return nothing, ctx.Err()
		case <-time.After(archivePulse):
		}
	}
}

// until notes up to which moment the archive leads.
func (d *restoreDrill) until(c archive.Catalog) {
	if _, to, ok := c.Runs[len(c.Runs)-1].Window(); ok {
		d.found.Until = &metav1.Time{Time: to}
	}
}

// named adds to an error what is known about it: such errors are met again by another attempt.
func (d *restoreDrill) named(err error) error {
	var damaged *backup.DamagedError
	var foreign *age.NoIdentityMatchError
	switch {
	case errors.As(err, &foreign), errors.Is(err, archive.ErrNoIdentity):
		return &endedFor{err: fmt.Errorf("%s: %w", identityField, err)}
	case !errors.As(err, &damaged):
		return err
	case archive.Owns(damaged.Key):
		return &endedFor{err: fmt.Errorf("%w; put it back from a copy of the store: no restore leads beyond it", err)}
	case d.older == "":
		return &endedFor{err: fmt.Errorf("backup %s: %w; there is no older one: take another backup", d.found.Backup, err)}
	}
	return &endedFor{err: fmt.Errorf("backup %s: %w; the next older one is %s: take another backup", d.found.Backup, err, d.older)}
}
