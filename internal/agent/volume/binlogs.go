package volume

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbpair/dbpair/internal/pair"
)

// What can be wrong with a volume of binary logs. Data without its binary logs is not used: the
// binary log decides which of the prepared transactions InnoDB commits when mysqld starts, and is
// what the peer is sent.
var (
	// ErrBinlogsLost: the volume does not hold the binary logs of the data.
	ErrBinlogsLost = errors.New("the binary logs are lost")
	// ErrBinlogsElsewhere: the data was made with a volume of binary logs and there is none, or the
	// other way round.
	ErrBinlogsElsewhere = errors.New("the binary logs are on another volume")
)

const (
	// binlogIndex lists mysqld's binary logs.
	binlogIndex = "binlog.index"
	// binlogIndexCrash is the index while mysqld replaces it.
	binlogIndexCrash = "binlog.index_crash_safe"
)

// binlogIdentity says whose binary logs a volume of its own holds. It binds them to the data.
type binlogIdentity struct {
	Owner
	DataID pair.DataID `json:"dataID"`
}

// binlogMark is how far the binary logs of the data reached when that was last noted. It is on
// the volume of the data, so that an older state of the other volume is recognized. The other one
// has the number of the note, so that an older state of the data is recognized as well.
type binlogMark struct {
	DataID pair.DataID `json:"dataID"`
	// Number of the note. That on the volume of the binary logs is the same, or one less after a
	// crash between both writes.
	Number int64 `json:"number"`
	// File is empty after a part of the logs was cut off.
	File string `json:"file,omitempty"`
	// Size in bytes that was on the disk.
	Size int64 `json:"size,omitempty"`
}

// HasBinlogVolume reports whether binary and relay logs are on a volume of their own.
func (v *Volume) HasBinlogVolume() bool { return v.binlogs != "" }

// BinlogRoot is where the volume of the binary logs is mounted: the data's, if they have none of
// their own.
func (v *Volume) BinlogRoot() string { return cmp.Or(v.binlogs, v.root) }

// BinlogDir is where binary and relay logs of the data are.
func (v *Volume) BinlogDir() string {
	if v.binlogs == "" {
		return v.DataDir()
	}
	return filepath.Join(v.binlogs, "mysql")
}

// SeparateBinlogDir is BinlogDir if that is on a volume of its own, and empty otherwise.
func (v *Volume) SeparateBinlogDir() string {
	if v.binlogs == "" {
		return ""
	}
	return v.BinlogDir()
}

func (v *Volume) binlogFile(name string) string { return filepath.Join(v.BinlogRoot(), ownDir, name) }
func (v *Volume) binlogIdentityFile() string    { return v.binlogFile("identity.json") }
func (v *Volume) binlogMarkFile() string        { return v.file("binlogs.json") }
func (v *Volume) binlogNumberFile() string      { return v.binlogFile("number.json") }

// CheckBinlogs says why the data of this identity, which names its owner, must not be used with
// the binary logs that are there; nil when it may be. ErrForeign and ErrUnreadable are about the
// volume of the binary logs. It changes nothing, and no mysqld may run.
func (v *Volume) CheckBinlogs(id Identity) error {
	complete := id.DataID != "" && !id.Void
	switch {
	case complete && id.SeparateBinlogs && !v.HasBinlogVolume():
		return fmt.Errorf("data %q was made with a volume of its own for binary logs, and there is none: %w", id.DataID, ErrBinlogsElsewhere)
	case complete && !id.SeparateBinlogs && v.HasBinlogVolume():
		return fmt.Errorf("data %q was made without a volume of its own for binary logs: %w", id.DataID, ErrBinlogsElsewhere)
	case !v.HasBinlogVolume():
		return nil
	}
	of, found, err := v.readBinlogIdentity(id.Owner)
	switch {
	case err != nil || !complete:
		return err
	case !found:
		return fmt.Errorf("%s is empty: %w", v.binlogs, ErrBinlogsLost)
	case of.DataID != id.DataID:
		return fmt.Errorf("%s is of data %q and not of %q: %w", v.binlogs, of.DataID, id.DataID, ErrBinlogsLost)
	}
	return v.checkBinlogFiles(id.DataID)
}

// readBinlogIdentity returns whose binary logs the volume holds; false for an empty one. Content
// of another owner, or that no identity explains, is ErrForeign.
func (v *Volume) readBinlogIdentity(owner Owner) (binlogIdentity, bool, error) {
	var of binlogIdentity
	found, err := readJSON(v.binlogIdentityFile(), &of)
	if err != nil {
		return of, false, fmt.Errorf("read identity of binary logs: %w", err)
	}
	if found {
		if of.Owner != owner {
			return of, false, fmt.Errorf("%s has the binary logs of member %s of pair %s/%s: %w",
				v.binlogs, of.Member, of.Namespace, of.Pair, ErrForeign)
		}
		return of, true, nil
	}
	full, err := hasContent(v.BinlogDir())
	if err != nil {
		return of, false, fmt.Errorf("read identity of binary logs: %w: %w", ErrUnreadable, err)
	}
	if full {
		return of, false, fmt.Errorf("%s has content, and there is no %s: %w", v.BinlogDir(), v.binlogIdentityFile(), ErrForeign)
	}
	return of, false, nil
}

// checkBinlogFiles compares the files with mysqld's index, and their end with what was noted.
func (v *Volume) checkBinlogFiles(data pair.DataID) error {
	last, err := v.newestBinlog()
	if err != nil {
		return err
	}
	mark, number, err := v.readMarks(data)
	switch {
	case err != nil:
		return err
	case last.before(mark):
		return fmt.Errorf("they end with %s at %d and had reached %s at %d: %w", last.File, last.Size, mark.File, mark.Size, ErrBinlogsLost)
	case number < mark.Number-1:
		return fmt.Errorf("they are of an older state, number %d of %d: %w", number, mark.Number, ErrBinlogsLost)
	case number > mark.Number:
		return fmt.Errorf("they are of a later state than the data, number %d and %d, whose own are not there: %w",
			number, mark.Number, ErrBinlogsLost)
	}
	return nil
}

// readMarks returns what was noted last about this data, and the number on the volume of the binary
// logs; zero values for nothing.
func (v *Volume) readMarks(data pair.DataID) (mark binlogMark, number int64, err error) {
	if _, err := readJSON(v.binlogMarkFile(), &mark); err != nil {
		return mark, 0, fmt.Errorf("read how far the binary logs reached: %w", err)
	}
	if mark.DataID != data {
		mark = binlogMark{DataID: data}
	}
	var other binlogMark
	if _, err := readJSON(v.binlogNumberFile(), &other); err != nil {
		return mark, 0, fmt.Errorf("read how far the binary logs reached: %w", err)
	}
	if other.DataID != data {
		return mark, 0, nil
	}
	return mark, other.Number, nil
}

// before: these logs end before those that were noted, if any were.
func (m binlogMark) before(noted binlogMark) bool {
	if noted.File == "" {
		return false
	}
	if m.File == noted.File {
		return m.Size < noted.Size
	}
	return cmp.Or(cmp.Compare(len(m.File), len(noted.File)), cmp.Compare(m.File, noted.File)) < 0
}

// newestBinlog is the last file of mysqld's index and its size. All files of the index have to be
// there: mysqld takes a file out of the index before it removes it.
func (v *Volume) newestBinlog() (binlogMark, error) {
	var last binlogMark
	index, err := v.readBinlogIndex()
	if err != nil {
		return last, err
	}
	for line := range strings.Lines(index) {
		name := filepath.Base(strings.TrimSpace(line))
		if strings.TrimSpace(line) == "" {
			continue
		}
		info, err := os.Stat(filepath.Join(v.BinlogDir(), name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return last, fmt.Errorf("%s is missing in %s: %w", name, v.BinlogDir(), ErrBinlogsLost)
		case err != nil:
			return last, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		last = binlogMark{File: name, Size: info.Size()}
	}
	if last.File == "" {
		return last, fmt.Errorf("%s lists no file: %w", binlogIndex, ErrBinlogsLost)
	}
	return last, nil
}

func (v *Volume) readBinlogIndex() (string, error) {
	for _, name := range []string{binlogIndex, binlogIndexCrash} {
		text, err := os.ReadFile(filepath.Join(v.BinlogDir(), name))
		if err == nil {
			return string(text), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	return "", fmt.Errorf("%s has no %s: %w", v.BinlogDir(), binlogIndex, ErrBinlogsLost)
}

// MarkBinlogs notes durably how far the binary logs of the data reach, once that is on the disk.
// It never takes anything back: logs that were reset are lost. It does nothing if they have no
// volume of their own. mysqld may run.
func (v *Volume) MarkBinlogs(data pair.DataID) error {
	if !v.HasBinlogVolume() || data == "" {
		return nil
	}
	v.marking.Lock()
	defer v.marking.Unlock()
	if err := v.markBinlogs(data); err != nil {
		return fmt.Errorf("note how far the binary logs reach: %w", err)
	}
	return nil
}

func (v *Volume) markBinlogs(data pair.DataID) error {
	noted, number, err := v.readMarks(data)
	if err != nil {
		return err
	}
	if number < noted.Number {
		// The last note was not finished. The numbers must never be more than one apart.
		if err := v.writeJSON(v.binlogNumberFile(), binlogMark{DataID: data, Number: noted.Number}); err != nil {
			return err
		}
	}
	last, err := v.newestBinlog()
	unchanged := last.File == noted.File && last.Size == noted.Size
	if err != nil || unchanged || last.before(noted) {
		return err
	}
	if err := errors.Join(syncDir(filepath.Join(v.BinlogDir(), last.File)), syncDir(v.BinlogDir())); err != nil {
		return err
	}
	last.DataID = data
	last.Number = noted.Number + 1
	if err := v.writeJSON(v.binlogMarkFile(), last); err != nil {
		return err
	}
	return v.writeJSON(v.binlogNumberFile(), binlogMark{DataID: data, Number: last.Number})
}

// ForgetBinlogMark takes back how far the binary logs of the data reached, before a part of them is
// cut off. Idempotent.
func (v *Volume) ForgetBinlogMark(data pair.DataID) error {
	if !v.HasBinlogVolume() {
		return nil
	}
	v.marking.Lock()
	defer v.marking.Unlock()
	mark, _, err := v.readMarks(data)
	if err != nil {
		return err
	}
	return v.writeJSON(v.binlogMarkFile(), binlogMark{DataID: data, Number: mark.Number})
}

// removeMarks removes what is noted about former data.
func (v *Volume) removeMarks() error {
	v.marking.Lock()
	defer v.marking.Unlock()
	for _, path := range []string{v.binlogMarkFile(), v.binlogNumberFile()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// NewBinlogs makes room for the binary logs of the data that the identity says is being made, on
// a volume of their own: what is there of other data is saved in the quarantine. The volume is
// bound to the new data from then on. There must be no data that needs the former logs.
func (v *Volume) NewBinlogs() error {
	if !v.HasBinlogVolume() {
		return nil
	}
	if err := v.newBinlogs(); err != nil {
		return fmt.Errorf("make room for binary logs: %w", err)
	}
	return nil
}

func (v *Volume) newBinlogs() error {
	id, _, err := v.ReadIdentity()
	if err != nil {
		return err
	}
	full, err := v.HasData()
	switch {
	case err != nil:
		return err
	case full:
		return fmt.Errorf("the data in %s needs those that are there", v.DataDir())
	case id.Initializing == "":
		return errors.New("the identity names no data that is being made")
	}
	if _, err := v.Quarantine(""); err != nil {
		return err
	}
	if err := emptyDirectory(v.BinlogDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(v.BinlogDir(), 0o750); err != nil {
		return err
	}
	if err := v.removeMarks(); err != nil {
		return err
	}
	return v.writeJSON(v.binlogIdentityFile(), binlogIdentity{Owner: id.Owner, DataID: id.Initializing})
}

// savesBinlogsOf is the data whose binary logs are on the volume of their own; empty when that is
// none that was ever complete.
func (v *Volume) savesBinlogsOf() (pair.DataID, error) {
	id, _, err := v.ReadIdentity()
	if err != nil {
		return "", err
	}
	of, found, err := v.readBinlogIdentity(id.Owner)
	if err != nil || !found || of.DataID == id.Initializing {
		return "", err
	}
	return of.DataID, nil
}
