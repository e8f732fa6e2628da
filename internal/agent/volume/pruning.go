package volume

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// KeepFile is a file that a person puts into a directory of the quarantine, or beside a file
// of it with this ending, so that it is never removed.
const KeepFile = "keep"

// saved is one thing in the quarantine that is kept or removed as a whole.
type saved struct {
	path string
	size int64
	at   time.Time // when it was put there
	keep bool
}

// PruneQuarantine removes what was put into the quarantine first, as long as all of it takes
// more than limit bytes. What was put there after the given instant, or is marked with
// KeepFile, stays whatever it takes. It returns what it removed and the bytes that are left.
func (v *Volume) PruneQuarantine(limit int64, before time.Time) (removed []string, left int64, err error) {
	list, err := v.quarantined()
	if err != nil {
		return nil, 0, fmt.Errorf("prune the quarantine: %w", err)
	}
	for _, one := range list {
		left += one.size
	}
	slices.SortFunc(list, func(a, b saved) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.path, b.path)) })
	for _, one := range list {
		if left <= limit {
			break
		}
		if one.keep || !one.at.Before(before) {
			continue
		}
		if err := os.RemoveAll(one.path); err != nil {
			return removed, left, fmt.Errorf("prune the quarantine: %w", err)
		}
		removed = append(removed, one.path)
		left -= one.size
	}
	return removed, left, nil
}

// quarantined lists the directories of data that was given up, and every file beside them and
// among the repairs.
func (v *Volume) quarantined() ([]saved, error) {
	var list []saved
	for _, dir := range []string{v.QuarantineDir(), v.repairsDir()} {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if path == v.repairsDir() || filepath.Ext(path) == "."+KeepFile {
				continue
			}
			one, err := describeSaved(path)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
	}
	return list, nil
}

func (v *Volume) repairsDir() string { return filepath.Join(v.QuarantineDir(), "repairs") }

// describeSaved measures a file, or a directory with all that is in it. The time of a
// directory is when the last file was linked into it; the files have that of their content.
func describeSaved(path string) (saved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return saved{}, err
	}
	one := saved{path: path, at: info.ModTime()}
	mark := path + "." + KeepFile
	if info.IsDir() {
		mark = filepath.Join(path, KeepFile)
	}
	_, err = os.Stat(mark)
	one.keep = err == nil
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			one.size += info.Size()
		}
		return err
	})
	return one, err
}
