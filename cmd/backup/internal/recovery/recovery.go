package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
)

// ErrNoArchive says that there is a target, and no archive that leads anywhere.
var ErrNoArchive = errors.New("there is no archive of binary logs")

// Plan is how a target is reached.
type Plan struct {
	// Backup is what a restore begins with.
	Backup backup.Manifest
	// Cut is up to where the archive is replayed on it.
	Cut archive.Cut
}

// contents are the limits of what a backup has.
type contents struct{ least, most gtid.Set }

func contentsOf(m backup.Manifest) (contents, error) {
	least, err := gtid.Parse(m.GTIDBefore)
	if err != nil {
		return contents{}, fmt.Errorf("backup %s: gtidBefore: %w", m.ID, err)
	}
	most, err := gtid.Parse(m.GTIDAfter)
	if err != nil {
		return contents{}, fmt.Errorf("backup %s: gtidAfter: %w", m.ID, err)
	}
	return contents{least: least, most: most}, nil
}

// reaches reports whether a server with the backup can go on to what is replayed from base.
func (c contents) reaches(base, through gtid.Set) bool {
	return c.least.Covers(base) && through.Covers(c.most)
}

// Choose finds the newest of some backups, the oldest of which comes first, that is at or before
// the target. The end of the archive is reached with the last one only: what an older one leads to may
// be less than that has by itself. The error is a *TargetError if nothing leads there, and ErrNoArchive
// without an archive.
func Choose(ctx context.Context, a *archive.Archive, backups []backup.Manifest, t archive.Target, now time.Time) (Plan, error) {
	if len(backups) == 0 {
		return Plan{}, errors.New("there is no backup to begin with")
	}
	catalog := a.Catalog()
	if len(catalog.Runs) == 0 {
		return Plan{}, ErrNoArchive
	}
	windows, err := Windows(catalog, backups)
	if err != nil {
		return Plan{}, err
	}
	cut, err := a.Cut(ctx, t, now)
	var unreached *archive.UnreachableError
	if errors.As(err, &unreached) {
		unreached.Nearest = nil // the windows say more
		return Plan{}, &TargetError{
			Reason:  unreached.Error(),
			Windows: windows,
		}
	}
	if err != nil {
		return Plan{}, err
	}
	if t.Latest() {
		return latest(cut, backups[len(backups)-1], windows)
	}
	for _, m := range slices.Backward(backups) {
		has, err := contentsOf(m)
		if err != nil {
			return Plan{}, err
		}
		if has.reaches(cut.Base, cut.Through) {
			return Plan{
				Backup: m,
				Cut:    cut,
			}, nil
		}
	}
	return Plan{}, &TargetError{
		Reason:  fmt.Sprintf("%s cannot be reached: no backup was complete before it and after what the archive begins with", t),
		Windows: windows,
	}
}

// latest is how the end is reached with the last backup.
func latest(cut archive.Cut, last backup.Manifest, windows []Window) (Plan, error) {
	has, err := contentsOf(last)
	if err != nil {
		return Plan{}, err
	}
	if has.reaches(cut.Base, cut.Through) {
		return Plan{
			Backup: last,
			Cut:    cut,
		}, nil
	}
	return Plan{}, &TargetError{
		Reason: fmt.Sprintf("the end of the archive cannot be reached: it does not go on from the last backup, %s. "+
			"Leave target out to begin with that backup alone, or name a moment", last.ID),
		Windows: windows,
	}
}
