package rewind

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/gtid"
)

// headerSize is the length of the header of every event, in bytes.
const headerSize = replication.EventHeaderSize

var (
	plainMagic     = []byte{0xfe, 'b', 'i', 'n'}
	encryptedMagic = []byte{0xfd, 'b', 'i', 'n'}
)

// event is one event of a file: where it is, and its bytes if they are of use.
type event struct {
	kind       replication.EventType
	flags      uint16
	start, end int64
	raw        []byte
}

// wanted are the events whose content matters here; rows do not.
func wanted(kind replication.EventType) bool {
	switch kind { //nolint:exhaustive // all others are skipped
	case replication.FORMAT_DESCRIPTION_EVENT, replication.PREVIOUS_GTIDS_EVENT, replication.GTID_EVENT,
		replication.GTID_TAGGED_LOG_EVENT, replication.QUERY_EVENT, replication.TRANSACTION_PAYLOAD_EVENT:
		return true
	}
	return false
}

// reader walks the events of one file.
type reader struct {
	file   *os.File
	buffer *bufio.Reader
	size   int64
	offset int64
	parser *replication.BinlogParser
}

func openBinlog(path string) (*reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &reader{
		file:   file,
		buffer: bufio.NewReaderSize(file, 1<<16),
		parser: replication.NewBinlogParser(),
	}
	if err := r.begin(); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("binlog %s: %w", filepath.Base(path), err)
	}
	return r, nil
}

func (r *reader) begin() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.size = info.Size()
	magic := make([]byte, len(plainMagic))
	if _, err := io.ReadFull(r.buffer, magic); err != nil {
		return fmt.Errorf("%w: no header", ErrDamaged)
	}
	r.offset = int64(len(magic))
	switch {
	case bytes.Equal(magic, encryptedMagic):
		return ErrEncrypted
	case !bytes.Equal(magic, plainMagic):
		return fmt.Errorf("%w: not a binlog", ErrDamaged)
	}
	return nil
}

func (r *reader) close() { _ = r.file.Close() }

// next returns io.EOF at the end, and also at an event that was not written
// whole: mysqld's recovery cuts the file there.
func (r *reader) next() (event, error) {
	header := make([]byte, headerSize)
	if r.offset+headerSize > r.size {
		return event{}, io.EOF
	}
	if _, err := io.ReadFull(r.buffer, header); err != nil {
		return event{}, err
	}
	length := int64(binary.LittleEndian.Uint32(header[9:]))
	e := event{
		kind:  replication.EventType(header[4]),
		flags: binary.LittleEndian.Uint16(header[17:]),
		start: r.offset,
		end:   r.offset + length,
	}
	if length < headerSize {
		return event{}, fmt.Errorf("%w: event of %d bytes at %d", ErrDamaged, length, e.start)
	}
	if e.end > r.size {
		return event{}, io.EOF
	}
	if wanted(e.kind) {
		e.raw = make([]byte, length)
		copy(e.raw, header)
		if _, err := io.ReadFull(r.buffer, e.raw[headerSize:]); err != nil {
			return event{}, err
		}
	} else if _, err := io.CopyN(io.Discard, r.buffer, length-headerSize); err != nil {
		return event{}, err
	}
	r.offset = e.end
	return e, nil
}

// decode parses the content of a wanted event. The format description has to
// be decoded first, since it says whether events end in a checksum.
func (r *reader) decode(e event) (decoded replication.Event, err error) {
	defer func() {
		// The parser indexes into what it is given; a damaged file must not
		// end the agent.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: event at %d: %v", ErrDamaged, e.start, p)
		}
	}()
	parsed, err := r.parser.Parse(bytes.Clone(e.raw))
	if err != nil {
		return nil, fmt.Errorf("%w: event at %d: %w", ErrDamaged, e.start, err)
	}
	return parsed.Event, nil
}

// GTIDOf is the GTID of a decoded event of that kind, with a tag or without; ErrDamaged for others.
func GTIDOf(decoded replication.Event) (gtid.GTID, error) {
	var plain *replication.GTIDEvent
	switch e := decoded.(type) {
	case *replication.GTIDEvent:
		plain = e
	case *replication.GtidTaggedLogEvent:
		plain = &e.GTIDEvent
	default:
		return gtid.GTID{}, fmt.Errorf("%w: %T where a GTID is due", ErrDamaged, decoded)
	}
	if len(plain.SID) != 16 {
		return gtid.GTID{}, fmt.Errorf("%w: server UUID of %d bytes", ErrDamaged, len(plain.SID))
	}
	text := uuidText(plain.SID)
	if plain.Tag != "" {
		text += ":" + plain.Tag
	}
	return gtid.ParseGTID(fmt.Sprintf("%s:%d", text, plain.GNO))
}

func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// PreviousGTIDs reads what all files before this one hold from the bytes of the event that says
// so, its header included. The parser in use knows no tag on a server that has nothing without one.
func PreviousGTIDs(raw []byte, checksum bool) (set gtid.Set, err error) {
	body := raw[headerSize:]
	if checksum && len(body) >= 4 {
		body = body[:len(body)-4]
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: list of GTIDs: %v", ErrDamaged, p)
		}
	}()
	count := binary.LittleEndian.Uint64(body)
	tagged := body[7] == 1
	if tagged {
		// Bytes 1 to 6 hold the number, the first and the last the format.
		count = binary.LittleEndian.Uint64(append(bytes.Clone(body[1:7]), 0, 0))
	}
	body = body[8:]
	var groups []string
	for range count {
		group := uuidText(body[:16])
		body = body[16:]
		if tagged {
			length := int(body[0]) / 2
			if length > 0 {
				group += ":" + string(body[1:1+length])
			}
			body = body[1+length:]
		}
		intervals := binary.LittleEndian.Uint64(body)
		body = body[8:]
		for range intervals {
			group += fmt.Sprintf(":%d-%d", binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint64(body[8:])-1)
			body = body[16:]
		}
		groups = append(groups, group)
	}
	return gtid.Parse(strings.Join(groups, ","))
}

// hasChecksum reads the last byte before the format description's own
// checksum, which names the algorithm.
func hasChecksum(e event) bool {
	const algorithmAndSum = 5
	return len(e.raw) > headerSize+algorithmAndSum && e.raw[len(e.raw)-algorithmAndSum] == 1
}

// binlogFiles returns the files that the index lists, in order.
func binlogFiles(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(dir, line)
		}
		files = append(files, line)
	}
	if len(files) == 0 {
		return nil, errors.New("the index lists no binlog")
	}
	return files, nil
}
