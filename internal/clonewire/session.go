package clonewire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
)

const (
	readBuffer = 64 << 10
	// longestCommand bounds what a recipient sends: locators and a descriptor.
	longestCommand = 64 << 10
)

// session is one connection after its handshake. It is used by one goroutine
// for reading and by one for writing.
type session struct {
	conn   net.Conn
	reader *bufio.Reader
	writer *bufio.Writer
	buffer []byte
	limit  int
}

func newSession(conn net.Conn, limit int) *session {
	return &session{
		conn:   conn,
		reader: bufio.NewReaderSize(conn, readBuffer),
		writer: bufio.NewWriterSize(conn, readBuffer),
		limit:  limit,
	}
}

// read returns the next message, which is valid until the next call.
func (s *session) read(first int) ([]byte, error) {
	message, err := readMessage(s.reader, first, s.buffer, s.limit)
	if err != nil {
		return nil, err
	}
	s.buffer = message
	return message, nil
}

// write sends one message.
func (s *session) write(first int, parts ...[]byte) error {
	if err := writeMessage(s.writer, first, parts...); err != nil {
		return err
	}
	return s.writer.Flush()
}

func (s *session) command(code commandCode, body []byte) error {
	return s.write(0, []byte{byte(code)}, body)
}

func (s *session) answer(answer Answer) error {
	return s.write(0, []byte{byte(answer.Code)}, answer.Body)
}

// The first bytes of MySQL's own answers to a command.
const (
	packetOK    = 0x00
	packetError = 0xff
)

// okPacket is MySQL's answer of a statement without result, in autocommit mode.
var okPacket = []byte{packetOK, 0, 0, 2, 0, 0, 0}

// parseErrorPacket reads MySQL's own answer of a command that failed.
func parseErrorPacket(message []byte) error {
	f := fields{left: message}
	f.byte("header")
	number := f.take(2, "error number")
	if f.err != nil {
		return f.err
	}
	const state = 6 // '#' and five characters
	if len(f.left) >= state && f.left[0] == '#' {
		f.left = f.left[state:]
	}
	return &DonorError{
		Number:  uint32(binary.LittleEndian.Uint16(number)),
		Message: string(f.left[:min(len(f.left), longestMessage)]),
	}
}

// appendErrorPacket is what parseErrorPacket reads.
func (e *DonorError) appendErrorPacket(message []byte) []byte {
	message = append(message, packetError)
	message = binary.LittleEndian.AppendUint16(message, uint16(e.Number))
	message = append(message, "#HY000"...)
	return append(message, e.Message...)
}

// next returns the donor's next answer; one that says that it gives up is an
// error of type DonorError.
func (s *session) next() (Answer, error) {
	message, err := s.read(0)
	if err != nil {
		return Answer{}, err
	}
	if len(message) > 0 && message[0] == packetError {
		return Answer{}, parseErrorPacket(message)
	}
	answer, err := parseAnswer(message)
	if err == nil && answer.Code == AnswerError {
		err = parseDonorError(answer.Body)
	}
	return answer, err
}

// complete sends a command that has no answer but its completion.
func (s *session) complete(code commandCode, body []byte) error {
	if err := s.command(code, body); err != nil {
		return err
	}
	answer, err := s.next()
	if err == nil && answer.Code != AnswerComplete {
		err = fmt.Errorf("%w: answer %d to command %d", ErrMalformed, answer.Code, code)
	}
	return err
}
