package dump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// statement is one statement of a dump.
type statement struct {
	// line is where it begins, counted from 1.
	line int
	// code is the statement without comments and with empty strings, cut after codeMax bytes.
	code []byte
}

const (
	// codeMax is how much of a statement's code is kept. A definition is kept longer, since
	// its engine stands at its end.
	codeMax           = 4 << 10
	codeMaxDefinition = 1 << 20
	// heldMax is how long a SET statement may be; longer ones are no dump's.
	heldMax = 64 << 20
)

// scanner splits a dump into statements. What it read goes to pass, in pieces, except the
// statements that drop names; their line breaks stay, so that the server's errors name the
// lines of the dump.
type scanner struct {
	in        *bufio.Reader
	line      int
	lineStart bool
	delimiter []byte

	// drop judges a statement when it has ended. Only statements that begin with SET are
	// dropped, so that only these are held back until then.
	drop func(statement) bool
	pass func([]byte) error
	// comment is called with each comment that is none of a version.
	comment func([]byte)

	current   statement
	raw       []byte
	inVersion bool
}

func newScanner(in io.Reader, drop func(statement) bool, pass func([]byte) error) *scanner {
	return &scanner{
		in:        bufio.NewReaderSize(in, 1<<20),
		line:      1,
		lineStart: true,
		delimiter: []byte(";"),
		drop:      drop,
		pass:      pass,
		comment:   func([]byte) {},
	}
}

// run reads to the end. It fails where the input fails, and where it ends in the middle of a
// statement, a string or a comment.
func (s *scanner) run() error {
	for {
		if len(s.current.code) == 0 && s.lineStart {
			if done, err := s.readDelimiter(); err != nil {
				return err
			} else if done {
				continue
			}
		}
		if next, err := s.in.Peek(len(s.delimiter)); err == nil && !s.inVersion && bytes.Equal(next, s.delimiter) {
			if err := s.endStatement(); err != nil {
				return err
			}
			continue
		}
		b, err := s.next()
		if errors.Is(err, io.EOF) {
			return s.end()
		}
		if err != nil {
			return err
		}
		if err := s.step(b); err != nil {
			return err
		}
	}
}

// step takes one byte of code, and the whole of a string or comment that begins with it.
func (s *scanner) step(b byte) error {
	switch {
	case b == '\'' || b == '"':
		return s.readString(b)
	case b == '`':
		return s.readName()
	case b == '#':
		return s.skipLine("#")
	case b == '-' && s.lineCommentFollows():
		return s.skipLine("-")
	case b == '/' && s.peekIs("*"):
		return s.readComment()
	case b == '*' && s.inVersion && s.peekIs("/"):
		s.inVersion = false
		_, err := s.next()
		return err
	}
	s.addCode(b)
	return nil
}

// next reads one byte into the statement's raw text.
func (s *scanner) next() (byte, error) {
	b, err := s.in.ReadByte()
	if err != nil {
		return 0, err
	}
	s.raw = append(s.raw, b)
	s.lineStart = b == '\n'
	if b == '\n' {
		s.line++
	}
	if len(s.raw) >= 64<<10 && !s.holds() {
		err = s.flush()
	} else if len(s.raw) > heldMax {
		err = fmt.Errorf("line %d: the SET statement is longer than %d bytes", s.current.line, heldMax)
	}
	return b, err
}

// holds: what was read of the statement may have to be dropped.
func (s *scanner) holds() bool {
	const first = "SET "
	code := s.current.code
	n := min(len(code), len(first))
	return bytes.EqualFold(code[:n], []byte(first[:n]))
}

func (s *scanner) flush() error {
	err := s.pass(s.raw)
	s.raw = s.raw[:0]
	return err
}

func (s *scanner) peekIs(text string) bool {
	next, err := s.in.Peek(len(text))
	return err == nil && string(next) == text
}

// lineCommentFollows: a dash begins a comment when another one and white space follow.
func (s *scanner) lineCommentFollows() bool {
	next, err := s.in.Peek(2)
	if err != nil {
		return len(next) == 1 && next[0] == '-'
	}
	return next[0] == '-' && next[1] <= ' '
}

func (s *scanner) addCode(b byte) {
	if b <= ' ' {
		b = ' '
	}
	code := s.current.code
	if b == ' ' && (len(code) == 0 || code[len(code)-1] == ' ') {
		return
	}
	if len(code) == 0 {
		s.current.line = s.line
	}
	limit := codeMax
	if isDefinition(code) {
		limit = codeMaxDefinition
	}
	if len(code) < limit {
		s.current.code = append(code, b)
	}
}

func isDefinition(code []byte) bool {
	const first = "CREATE "
	return len(code) >= len(first) && bytes.EqualFold(code[:len(first)], []byte(first))
}

// readString reads to the end of a string; its code is an empty one.
func (s *scanner) readString(quote byte) error {
	from := s.line
	s.addCode(quote)
	for {
		b, err := s.next()
		if err != nil {
			return cutOff(err, from, "a string")
		}
		switch b {
		case '\\':
			if _, err := s.next(); err != nil {
				return cutOff(err, from, "a string")
			}
		case quote:
			s.addCode(quote)
			return nil
		}
	}
}

// readName reads a quoted name, which stays in the code.
func (s *scanner) readName() error {
	from := s.line
	s.addCode('`')
	for {
		b, err := s.next()
		if err != nil {
			return cutOff(err, from, "a name")
		}
		s.addCode(b)
		if b == '`' {
			return nil
		}
	}
}

func (s *scanner) skipLine(begun string) error {
	text := []byte(begun)
	defer func() { s.comment(text) }()
	for {
		b, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if b == '\n' {
			s.addCode(b)
			return nil
		}
		if len(text) < codeMax {
			text = append(text, b)
		}
	}
}

// readComment reads a comment that began with a slash. What stands in a comment of MySQL's
// own is code. One of MariaDB's own is a comment here, and is taken out: the mysql client
// stumbles over the backslash that a recent mariadb-dump puts into its first one.
func (s *scanner) readComment() error {
	from := s.line
	kept := len(s.raw) - 1
	if _, err := s.next(); err != nil {
		return err
	}
	s.addCode(' ')
	if s.peekIs("!") {
		s.inVersion = true
		return s.readVersion()
	}
	foreign := s.peekIs("M!")
	last := byte(0)
	for {
		b, err := s.next()
		if err != nil {
			return cutOff(err, from, "a comment")
		}
		if last == '*' && b == '/' {
			break
		}
		last = b
	}
	if foreign && kept <= len(s.raw) {
		s.raw = s.raw[:kept]
	}
	return nil
}

// readVersion reads the exclamation mark and the number of a version comment.
func (s *scanner) readVersion() error {
	if _, err := s.next(); err != nil {
		return err
	}
	for {
		next, err := s.in.Peek(1)
		if err != nil || next[0] < '0' || next[0] > '9' {
			return nil
		}
		if _, err := s.next(); err != nil {
			return err
		}
	}
}

// readDelimiter reads a DELIMITER command, which is a line of the client's.
func (s *scanner) readDelimiter() (bool, error) {
	const word = "DELIMITER"
	next, err := s.in.Peek(len(word) + 1)
	if err != nil || !bytes.EqualFold(next[:len(word)], []byte(word)) || next[len(word)] > ' ' {
		return false, nil
	}
	line, err := s.in.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if delimiter := bytes.TrimSpace(line[len(word):]); len(delimiter) > 0 {
		s.delimiter = delimiter
	}
	s.raw = append(s.raw, line...)
	s.line++
	return true, s.flush()
}

// endStatement reads the delimiter and passes or drops the statement.
func (s *scanner) endStatement() error {
	for range s.delimiter {
		if _, err := s.next(); err != nil {
			return err
		}
	}
	one := s.current
	drop := len(one.code) > 0 && s.drop(one)
	if drop {
		breaks := bytes.Count(s.raw, []byte("\n"))
		s.raw = append(s.raw[:0], bytes.Repeat([]byte("\n"), breaks)...)
	}
	err := s.flush()
	s.current = statement{code: one.code[:0]}
	s.lineStart = false
	return err
}

// end judges what follows the last delimiter: a statement without one is run by the client too.
func (s *scanner) end() error {
	switch {
	case s.inVersion:
		return cutOff(io.EOF, s.current.line, "a comment")
	case len(bytes.TrimSpace(s.current.code)) > 0:
		return cutOff(io.EOF, s.current.line, "a statement")
	}
	return s.flush()
}

// ErrCutOff: the dump ends where no dump ends.
var ErrCutOff = errors.New("the dump is cut off")

func cutOff(err error, line int, what string) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends in the middle of %s that begins in line %d", ErrCutOff, what, line)
	}
	return err
}
