package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbpair/dbpair/internal/pair"
)

// Quarantine keeps the binary logs of data that is about to be given up, below the name
// of the data, by hard links: it takes no room as long as the originals live. Idempotent.
func (v *Volume) Quarantine(data pair.DataID) (files int, err error) {
	names, err := filepath.Glob(filepath.Join(v.DataDir(), "binlog.*"))
	if err != nil || len(names) == 0 {
		return 0, err
	}
	name := string(data)
	if name == "" || strings.ContainsAny(name, "/.") {
		name = "unknown"
	}
	dir := filepath.Join(v.QuarantineDir(), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("quarantine data %s: %w", data, err)
	}
	for _, from := range names {
		err := os.Link(from, filepath.Join(dir, filepath.Base(from)))
		if err != nil && !os.IsExist(err) {
			return files, fmt.Errorf("quarantine data %s: %w", data, err)
		}
		files++
	}
	return files, syncDir(dir)
}

// SaveLines appends lines to the operation's file among the repairs in the quarantine, and
// returns when they are on the disk. After an error some may be there.
func (v *Volume) SaveLines(operation string, lines []string) error {
	if operation == "" || strings.ContainsAny(operation, "/\\") || strings.HasPrefix(operation, ".") {
		return fmt.Errorf("save rows: operation %q cannot name a file", operation)
	}
	dir := filepath.Join(v.QuarantineDir(), "repairs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save rows of %s: %w", operation, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, operation+".jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save rows of %s: %w", operation, err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save rows of %s: %w", operation, err)
	}
	return errors.Join(syncDir(dir), syncDir(v.QuarantineDir()))
}

// GiveUpData removes a data directory that the identity calls void.
func (v *Volume) GiveUpData() error {
	id, found, err := v.ReadIdentity()
	if err != nil {
		return fmt.Errorf("give up data: %w", err)
	}
	if !found || !id.Void {
		return errors.New("give up data: the identity does not call it void")
	}
	if err := os.RemoveAll(v.DataDir()); err != nil {
		return fmt.Errorf("give up data: %w", err)
	}
	return syncDir(v.root)
}
