package failover

import (
	"fmt"
	"time"
)

// leastGrace is what has to be left of a pod's grace period for its sessions to be drained
// before the authority is revoked.
const leastGrace = 5 * time.Second

// drainPoll is the time between two observations of a passive that has to catch up first.
const drainPoll = 250 * time.Millisecond

// leavingDrain is how long transactions in flight may take to end when the primary's pod is
// deleted. All other clients wait meanwhile, for no longer than doors hold them by default; who
// wants to wait for long transactions asks for a switchover first.
const leavingDrain = time.Second

// holderLeaving: the deletion of the primary's pod was accepted, by an eviction for instance.
// Its agent keeps it open until the other member takes over or the grace period is nearly over.
func holderLeaving(l *look) (Plan, bool) {
	if !l.isLeaving() {
		return no()
	}
	fact := fmt.Sprintf("the pod of the primary %s is being deleted", l.holder.Name)
	if p, ok := l.failOver(RuleHolderLeaving, fact); ok {
		if drain, drains := l.drainLeaving(fact); drains {
			return drain, true
		}
		p.Operation.Drained = l.drainedAs(l.leaving())
		return p, ok
	}
	if l.holder.Pod.Ended.Terminated {
		return l.revoke(RuleHolderLeaving, "", l.holder, fact+" and has ended; its data goes on in the next pod")
	}
	return wait("%s, and nobody can take over: %s", fact, l.candidacyOf(l.passive).why)
}

// isLeaving: the deletion of the pod that the authority names was accepted.
func (l *look) isLeaving() bool {
	pod := l.holder.Pod
	return pod.Reading == Read && pod.UID == l.rec.Holder.PodUID && pod.Deleting
}

// drainsLeaving: the holder is drained because its pod is being deleted, and clients are led to the
// passive's door for it.
func (l *look) drainsLeaving() bool {
	if l.holder == nil || !l.isLeaving() {
		return false
	}
	if _, takesOver := l.failOver(RuleHolderLeaving, "leaving"); !takesOver {
		return false
	}
	_, drains := l.drainLeaving("")
	catchesUp := l.drainAs(l.leaving()) == nil && l.passiveBehind() != ""
	return drains && !catchesUp
}

// leaving is the name by which the agent knows this drain; no operation has it.
func (l *look) leaving() string { return "deletion-of-" + string(l.rec.Holder.PodUID) }

// drainLeaving drains the primary as a switchover does, as long as enough is left of its pod's
// grace period: new clients are passed on and then held at the candidate's door, and each
// session is closed when it is outside a transaction. False when that is done, takes too long or
// cannot be: the authority is revoked then.
func (l *look) drainLeaving(fact string) (Plan, bool) {
	left := l.holder.Pod.EndsAt.Sub(l.Now)
	if left < leastGrace || !l.open(l.holder) || !l.canForward() {
		return no()
	}
	d := l.drainAs(l.leaving())
	if behind := l.passiveBehind(); d == nil && behind != "" {
		if left < 2*leastGrace {
			return no()
		}
		// Clients are served meanwhile; a failover now would have them wait until it has caught up.
		return Plan{
			Kind:  Waits,
			Fact:  fact + ", and " + behind,
			After: drainPoll,
		}, true
	}
	switch {
	case d != nil && (d.Left <= 0 || (d.Rounds > 0 && d.InFlight == 0)):
		return no()
	case d != nil:
		fact += fmt.Sprintf(", and %d transactions are in flight", d.InFlight)
		return Plan{
			Kind:  Waits,
			Fact:  fact,
			After: d.Left,
		}, true
	case l.forwardedFor() < settleFor || !l.atDoorOf(l.passive):
		p := Plan{
			Kind:  Acts,
			Fact:  fact + fmt.Sprintf("; %s passes new clients on until every node leads there", l.passive.Name),
			Steps: l.settleSteps(),
			After: settleFor - l.forwardedFor(),
		}
		if len(p.Steps) == 0 {
			p.Kind = Waits
		}
		return p, true
	}
	return act(fact+"; its sessions are drained", together([]Step{
		Hold{Subject: l.passive.subject()},
		Drain{
			Subject:   l.holder.subject(),
			Operation: l.leaving(),
			For:       leavingDrain,
		},
	})...)
}

// drains: the holder is drained, for a switchover, because its pod is being deleted, or because the
// pair is to hibernate.
func (l *look) drains() bool {
	return l.draining() != nil || l.drainsLeaving() || l.drainsToHibernate()
}

// ledAway: clients are led to the passive's door for a drain. While the passive is behind the drain
// does not begin, and a door that would not pass clients on is nothing to lead them to.
func (l *look) ledAway() bool {
	op := l.draining()
	if op == nil {
		return l.drainsLeaving() || l.drainsToHibernate()
	}
	begins := l.drainState(op) != nil || l.passiveBehind() == ""
	return begins || l.canForward()
}
