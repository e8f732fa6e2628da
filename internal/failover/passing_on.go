package failover

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// settles: new clients are passed on by the candidate's door, and the drain has not begun, since a
// node may still lead them to the primary, since the passive has fallen behind meanwhile, or since
// a drain that begins now would take long.
// Where the door would not hold them they come to nothing there, and nobody is led to it before the
// drain begins.
func (l *look) settles(op *Operation) bool {
	if !l.canForward() || l.drainState(op) != nil {
		return false
	}
	everyNode := l.forwardedFor() >= l.settleTime(op) && l.atDoorOf(l.passive)
	return !everyNode || l.passiveBehind() != "" || l.awaitsCalm(op) != ""
}

// awaitsCalm says why a drain that begins now would hold clients for longer than one that begins
// later; empty when it would not, or when what is left of drainTimeout belongs to the drain. Clients
// are served meanwhile.
func (l *look) awaitsCalm(op *Operation) string {
	s := op.Switchover
	if s == nil || !l.Now.Before(op.StartedAt.Add(s.DrainTimeout/2)) {
		return ""
	}
	if l.holder.heardMysqld() && len(l.holder.State.Server.InFlight) > 0 {
		long := l.holder.State.Server.InFlight
		return fmt.Sprintf("%d transactions have been in flight for a second or more, the first is %s", len(long), describeSession(long[0]))
	}
	if l.passive.heardMysqld() && l.passive.State.Server.LagTransactions > calmBacklog {
		return fmt.Sprintf("%s has more than %d transactions left to apply", l.passive.Name, calmBacklog)
	}
	return ""
}

// canForward: the passive's door can pass clients on to the primary, and hold them afterwards.
func (l *look) canForward() bool {
	return l.holdsAt(l.passive) && l.passive.State.Door.CanForward && l.holder.Pod.IP != "" && l.candidateTakesClients()
}

// settleTime leaves most of drainTimeout to the transactions.
func (l *look) settleTime(op *Operation) time.Duration {
	if s := op.Switchover; s != nil {
		return min(settleFor, s.DrainTimeout/4)
	}
	return settleFor
}

// forwardedFor is for how long the passive's door has passed clients on to the primary; 0 when it
// does not.
func (l *look) forwardedFor() time.Duration {
	if !l.passive.heard() || l.passive.State.Door == nil {
		return 0
	}
	return l.passive.State.Door.ForwardedFor
}

// settleSteps has the candidate's door pass clients on, and then the Service lead them there.
func (l *look) settleSteps() []Step {
	lead := l.doorTo(l.passive)
	if l.forwardedFor() > 0 {
		return lead
	}
	forward := Hold{
		Subject:   l.passive.subject(),
		ForwardTo: net.JoinHostPort(l.holder.Pod.IP, strconv.Itoa(pair.PortMySQL)),
	}
	return []Step{InOrder{Steps: append([]Step{forward}, lead...)}}
}

// candidateTakesClients: the door of the passive answers. Clients stay with the primary while it
// does not.
func (l *look) candidateTakesClients() bool { return l.passive.heard() && l.passive.Pod.IP != "" }
