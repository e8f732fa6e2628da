package clonewire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// AnswerCode is the first byte of what a donor sends.
type AnswerCode byte

// The answers of a donor.
const (
	AnswerLocators      AnswerCode = 1
	AnswerDescriptor    AnswerCode = 2
	AnswerData          AnswerCode = 3
	AnswerPlugin        AnswerCode = 4
	AnswerSetting       AnswerCode = 5
	AnswerCollation     AnswerCode = 6
	AnswerPluginLibrary AnswerCode = 7
	AnswerMoreSettings  AnswerCode = 8
	AnswerSettings103   AnswerCode = 9 // from version 0x0103 on
	AnswerComplete      AnswerCode = 99
	AnswerError         AnswerCode = 100
)

// Answer is one message of a donor.
type Answer struct {
	Code AnswerCode
	// Body is what follows the code. One that a function of this package hands
	// out is valid until that function is called again.
	Body []byte
}

func parseAnswer(message []byte) (Answer, error) {
	if len(message) == 0 {
		return Answer{}, fmt.Errorf("%w: empty answer", ErrMalformed)
	}
	code := AnswerCode(message[0])
	known := code >= AnswerLocators && code <= AnswerSettings103
	if !known && code != AnswerComplete && code != AnswerError {
		return Answer{}, fmt.Errorf("%w: unknown answer %d", ErrMalformed, code)
	}
	return Answer{
		Code: code,
		Body: message[1:],
	}, nil
}

// Strings returns the texts in a plugin, a collation or a setting: its name and,
// where there is one, its library or value.
func (a Answer) Strings() ([]string, error) {
	f := fields{left: a.Body}
	var texts []string
	for f.err == nil && len(f.left) > 0 {
		if text := f.counted("text"); f.err == nil {
			texts = append(texts, string(text))
		}
	}
	return texts, f.end()
}

// DonorError is what a donor, or this package's, says when it gives up.
type DonorError struct {
	// Number is the MySQL error number.
	Number uint32
	// Message is the donor's text.
	Message string
}

func (e *DonorError) Error() string { return fmt.Sprintf("donor: error %d: %s", e.Number, e.Message) }

const longestMessage = 1024

func parseDonorError(body []byte) error {
	f := fields{left: body}
	number := f.little32("error number")
	if f.err != nil {
		return f.err
	}
	return &DonorError{
		Number:  number,
		Message: string(f.left[:min(len(f.left), longestMessage)]),
	}
}

func (e *DonorError) encode() []byte {
	message := binary.LittleEndian.AppendUint32(nil, e.Number)
	return append(message, e.Message...)
}

// storedHeader is the length, little-endian, and the code before a stored body.
const storedHeader = 5

// WriteAnswer writes an answer as ReadAnswer reads it: StoredSize bytes.
func WriteAnswer(w io.Writer, a Answer) error {
	var header [storedHeader]byte
	if uint64(len(a.Body)) > uint64(^uint32(0)) {
		return fmt.Errorf("write an answer of %d bytes: %w", len(a.Body), ErrTooLarge)
	}
	binary.LittleEndian.PutUint32(header[:], uint32(len(a.Body)))
	header[storedHeader-1] = byte(a.Code)
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	_, err := w.Write(a.Body)
	return err
}

// StoredSize is the number of bytes that WriteAnswer writes.
func StoredSize(a Answer) int { return storedHeader + len(a.Body) }

// ReadAnswer reads one answer that WriteAnswer wrote, of at most limit bytes in
// its body, using buffer if that is large enough. At the end of r it returns
// io.EOF, in the middle of an answer io.ErrUnexpectedEOF. It allocates at most
// the limit and at most a mebibyte more than r has.
func ReadAnswer(r io.Reader, buffer []byte, limit int) (Answer, error) {
	var header [storedHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Answer{}, err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if uint64(length) > uint64(max(limit, 0)) {
		return Answer{}, fmt.Errorf("read an answer of %d bytes: %w of %d", length, ErrTooLarge, limit)
	}
	body, err := readOnto(r, buffer[:0], int(length), limit)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Answer{}, err
	}
	code := AnswerCode(header[storedHeader-1])
	if code != AnswerDescriptor && code != AnswerData && !code.opens() {
		return Answer{}, fmt.Errorf("%w: answer %d is in no recording", ErrMalformed, code)
	}
	return Answer{
		Code: code,
		Body: body,
	}, nil
}

// opens reports whether an answer is one of those before any data.
func (c AnswerCode) opens() bool {
	switch c {
	case AnswerLocators, AnswerPlugin, AnswerSetting, AnswerCollation, AnswerPluginLibrary, AnswerMoreSettings, AnswerSettings103:
		return true
	case AnswerDescriptor, AnswerData, AnswerComplete, AnswerError:
		return false
	}
	return false
}
