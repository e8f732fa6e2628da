package clonewire

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// fullPacket is the length of a packet that is continued by the next one.
	fullPacket = 1<<24 - 1
	headerSize = 4
	// readStep bounds what is allocated before the bytes of a packet arrive.
	readStep = 1 << 20
)

var (
	// ErrTooLarge: a message is longer than the limit of the reader.
	ErrTooLarge = errors.New("message above the limit")
	// ErrMalformed: bytes that are no message of the protocol.
	ErrMalformed = errors.New("malformed message")
	// ErrSequence: a packet is lost or doubled.
	ErrSequence = errors.New("packet out of sequence")
)

// readMessage reads one message, of one packet or of several that are numbered
// from first on, into buffer and returns it. It allocates at most the limit, in
// bytes, and at most readStep more than has arrived.
func readMessage(r io.Reader, first int, buffer []byte, limit int) (message []byte, err error) {
	message = buffer[:0]
	for number := first; ; number++ {
		var header [headerSize]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, midMessage(err, number > first)
		}
		if header[3] != byte(number) {
			return nil, fmt.Errorf("%w: number %d in place of %d", ErrSequence, header[3], byte(number))
		}
		length := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
		if len(message)+length > limit {
			return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
		}
		message, err = readOnto(r, message, length, limit)
		if err != nil {
			return nil, midMessage(err, true)
		}
		if length < fullPacket {
			return message, nil
		}
	}
}

// readOnto appends the next length bytes of r, growing as they arrive.
func readOnto(r io.Reader, message []byte, length, limit int) ([]byte, error) {
	for length > 0 {
		if len(message) == cap(message) {
			step := min(max(len(message), readStep), length, limit-len(message))
			grown := make([]byte, len(message), len(message)+step)
			copy(grown, message)
			message = grown
		}
		start := len(message)
		part := min(length, cap(message)-start)
		message = message[:start+part]
		if _, err := io.ReadFull(r, message[start:]); err != nil {
			return message, err
		}
		length -= part
	}
	return message, nil
}

// midMessage makes an end in the middle of a message an error of its own.
func midMessage(err error, begun bool) error {
	if begun && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeMessage writes the parts as one message whose packets are numbered from
// first on, without copying them.
func writeMessage(w io.Writer, first int, parts ...[]byte) error {
	left := 0
	for _, part := range parts {
		left += len(part)
	}
	for number := first; ; number++ {
		length := min(left, fullPacket)
		header := [headerSize]byte{byte(length), byte(length >> 8), byte(length >> 16), byte(number)}
		if _, err := w.Write(header[:]); err != nil {
			return err
		}
		var err error
		if parts, err = writePrefix(w, parts, length); err != nil {
			return err
		}
		left -= length
		if length < fullPacket {
			return nil
		}
	}
}

// writePrefix writes the first length bytes of parts and returns what is left.
func writePrefix(w io.Writer, parts [][]byte, length int) ([][]byte, error) {
	parts = slices.Clone(parts)
	for length > 0 {
		count := min(length, len(parts[0]))
		if _, err := w.Write(parts[0][:count]); err != nil {
			return nil, err
		}
		length -= count
		parts[0] = parts[0][count:]
		if len(parts[0]) == 0 {
			parts = parts[1:]
		}
	}
	return parts, nil
}
