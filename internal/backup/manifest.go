package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/store"
)

// formatVersion is that of manifests and objects. A reader refuses any other.
const formatVersion = 1

// Manifest describes one backup. It is written last, so that its existence says that
// everything it names was written.
type Manifest struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Started and Finished are by the clock of the machine that wrote the backup.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Server   Server    `json:"server"`
	// GTIDBefore is gtid_executed before the first byte was read, GTIDAfter after the last
	// one: the data stands for a set between them.
	GTIDBefore string `json:"gtidBefore"`
	GTIDAfter  string `json:"gtidAfter"`
	// Encrypted objects are read with an age identity.
	Encrypted bool `json:"encrypted"`
	// Objects is their number; Stored and Raw are their bytes in the store and uncompressed.
	Objects int   `json:"objects"`
	Stored  int64 `json:"stored"`
	Raw     int64 `json:"raw"`
	// Lists name the objects. They are neither encrypted nor counted above.
	Lists []Object `json:"lists"`
	// SHA256 is that of this document with an empty SHA256.
	SHA256 string `json:"sha256"`
}

// Server is the mysqld that a backup was taken from.
type Server struct {
	UUID    string `json:"uuid"`
	Version string `json:"version"`
}

// Object is one object of a backup.
type Object struct {
	// Key is relative to the backup's folder.
	Key string `json:"key"`
	// Size is in bytes, as stored; Raw is uncompressed.
	Size int64 `json:"size"`
	Raw  int64 `json:"raw"`
	// SHA256 is of the stored bytes, in hex.
	SHA256 string `json:"sha256"`
	// Stage, Stream and Sequence order the objects of a clone; all are 0 in other objects.
	Stage    int `json:"stage,omitempty"`
	Stream   int `json:"stream,omitempty"`
	Sequence int `json:"sequence,omitempty"`
}

const (
	folder       = "backups/"
	manifestName = "manifest.json"
	openingName  = "opening.dbb"
	pinName      = "pinned"
	proofPrefix  = "proven-"
	timeLayout   = "20060102T150405Z"
)

var idPattern = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$`)

// NewID names a backup that starts at a time; random tells it from another of that second.
func NewID(start time.Time, random [4]byte) string {
	return start.UTC().Format(timeLayout) + "-" + hex.EncodeToString(random[:])
}

// CheckID refuses what NewID does not make.
func CheckID(id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("backup ID %q: write it as list prints it, for example 20260102T030405Z-0a1b2c3d", id)
	}
	return nil
}

// CompleteID is the ID of the backup whose manifest has this key; false for any other key.
func CompleteID(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, folder)
	id, name, _ := strings.Cut(rest, "/")
	return id, ok && name == manifestName && CheckID(id) == nil
}

// keyOf is the key of an object of a backup.
func keyOf(id, name string) string { return folder + id + "/" + name }

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// encode seals a manifest with its checksum.
func (m Manifest) encode() ([]byte, error) {
	m.SHA256 = ""
	bare, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	m.SHA256 = sumOf(bare)
	return json.MarshalIndent(m, "", "  ")
}

// decodeManifest reads what encode wrote and refuses everything else.
func decodeManifest(content []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return Manifest{}, err
	}
	if m.Version != formatVersion {
		return Manifest{}, fmt.Errorf("version %d is not known: use the release of dbpair that wrote the backup", m.Version)
	}
	want := m.SHA256
	m.SHA256 = ""
	bare, err := json.Marshal(m)
	if err != nil {
		return Manifest{}, err
	}
	m.SHA256 = sumOf(bare)
	if m.SHA256 != want {
		return Manifest{}, fmt.Errorf("its sha256 is %s, it names %q: the manifest was changed", m.SHA256, want)
	}
	return m, nil
}

// DamagedError is an object that is not what was written.
type DamagedError struct {
	// Key is the object's in the store.
	Key string
	// Reason says what is wrong with it.
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("object %s is damaged: %s", e.Key, e.Reason)
}

// ReadManifest reads the manifest of a backup. A missing one is an error of class NotFound.
func ReadManifest(ctx context.Context, objects Objects, id string) (Manifest, error) {
	if err := CheckID(id); err != nil {
		return Manifest{}, err
	}
	key := keyOf(id, manifestName)
	content, err := objects.Get(ctx, key)
	if store.ClassOf(err) == store.NotFound {
		return Manifest{}, fmt.Errorf("there is no complete backup %s: %w", id, err)
	}
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(content)
	if err == nil && m.ID != id {
		err = fmt.Errorf("it is of backup %q", m.ID)
	}
	if err != nil {
		return Manifest{}, &DamagedError{
			Key:    key,
			Reason: err.Error(),
		}
	}
	return m, nil
}

// fetch reads an object of a backup and compares it with what was written.
func fetch(ctx context.Context, objects Objects, id string, want Object) ([]byte, error) {
	key := keyOf(id, want.Key)
	content, err := objects.Get(ctx, key)
	if store.ClassOf(err) == store.NotFound {
		return nil, &DamagedError{
			Key:    key,
			Reason: "it is missing",
		}
	}
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != want.Size {
		return nil, &DamagedError{
			Key:    key,
			Reason: fmt.Sprintf("it has %d bytes, %d were written", len(content), want.Size),
		}
	}
	if sum := sumOf(content); sum != want.SHA256 {
		return nil, &DamagedError{
			Key:    key,
			Reason: fmt.Sprintf("its sha256 is %s, that of what was written is %s", sum, want.SHA256),
		}
	}
	return content, nil
}
