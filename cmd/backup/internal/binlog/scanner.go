package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
)

// Sink gets what a stream of events has in it. An error that it returns ends the stream.
type Sink interface {
	// Format is called when the format of the events that follow is another one than before.
	Format(f FormatEvent) error
	// Begin is called with the event that begins a transaction; it is valid until Begin returns.
	Begin(t Transaction, event []byte) error
	// Event is called before each other event of a transaction.
	Event(h Header) error
	// Body is called with the bytes of such an event, its header included, in pieces of any
	// size; each is valid until Body returns.
	Body(piece []byte) error
	// End is called when a transaction is complete.
	End() error
}

// Scanner takes a stream of events apart, whatever their size, in bounded memory. It compares
// the CRC32 of the events that an archive keeps.
type Scanner struct {
	sink Sink

	format FormatEvent
	// left is how many bytes the current transaction still has; zero outside of one.
	left uint64

	// The current event: its header, as many bytes as have come, and all of them if it is read whole.
	header  Header
	seen    uint32
	head    []byte
	control bool
	sum     hash.Hash32
	// tail is its last ChecksumSize bytes so far, which are not summed up.
	tail []byte
}

// NewScanner tells sink what is written to the scanner.
func NewScanner(sink Sink) *Scanner {
	return &Scanner{
		sink: sink,
		sum:  crc32.NewIEEE(),
	}
}

// Format is the newest format description, without Raw before the first.
func (s *Scanner) Format() FormatEvent { return s.format }

// Outside reports whether the stream is between two transactions and two events.
func (s *Scanner) Outside() bool { return s.left == 0 && s.seen == 0 }

// Write takes the next bytes of the stream.
func (s *Scanner) Write(piece []byte) (int, error) {
	taken := 0
	for taken < len(piece) {
		count, err := s.take(piece[taken:])
		taken += count
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

func (s *Scanner) take(piece []byte) (int, error) {
	if s.seen < HeaderSize {
		count := min(HeaderSize-int(s.seen), len(piece))
		s.head = append(s.head, piece[:count]...)
		s.seen += uint32(count)
		if s.seen < HeaderSize {
			return count, nil
		}
		if err := s.begin(); err != nil {
			return count, err
		}
		return count, s.finishIfWhole()
	}
	count := int(min(uint64(s.header.Size-s.seen), uint64(len(piece))))
	s.seen += uint32(count)
	if s.control {
		s.head = append(s.head, piece[:count]...)
	} else if err := s.body(piece[:count]); err != nil {
		return count, err
	}
	return count, s.finishIfWhole()
}

// begin reads the header of an event.
func (s *Scanner) begin() error {
	var err error
	if s.header, err = ParseHeader(s.head); err != nil {
		return err
	}
	s.control = s.left == 0
	if s.control {
		if s.header.Size > ControlLimit {
			return fmt.Errorf("%w: an event of type %d outside a transaction has %d bytes", ErrMalformed, s.header.Type, s.header.Size)
		}
		return nil
	}
	if uint64(s.header.Size) > s.left {
		return fmt.Errorf("%w: an event of %d bytes in a transaction that has %d left", ErrMalformed, s.header.Size, s.left)
	}
	s.left -= uint64(s.header.Size)
	s.sum.Reset()
	s.tail = s.tail[:0]
	if err := s.sink.Event(s.header); err != nil {
		return err
	}
	return s.body(s.head)
}

// body passes bytes of a transaction on and sums them up, but for the last four.
func (s *Scanner) body(piece []byte) error {
	if s.format.Checksums {
		s.tail = append(s.tail, piece...)
		if ready := len(s.tail) - ChecksumSize; ready > 0 {
			_, _ = s.sum.Write(s.tail[:ready]) // it never fails
			s.tail = append(s.tail[:0], s.tail[ready:]...)
		}
	}
	return s.sink.Body(piece)
}

func (s *Scanner) finishIfWhole() error {
	if s.seen < HeaderSize || s.seen < s.header.Size {
		return nil
	}
	head := s.head
	s.seen = 0
	s.head = s.head[:0]
	if s.control {
		return s.finishControl(head)
	}
	if s.format.Checksums && (len(s.tail) != ChecksumSize || binary.LittleEndian.Uint32(s.tail) != s.sum.Sum32()) {
		return fmt.Errorf("%w: the CRC32 of an event of type %d at %d is wrong", ErrMalformed, s.header.Type, s.header.Position)
	}
	if s.left == 0 {
		return s.sink.End()
	}
	return nil
}

func (s *Scanner) finishControl(event []byte) error {
	switch s.header.Kind() {
	case Idle:
		return nil
	case Format:
		f, err := ParseFormat(event)
		if err != nil {
			return err
		}
		if s.format.Raw != nil && s.format.Same(f) {
			return nil
		}
		s.format = f
		return s.sink.Format(f)
	case Begin:
		return s.beginTransaction(event)
	case Unexpected:
	}
	return fmt.Errorf("%w: an event of type %d outside a transaction", ErrMalformed, s.header.Type)
}

func (s *Scanner) beginTransaction(event []byte) error {
	if s.format.Raw == nil {
		return fmt.Errorf("%w: a transaction before the format description", ErrMalformed)
	}
	t, err := ParseTransaction(event, s.format.Checksums)
	if err != nil {
		return err
	}
	if s.format.Checksums {
		if err := checkSum(event); err != nil {
			return fmt.Errorf("%w: transaction %s: %w", ErrMalformed, t.GTID, err)
		}
	}
	s.left = t.Length - uint64(s.header.Size)
	if err := s.sink.Begin(t, bytes.Clone(event)); err != nil {
		return err
	}
	if s.left == 0 {
		return s.sink.End()
	}
	return nil
}
