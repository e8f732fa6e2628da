package history

import (
	"fmt"
	"slices"
	"time"
)

// Commit is one transaction of a client as a binlog has it.
type Commit struct {
	// Server is the server_uuid it was first committed on.
	Server string
	// GNO is its number in the GTID.
	GNO int64
	// At is the original commit timestamp, wall clock.
	At time.Time
}

// Interleaving is the evidence of two servers that took writes at the same time: the
// first wrote before and after a write of the second.
type Interleaving struct {
	Before, Between, After Commit
}

// Error describes the interleaving.
func (i Interleaving) Error() string {
	const form = "15:04:05.000000"
	return fmt.Sprintf("%s wrote at %s and again at %s, and %s wrote in between at %s",
		i.Before.Server, i.Before.At.Format(form), i.After.At.Format(form), i.Between.Server, i.Between.At.Format(form))
}

// Turns are the commits in order of time, cut into stretches of one server.
type Turns []Turn

// Turn is a stretch of commits of one server.
type Turn struct {
	Server      string
	First, Last Commit
	Count       int
}

// TurnsOf sorts commits by time. The same commit may be given several times, as both
// members' binlogs hold it.
func TurnsOf(commits []Commit) Turns {
	type id struct {
		server string
		gno    int64
	}
	seen := map[id]bool{}
	var unique []Commit
	for _, c := range commits {
		if k := (id{c.Server, c.GNO}); !seen[k] {
			seen[k] = true
			unique = append(unique, c)
		}
	}
	slices.SortStableFunc(unique, func(a, b Commit) int { return a.At.Compare(b.At) })
	var turns Turns
	for _, c := range unique {
		if n := len(turns); n > 0 && turns[n-1].Server == c.Server {
			turns[n-1].Last = c
			turns[n-1].Count++
			continue
		}
		turns = append(turns, Turn{
			Server: c.Server,
			First:  c,
			Last:   c,
			Count:  1,
		})
	}
	return turns
}

// CheckTurns compares the turns with the appointments of the same time: each change of
// the writing server needs an appointment of its own. With more changes than
// appointments two servers took turns that nobody gave them.
func CheckTurns(turns Turns, appointments int) error {
	if len(turns) <= appointments {
		return nil
	}
	for i := 2; i < len(turns); i++ {
		if turns[i].Server == turns[i-2].Server {
			return fmt.Errorf("%d turns under %d appointments: %w", len(turns), appointments,
				Interleaving{turns[i-2].Last, turns[i-1].First, turns[i].First})
		}
	}
	return fmt.Errorf("%d turns under %d appointments", len(turns), appointments)
}
