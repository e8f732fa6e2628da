package mysqldtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// workspaces are in /tmp, since the path of a socket may have 107 bytes.
const (
	workspaces = "/tmp"
	pattern    = "dbp"
	// lockName is the file in a workspace that its process holds locked. mysqlds do not
	// inherit it, so that the lock ends with the process whatever it leaves running.
	lockName = "owner.lock"
)

// workspace is the folder of everything that one test process makes.
type workspace struct {
	dir  string
	lock *os.File
}

// newWorkspace makes one, and removes those whose process has ended without doing so:
// each holds a gigabyte. under is where they are.
func newWorkspace(under string) (*workspace, error) {
	// Locked while a workspace is made or others are looked at: none is ever seen before its
	// process holds its lock. Each user has an own one: in /tmp nobody opens another's file.
	gate, err := lockFile(filepath.Join(under, fmt.Sprintf("%sair-workspaces-%d.lock", pattern, os.Getuid())), syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	defer gate.Close()
	removeStale(under)
	dir, err := os.MkdirTemp(under, pattern)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName), syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), chownTree(dir)); err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	return &workspace{dir: dir, lock: lock}, nil
}

// remove is the orderly end.
func (w *workspace) remove() {
	_ = os.RemoveAll(w.dir)
	_ = w.lock.Close()
}

// removeStale leaves alone what it cannot lock, and what has no lock: that is not ours.
func removeStale(under string) {
	locks, _ := filepath.Glob(filepath.Join(under, pattern+"*", lockName))
	for _, path := range locks {
		lock, err := lockFile(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(filepath.Dir(path))
		_ = lock.Close()
	}
}

// lockFile opens a file, makes it if need be, and locks it. Closing it lets it go.
func lockFile(path string, how int) (*os.File, error) {
	const everybody fs.FileMode = 0o666
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, everybody)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
