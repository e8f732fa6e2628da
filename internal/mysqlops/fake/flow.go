package fake

import (
	"errors"
	"net"
	"slices"
	"strconv"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// errGone is what a client sees whose session ends under it.
var errGone = errors.New("lost connection during query")

func (m *Mysqld) boot() {
	m.up = true
	m.hung = false
	m.started = m.net.now()
	m.readOnly = true
	m.superReadOnly = true
	m.offline = true
	m.events = false
	m.sourceOn = false
	m.replicaOn = true
	m.interruptions = 0
	m.drift = make(map[string]string)
	m.receiver = false
	m.acknowledging = false
	m.applier = false
	m.warm = false
	m.applierError = mysqlops.ChannelError{}
	m.sessions = 0
	m.privileged = 0
	m.executed = m.binlog
}

func (m *Mysqld) kill() {
	m.up = false
	m.warm = false
	m.receiver = false
	m.acknowledging = false
	m.applier = false
	m.answerWaiting(errGone)
	m.waiting = nil
	m.sessions = 0
	m.privileged = 0
}

func (m *Mysqld) commit() *Commit {
	// A server fills the gaps of its own numbers, which a reset leaves.
	for {
		m.next++
		if !m.binlog.Contains(gtid.GTID{Server: m.uuid, Number: m.next}) {
			break
		}
	}
	c := &Commit{
		ID:    gtid.GTID{Server: m.uuid, Number: m.next},
		since: m.net.now(),
		done:  make(chan error, 1),
	}
	m.binlog = m.binlog.Union(c.ID.Set())
	m.waiting = append(m.waiting, c)
	if !m.sourceOn {
		m.release(c.ID.Set())
	}
	m.net.flow()
	return c
}

// release commits all waiting transactions up to the last one of acknowledged:
// an acknowledgement counts for everything before it.
func (m *Mysqld) release(acknowledged gtid.Set) {
	last := -1
	for i, c := range m.waiting {
		if acknowledged.Contains(c.ID) {
			last = i
		}
	}
	for _, c := range m.waiting[:last+1] {
		m.executed = m.executed.Union(c.ID.Set())
		c.answer(nil)
	}
	m.waiting = slices.Clone(m.waiting[last+1:])
}

func (m *Mysqld) answerWaiting(err error) {
	for _, c := range m.waiting {
		c.answer(err)
	}
}

// answer is heard once.
func (c *Commit) answer(err error) {
	select {
	case c.done <- err:
	default:
	}
}

// sourceOf returns the mysqld that m's receiver can reach now.
func (n *Network) sourceOf(m *Mysqld) *Mysqld {
	if !m.up || !m.receiver {
		return nil
	}
	source := n.byAddr[net.JoinHostPort(m.source.Host, strconv.Itoa(m.source.Port))]
	if source == nil || source == m || !source.up || n.cut[[2]*Mysqld{m, source}] {
		return nil
	}
	return source
}

// flow moves transactions until nothing moves any more.
func (n *Network) flow() {
	for moved := true; moved; {
		moved = false
		for _, m := range n.byAddr {
			moved = n.receive(m) || moved
			moved = m.apply() || moved
		}
	}
}

func (n *Network) receive(m *Mysqld) bool {
	source := n.sourceOf(m)
	if source == nil {
		m.acknowledging = false
		return false
	}
	m.sourceUUID = source.uuid
	if !m.acknowledging {
		m.acknowledging = m.replicaOn
	}
	fresh := source.binlog.Subtract(m.relay.Union(m.binlog))
	if fresh.IsEmpty() {
		return false
	}
	m.relay = m.relay.Union(fresh)
	if m.acknowledging && !n.lostAcks[m] {
		source.release(fresh)
	}
	return true
}

func (m *Mysqld) apply() bool {
	left := m.relay.Subtract(m.binlog)
	if !m.up || !m.applier || m.applierBlocked || left.IsEmpty() {
		return false
	}
	m.binlog, m.executed = m.binlog.Union(left), m.executed.Union(left)
	return true
}

// acknowledgers counts the replicas that acknowledge to m.
func (n *Network) acknowledgers(m *Mysqld) int {
	count := 0
	for _, other := range n.byAddr {
		if n.sourceOf(other) == m && other.acknowledging {
			count++
		}
	}
	return count
}
