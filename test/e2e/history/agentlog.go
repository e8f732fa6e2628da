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
	MessageOpened  = "opened"
	MessageClosed  = "closed"
	MessageStarted = "agent started"
)

// AgentEvent is one line of an agent's log that speaks of open and closed.
type AgentEvent struct {
	Message     string `json:"msg"`
	Member      string `json:"member"`
	Epoch       int64  `json:"epoch"`
	Boottime    Stamp  `json:"boottime"`
	ConfirmedAt Stamp  `json:"confirmedAt"`
	Why         string `json:"why"`
}

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
		case MessageOpened, MessageClosed, MessageStarted:
		default:
			continue
		}
		if e.Boottime == 0 {
			return nil, fmt.Errorf("read agent log of %s: line without boottime: %s", member, line)
		}
		if e.Member == "" {
			e.Member = member
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

// Intervals pairs the stamps of one member. An opening that is followed by a start of
// the agent without a closing between them ended no later than that start, since the
// mysqld of the former agent is gone by then; its Why says so. The last one may have no
// end.
func Intervals(events []AgentEvent) []Interval {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b AgentEvent) int { return int(a.Boottime - b.Boottime) })
	var list []Interval
	var open *Interval
	end := func(at, confirmed Stamp, why string) {
		if open == nil {
			return
		}
		open.To, open.ConfirmedAt, open.Why = at, confirmed, why
		list = append(list, *open)
		open = nil
	}
	for _, e := range events {
		switch e.Message {
		case MessageOpened:
			if open != nil && open.Epoch == e.Epoch {
				continue // said again
			}
			end(e.Boottime, 0, "opened anew without a closing")
			open = &Interval{Member: e.Member, Epoch: e.Epoch, From: e.Boottime}
		case MessageClosed:
			end(e.Boottime, e.ConfirmedAt, e.Why)
		case MessageStarted:
			end(e.Boottime, 0, "no closing stamp; ended by the next start of the agent")
		}
	}
	if open != nil {
		list = append(list, *open)
	}
	return list
}
