package failover

import (
	"fmt"
	"slices"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

func manuallyFenced(l *look) (Plan, bool) {
	op := l.operation(VerbFence, "")
	if op == nil || l.released(op) {
		return no()
	}
	p, ok := doubt(VerbRelease, "operation %s: nobody accepts writes until it is released", op.Name)
	var steps []Step
	for _, m := range []*Member{l.last, l.peer} {
		if m.heard() && len(l.Evidence.Proofs(m.subject(), l.e)) == 0 {
			steps = append(steps, Fence{Subject: m.subject()})
		}
	}
	steps = append(steps, l.doorTo(l.last)...)
	p.Steps = together(steps)
	p.Operation = &OperationNote{
		Name:    op.Name,
		Verb:    VerbFence,
		Rule:    RuleFenceRequested,
		Phase:   pair.OperationRunning,
		Epoch:   l.e,
		From:    l.last.Name,
		Message: p.Fact,
	}
	return p, ok
}

// chosen is the way to a new holder that is gone now, if one can be.
func (l *look) chosen() (course, bool) {
	if c, ok := forcedCourse(l); ok {
		return c, true
	}
	for _, way := range []func(*look) (course, bool){switchoverCourse, rollbackCourse, promotingCourse} {
		if c, ok := way(l); ok {
			return c, true
		}
	}
	if _, rolledBack := lastDataRolledBack(l); rolledBack || l.awaitsCandidate() {
		return course{}, false
	}
	for _, way := range []func(*look) (course, bool){abandoningCourse, returningCourse, stuckCourse} {
		if c, ok := way(l); ok {
			return c, true
		}
	}
	return course{}, false
}

// awaitingProof: what proves that the other pods are closed should have come by itself by
// now. Everything that can still bring it goes on.
func awaitingProof(l *look) (Plan, bool) {
	if !l.overdue() {
		return no()
	}
	if c, ok := l.chosen(); ok {
		missing := l.gather(c).missing
		if len(missing) == 0 {
			return no()
		}
		p := l.pursue(c)
		p.Kind = Doubts
		p.Verb = VerbConfirmDead
		p.Fact = fmt.Sprintf("%s; there is no proof yet that %v accepts no writes", c.fact, missing)
		if m := l.member(missing[0].Member); m != nil {
			p.Fact += ". " + l.howToProveEnd(m)
		}
		return p, true
	}
	old := fencing.SubjectOf(l.rec.LastHolder.Holder)
	endsUnproven := (l.oldPodEnds() || l.oldPodLost()) && !l.endIsProven(old)
	if l.awaitsCandidate() || !endsUnproven {
		return no()
	}
	p, ok := doubt(VerbConfirmDead, "the pod %s ends, and there is no proof that it has. %s", old, l.howToProveEnd(l.last))
	p.Missing = []fencing.Subject{old}
	p.Steps = together(slices.Concat(l.evidenceSteps(old), l.doorTo(l.peer)))
	return p, ok
}

// promotingCourse: the other member is in sync, in its entered incarnation, and applies
// in time.
func promotingCourse(l *look) (course, bool) {
	if l.lastIsIntended() || !l.candidacyOf(l.peer).ok || l.tooSlow() {
		return course{}, false
	}
	return l.promotion(), true
}

func (l *look) promotion() course {
	grounds := authority.GroundsPromote
	if !l.Settings.Lossless {
		grounds = authority.GroundsLag
	}
	return course{
		to:       l.peer,
		grounds:  grounds,
		ackFence: true,
		fact:     fmt.Sprintf("%s takes over from %s", l.peer.Name, l.last.Name),
	}
}

// lastIsIntended: the revocation was meant for the last holder itself, and its pod is there.
func (l *look) lastIsIntended() bool { return l.intendedFor(l.last) && l.canReturn(l.last) }

// awaitsCandidate: the other member is to take over, and what keeps it from that will pass.
func (l *look) awaitsCandidate() bool {
	c := l.candidacyOf(l.peer)
	_, forced := forcedCourse(l)
	return !forced && !l.lastIsIntended() && !c.ok && !c.lasting
}

func promoteCandidate(l *look) (Plan, bool) {
	if l.awaitsCandidate() {
		p, ok := wait("%s is to take over, and %s", l.peer.Name, l.candidacyOf(l.peer).why)
		p.Steps = l.toAnyDoor()
		return p, ok
	}
	if c, ok := promotingCourse(l); ok {
		return l.pursue(c), true
	}
	return no()
}

func (l *look) appliedAll(m *Member) bool {
	return m.heard() && m.State.ReceiverStoppedAt == l.e && m.State.AppliedAll
}

// canReturn: the last holder's data is there, in sync, and its agent answers.
func (l *look) canReturn(m *Member) bool {
	return l.hasData(m) && m.State.DataID == l.rec.LastHolder.DataID && l.rec.Ledger.InSync(m.Name) &&
		m.Pod.UID != "" && !m.Pod.Deleting && m.State.Phase != agentapi.PhaseFailed
}

// goesOn: the last holder's data goes on, in its very pod or in a new one.
func (l *look) goesOn(replaced bool, fact string) (course, bool) {
	if !l.canReturn(l.last) || (l.last.Pod.UID != l.rec.LastHolder.Holder.PodUID) != replaced {
		return course{}, false
	}
	return course{
		to:      l.last,
		grounds: authority.GroundsReturn,
		fact:    fmt.Sprintf(fact, l.last.Name),
	}, true
}

func abandoningCourse(l *look) (course, bool) {
	return l.goesOn(false, "nobody can take over in its place: %s goes on")
}

func returningCourse(l *look) (course, bool) {
	return l.goesOn(true, "the data of %s goes on in its new pod")
}

// abandon: no candidate; the last holder goes on in the same pod, at a new epoch.
func abandon(l *look) (Plan, bool) {
	if c, ok := abandoningCourse(l); ok {
		return l.pursue(c), true
	}
	return no()
}

// reappointHolder: the last holder's data goes on in a new pod. Until that pod is there
// the old one's end is proven, written down, and its finalizer taken off.
func reappointHolder(l *look) (Plan, bool) {
	if c, ok := returningCourse(l); ok {
		return l.pursue(c), true
	}
	if l.oldPodEnds() || l.oldPodLost() {
		return l.endOldPod(fencing.SubjectOf(l.rec.LastHolder.Holder))
	}
	if !l.rec.Ledger.InSync(l.last.Name) || l.sinceAwake() > max(l.Settings.InitialDelay, l.Settings.DeadAfter) {
		return no()
	}
	if l.last.heard() && (l.lostData(l.last) || l.last.State.Phase == agentapi.PhaseFailed) {
		return no()
	}
	p, ok := wait("waits for the next pod of %s (%s) %s", l.last.Name, l.last.Reach, l.last.Pod.Problem)
	p.Steps = l.toAnyDoor()
	return p, ok
}

func noTrustedCopy(l *look) (Plan, bool) {
	verb := VerbForcePromote
	missing := []fencing.Subject(nil)
	way := "Bring one back"
	if l.oldPodIsThere() && !l.last.heard() && l.rec.Ledger.InSync(l.last.Name) {
		verb = VerbConfirmDead
		missing = []fencing.Subject{l.last.subject()}
		way = l.howToProveEnd(l.last)
	}
	p, ok := doubt(verb, "nobody may be appointed: %s; and %s cannot go on (%s). %s. To go on with %s and lose what it lacks: %s",
		l.candidacyOf(l.peer).why, l.last.Name, l.last.Reach, way, l.peer.Name, l.forceCommand(l.peer))
	p.Missing = missing
	p.Steps = l.toAnyDoor()
	return p, ok
}
