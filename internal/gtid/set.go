package gtid

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// stream is one sequence of numbers: those of one server under one tag.
type stream struct {
	server ServerUUID
	tag    Tag
}

func compareStreams(a, b stream) int {
	return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.tag, b.tag))
}

// interval holds the numbers first to last, both included.
type interval struct{ first, last int64 }

// Set is a set of transactions. It is a value: nothing changes one, it is safe
// for concurrent use, and its zero value is the empty set. Compare with Equal.
type Set struct {
	// streams holds sorted, disjoint, non-adjacent and non-empty lists, so
	// that equal sets have equal representations.
	streams map[stream][]interval
}

func setOf(s stream, list []interval) Set {
	return fromIntervals(map[stream][]interval{s: list})
}

// fromIntervals takes ownership of its argument.
func fromIntervals(streams map[stream][]interval) Set {
	for s, list := range streams {
		if list = normalize(list); len(list) == 0 {
			delete(streams, s)
		} else {
			streams[s] = list
		}
	}
	if len(streams) == 0 {
		return Set{}
	}
	return Set{streams: streams}
}

func normalize(list []interval) []interval {
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.first, b.first) })
	merged := list[:0:0]
	for _, one := range list {
		if n := len(merged); n > 0 && one.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, one.last)
			continue
		}
		merged = append(merged, one)
	}
	return merged
}

// IsEmpty reports whether s holds no transaction.
func (s Set) IsEmpty() bool { return len(s.streams) == 0 }

// Count returns the number of transactions in s; it saturates at MaxUint64,
// which only made-up sets reach.
func (s Set) Count() uint64 {
	var total uint64
	for _, list := range s.streams {
		for _, one := range list {
			size := uint64(one.last-one.first) + 1
			if total > math.MaxUint64-size {
				return math.MaxUint64
			}
			total += size
		}
	}
	return total
}

// Union returns the transactions in s or in other.
func (s Set) Union(other Set) Set {
	if s.IsEmpty() {
		return other
	}
	if other.IsEmpty() {
		return s
	}
	out := make(map[stream][]interval, len(s.streams)+len(other.streams))
	for key, list := range s.streams {
		out[key] = slices.Clone(list)
	}
	for key, list := range other.streams {
		out[key] = append(out[key], list...)
	}
	return fromIntervals(out)
}

// Subtract returns the transactions in s and not in other.
func (s Set) Subtract(other Set) Set {
	if s.IsEmpty() || other.IsEmpty() {
		return s
	}
	out := make(map[stream][]interval, len(s.streams))
	for key, list := range s.streams {
		out[key] = subtract(list, other.streams[key])
	}
	return fromIntervals(out)
}

func subtract(from, cut []interval) []interval {
	var out []interval
	for _, one := range from {
		for len(cut) > 0 && cut[0].last < one.first {
			cut = cut[1:]
		}
		for _, hole := range cut {
			if hole.first > one.last {
				break
			}
			if hole.first > one.first {
				out = append(out, interval{one.first, hole.first - 1})
			}
			one.first = hole.last + 1
			if one.first > one.last {
				break
			}
		}
		if one.first <= one.last {
			out = append(out, one)
		}
	}
	return out
}

// Intersect returns the transactions in both s and other.
func (s Set) Intersect(other Set) Set { return s.Subtract(s.Subtract(other)) }

// Covers reports whether every transaction of other is in s; every set covers
// the empty set.
func (s Set) Covers(other Set) bool { return other.Subtract(s).IsEmpty() }

// Contains reports whether id is in s.
func (s Set) Contains(id GTID) bool { return s.Covers(id.Set()) }

// Equal reports whether s and other hold the same transactions.
func (s Set) Equal(other Set) bool {
	return maps.EqualFunc(s.streams, other.streams, slices.Equal[[]interval])
}

// Servers returns the servers with at least one transaction in s, sorted.
func (s Set) Servers() []ServerUUID {
	var servers []ServerUUID
	for _, key := range s.sortedStreams() {
		if n := len(servers); n == 0 || servers[n-1] != key.server {
			servers = append(servers, key.server)
		}
	}
	return servers
}

// OfServer returns the transactions of s that server wrote, under any tag.
func (s Set) OfServer(server ServerUUID) Set {
	out := make(map[stream][]interval)
	for key, list := range s.streams {
		if key.server == server {
			out[key] = list
		}
	}
	if len(out) == 0 {
		return Set{}
	}
	return Set{streams: out}
}

// String returns the set in a server's notation on one line, groups and tags
// in order; Parse reads it back. The empty set is "".
func (s Set) String() string {
	var b strings.Builder
	var current stream
	for i, key := range s.sortedStreams() {
		if i == 0 || key.server != current.server {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(string(key.server))
		}
		current = key
		if key.tag != "" {
			b.WriteByte(':')
			b.WriteString(string(key.tag))
		}
		for _, one := range s.streams[key] {
			b.WriteByte(':')
			b.WriteString(strconv.FormatInt(one.first, 10))
			if one.last > one.first {
				b.WriteByte('-')
				b.WriteString(strconv.FormatInt(one.last, 10))
			}
		}
	}
	return b.String()
}

// MarshalText returns String.
func (s Set) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText replaces the set with the parsed text.
func (s *Set) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

func (s Set) sortedStreams() []stream {
	return slices.SortedFunc(maps.Keys(s.streams), compareStreams)
}
