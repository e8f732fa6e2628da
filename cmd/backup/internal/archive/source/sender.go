package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
)

const (
	// largestPacket is how many bytes one packet has; what is longer goes on in another.
	largestPacket = 1<<24 - 1
	// firstPosition is where a file's first event begins, rotateAt where its last one ends at the latest,
	// but for a transaction's.
	firstPosition = 4
	rotateAt      = 1 << 30
)

// sender writes events as packets, whatever their size, without having one in memory.
type sender struct {
	conn  net.Conn
	out   *bufio.Writer
	asked settings

	sequence byte
	// left is how many bytes of the current event are still to come, and room how many of
	// them go into the current packet.
	left uint64
	room uint64
	// full is whether the current packet has the largest size: then another one follows.
	full bool

	format binlog.FormatEvent
	// head is the header of the current event, sum what the event's CRC32 is of.
	head []byte
	sum  hash.Hash32
	// files is how many files were announced to the receiver, and position where it is in the last.
	files    int
	position uint32
}

var _ binlog.Sink = (*sender)(nil)

func newSender(conn *server.Conn, asked settings) *sender {
	return &sender{
		conn:     conn.Conn.Conn,
		out:      bufio.NewWriterSize(deadlined{conn.Conn.Conn}, 64<<10),
		asked:    asked,
		sequence: conn.Sequence,
		sum:      crc32.NewIEEE(),
	}
}

// deadlined bounds each write.
type deadlined struct{ net.Conn }

func (d deadlined) Write(piece []byte) (int, error) {
	_ = d.Conn.SetDeadline(time.Now().Add(writeLimit))
	return d.Conn.Write(piece)
}

// begin begins an event of so many bytes.
func (s *sender) begin(size uint64) error {
	head := []byte{mysql.OK_HEADER}
	if s.asked.semiSync {
		head = append(head, 0xef, 0) // no acknowledgment is asked for
	}
	s.left = size + uint64(len(head))
	if err := s.packet(); err != nil {
		return err
	}
	return s.write(head)
}

// packet begins the next packet of the current event.
func (s *sender) packet() error {
	s.room = min(s.left, largestPacket)
	s.full = s.room == largestPacket
	header := []byte{byte(s.room), byte(s.room >> 8), byte(s.room >> 16), s.sequence}
	s.sequence++
	_, err := s.out.Write(header)
	return err
}

// write sends bytes of the current event.
func (s *sender) write(piece []byte) error {
	if uint64(len(piece)) > s.left {
		return fmt.Errorf("%w: an event is longer than it says", binlog.ErrMalformed)
	}
	for len(piece) > 0 {
		count := min(s.room, uint64(len(piece)))
		if _, err := s.out.Write(piece[:count]); err != nil {
			return err
		}
		piece = piece[count:]
		s.room -= count
		s.left -= count
		// It may be an empty one.
		if s.room == 0 && s.full {
			if err := s.packet(); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole sends an event as it is.
func (s *sender) whole(event []byte) error {
	if err := s.begin(uint64(len(event))); err != nil {
		return err
	}
	return s.write(event)
}

// rotate names the next file, so that positions stay small.
func (s *sender) rotate() error {
	s.files++
	s.position = firstPosition
	checksums := s.format.Raw == nil || s.format.Checksums
	if err := s.whole(binlog.Rotate(serverID, s.file(), checksums)); err != nil || s.format.Raw == nil {
		return err
	}
	return s.describe()
}

// describe sends the format description.
func (s *sender) describe() error { return s.whole(binlog.Moved(s.format.Served(), serverID, 0, true)) }

func (s *sender) file() string { return fmt.Sprintf("archive.%06d", s.files) }

// Format implements binlog.Sink.
func (s *sender) Format(f binlog.FormatEvent) error {
	if s.format.Raw != nil && s.format.Same(f) {
		return nil
	}
	s.format = f
	return s.describe()
}

// Begin implements binlog.Sink.
func (s *sender) Begin(_ binlog.Transaction, event []byte) error {
	if s.position > rotateAt {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	s.position += uint32(len(event))
	return s.whole(binlog.Moved(event, serverID, s.position, s.format.Checksums))
}

// Event implements binlog.Sink.
func (s *sender) Event(h binlog.Header) error {
	s.position += h.Size
	s.head = s.head[:0]
	s.sum.Reset()
	return s.begin(uint64(h.Size))
}

// Body implements binlog.Sink. A receiver skips what it takes for its own, so that the events
// get another server's ID, and with it another CRC32.
func (s *sender) Body(piece []byte) error {
	if missing := binlog.HeaderSize - len(s.head); missing > 0 {
		count := min(missing, len(piece))
		s.head = append(s.head, piece[:count]...)
		piece = piece[count:]
		if len(s.head) < binlog.HeaderSize {
			return nil
		}
		binlog.MoveHeader(s.head, serverID, s.position)
		if err := s.summed(s.head); err != nil {
			return err
		}
	}
	return s.summed(piece)
}

// summed sends bytes of an event, and its new CRC32 in place of the old one.
func (s *sender) summed(piece []byte) error {
	if !s.format.Checksums {
		return s.write(piece)
	}
	if s.left == 0 {
		return nil // the rest of the old one
	}
	body := piece
	if end := s.left - binlog.ChecksumSize; uint64(len(piece)) > end {
		body = piece[:end]
	}
	_, _ = s.sum.Write(body) // it never fails
	if err := s.write(body); err != nil {
		return err
	}
	// The bytes of the old one may come in several pieces: the new one replaces the first.
	if s.left == binlog.ChecksumSize {
		return s.write(binary.LittleEndian.AppendUint32(nil, s.sum.Sum32()))
	}
	return nil
}

// End implements binlog.Sink.
func (s *sender) End() error { return nil }

func (s *sender) flush() error { return s.out.Flush() }

// heartbeats says that there is nothing more, until the receiver goes or ctx ends.
func (s *sender) heartbeats(ctx context.Context) error {
	ticker := time.NewTicker(s.asked.heartbeat)
	defer ticker.Stop()
	checksums := s.format.Raw == nil || s.format.Checksums
	if s.position > rotateAt {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := s.whole(binlog.Heartbeat(serverID, s.file(), s.position, checksums)); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}
