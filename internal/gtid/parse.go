package gtid

import (
	"fmt"
	"strings"
)

// Parse reads a set as a server prints it: comma-separated groups
// "uuid:1-3:7:tag:1-5", where numbers after a tag belong to that tag. White
// space, empty groups and overlapping or unordered intervals are accepted, an
// interval that ends before it begins is empty; so a server does it.
func Parse(text string) (Set, error) {
	found := make(map[stream][]interval)
	for group := range strings.SplitSeq(text, ",") {
		group = strings.TrimSpace(group)
		if group == "" {
			continue
		}
		if err := parseGroup(group, found); err != nil {
			return Set{}, fmt.Errorf("parse GTID set: %w", err)
		}
	}
	return fromIntervals(found), nil
}

// MustParse is Parse for constants in tests; it panics on a syntax error.
func MustParse(text string) Set {
	set, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return set
}

func parseGroup(group string, found map[stream][]interval) error {
	fields := strings.Split(group, ":")
	server, err := ParseServerUUID(strings.TrimSpace(fields[0]))
	if err != nil {
		return err
	}
	if len(fields) == 1 {
		return fmt.Errorf("group %q: %w: want numbers after the UUID", clip(group), ErrSyntax)
	}
	current := stream{server: server}
	wantNumber := true
	for _, field := range fields[1:] {
		field = strings.TrimSpace(field)
		if field != "" && isTagByte(field[0], true) {
			if current.tag, err = parseTag(field); err != nil {
				return err
			}
			wantNumber = true
			continue
		}
		one, err := parseInterval(field)
		if err != nil {
			return err
		}
		wantNumber = false
		if one.first <= one.last {
			found[current] = append(found[current], one)
		}
	}
	if wantNumber {
		return fmt.Errorf("group %q: %w: want numbers after the tag", clip(group), ErrSyntax)
	}
	return nil
}

func parseInterval(text string) (interval, error) {
	left, right, ranged := strings.Cut(text, "-")
	first, err := parseNumber(strings.TrimSpace(left))
	if err != nil {
		return interval{}, err
	}
	if !ranged {
		return interval{first, first}, nil
	}
	last, err := parseNumber(strings.TrimSpace(right))
	if err != nil {
		return interval{}, err
	}
	return interval{first, last}, nil
}
