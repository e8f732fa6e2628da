package archiver

import (
	"errors"

	"github.com/dbpair/dbpair/internal/gtid"
)

// sight is what is seen of a member by one connection.
type sight struct {
	state

	// free: the connection lasts only while commits of the member wait for nobody, and nothing that
	// it has executed is ever taken back.
	free bool
}

var (
	errNotOpen   = errors.New("it is not open for writes")
	errOpen      = errors.New("it is open for writes, and its commits wait for the passive or may be taken back: it is not read")
	errNoReplica = errors.New("it replicates from no other member")
)

// fit reports why a member may not be read by that connection, nil if it may: a passive may, which is
// closed and replicates from the other, and a primary whose commits wait for nobody.
func (s sight) fit() error {
	switch {
	case s.free && !s.open:
		return errNotOpen
	case s.free:
		return nil
	case s.open:
		return errOpen
	case !s.replica:
		return errNoReplica
	}
	return nil
}

// pick is the index of the member to read, -1 if none is fit. A primary that is alone has everything
// that there is, also while a passive is there that still lacks some of it. It comes second only if
// it has removed what the archive lacks and a passive has not. What a primary that is alone lacks is
// given up, so that no passive is asked for it.
func pick(seen []sight, archived gtid.Set, fresh bool) int {
	primary := -1
	passive := -1
	for i, one := range seen {
		switch {
		case one.fit() != nil:
		case one.open && primary < 0:
			primary = i
		case !one.open && passive < 0:
			passive = i
		}
	}
	if primary < 0 || passive < 0 {
		return max(primary, passive)
	}
	closes := func(i int) bool { return fresh || archived.Covers(seen[i].purged) }
	has := func(i int) bool { return seen[i].known().Covers(archived) }
	if has(primary) && !closes(primary) && has(passive) && closes(passive) {
		return passive
	}
	return primary
}
