package archive

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// Target says up to where an archive is replayed: to its end, unless one field is set.
type Target struct {
	// Time leaves out the first transaction that was committed later, and all that follow.
	Time time.Time
	// GTIDs are all replayed, and nothing that comes after the last of them.
	GTIDs gtid.Set
	// Before is the first transaction that is not.
	Before *gtid.GTID
}

// ParseTarget reads a target; at most one text may be given. An error names the field.
func ParseTarget(moment, id, before string) (Target, error) {
	given := 0
	for _, text := range []string{moment, id, before} {
		if text != "" {
			given++
		}
	}
	if given > 1 {
		return Target{}, errors.New("target: give one of time, gtid and beforeGTID")
	}
	var t Target
	var err error
	switch {
	case moment != "":
		t.Time, err = parseTime(moment)
	case id != "":
		t.GTIDs, err = parseGTIDs(id)
	case before != "":
		t.Before, err = parseGTID(before)
	}
	return t, err
}

func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return at.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if _, without := time.Parse(layout, text); without == nil {
			return time.Time{}, fmt.Errorf("target.time %q has no offset: write %sZ for UTC, or an offset like +02:00",
				text, strings.Replace(text, " ", "T", 1))
		}
	}
	return time.Time{}, fmt.Errorf("target.time %q: write it as 2026-01-02T15:04:05Z or 2026-01-02T15:04:05+02:00", text)
}

func parseGTIDs(text string) (gtid.Set, error) {
	set, err := gtid.Parse(text)
	if err == nil && set.IsEmpty() {
		err = errors.New("it names no transaction")
	}
	if err != nil {
		return gtid.Set{}, fmt.Errorf("target.gtid: %w; write a set as UUID:NUMBER-NUMBER, or one transaction as UUID:NUMBER", err)
	}
	return set, nil
}

func parseGTID(text string) (*gtid.GTID, error) {
	id, err := gtid.ParseGTID(text)
	if err != nil {
		return nil, fmt.Errorf("target.beforeGTID: %w; write one transaction as UUID:NUMBER or UUID:TAG:NUMBER", err)
	}
	return &id, nil
}

// Latest reports whether it is the end of the archive.
func (t Target) Latest() bool { return t.Time.IsZero() && t.GTIDs.IsEmpty() && t.Before == nil }

// String is the target for people.
func (t Target) String() string {
	switch {
	case !t.GTIDs.IsEmpty():
		return "transaction " + t.GTIDs.String()
	case t.Before != nil:
		return "the moment before transaction " + t.Before.String()
	case !t.Time.IsZero():
		return printed(t.Time)
	}
	return "the end of the archive"
}

func printed(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999999Z") }

// UnreachableError is a target that the archive does not lead to.
type UnreachableError struct {
	Target Target
	// Reason says why.
	Reason string
	// Nearest are the times next to the target that can be reached; there may be none.
	Nearest []time.Time
}

func (e *UnreachableError) Error() string {
	text := fmt.Sprintf("%s cannot be reached: %s", e.Target, e.Reason)
	if len(e.Nearest) == 0 {
		return text
	}
	times := make([]string, len(e.Nearest))
	for i, at := range e.Nearest {
		times[i] = printed(at)
	}
	return text + "; the nearest times are " + strings.Join(times, " and ")
}
