package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// What can be wrong with a volume.
var (
	// ErrInUse: another process holds the lock, or a mysqld has the data open.
	ErrInUse = errors.New("volume is in use by another process")
	// ErrForeign: there is content that no identity of dbpair explains.
	ErrForeign = errors.New("volume holds data of someone else")
	// ErrUnreadable: a file of the agent is there and cannot be read.
	ErrUnreadable = errors.New("volume cannot be read")
)

// Owner says whose volume it is: one member of one pair, by name.
type Owner struct {
	Namespace string          `json:"namespace"`
	Pair      string          `json:"pair"`
	Member    pair.MemberName `json:"member"`
}

// Identity says what the volume holds. It is written before the data is touched.
type Identity struct {
	Owner
	// PairUID of the pair last served.
	PairUID pair.UID `json:"pairUID"`
	// DataID of a complete data directory; empty without one.
	DataID pair.DataID `json:"dataID"`
	// Void: the data directory is given up, or about to become Initializing.
	Void bool `json:"void,omitempty"`
	// Initializing is the data that is being made; empty when nothing is under way.
	Initializing pair.DataID `json:"making,omitempty"`
	// Donor of a seed under way; empty for an initialization.
	Donor pair.MemberName `json:"donor,omitempty"`
	// Copied: no mysqld has been started on the copy and settled yet.
	Copied bool `json:"copied,omitempty"`
	// Components are the names of those that were installed since spec.mysql.components has them,
	// with commas between.
	Components string `json:"components,omitempty"`
	// SeparateBinlogs: the binary logs of the data are on a volume of their own.
	SeparateBinlogs bool `json:"separateBinlogs,omitempty"`
}

// Memory is the content of the epoch file.
type Memory struct {
	authority.Durable
	// Seen is the newest ledger read.
	Seen *agentapi.SeenLedger `json:"seen,omitempty"`
}

// Volume is a member's volume, with the one of its binary logs if they have one of their own.
// Lock it before anything else.
type Volume struct {
	root    string
	binlogs string // where the volume of the binary logs is mounted; empty without one
	locks   []*os.File

	marking sync.Mutex // held while the note on how far the binary logs reach is written
}

// Open returns the volume mounted at root, whose binary and relay logs are on one of
// their own, mounted at binlogs; empty for none. It touches nothing.
func Open(root, binlogs string) *Volume { return &Volume{root: root, binlogs: binlogs} }

// DataDir is where mysqld's data directory is.
func (v *Volume) DataDir() string { return filepath.Join(v.root, "mysql") }

// NewDataDir is where a data directory is made before it takes that place.
func (v *Volume) NewDataDir() string { return filepath.Join(v.root, "mysql.new") }

// TempDir is where mysqld writes its temporary files. It is on the volume, whose size the
// pair's owner chose, so that what sorts and large transactions take is not the node's.
func (v *Volume) TempDir() string { return filepath.Join(v.root, "tmp") }

// QuarantineDir is where what a seed replaces is kept. It is on the volume of the binary logs: they
// are saved by hard links.
func (v *Volume) QuarantineDir() string { return v.binlogFile("quarantine") }

// Root is where the volume is mounted.
func (v *Volume) Root() string { return v.root }

// ownDir is the agent's own directory on a volume.
const ownDir = "dbpair"

func (v *Volume) own() string             { return filepath.Join(v.root, ownDir) }
func (v *Volume) file(name string) string { return filepath.Join(v.own(), name) }
func (v *Volume) identityFile() string    { return v.file("identity.json") }
func (v *Volume) epochFile() string       { return v.file("epoch.json") }

// Lock takes the volume for this process for as long as it lives, and looks for a mysqld
// that has the data open. It does not wait: ErrInUse says that someone has it.
// Idempotent.
func (v *Volume) Lock() error {
	if len(v.locks) == 0 {
		if err := v.lock(); err != nil {
			return err
		}
	}
	for _, dir := range []string{v.DataDir(), v.NewDataDir()} {
		if err := mysqldLock(filepath.Join(dir, "ibdata1")); err != nil {
			return fmt.Errorf("lock volume %s: %w", v.root, err)
		}
	}
	return nil
}

// lock takes all locks or none.
func (v *Volume) lock() error {
	roots := []string{v.root}
	if v.HasBinlogVolume() {
		roots = append(roots, v.binlogs)
	}
	var taken []*os.File
	for _, root := range roots {
		f, err := lockRoot(root)
		if err != nil {
			for _, one := range taken {
				_ = one.Close()
			}
			return fmt.Errorf("lock volume %s: %w", root, err)
		}
		taken = append(taken, f)
	}
	v.locks = taken
	return nil
}

func lockRoot(root string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Join(root, ownDir), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(root, ownDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, err
	}
	return f, nil
}

// mysqldLock asks whether a mysqld has the system tablespace locked.
func mysqldLock(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return err
	}
	if lock.Type != unix.F_UNLCK {
		return fmt.Errorf("a mysqld has %s open: %w", path, ErrInUse)
	}
	return nil
}

// ReadIdentity returns the identity, or false for an empty volume. Content without an
// identity is ErrForeign.
func (v *Volume) ReadIdentity() (Identity, bool, error) {
	var id Identity
	found, err := readJSON(v.identityFile(), &id)
	if err != nil || found {
		return id, found, err
	}
	for _, dir := range []string{v.DataDir(), v.NewDataDir()} {
		full, err := hasContent(dir)
		if err != nil {
			return id, false, fmt.Errorf("read identity: %w: %w", ErrUnreadable, err)
		}
		if full {
			return id, false, fmt.Errorf("read identity: %s has content, and there is no %s: %w", dir, v.identityFile(), ErrForeign)
		}
	}
	return id, false, nil
}

// WriteIdentity writes the identity durably.
func (v *Volume) WriteIdentity(id Identity) error { return v.writeJSON(v.identityFile(), id) }

// ReadMemory returns what the machine wrote; false when there is nothing.
func (v *Volume) ReadMemory() (Memory, bool, error) {
	var m Memory
	found, err := readJSON(v.epochFile(), &m)
	return m, found, err
}

// WriteMemory writes it durably.
func (v *Volume) WriteMemory(m Memory) error { return v.writeJSON(v.epochFile(), m) }

func (v *Volume) beatFile() string { return v.file("beat") }

// LastNode is the node whose agent wrote to the volume last; empty when none did.
func (v *Volume) LastNode() (string, error) {
	text, err := os.ReadFile(v.beatFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read node of volume %s: %w: %w", v.root, ErrUnreadable, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// TakeNode notes durably that from now on the agent on this node writes to the volume.
func (v *Volume) TakeNode(node string) error {
	if err := WriteFile(v.beatFile(), []byte(node+"\n"), 0o600); err != nil {
		return fmt.Errorf("write node of volume %s: %w", v.root, err)
	}
	return nil
}

// Beat writes to the volume, fsynced, and blocks until that is done: a volume that was
// detached from this machine takes nothing. TakeNode comes before it.
func (v *Volume) Beat() error {
	f, err := os.OpenFile(v.beatFile(), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("write to volume %s: %w", v.root, err)
	}
	var first [1]byte
	_, err = f.ReadAt(first[:], 0)
	if err == nil {
		_, err = f.WriteAt(first[:], 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write to volume %s: %w", v.root, err)
	}
	return nil
}

// HasData reports whether there is a data directory with content.
func (v *Volume) HasData() (bool, error) { return hasContent(v.DataDir()) }

// DropNew removes a data directory that was never finished.
func (v *Volume) DropNew() error { return os.RemoveAll(v.NewDataDir()) }

// SyncNewBinlogs writes what the operating system still keeps of the binary logs of a new data directory to the
// disk. It blocks until it is there.
func (v *Volume) SyncNewBinlogs() error {
	dir := v.NewDataDir()
	if v.HasBinlogVolume() {
		dir = v.BinlogDir()
	}
	paths, err := filepath.Glob(filepath.Join(dir, "binlog.*"))
	if err != nil {
		return fmt.Errorf("flush the new data: %w", err)
	}
	for _, path := range append(paths, dir, v.NewDataDir()) {
		if err := syncDir(path); err != nil {
			return fmt.Errorf("flush the new data: %w", err)
		}
	}
	return nil
}

// InstallNew makes the finished new data directory the data directory. There must be
// none: data is never overwritten.
func (v *Volume) InstallNew() error {
	full, err := v.HasData()
	if err != nil {
		return fmt.Errorf("install new data directory: %w", err)
	}
	if full {
		return fmt.Errorf("install new data directory: %s is not empty", v.DataDir())
	}
	if err := os.Remove(v.DataDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("install new data directory: %w", err)
	}
	if err := os.Rename(v.NewDataDir(), v.DataDir()); err != nil {
		return fmt.Errorf("install new data directory: %w", err)
	}
	return syncDir(v.root)
}

func hasContent(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

func readJSON(path string, into any) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrUnreadable, path, err)
	}
	return true, nil
}

func (v *Volume) writeJSON(path string, from any) error {
	text, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	err = WriteFile(path, append(text, '\n'), 0o600)
	if errors.Is(err, unix.ENOSPC) && os.Remove(v.reserveFor(path)) == nil {
		err = WriteFile(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// reserve is what is kept free on the volume for this package's own files: a member whose
// volume is full must still be able to give up its authority for good.
const reserve = 256 << 10

func (v *Volume) reserveFile() string { return v.file(reserveName) }

const reserveName = "reserve"

// reserveFor is the reserve of the volume that has this file.
func (v *Volume) reserveFor(path string) string {
	if v.HasBinlogVolume() && strings.HasPrefix(path, strings.TrimSuffix(v.binlogs, "/")+"/") {
		return v.binlogFile(reserveName)
	}
	return v.reserveFile()
}

// KeepReserve sets the reserve aside on the volume and that of the binary logs, where there is
// room. Idempotent.
func (v *Volume) KeepReserve() error {
	err := keepReserve(v.reserveFile())
	if v.HasBinlogVolume() {
		err = errors.Join(err, keepReserve(v.binlogFile(reserveName)))
	}
	return err
}

func keepReserve(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() == reserve {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a reserve: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, reserve)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write(make([]byte, reserve))
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("keep a reserve: %w", err)
	}
	return nil
}

// WriteFile replaces a file durably: after a crash it has its old content or this.
func WriteFile(path string, text []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
