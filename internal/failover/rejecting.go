package failover

import (
	"fmt"
	"time"
)

// refusedFor is how long the client Service may go on leading to the former primary's pod
// though nobody may be open: from when this process first saw the revocation, and once
// more from the appointment. Twice this is less than what the agent of a pod that was
// deleted stays for, three seconds, and leaves the proxies time to follow.
//
// Every change of the Service's endpoints keeps a node's kube-proxy from following the
// next one for a second, by its defaults; the condition that a pod is being deleted is such a
// change too. A failover that is done sooner than this changes them once.
const refusedFor = time.Second

// closesWithin is how long, from the revocation on, a former primary that ends anyway may take
// until its mysqld refuses clients. A pod that is being deleted closes within milliseconds of the
// fence; the observation that comes first sees its mysqld still running, and leading clients to
// a door by it would cost them a change of the endpoints that reaches them a second later.
const closesWithin = 300 * time.Millisecond

// rejectingPod is the last holder's member while its very pod refuses clients as fast as a door
// would: the agent answers, has the address, and says that no mysqld runs, or is about to end
// it. Nil otherwise.
func (l *look) rejectingPod() *Member {
	last := l.rec.LastHolder
	if last == nil {
		return nil
	}
	m := l.member(last.Holder.Member)
	switch {
	case m == nil, m == l.holder, !m.heard(), m.Pod.UID != last.Holder.PodUID:
		return nil
	case m.Pod.IP == "", m.Pod.Ended.Terminated:
		return nil
	case m.State.Mysqld.Running && l.closesStill(m) == 0:
		return nil
	}
	return m
}

// closesStill is how much longer it is waited for that the mysqld of a former primary, whose
// pod is being deleted, ends; zero when it is not waited for.
func (l *look) closesStill(m *Member) time.Duration {
	since, ok := l.Evidence.Since(l.e)
	if !ok || !l.rec.Holder.Nobody() || !m.Pod.Deleting {
		return 0
	}
	return max(0, closesWithin-l.Now.Sub(since))
}

// rejectionWindow is how much longer the Service need not be led to a door, because it leads
// to a pod that refuses clients just as fast; zero when it has to be. An operator that
// has just begun counts again, which the agent's own word bounds: without it there is no
// rejectingPod.
func (l *look) rejectionWindow() time.Duration {
	s := l.Service
	m := l.rejectingPod()
	if m == nil || s.Reading != Read {
		return 0
	}
	leadsToMysqld := l.leadsTo(m) && s.Leads == LeadsOpen && s.PortLeads == LeadsOpen
	if s.Detached != m.Pod.UID && !leadsToMysqld {
		return 0
	}
	since, ok := l.Evidence.Since(l.e)
	if !ok {
		return 0
	}
	left := max(0, refusedFor-l.Now.Sub(since))
	if m.State.Mysqld.Running {
		left = min(left, l.closesStill(m))
	}
	return left
}

// leadAway are the steps that take clients away from the last holder on the way to c.to:
// to the door, or, while its pod refuses them anyway, only what the one move to come needs.
func (l *look) leadAway(c course) []Step {
	if c.to == l.last || l.rejectionWindow() == 0 || l.holdsAt(c.to) {
		return l.doorTo(c.to)
	}
	// The label of the new epoch comes with the appointment: a pod that has one counts as
	// led to.
	if !l.oldPodStands() || l.Service.Detached != "" {
		return nil
	}
	// The pod's deletion comes after this has been seen: it must not show in the endpoints,
	// and an operator that ends between the two leaves them as they are.
	return []Step{DetachService{Version: l.Service.Version, From: l.last.subject()}}
}

// serviceLeavesDeadPod leads clients to a door while nobody is the holder and the Service is
// detached from a pod that does not refuse them any more: the cluster does not take that
// pod out of the endpoints, whatever else there is to do.
func serviceLeavesDeadPod(l *look) (Plan, bool) {
	if l.Service.Detached == "" || l.rejectionWindow() > 0 {
		return no()
	}
	to := l.rejectTarget()
	step, ok := l.pointTo(to, LeadsDoor)
	if !ok {
		return no()
	}
	return act(fmt.Sprintf("the pod that clients are led to does not refuse them any more: they are led to the door of %s", to.Name), step)
}

// rejectTarget is the member whose door clients are led to while no course names one: not
// the last holder, if the other can do it.
func (l *look) rejectTarget() *Member {
	if l.peer.Pod.IP == "" || (l.peer.Pod.Deleting && !l.last.Pod.Deleting) {
		return l.last
	}
	return l.peer
}

// toAnyDoor leads clients to a door that is there while nobody can be appointed yet: without an
// endpoint each of them would be refused by the node, which costs some clients a second. They
// stay at a door to which they are led already, since a second move of the Service reaches the
// nodes late.
func (l *look) toAnyDoor() []Step {
	for _, m := range []*Member{l.peer, l.last} {
		if l.atDoorOf(m) && m.Pod.IP != "" && !m.Pod.Deleting {
			return nil
		}
	}
	if l.rejectionWindow() > 0 {
		return nil // clients are refused where they are
	}
	return l.doorTo(l.rejectTarget())
}
