package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// EmptyTemp makes the directory of temporary files, or removes what a mysqld that was killed
// left in it. No mysqld may run. Idempotent.
func (v *Volume) EmptyTemp() error {
	if err := emptyDirectory(v.TempDir()); err != nil {
		return fmt.Errorf("empty the directory of temporary files: %w", err)
	}
	err := os.Mkdir(v.TempDir(), 0o700)
	if errors.Is(err, unix.ENOSPC) && os.Remove(v.reserveFile()) == nil {
		err = os.Mkdir(v.TempDir(), 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory of temporary files: %w", err)
	}
	return nil
}

// emptyDirectory leaves an empty directory where there was one, and nothing where there was
// anything else. It follows no symbolic link.
func emptyDirectory(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return os.Remove(path)
	}
	// The directory itself stays: a full volume may have no room for a new one.
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(path, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
