package source

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
)

// largestPacket is how many bytes one packet has; what is longer goes on in another.
const largestPacket = 1<<24 - 1

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

	format   binlog.FormatEvent
	position uint32
}

var _ binlog.Sink = (*sender)(nil)

func newSender(conn *server.Conn, asked settings) *sender {
	return &sender{
		conn:     conn.Conn.Conn,
		out:      bufio.NewWriterSize(deadlined{conn.Conn.Conn}, 64<<10),
		asked:    asked,
		sequence: conn.Sequence,
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

// artificial sends an event of the source's own.
func (s *sender) artificial(event []byte) error {
	if err := s.begin(uint64(len(event))); err != nil {
		return err
	}
	return s.write(event)
}

// Format implements binlog.Sink.
func (s *sender) Format(f binlog.FormatEvent) error {
	if s.format.Raw != nil && s.format.Same(f) {
		return nil
	}
	s.format = f
	return s.artificial(f.Served())
}

// Begin implements binlog.Sink.
func (s *sender) Begin(_ binlog.Transaction, event []byte) error {
	h, err := binlog.ParseHeader(event)
	if err != nil {
		return err
	}
	s.position = h.Position
	return s.artificial(event)
}

// Event implements binlog.Sink.
func (s *sender) Event(h binlog.Header) error {
	s.position = h.Position
	return s.begin(uint64(h.Size))
}

// Body implements binlog.Sink.
func (s *sender) Body(piece []byte) error { return s.write(piece) }

// End implements binlog.Sink.
func (s *sender) End() error { return nil }

func (s *sender) flush() error { return s.out.Flush() }

// heartbeats says that there is nothing more, until the receiver goes or ctx ends.
func (s *sender) heartbeats(ctx context.Context) error {
	ticker := time.NewTicker(s.asked.heartbeat)
	defer ticker.Stop()
	checksums := s.format.Raw == nil || s.format.Checksums
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := s.artificial(binlog.Heartbeat(serverID, file, s.position, checksums)); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}
