package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	// formatVersion is that of objects. A reader refuses any other.
	formatVersion = 1
	// headerLimit is how many bytes a header may have.
	headerLimit = 512 << 10
	// probeSize is how many bytes are read at first to get a header.
	probeSize = 8 << 10

	magic = "dbpair-binlog-1\n"
	// prefixSize is what comes before the header: magic, the header's length, its sha256.
	prefixSize = len(magic) + 4 + sha256.Size

	folder = "binlog/"
)

// Header says what an object of the archive has.
type Header struct {
	Version int `json:"version"`
	// Pair is the UID of the pair, empty if the writer was not told.
	Pair string `json:"pair,omitempty"`
	// Writer is the process that wrote it, by a random name.
	Writer string `json:"writer"`
	// Source is the server that the transactions were read from.
	Source gtid.ServerUUID `json:"source"`
	// First and Last are the numbers of the objects that it stands for; one number, unless it
	// is a pack.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Before is everything that was archived, or is missing, when it was written; Adds are its
	// own transactions. Missing are those that no server had any more.
	Before  gtid.Set `json:"before"`
	Adds    gtid.Set `json:"adds"`
	Missing gtid.Set `json:"missing"`
	// Transactions is their number.
	Transactions int `json:"transactions"`
	// Part counts the objects of a transaction that fits into none; More says that another
	// one follows. Adds is empty until the last.
	Part int  `json:"part,omitempty"`
	More bool `json:"more,omitempty"`
	// Earliest and Latest are of the commits, by the clock of the server that each was made on.
	Earliest time.Time `json:"earliest,omitzero"`
	Latest   time.Time `json:"latest,omitzero"`
	// Complete is a moment up to which nothing is missing after this object, by the clock of
	// Source; zero if that is not known.
	Complete time.Time `json:"complete,omitzero"`
	// Found is when the missing transactions were, by the clock of the writer; zero in an object
	// without any, and in one of an earlier version.
	Found time.Time `json:"found,omitzero"`
	// Encrypted bodies are read with an age identity.
	Encrypted bool `json:"encrypted,omitempty"`
	// Pack lists the objects that the body consists of, header and body each; else the body
	// is binary log, compressed.
	Pack []Entry `json:"pack,omitempty"`
	// Size is that of the body in bytes, Raw uncompressed.
	Size int64 `json:"size"`
	Raw  int64 `json:"raw"`
	// SHA256 is of the body as stored, in hex.
	SHA256 string `json:"sha256"`
}

// Entry is one object in a pack.
type Entry struct {
	First uint64 `json:"first"`
	// Size is in bytes, header included.
	Size int64 `json:"size"`
}

// after is everything archived or missing after an object.
func (h Header) after() gtid.Set { return h.Before.Union(h.Adds).Union(h.Missing) }

var keyPattern = regexp.MustCompile(`^binlog/([0-9]{12})(?:-([0-9]{12}))?\.dbb$`)

// keyOf is the key of the object with these numbers.
func keyOf(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("%s%012d.dbb", folder, first)
	}
	return fmt.Sprintf("%s%012d-%012d.dbb", folder, first, last)
}

// parseKey reads the numbers out of a key; false for one that is not the archive's.
func parseKey(key string) (first, last uint64, ok bool) {
	found := keyPattern.FindStringSubmatch(key)
	if found == nil {
		return 0, 0, false
	}
	first, _ = strconv.ParseUint(found[1], 10, 64) // twelve digits
	last = first
	if found[2] != "" {
		last, _ = strconv.ParseUint(found[2], 10, 64)
	}
	return first, last, first <= last
}

// Owns reports whether a key is one of the archive's.
func Owns(key string) bool { return strings.HasPrefix(key, folder) }

func damaged(key, format string, args ...any) error {
	return &backup.DamagedError{
		Key:    key,
		Reason: fmt.Sprintf(format, args...),
	}
}

// encode puts header and body into one object and says in the header what the body is.
func encode(h Header, body []byte) ([]byte, error) {
	h.Version = formatVersion
	h.Size = int64(len(body))
	h.SHA256 = sumOf(body)
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > headerLimit {
		return nil, fmt.Errorf("the header of a segment has %d bytes, at most %d are allowed: the GTID sets have too many gaps",
			len(text), headerLimit)
	}
	out := make([]byte, 0, prefixSize+len(text)+len(body))
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	sum := sha256.Sum256(text)
	out = append(out, sum[:]...)
	out = append(out, text...)
	return append(out, body...), nil
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// errShort says that more of an object has to be read to get its header.
var errShort = errors.New("the object ends before its header does")

// decodeHeader reads the header at the beginning of an object and returns how many bytes the
// body comes after. Of an object that is cut before, it returns errShort and that number.
func decodeHeader(content []byte) (Header, int, error) {
	if len(content) < prefixSize {
		return Header{}, prefixSize, errShort
	}
	if string(content[:len(magic)]) != magic {
		return Header{}, 0, errors.New("it does not begin like a segment")
	}
	size := binary.LittleEndian.Uint32(content[len(magic):])
	if size > headerLimit {
		return Header{}, 0, fmt.Errorf("its header says that it has %d bytes, at most %d are allowed", size, headerLimit)
	}
	end := prefixSize + int(size)
	if len(content) < end {
		return Header{}, end, errShort
	}
	text := content[prefixSize:end]
	if sum := sha256.Sum256(text); string(sum[:]) != string(content[len(magic)+4:prefixSize]) {
		return Header{}, 0, errors.New("the sha256 of its header is another one")
	}
	var h Header
	if err := json.Unmarshal(text, &h); err != nil {
		return Header{}, 0, fmt.Errorf("its header: %w", err)
	}
	if h.Version != formatVersion {
		return Header{}, 0, fmt.Errorf("version %d is not known: use the release of dbpair that wrote it", h.Version)
	}
	return h, end, h.check()
}

// check refuses headers that no writer makes.
func (h Header) check() error {
	marker := !h.Missing.IsEmpty()
	switch {
	case h.First > h.Last:
		return fmt.Errorf("its header has the numbers %d to %d", h.First, h.Last)
	case h.Size < 0 || h.Raw < 0 || h.Raw > packLimit || h.Part < 0 || h.Transactions < 0:
		return errors.New("its header has a size that no segment has")
	case h.More && (!h.Adds.IsEmpty() || marker):
		return errors.New("its header adds transactions that go on in another object")
	case marker && !h.Adds.IsEmpty():
		return errors.New("its header has both transactions and missing ones")
	case uint64(h.Transactions) != h.Adds.Count():
		return fmt.Errorf("its header has %d transactions and %d GTIDs", h.Transactions, h.Adds.Count())
	}
	return nil
}

// decode takes a whole object apart and compares its body with the header.
func decode(key string, content []byte) (Header, []byte, error) {
	h, end, err := decodeHeader(content)
	if err != nil {
		return Header{}, nil, damaged(key, "%s", err)
	}
	body := content[end:]
	if int64(len(body)) != h.Size {
		return Header{}, nil, damaged(key, "its body has %d bytes, %d were written", len(body), h.Size)
	}
	if sum := sumOf(body); sum != h.SHA256 {
		return Header{}, nil, damaged(key, "its sha256 is %s, that of what was written is %s", sum, h.SHA256)
	}
	return h, body, nil
}
