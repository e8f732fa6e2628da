package archive

import (
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
)

// Unneeded are the keys that no restore needs which begins with one of the backups: those of
// segments that each of them has, from the first on, and parts of transactions that were never
// finished before them. bases are what each of the backups has at least. Without a base nothing
// goes: a first backup may be on its way. It is pure.
func Unneeded(c Catalog, bases []gtid.Set) []string {
	if len(bases) == 0 {
		return nil
	}
	common := bases[0]
	for _, base := range bases[1:] {
		common = common.Intersect(base)
	}
	var keys []string
	var end uint64
	for i, run := range c.Runs {
		for j, s := range run.Segments {
			// The newest segment is where the writer goes on.
			newest := i == len(c.Runs)-1 && j == len(run.Segments)-1
			if newest || !common.Covers(s.Header.Adds) {
				return append(keys, voidBefore(c.Void, end)...)
			}
			for _, object := range s.Objects {
				keys = append(keys, object.Key)
			}
			end = s.Header.Last
		}
	}
	return append(keys, voidBefore(c.Void, end)...)
}

func voidBefore(void []Object, end uint64) []string {
	var keys []string
	for _, object := range void {
		if object.Header.Last < end {
			keys = append(keys, object.Key)
		}
	}
	return keys
}

// Needed are what the backups have at least from which a restore may begin once a removal was
// done. A pinned backup that the policy would remove restores its own data only and is none of them.
func Needed(listing backup.Listing, loose backup.Removal) ([]gtid.Set, error) {
	removed := map[string]bool{}
	for _, id := range loose.Backups {
		removed[id] = true
	}
	var bases []gtid.Set
	for _, m := range listing.Manifests {
		if removed[m.ID] {
			continue
		}
		base, err := gtid.Parse(m.GTIDBefore)
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, nil
}
