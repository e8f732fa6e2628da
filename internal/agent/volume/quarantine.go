package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// Quarantine keeps the binary logs of data that is about to be given up, below the name
// of the data, by hard links: it takes no room as long as the originals live. A volume of binary
// logs says itself whose they are. Idempotent.
func (v *Volume) Quarantine(data pair.DataID) (files int, err error) {
	if v.HasBinlogVolume() {
		if data, err = v.savesBinlogsOf(); err != nil || data == "" {
			return 0, err
		}
	}
	names, err := filepath.Glob(filepath.Join(v.BinlogDir(), "binlog.*"))
	if err != nil || len(names) == 0 {
		return 0, err
	}
	dir := v.SavedLogsDir(data)
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

// SavedLogsDir is where Quarantine keeps the binary logs of this data.
func (v *Volume) SavedLogsDir(data pair.DataID) string {
	name := string(data)
	if name == "" || strings.ContainsAny(name, "/.") {
		name = "unknown"
	}
	return filepath.Join(v.QuarantineDir(), name)
}

// NoteGivenUp writes beside the binary logs of data that was given up what that gave up. It returns when that is on the
// disk.
func (v *Volume) NoteGivenUp(note agentapi.Discarded) error {
	if err := v.writeJSON(filepath.Join(note.Directory, noteFile), note); err != nil {
		return fmt.Errorf("note what was given up: %w", err)
	}
	return nil
}

// GivenUp lists what was noted of data that was given up. A directory whose note cannot be read is left out: it is there
// for people to look at, and nothing relies on it.
func (v *Volume) GivenUp() ([]agentapi.Discarded, error) {
	entries, err := os.ReadDir(v.QuarantineDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list what was given up: %w", err)
	}
	var list []agentapi.Discarded
	for _, entry := range entries {
		dir := filepath.Join(v.QuarantineDir(), entry.Name())
		note := agentapi.Discarded{}
		found, err := readJSON(filepath.Join(dir, noteFile), &note)
		if err != nil || !found || note.Former == "" {
			continue
		}
		note.Directory = dir
		list = append(list, note)
	}
	return list, nil
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
