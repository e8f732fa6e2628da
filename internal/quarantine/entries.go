package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// Quarantine is that of one volume, to read from.
type Quarantine struct {
	vol       *volume.Volume
	retention volume.Retention
}

// Of returns the quarantine of a volume, which is kept by this retention. It touches nothing.
func Of(vol *volume.Volume, retention volume.Retention) Quarantine {
	return Quarantine{
		vol:       vol,
		retention: retention,
	}
}

// List describes all entries, oldest first. A quarantine that was never used is empty.
func (q Quarantine) List() (agentapi.QuarantineList, error) {
	list := agentapi.QuarantineList{Entries: []agentapi.QuarantineEntry{}}
	saved, err := q.saved()
	if err != nil || len(saved) == 0 {
		return list, err
	}
	if list.Limit, err = q.retention.Bytes(q.vol); err != nil {
		return list, err
	}
	for _, one := range saved {
		entry, err := q.describe(one)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the agent has removed it meanwhile
		}
		if err != nil {
			return list, err
		}
		q.addGTIDs(&entry)
		list.Bytes += entry.Bytes
		list.Entries = append(list.Entries, entry)
	}
	return list, nil
}

// Entry describes one entry, with the checksums of its files.
func (q Quarantine) Entry(name string) (agentapi.QuarantineEntry, error) {
	one, err := q.find(name)
	if err != nil {
		return agentapi.QuarantineEntry{}, err
	}
	entry, err := q.describe(one)
	if err != nil {
		return entry, err
	}
	q.addGTIDs(&entry)
	for i := range entry.Files {
		sum := sha256.New()
		entry.Files[i].Bytes, err = q.copy(sum, entry, entry.Files[i].Name)
		if err != nil {
			return entry, err
		}
		entry.Files[i].SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return entry, nil
}

// Copy writes one file of an entry.
func (q Quarantine) Copy(to io.Writer, name, file string) error {
	one, err := q.find(name)
	if err != nil {
		return err
	}
	entry, err := q.describe(one)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entry.Files, func(f agentapi.QuarantineFile) bool { return f.Name == file }) {
		return fmt.Errorf("entry %q of the quarantine has no file %q", name, file)
	}
	_, err = q.copy(to, entry, file)
	return err
}

func (q Quarantine) copy(to io.Writer, entry agentapi.QuarantineEntry, file string) (int64, error) {
	f, err := q.open(entry, file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(to, f)
}

// open opens a file of an entry, which has to be a regular file below the quarantine.
func (q Quarantine) open(entry agentapi.QuarantineEntry, file string) (*os.File, error) {
	root, err := os.OpenRoot(q.vol.QuarantineDir())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := path.Join(path.Dir(entry.Name), file)
	if isDirectory(root, entry.Name) {
		name = path.Join(entry.Name, file)
	}
	// A name that is not a file, such as a pipe, must not block.
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q of the quarantine is not a regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func isDirectory(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	return err == nil && info.IsDir()
}

// find compares names with those that exist, so that no name can lead out of the quarantine.
func (q Quarantine) find(name string) (volume.Saved, error) {
	saved, err := q.saved()
	if err != nil {
		return volume.Saved{}, err
	}
	for _, one := range saved {
		if q.name(one) == name {
			return one, nil
		}
	}
	return volume.Saved{}, fmt.Errorf("the quarantine has no entry %q", name)
}

// saved are the entries as they are kept or removed; the note beside a tail belongs to it.
func (q Quarantine) saved() ([]volume.Saved, error) {
	all, err := q.vol.Saved()
	if err != nil {
		return nil, err
	}
	paths := map[string]bool{}
	for _, one := range all {
		paths[one.Path] = true
	}
	return slices.DeleteFunc(all, func(one volume.Saved) bool {
		tail, isNote := strings.CutSuffix(one.Path, noteEnding)
		return isNote && isTail.MatchString(tail) && paths[tail]
	}), nil
}

func (q Quarantine) name(one volume.Saved) string {
	name, err := filepath.Rel(q.vol.QuarantineDir(), one.Path)
	if err != nil {
		return one.Path // both are absolute or both are not
	}
	return name
}

const (
	noteEnding     = ".json"
	relayLogNote   = "note.json"
	relayLogPrefix = "unapplied-"
	repairsPrefix  = "repairs/"
	repairsEnding  = ".jsonl"
)

var (
	isTail = regexp.MustCompile(`\.tail-[0-9]+$`)
	// isLog matches binary and relay logs in a directory; their indexes hold names only.
	isLog        = regexp.MustCompile(`^(binlog|relay)\.[0-9]+$`)
	isUnfinished = regexp.MustCompile(`^unapplied-new$|\.new$`)
)

func kindOf(name string, directory bool) agentapi.QuarantineKind {
	switch {
	case isUnfinished.MatchString(name):
		return agentapi.QuarantineUnfinished
	case directory && strings.HasPrefix(name, relayLogPrefix):
		return agentapi.QuarantineRelayLog
	case directory:
		return agentapi.QuarantineData
	case strings.HasPrefix(name, repairsPrefix):
		return agentapi.QuarantineRepair
	case isTail.MatchString(name):
		return agentapi.QuarantineTail
	}
	return agentapi.QuarantineOther
}

// describe says what an entry is, by its name, its files and its note. What of it cannot be read is its Problem.
func (q Quarantine) describe(one volume.Saved) (agentapi.QuarantineEntry, error) {
	info, err := os.Lstat(one.Path)
	if err != nil {
		return agentapi.QuarantineEntry{}, err
	}
	entry := agentapi.QuarantineEntry{
		Name:          q.name(one),
		SavedAt:       one.At.UTC(),
		Kept:          one.Keep,
		RemovableFrom: one.At.Add(q.retention.Time).UTC(),
	}
	entry.Kind = kindOf(entry.Name, info.IsDir())
	if entry.Files, err = filesOf(one.Path, info); err != nil {
		return entry, err
	}
	for _, file := range entry.Files {
		entry.Bytes += file.Bytes
	}
	q.addNote(&entry)
	return entry, nil
}

// filesOf lists the files of an entry; for a tail its note too. The mark that keeps an entry is
// none of them.
func filesOf(path string, info fs.FileInfo) ([]agentapi.QuarantineFile, error) {
	files := []agentapi.QuarantineFile{}
	if !info.IsDir() {
		files = append(files, agentapi.QuarantineFile{Name: filepath.Base(path), Bytes: info.Size()})
		note, err := os.Lstat(path + noteEnding)
		if err == nil && isTail.MatchString(path) {
			files = append(files, agentapi.QuarantineFile{Name: filepath.Base(path) + noteEnding, Bytes: note.Size()})
		}
		return files, nil
	}
	err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || at == filepath.Join(path, volume.KeepFile) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, at)
		files = append(files, agentapi.QuarantineFile{Name: name, Bytes: info.Size()})
		return err
	})
	return files, err
}

// note is what of the notes beside tails and relay logs is of use here.
type note struct {
	Errant    string    `json:"errant"`
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	GTIDs     string    `json:"gtids"`
	Discarded string    `json:"discarded"`
	SavedAt   time.Time `json:"savedAt"`
}

// mostNote bounds a note, in bytes: a set of GTIDs can be long.
const mostNote = 16 << 20

// addNote takes over what the note beside an entry says of it.
func (q Quarantine) addNote(entry *agentapi.QuarantineEntry) {
	var file string
	switch entry.Kind {
	case agentapi.QuarantineTail:
		file = entry.Name + noteEnding
	case agentapi.QuarantineRelayLog:
		file = relayLogNote
	case agentapi.QuarantineRepair:
		entry.Operation = strings.TrimSuffix(strings.TrimPrefix(entry.Name, repairsPrefix), repairsEnding)
		return
	case agentapi.QuarantineData, agentapi.QuarantineUnfinished, agentapi.QuarantineOther:
		return
	}
	var found note
	f, err := q.open(*entry, file)
	if err == nil {
		defer f.Close()
		err = json.NewDecoder(io.LimitReader(f, mostNote)).Decode(&found)
	}
	if err != nil {
		entry.Problem = fmt.Sprintf("its note %s cannot be read: %v", file, err)
		return
	}
	entry.Operation = found.Operation
	for _, at := range []time.Time{found.At, found.SavedAt} {
		if !at.IsZero() {
			entry.SavedAt = at.UTC()
		}
	}
	for _, set := range []string{found.Errant, found.GTIDs, found.Discarded} {
		if set != "" {
			entry.GTIDs = strings.Join(strings.Fields(set), "")
		}
	}
}
