package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The messages of an agent's log that the checker reads.
const (
	MessageOpened = "member opens"
	MessageClosed = "member closed"
)

// AgentEvent is one line of an agent's log that speaks of open and closed.
type AgentEvent struct {
	Message string `json:"msg"`
	Member  string `json:"member"`
	Epoch   int64  `json:"epoch"`
	// OpenedAt is stamped before the first client can be let in.
	OpenedAt Stamp `json:"openedAt"`
	// ClosedAt is stamped after the last client could have been served.
	ClosedAt    Stamp  `json:"closedAt"`
	ConfirmedAt Stamp  `json:"lastConfirmationAskedAt"`
	How         string `json:"how"`
}

func (e AgentEvent) at() Stamp { return max(e.OpenedAt, e.ClosedAt) }

// ReadAgentLog picks the events out of a container's log. Lines may be raw or carry the
// container runtime's prefix; lines of other origin (mysqld's) are passed over.
func ReadAgentLog(member string, log io.Reader) ([]AgentEvent, error) {
	var events []AgentEvent
	lines := bufio.NewScanner(log)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() {
		line := lines.Text()
		start := strings.IndexByte(line, '{')
		if start < 0 {
			continue
		}
		var e AgentEvent
		if json.Unmarshal([]byte(line[start:]), &e) != nil {
			continue
		}
		switch e.Message {
		case MessageOpened, MessageClosed:
		default:
			continue
		}
		if e.OpenedAt == 0 || (e.Message == MessageClosed && e.ClosedAt == 0) {
			return nil, fmt.Errorf("read agent log of %s: line without its stamps: %s", member, line)
		}
		if e.Member == "" {
			e.Member = member
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

// Intervals pairs the stamps of one member. An opening without a closing is ended by the
// next opening: the mysqld of the former agent is gone by then. The last one may have no
// end. The caller may know better ends, from the exits of the processes.
func Intervals(events []AgentEvent) []Interval {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b AgentEvent) int { return int(a.at() - b.at()) })
	var list []Interval
	var open *Interval
	end := func(at, confirmed Stamp, why string) {
		if open == nil {
			return
		}
		open.To = at
		open.ConfirmedAt = confirmed
		open.Why = why
		list = append(list, *open)
		open = nil
	}
	for _, e := range events {
		switch e.Message {
		case MessageOpened:
			end(e.OpenedAt, 0, "no closing stamp; ended by the next opening")
			open = &Interval{
				Member: e.Member,
				Epoch:  e.Epoch,
				From:   e.OpenedAt,
			}
		case MessageClosed:
			end(e.ClosedAt, e.ConfirmedAt, e.How)
		}
	}
	if open != nil {
		list = append(list, *open)
	}
	return list
}
