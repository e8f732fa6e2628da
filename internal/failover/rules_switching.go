package failover

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// switching: the revocation was the one of a planned switchover to the other member.
func (l *look) switching() bool {
	return l.rec.Intent != nil && l.rec.Intent.Rule == string(RuleSwitchover) && l.intendedFor(l.peer)
}

// switchoverOperation is the operation that the revocation was a part of; nil when it is gone.
func (l *look) switchoverOperation() *Operation {
	if l.rec.Intent == nil {
		return nil
	}
	for i := range l.Operations {
		if l.Operations[i].Name == l.rec.Intent.Operation {
			return &l.Operations[i]
		}
	}
	return nil
}

// switchoverFails says why a switchover whose primary was revoked is rolled back; empty when it
// is not.
func (l *look) switchoverFails() string {
	if op := l.switchoverOperation(); op != nil && op.Canceled != "" {
		return "it was canceled: " + op.Canceled
	}
	if l.sinceEpoch() > l.Settings.DeadAfter {
		return fmt.Sprintf("%s was not ready to be appointed within %s", l.peer.Name, l.Settings.DeadAfter)
	}
	return ""
}

// switchoverCourse: the former primary is closed in order, and the other member takes over
// once it has everything. When that fails the former one can still go on.
func switchoverCourse(l *look) (course, bool) {
	if !l.switching() || !l.candidacyOf(l.peer).ok || l.tooSlow() {
		return course{}, false
	}
	if l.switchoverFails() != "" && l.canGoOn() {
		return course{}, false
	}
	c := l.promotion()
	c.planned = true
	op := l.switchoverOperation()
	keepsFormer := op != nil && op.Switchover != nil && op.Switchover.Demote
	if keepsFormer && l.handedOver(c.to) {
		c.demoted = l.last.State.Mysqld.Incarnation
	}
	return c, true
}

func completeSwitchover(l *look) (Plan, bool) {
	c, ok := switchoverCourse(l)
	if !ok {
		return no()
	}
	return l.pursue(c), true
}

// canGoOn: the last holder is there, in its very pod.
func (l *look) canGoOn() bool {
	return l.canReturn(l.last) && l.last.Pod.UID == l.rec.LastHolder.Holder.PodUID
}

// rollbackCourse: the former primary of a switchover that fails goes on, at a new epoch.
func rollbackCourse(l *look) (course, bool) {
	if !l.switching() || l.switchoverFails() == "" {
		return course{}, false
	}
	return l.goesOn(false, "the switchover is rolled back, "+l.switchoverFails()+": %s goes on")
}

func rollBackSwitchover(l *look) (Plan, bool) {
	c, ok := rollbackCourse(l)
	if !ok {
		return no()
	}
	return l.pursue(c), true
}

// closedWith is what the binlog of the last holder held when its agent proved it demoted.
func (l *look) closedWith() (fencing.Proof, bool) {
	for _, p := range l.Evidence.Proofs(fencing.SubjectOf(l.rec.LastHolder.Holder), l.e) {
		if p.Kind() == fencing.Demoted && p.GTIDs() != "" {
			return p, true
		}
	}
	return fencing.Proof{}, false
}

// handedOver: the last holder is demoted, its mysqld runs, and the member has received
// everything that its binlog held then.
func (l *look) handedOver(to *Member) bool {
	p, ok := l.closedWith()
	runs := l.last.heard() && l.last.State.Mysqld.Running && l.last.State.Mysqld.Incarnation != ""
	if !ok || !runs {
		return false
	}
	return transactionsOf(to).Covers(parsed(p.GTIDs()))
}

// toReceive is what the candidate of a switchover has to receive before its receiver stops.
func (l *look) toReceive(c course) string {
	if !c.planned {
		return ""
	}
	p, _ := l.closedWith()
	return p.GTIDs()
}

// movesRoles: an operation of this verb can end with another primary.
func (v Verb) movesRoles() bool {
	return v == VerbFailover || v == VerbForcePromote || v == VerbSwitchover
}

// switchedOver: how a switchover ended, if it did.
func (l *look) switchedOver(op *Operation) (pair.OperationPhase, string) {
	why := l.stopped(op)
	switch {
	case !op.Running && why != "" && op.Message != "":
		return pair.OperationAbandoned, why + "; " + op.Message
	case !op.Running && why != "", op.Running && l.holder != nil && op.Epoch > l.e && why != "":
		return pair.OperationAbandoned, why
	}
	phase, message := l.failedOver(op)
	a := l.rec.Appointed
	overtaken := op.Epoch == l.e-1 && a != nil && a.Operation != op.Name
	switch {
	case phase == pair.OperationAbandoned && op.Canceled != "":
		message = fmt.Sprintf("%s: %s", message, op.Canceled)
	case phase == pair.OperationSucceeded && overtaken:
		return pair.OperationAbandoned, fmt.Sprintf("operation %s came before it: %s", a.Operation, message)
	}
	return phase, message
}
