package binlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	uuidSize = 16
	// tagged is the format of a set that names tags; without it none has one.
	tagged = 1
	// setLimit is how many bytes a set on the wire may have.
	setLimit = 16 << 20
)

func uuidText(raw []byte) string {
	if len(raw) != uuidSize {
		return "of " + strconv.Itoa(len(raw)) + " bytes"
	}
	text := hex.EncodeToString(raw)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// stream is the part of a set that is of one server and one tag.
type stream struct {
	uuid string
	tag  string
	// intervals are pairs: first and the one after the last.
	intervals []uint64
}

// streamsOf takes a set apart along its notation.
func streamsOf(set gtid.Set) []stream {
	var streams []stream
	if set.IsEmpty() {
		return nil
	}
	for _, group := range strings.Split(set.String(), ",") {
		fields := strings.Split(group, ":")
		current := stream{uuid: fields[0]}
		for _, field := range fields[1:] {
			first, last, ranged := strings.Cut(field, "-")
			from, err := strconv.ParseUint(first, 10, 63)
			if err != nil { // a tag, which begins with no digit
				if len(current.intervals) > 0 {
					streams = append(streams, current)
				}
				current = stream{
					uuid: fields[0],
					tag:  field,
				}
				continue
			}
			to := from
			if ranged {
				to, _ = strconv.ParseUint(last, 10, 63) // a set writes numbers only
			}
			current.intervals = append(current.intervals, from, to+1)
		}
		streams = append(streams, current)
	}
	return streams
}

// EncodeSet returns a set as COM_BINLOG_DUMP_GTID has it.
func EncodeSet(set gtid.Set) []byte {
	streams := streamsOf(set)
	withTags := false
	for _, s := range streams {
		withTags = withTags || s.tag != ""
	}
	count := uint64(len(streams))
	if withTags {
		count = tagged<<56 | count<<8 | tagged
	}
	out := binary.LittleEndian.AppendUint64(nil, count)
	for _, s := range streams {
		raw, _ := hex.DecodeString(strings.ReplaceAll(s.uuid, "-", "")) // a set has no other UUIDs
		out = append(out, raw...)
		if withTags {
			out = append(out, byte(len(s.tag)<<1))
			out = append(out, s.tag...)
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(len(s.intervals)/2))
		for _, bound := range s.intervals {
			out = binary.LittleEndian.AppendUint64(out, bound)
		}
	}
	return out
}

// DecodeSet reads what EncodeSet writes.
func DecodeSet(raw []byte) (gtid.Set, error) {
	if len(raw) > setLimit {
		return gtid.Set{}, fmt.Errorf("%w: a GTID set of %d bytes", ErrMalformed, len(raw))
	}
	r := fields{left: raw}
	count := r.number()
	withTags := count>>56 == tagged
	if withTags {
		count = count << 8 >> 16
	}
	var text strings.Builder
	for ; count > 0 && !r.failed; count-- {
		r.stream(&text, withTags)
	}
	if r.failed || len(r.left) > 0 {
		return gtid.Set{}, fmt.Errorf("%w: the GTID set has another length than it says", ErrMalformed)
	}
	set, err := gtid.Parse(text.String())
	if err != nil {
		return gtid.Set{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return set, nil
}

// fields reads numbers and bytes one after the other; failed says that there were too few.
type fields struct {
	left   []byte
	failed bool
}

func (r *fields) take(count int) []byte {
	if count > len(r.left) {
		r.failed = true
		r.left = nil
		return make([]byte, min(count, uuidSize))
	}
	taken := r.left[:count]
	r.left = r.left[count:]
	return taken
}

func (r *fields) number() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// stream writes one stream in the notation of a set.
func (r *fields) stream(text *strings.Builder, withTags bool) {
	text.WriteString(uuidText(r.take(uuidSize)))
	if withTags {
		if length := int(r.take(1)[0] >> 1); length > 0 {
			text.WriteString(":" + string(r.take(length)))
		}
	}
	for count := r.number(); count > 0 && !r.failed; count-- {
		first := r.number()
		next := r.number()
		if next <= first {
			r.failed = true
			return
		}
		fmt.Fprintf(text, ":%d-%d", first, next-1)
	}
	text.WriteString(",")
}
