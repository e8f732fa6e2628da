package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// SavedRelayLog is the note beside a relay log in the quarantine, as JSON.
type SavedRelayLog struct {
	// Directory is its path; it is not in the note.
	Directory string `json:"-"`
	// Operation in which an admin allowed to discard it, at this epoch.
	Operation string     `json:"operation"`
	Epoch     pair.Epoch `json:"epoch"`
	// DataID of the member's data, whose relay log it was.
	DataID pair.DataID `json:"dataID"`
	// GTIDs that were received and not applied when it was saved.
	GTIDs   string    `json:"gtids"`
	Files   []string  `json:"files"`
	SavedAt time.Time `json:"savedAt"`
	// Discarded are those of GTIDs that were given up; empty while that has not happened.
	Discarded    string    `json:"discarded,omitempty"`
	Transactions uint64    `json:"transactions,omitempty"`
	DiscardedAt  time.Time `json:"discardedAt,omitzero"`
}

const (
	// relayLogPrefix begins the name of a directory with a relay log in the quarantine.
	relayLogPrefix = "unapplied-"
	// noteFile is what the relay log was, beside it.
	noteFile = "note.json"
)

// NewestRelayLog is the last file of mysqld's relay log and its size in bytes; empty for none.
func (v *Volume) NewestRelayLog() (name string, size int64) {
	files, _ := filepath.Glob(filepath.Join(v.BinlogDir(), "relay.[0-9]*")) // the pattern is well formed
	for _, file := range files {
		if base := filepath.Base(file); len(base) > len(name) || (len(base) == len(name) && base > name) {
			name = base
		}
	}
	if name == "" {
		return "", 0
	}
	info, err := os.Stat(filepath.Join(v.BinlogDir(), name))
	if err != nil {
		return "", 0
	}
	return name, info.Size()
}

// SaveRelayLog keeps mysqld's relay log in the quarantine before it is discarded, by hard
// links: it needs no room on a volume that is full, and mysqld removes its own names only.
// Receiver and applier must stand still. It returns when all of it is on the disk. What has
// its final name is complete; it is idempotent, and a call again keeps another copy.
func (v *Volume) SaveRelayLog(note SavedRelayLog) (SavedRelayLog, error) {
	saved, err := v.saveRelayLog(note)
	if err != nil {
		return saved, fmt.Errorf("save the relay log of data %s: %w", note.DataID, err)
	}
	return saved, nil
}

func (v *Volume) saveRelayLog(note SavedRelayLog) (SavedRelayLog, error) {
	files, err := filepath.Glob(filepath.Join(v.BinlogDir(), "relay.*"))
	if err != nil {
		return note, err
	}
	if len(files) == 0 {
		return note, errors.New("there is none")
	}
	temporary, err := v.relayLogDir()
	if err != nil {
		return note, err
	}
	note.Files = nil
	for _, from := range files {
		if err := linkSynced(from, filepath.Join(temporary, filepath.Base(from))); err != nil {
			return note, err
		}
		note.Files = append(note.Files, filepath.Base(from))
	}
	if err := v.writeJSON(filepath.Join(temporary, noteFile), note); err != nil {
		return note, err
	}
	final, err := v.freeName(note)
	if err != nil {
		return note, err
	}
	if err := os.Rename(temporary, final); err != nil {
		return note, err
	}
	note.Directory = final
	return note, errors.Join(syncDir(v.QuarantineDir()), syncDir(filepath.Dir(v.QuarantineDir())))
}

// relayLogDir makes the directory in which a copy grows, without what a crash left of another.
func (v *Volume) relayLogDir() (string, error) {
	temporary := filepath.Join(v.QuarantineDir(), relayLogPrefix+"new")
	if err := os.RemoveAll(temporary); err != nil {
		return "", err
	}
	return temporary, os.MkdirAll(temporary, 0o700)
}

// freeName is the path that a copy gets: of its data and epoch, and numbered.
func (v *Volume) freeName(note SavedRelayLog) (string, error) {
	data := string(note.DataID)
	if data == "" || strings.ContainsAny(data, "/.") {
		data = "unknown"
	}
	for n := 1; ; n++ {
		path := filepath.Join(v.QuarantineDir(), fmt.Sprintf("%s%s-epoch-%d-%d", relayLogPrefix, data, note.Epoch, n))
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
	}
}

func linkSynced(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	file, err := os.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// NoteDiscarded writes down what of a saved relay log was given up. It returns when that is
// on the disk.
func (v *Volume) NoteDiscarded(note SavedRelayLog) error {
	if err := v.writeJSON(filepath.Join(note.Directory, noteFile), note); err != nil {
		return fmt.Errorf("note what was discarded: %w", err)
	}
	return nil
}

// SavedRelayLogs lists the relay logs in the quarantine, oldest first. A directory whose note
// cannot be read is left out: it is there for people to look at, and nothing relies on it.
func (v *Volume) SavedRelayLogs() ([]SavedRelayLog, error) {
	entries, err := os.ReadDir(v.QuarantineDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the saved relay logs: %w", err)
	}
	var list []SavedRelayLog
	for _, entry := range entries {
		complete := entry.IsDir() && strings.HasPrefix(entry.Name(), relayLogPrefix) && entry.Name() != relayLogPrefix+"new"
		if !complete {
			continue
		}
		dir := filepath.Join(v.QuarantineDir(), entry.Name())
		note := SavedRelayLog{}
		if found, err := readJSON(filepath.Join(dir, noteFile), &note); err != nil || !found {
			continue
		}
		note.Directory = dir
		list = append(list, note)
	}
	slices.SortStableFunc(list, func(a, b SavedRelayLog) int { return a.SavedAt.Compare(b.SavedAt) })
	return list, nil
}
