package quarantine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

const (
	headerSize   = replication.EventHeaderSize
	checksumSize = replication.BinlogChecksumLength
	// mostEvent bounds an event that is decoded, in bytes. Only a single row or statement makes a
	// larger one, unless binlog_row_event_max_size was raised beyond it.
	mostEvent = 8 << 20
	// mostWindow bounds the memory of one decompression, in bytes.
	mostWindow = 64 << 20
)

var (
	errDamaged   = errors.New("it is damaged")
	errCut       = errors.New("it ends in the middle of an event")
	errEncrypted = errors.New("it is encrypted")
	errNoBinlog  = errors.New("it is not a binary log")
)

// header is that of one event; its body follows in the stream.
type header struct {
	kind   replication.EventType
	flags  uint16
	at     uint32 // seconds since 1970
	length int64
	offset int64
	raw    [headerSize]byte
}

// time of the event.
func (h header) time() time.Time { return time.Unix(int64(h.at), 0).UTC() }

// events reads one event after the other: those of a file, or those that were compressed into
// one event of it.
type events struct {
	in     *bufio.Reader
	offset int64
	parser *replication.BinlogParser
	// format is the raw event that says how the others look; nil before it.
	format []byte
	// checksum: events end in one.
	checksum bool
	// left of the event whose header was read, in bytes.
	left int64
	// sum of what is read of a compressed event; nil outside of one.
	sum hash.Hash32
}

func newParser() *replication.BinlogParser {
	parser := replication.NewBinlogParser()
	parser.SetTimestampStringLocation(time.UTC)
	parser.SetIgnoreJSONDecodeError(true)
	return parser
}

// openEvents begins to read a file.
func openEvents(from io.Reader) (*events, error) {
	e := &events{
		in:     bufio.NewReaderSize(from, 1<<16),
		parser: newParser(),
	}
	magic := make([]byte, len(replication.BinLogFileHeader))
	if _, err := io.ReadFull(e.in, magic); err != nil {
		return nil, fmt.Errorf("%w: it is empty or has no header", errCut)
	}
	e.offset = int64(len(magic))
	switch {
	case bytes.Equal(magic, []byte{0xfd, 'b', 'i', 'n'}):
		return nil, errEncrypted
	case !bytes.Equal(magic, replication.BinLogFileHeader):
		return nil, errNoBinlog
	}
	return e, nil
}

// next reads the header of the next event, after what is left of the last one. io.EOF is the end
// of the file between two events.
func (e *events) next() (header, error) {
	if err := e.skip(); err != nil {
		return header{}, err
	}
	h := header{offset: e.offset}
	if _, err := io.ReadFull(e.in, h.raw[:]); err != nil {
		return h, cutUnless(err, io.EOF)
	}
	h.at = binary.LittleEndian.Uint32(h.raw[0:])
	h.kind = replication.EventType(h.raw[4])
	h.length = int64(binary.LittleEndian.Uint32(h.raw[9:]))
	h.flags = binary.LittleEndian.Uint16(h.raw[17:])
	if h.length < headerSize {
		return h, fmt.Errorf("%w: an event of %d bytes", errDamaged, h.length)
	}
	e.left = h.length - headerSize
	e.offset += h.length
	return h, nil
}

// cutUnless says that an unexpected end is a cut; the expected one and all others stay.
func cutUnless(err, expected error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || (errors.Is(err, io.EOF) && !errors.Is(expected, io.EOF)) {
		return errCut
	}
	return err
}

// skip passes over what is left of an event.
func (e *events) skip() error {
	n, err := io.CopyN(io.Discard, e.in, e.left)
	e.left -= n
	return cutUnless(err, nil)
}

// take reads the first bytes of the event that are not read yet.
func (e *events) take(n int64) ([]byte, error) {
	if n > e.left {
		return nil, fmt.Errorf("%w: an event is too short", errDamaged)
	}
	part := make([]byte, n)
	_, err := io.ReadFull(e.in, part)
	e.left -= n
	if e.sum != nil {
		_, _ = e.sum.Write(part) // fails never
	}
	return part, cutUnless(err, nil)
}

// whole reads the event with its header and verifies its checksum. It must not be larger than
// mostEvent.
func (e *events) whole(h header) ([]byte, error) {
	body, err := e.take(e.left)
	if err != nil {
		return nil, err
	}
	raw := append(bytes.Clone(h.raw[:]), body...)
	isFormat := h.kind == replication.FORMAT_DESCRIPTION_EVENT
	if isFormat && len(body) > checksumSize {
		algorithm := body[len(body)-checksumSize-1]
		e.format = raw
		e.checksum = algorithm != byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	}
	if !e.checksum {
		return raw, nil
	}
	summed := raw
	if isFormat {
		// mysqld changes this flag in place while it writes the file; it is summed as cleared.
		const inUse = 17
		summed = bytes.Clone(raw)
		summed[inUse] &^= byte(replication.LOG_EVENT_BINLOG_IN_USE_F)
	}
	end := len(raw) - checksumSize
	if end < headerSize || crc32.ChecksumIEEE(summed[:end]) != binary.LittleEndian.Uint32(raw[end:]) {
		return nil, fmt.Errorf("%w: the checksum of an event does not fit", errDamaged)
	}
	return raw, nil
}

// decode parses an event. The format event has to come first.
func (e *events) decode(raw []byte) (decoded replication.Event, err error) {
	defer func() {
		// The parser indexes into what it is given.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	if e.format == nil {
		return nil, fmt.Errorf("%w: an event before the one that says how events look", errDamaged)
	}
	parsed, err := e.parser.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errDamaged, clip(err.Error(), mostStatement))
	}
	return parsed.Event, nil
}

// The fields before the content of a compressed event.
const (
	payloadEnd         = 0
	payloadCompression = 2
	compressionZstd    = 0
	compressionNone    = 255
)

// inner opens the events that were compressed into the one whose header was just read. Their
// offsets count within it. close frees what the decompression takes.
func (e *events) inner(h header) (inner *events, done func(), err error) {
	e.sum = crc32.NewIEEE()
	_, _ = e.sum.Write(h.raw[:]) // fails never
	compression, err := e.payloadFields()
	if err != nil {
		return nil, nil, err
	}
	if e.checksum {
		e.left -= checksumSize
	}
	if e.left < 0 || e.format == nil {
		return nil, nil, fmt.Errorf("%w: a compressed event is too short or too early", errDamaged)
	}
	content := &rest{of: e}
	done = func() {}
	var from io.Reader = content
	switch compression {
	case compressionZstd:
		decoder, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return nil, nil, err
		}
		from = decoder
		done = decoder.Close
	case compressionNone:
	default:
		return nil, nil, fmt.Errorf("%w: unknown compression %d", errDamaged, compression)
	}
	inner = &events{
		in:     bufio.NewReaderSize(from, 1<<16),
		parser: newParser(),
	}
	// The events within have no checksums of their own.
	inner.format = bytes.Clone(e.format)
	inner.format[len(inner.format)-checksumSize-1] = byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	_, err = inner.decode(inner.format)
	return inner, done, err
}

// endInner passes over the rest of a compressed event and verifies its checksum.
func (e *events) endInner() error {
	_, err := io.Copy(io.Discard, &rest{of: e})
	computed := e.sum.Sum32()
	e.sum = nil
	if err != nil || !e.checksum {
		return err
	}
	e.left = checksumSize
	stored, err := e.take(checksumSize)
	if err == nil && binary.LittleEndian.Uint32(stored) != computed {
		err = fmt.Errorf("%w: the checksum of a compressed event does not fit", errDamaged)
	}
	return err
}

// payloadFields reads up to the content of a compressed event.
func (e *events) payloadFields() (compression uint64, err error) {
	for {
		kind, err := e.take(1)
		if err != nil || kind[0] == payloadEnd {
			return compression, err
		}
		length, err := e.take(1)
		if err != nil {
			return 0, err
		}
		value, err := e.take(int64(length[0]))
		if err != nil {
			return 0, err
		}
		if kind[0] == payloadCompression {
			compression = lengthEncoded(value)
		}
	}
}

// lengthEncoded reads a number of 1, 3, 4 or 9 bytes.
func lengthEncoded(value []byte) uint64 {
	var number [8]byte
	if len(value) > 1 {
		value = value[1:]
	}
	copy(number[:], value)
	return binary.LittleEndian.Uint64(number[:])
}

// rest reads what is left of a compressed event, and no further.
type rest struct{ of *events }

// Read implements io.Reader.
func (r *rest) Read(p []byte) (int, error) {
	if r.of.left == 0 {
		return 0, io.EOF
	}
	n, err := r.of.in.Read(p[:min(int64(len(p)), r.of.left)])
	r.of.left -= int64(n)
	_, _ = r.of.sum.Write(p[:n]) // fails never
	return n, cutUnless(err, nil)
}
