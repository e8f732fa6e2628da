package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	// HeaderSize is that of an event's header in bytes.
	HeaderSize = 19
	// ControlLimit is the size in bytes of the largest event that is read whole: one that
	// describes the format or begins a transaction. Events of a transaction have no limit here.
	ControlLimit = 64 << 10
	// ChecksumSize is that of the CRC32 at the end of an event.
	ChecksumSize = 4
	// flagArtificial marks an event that is in no file, flagInUse a file that is written to.
	flagArtificial = 0x20
	flagInUse      = 0x01
)

// ErrMalformed is wrapped by the errors of what is no binary log.
var ErrMalformed = errors.New("malformed binary log")

// Header is what all events begin with.
type Header struct {
	// Timestamp is in seconds since 1970.
	Timestamp uint32
	Type      replication.EventType
	ServerID  uint32
	// Size is that of the whole event in bytes.
	Size uint32
	// Position is where the next event begins in its file.
	Position uint32
	Flags    uint16
}

// ParseHeader reads the first HeaderSize bytes of an event.
func ParseHeader(head []byte) (Header, error) {
	if len(head) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, an event has at least %d", ErrMalformed, len(head), HeaderSize)
	}
	h := Header{
		Timestamp: binary.LittleEndian.Uint32(head),
		Type:      replication.EventType(head[4]),
		ServerID:  binary.LittleEndian.Uint32(head[5:]),
		Size:      binary.LittleEndian.Uint32(head[9:]),
		Position:  binary.LittleEndian.Uint32(head[13:]),
		Flags:     binary.LittleEndian.Uint16(head[17:]),
	}
	if h.Size < HeaderSize {
		return Header{}, fmt.Errorf("%w: an event of type %d says that it has %d bytes", ErrMalformed, h.Type, h.Size)
	}
	return h, nil
}

func (h Header) append(out []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, h.Timestamp)
	out = append(out, byte(h.Type))
	out = binary.LittleEndian.AppendUint32(out, h.ServerID)
	out = binary.LittleEndian.AppendUint32(out, h.Size)
	out = binary.LittleEndian.AppendUint32(out, h.Position)
	return binary.LittleEndian.AppendUint16(out, h.Flags)
}

// Kind is what an archive does with an event that stands outside a transaction.
type Kind int

// The kinds.
const (
	// Format events describe those that follow.
	Format Kind = iota
	// Begin events begin a transaction.
	Begin
	// Idle events say nothing about data: where a file ends, that the source is alive.
	Idle
	// Unexpected events belong into a transaction, or no archive can have them.
	Unexpected
)

// Kind is that of an event outside a transaction.
func (h Header) Kind() Kind {
	switch h.Type {
	case replication.FORMAT_DESCRIPTION_EVENT:
		return Format
	case replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT:
		return Begin
	case replication.ROTATE_EVENT, replication.STOP_EVENT, replication.PREVIOUS_GTIDS_EVENT,
		replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		return Idle
	default:
		return Unexpected
	}
}

// Transaction is what the event says that begins one.
type Transaction struct {
	GTID gtid.GTID
	// Length is that of all its events in bytes, this one included.
	Length uint64
	// Committed is when it was committed on the server that it was written on.
	Committed time.Time
}

// ParseTransaction reads an event of kind Begin.
func ParseTransaction(event []byte, checksums bool) (t Transaction, err error) {
	h, err := ParseHeader(event)
	if err != nil {
		return Transaction{}, err
	}
	body := event[HeaderSize:]
	if checksums {
		if len(body) < ChecksumSize {
			return Transaction{}, fmt.Errorf("%w: a transaction begins with %d bytes", ErrMalformed, len(event))
		}
		body = body[:len(body)-ChecksumSize]
	}
	// The library's decoders index into what they are given.
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("%w: the event that begins a transaction: %v", ErrMalformed, caught)
		}
	}()
	var decoded replication.GTIDEvent
	if h.Type == replication.GTID_TAGGED_LOG_EVENT {
		var tagged replication.GtidTaggedLogEvent
		err = tagged.Decode(body)
		decoded = tagged.GTIDEvent
	} else {
		err = decoded.Decode(body)
	}
	if err != nil {
		return Transaction{}, fmt.Errorf("%w: the event that begins a transaction: %w", ErrMalformed, err)
	}
	return transactionOf(decoded, h)
}

func transactionOf(decoded replication.GTIDEvent, h Header) (Transaction, error) {
	text := uuidText(decoded.SID)
	if decoded.Tag != "" {
		text += ":" + decoded.Tag
	}
	id, err := gtid.ParseGTID(fmt.Sprintf("%s:%d", text, decoded.GNO))
	if err != nil {
		return Transaction{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if decoded.TransactionLength < uint64(h.Size) {
		return Transaction{}, fmt.Errorf("%w: transaction %s has %d bytes and begins with an event of %d", ErrMalformed, id,
			decoded.TransactionLength, h.Size)
	}
	return Transaction{
		GTID:      id,
		Length:    decoded.TransactionLength,
		Committed: time.UnixMicro(int64(decoded.OriginalCommitTimestamp)).UTC(),
	}, nil
}

// FormatEvent is a format description event.
type FormatEvent struct {
	// Raw is the event.
	Raw []byte
	// Checksums is whether the events that follow end with a CRC32.
	Checksums bool
	// Server is the version of the server that wrote them.
	Server string
}

// ParseFormat reads an event of kind Format. It keeps a copy of it.
func ParseFormat(event []byte) (FormatEvent, error) {
	const version, created = 2 + 50, 4
	const fixed = HeaderSize + version + created + 1
	if len(event) < fixed+1+ChecksumSize {
		return FormatEvent{}, fmt.Errorf("%w: a format description of %d bytes", ErrMalformed, len(event))
	}
	// A server marks the file that it writes in its format description, after the checksum.
	event = bytes.Clone(event)
	event[17] &^= flagInUse
	if err := checkSum(event); err != nil {
		return FormatEvent{}, fmt.Errorf("%w: the format description: %w", ErrMalformed, err)
	}
	f := FormatEvent{
		Raw:    event,
		Server: string(bytes.TrimRight(event[HeaderSize+2:HeaderSize+version], "\x00")),
	}
	switch algorithm := event[len(event)-ChecksumSize-1]; algorithm {
	case 0:
	case 1:
		f.Checksums = true
	default:
		return FormatEvent{}, fmt.Errorf("%w: checksum algorithm %d is not known", ErrMalformed, algorithm)
	}
	return f, nil
}

// Where a header has what is changed in it, and a format description the time at which its
// server started.
const (
	serverIDAt = 5
	sizeAt     = 9
	positionAt = 13
	createdAt  = HeaderSize + 2 + 50
)

// Served returns the event as a source sends it that begins in the middle of a file: it has no
// place in one, and does not say that the server has just started.
func (f FormatEvent) Served() []byte {
	event := bytes.Clone(f.Raw)
	binary.LittleEndian.PutUint32(event[createdAt:], 0)
	binary.LittleEndian.PutUint32(event[positionAt:], 0)
	putSum(event)
	return event
}

// Same reports whether events of both are read alike, whichever server wrote them, and when.
func (f FormatEvent) Same(other FormatEvent) bool {
	const from = sizeAt
	mine := f.Served()
	others := other.Served()
	return bytes.Equal(mine[from:len(mine)-ChecksumSize], others[from:len(others)-ChecksumSize])
}

// Moved returns an event as if a server had written it that ends there in its file.
func Moved(event []byte, serverID, position uint32, checksums bool) []byte {
	event = bytes.Clone(event)
	MoveHeader(event, serverID, position)
	if checksums {
		putSum(event)
	}
	return event
}

// MoveHeader does the same with a header in place, whose event needs another CRC32 then.
func MoveHeader(head []byte, serverID, position uint32) {
	binary.LittleEndian.PutUint32(head[serverIDAt:], serverID)
	binary.LittleEndian.PutUint32(head[positionAt:], position)
}

// checkSum compares the CRC32 at the end of an event with what it is of.
func checkSum(event []byte) error {
	end := len(event) - ChecksumSize
	want := binary.LittleEndian.Uint32(event[end:])
	if got := crc32.ChecksumIEEE(event[:end]); got != want {
		return fmt.Errorf("its CRC32 is %08x, it says %08x", got, want)
	}
	return nil
}

func putSum(event []byte) {
	end := len(event) - ChecksumSize
	binary.LittleEndian.PutUint32(event[end:], crc32.ChecksumIEEE(event[:end]))
}

// artificial makes an event that is in no file.
func artificial(h Header, body []byte, checksums bool) []byte {
	h.Flags |= flagArtificial
	h.Size = uint32(HeaderSize + len(body))
	if checksums {
		h.Size += ChecksumSize
	}
	event := append(h.append(nil), body...)
	if checksums {
		event = append(event, 0, 0, 0, 0)
		putSum(event)
	}
	return event
}

// Rotate is the event by which a source names the file of what follows.
func Rotate(serverID uint32, file string, checksums bool) []byte {
	body := binary.LittleEndian.AppendUint64(nil, 4)
	return artificial(Header{
		Type:     replication.ROTATE_EVENT,
		ServerID: serverID,
	}, append(body, file...), checksums)
}

// Heartbeat is the event by which a source says that it is alive and has nothing to send.
func Heartbeat(serverID uint32, file string, position uint32, checksums bool) []byte {
	return artificial(Header{
		Type:     replication.HEARTBEAT_EVENT,
		ServerID: serverID,
		Position: position,
	}, []byte(file), checksums)
}
