package gtid

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxNumber is the largest transaction number a server ever assigns.
const MaxNumber = math.MaxInt64 - 1

// maxTagLength is the longest tag a server accepts, in bytes.
const maxTagLength = 32

// ErrSyntax is wrapped by every error of this package's parsers.
var ErrSyntax = errors.New("not a GTID set")

// ServerUUID names one mysqld for as long as its data directory lives. It is
// lower case with dashes; make one with ParseServerUUID.
type ServerUUID string

// ParseServerUUID reads a UUID in its canonical form of 36 characters, in
// either case.
func ParseServerUUID(text string) (ServerUUID, error) {
	const length = 36
	if len(text) != length {
		return "", fmt.Errorf("parse server UUID %q: %w: want %d characters", clip(text), ErrSyntax, length)
	}
	for i := range length {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return "", fmt.Errorf("parse server UUID %q: %w: want a dash at %d", text, ErrSyntax, i)
			}
		default:
			if !isHex(c) {
				return "", fmt.Errorf("parse server UUID %q: %w: want a hexadecimal digit at %d", text, ErrSyntax, i)
			}
		}
	}
	return ServerUUID(strings.ToLower(text)), nil
}

// Tag is the optional middle part of a GTID, lower case; most have none.
type Tag string

func parseTag(text string) (Tag, error) {
	if text == "" || len(text) > maxTagLength {
		return "", fmt.Errorf("parse tag %q: %w: want 1 to %d characters", clip(text), ErrSyntax, maxTagLength)
	}
	for i := range len(text) {
		if !isTagByte(text[i], i == 0) {
			return "", fmt.Errorf("parse tag %q: %w: want letters, digits and underscores, no digit first", text, ErrSyntax)
		}
	}
	return Tag(strings.ToLower(text)), nil
}

// GTID names one transaction.
type GTID struct {
	Server ServerUUID
	Tag    Tag
	Number int64
}

// ParseGTID reads "uuid:number" or "uuid:tag:number".
func ParseGTID(text string) (GTID, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return GTID{}, fmt.Errorf("parse GTID %q: %w: want uuid:number or uuid:tag:number", clip(text), ErrSyntax)
	}
	server, err := ParseServerUUID(parts[0])
	if err != nil {
		return GTID{}, err
	}
	id := GTID{Server: server}
	if len(parts) == 3 {
		if id.Tag, err = parseTag(parts[1]); err != nil {
			return GTID{}, err
		}
	}
	if id.Number, err = parseNumber(parts[len(parts)-1]); err != nil {
		return GTID{}, err
	}
	return id, nil
}

// String returns the form ParseGTID reads.
func (g GTID) String() string {
	number := strconv.FormatInt(g.Number, 10)
	if g.Tag == "" {
		return string(g.Server) + ":" + number
	}
	return string(g.Server) + ":" + string(g.Tag) + ":" + number
}

// Set returns the set that holds g alone.
func (g GTID) Set() Set {
	return setOf(stream{g.Server, g.Tag}, []interval{{g.Number, g.Number}})
}

func parseNumber(text string) (int64, error) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, fmt.Errorf("parse transaction number %q: %w: want digits", clip(text), ErrSyntax)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > MaxNumber {
		return 0, fmt.Errorf("parse transaction number %q: %w: want 1 to %d", clip(text), ErrSyntax, int64(MaxNumber))
	}
	return n, nil
}

func isHex(c byte) bool {
	return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f') || ('A' <= c && c <= 'F')
}

func isTagByte(c byte, first bool) bool {
	letter := c == '_' || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z')
	return letter || (!first && '0' <= c && c <= '9')
}

// clip keeps hostile or huge input out of error texts.
func clip(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "…"
}
