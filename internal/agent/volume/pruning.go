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

// Saved is one thing in the quarantine that is kept or removed as a whole.
type Saved struct {
	Path  string
	Bytes int64
	At    time.Time // when it was put there
	Keep  bool      // it is marked with KeepFile
}

// Saved lists what is in the quarantine, oldest first: the directories, and every file beside
// them and among the repairs. It needs no lock and changes nothing.
func (v *Volume) Saved() ([]Saved, error) {
	list, err := v.quarantined()
	if err != nil {
		return nil, fmt.Errorf("list the quarantine: %w", err)
	}
	slices.SortFunc(list, func(a, b Saved) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Path, b.Path)) })
	return list, nil
}

// DueForRemoval are those of a list, oldest first, that are removed so that all of it takes at
// most limit bytes, and what is left then. What was put there at the given instant or later, or is
// marked with KeepFile, stays whatever it takes.
func DueForRemoval(list []Saved, limit int64, before time.Time) (due []Saved, left int64) {
	for _, one := range list {
		left += one.Bytes
	}
	for _, one := range list {
		if left <= limit {
			break
		}
		if one.Keep || !one.At.Before(before) {
			continue
		}
		due = append(due, one)
		left -= one.Bytes
	}
	return due, left
}

// RemoveSaved removes one thing from the quarantine, for good. After an error a part of it may be
// left. Idempotent.
func (v *Volume) RemoveSaved(one Saved) error {
	below, err := filepath.Rel(v.QuarantineDir(), one.Path)
	if err != nil || below == "." || !filepath.IsLocal(below) {
		return fmt.Errorf("remove %s: it is not in the quarantine", one.Path)
	}
	if err := os.RemoveAll(one.Path); err != nil {
		return fmt.Errorf("remove from the quarantine: %w", err)
	}
	return nil
}

// quarantined lists the directories of data that was given up, and every file beside them and
// among the repairs.
func (v *Volume) quarantined() ([]Saved, error) {
	var list []Saved
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
func describeSaved(path string) (Saved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Saved{}, err
	}
	one := Saved{Path: path, At: info.ModTime()}
	mark := path + "." + KeepFile
	if info.IsDir() {
		mark = filepath.Join(path, KeepFile)
	}
	_, err = os.Stat(mark)
	one.Keep = err == nil
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			one.Bytes += info.Size()
		}
		return err
	})
	return one, err
}
