package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// forcedCourse: an operation forces the promotion of a member. A member that cannot apply what
// it has received is promoted only when the operation allows to discard that.
func forcedCourse(l *look) (course, bool) {
	op := l.forcing()
	if op == nil {
		return course{}, false
	}
	to := l.member(op.Target)
	c := course{
		to:       to,
		grounds:  authority.GroundsForced,
		ackFence: to != l.last,
		fact:     fmt.Sprintf("operation %s forces the promotion of %s", op.Name, to.Name),
	}
	if op.DiscardUnapplied && c.ackFence {
		c.discards = op.Name
		c.fact += l.discardNoted(c)
	}
	return c, true
}

// forcing is the oldest operation that forces the promotion of a member which can be promoted
// by it now.
func (l *look) forcing() *Operation {
	for i := range l.Operations {
		op := &l.Operations[i]
		m := l.member(op.Target)
		if op.Verb != VerbForcePromote || !l.confirmed(op) || l.cannotForce(m) != "" {
			continue
		}
		if m == l.last || op.DiscardUnapplied || !l.cannotApply(m) {
			return op
		}
	}
	return nil
}

// cannotApply: the member's applier has stopped with an error, or was given its time while
// nobody was the holder and has not applied what was received.
func (l *look) cannotApply(m *Member) bool {
	return applierFailed(m) || (l.last != nil && m == l.peer && l.tooSlow())
}

func applierFailed(m *Member) bool {
	return m.heard() && m.State.Server != nil && m.State.Server.Applier.LastErrno != 0
}

// tooSlow: the candidate has not applied in time what it had received.
func (l *look) tooSlow() bool {
	return !l.appliedAll(l.peer) && l.sinceEpoch() > l.Settings.ApplyTimeout
}

// discardStep has a member that is forced save and give up what it cannot apply. Until then
// everything that it still applies is kept.
func (l *look) discardStep(c course) []Step {
	due := c.discards != "" && c.to.heard() && c.to.State.ReceiverStoppedAt == l.e && !c.to.State.AppliedAll && l.cannotApply(c.to)
	if !due {
		return nil
	}
	return []Step{Discard{
		Subject:   c.to.subject(),
		Operation: c.discards,
		Target:    c.to.State.DataID,
	}}
}

// applyPatience is for how long a member that is forced may go on applying before it discards.
func (l *look) applyPatience(c course) time.Duration {
	if c.discards == "" || l.appliedAll(c.to) {
		return 0
	}
	return l.Settings.ApplyTimeout - l.sinceEpoch() + time.Millisecond
}

// discarded is what the member gave up in this operation; nil for nothing.
func discarded(m *Member, operation string) *agentapi.Discarded {
	told := m != nil && m.State != nil && m.State.Discarded != nil
	if !told || m.State.Discarded.Operation != operation {
		return nil
	}
	return m.State.Discarded
}

func (l *look) discardNoted(c course) string {
	d := discarded(c.to, c.discards)
	if d == nil {
		return ""
	}
	return fmt.Sprintf("; %d transactions that it had received and could not apply were discarded (%.200s) and are saved in %s on its volume",
		d.Transactions, d.GTIDs, d.Directory)
}

func forcePromotion(l *look) (Plan, bool) {
	c, ok := forcedCourse(l)
	if !ok {
		return no()
	}
	p := l.pursue(c)
	p.Operation.Name = l.forcing().Name
	p.Operation.Verb = VerbForcePromote
	p.Operation.Rule = RuleForcedPromotion
	return p, true
}

// stuckCourse: the candidate is too slow, and no one else can go on.
func stuckCourse(l *look) (course, bool) {
	if !l.candidacyOf(l.peer).ok || !l.tooSlow() {
		return course{}, false
	}
	return l.promotion(), true
}

func candidateStuck(l *look) (Plan, bool) {
	m := l.peer
	if c, ok := stuckCourse(l); ok {
		p := l.pursue(c)
		p.Kind = Doubts
		p.Verb = VerbForcePromote
		p.Fact = fmt.Sprintf("%s has not applied what it received within %s and goes on applying; it opens by itself when it is done. "+
			"If %s comes back first, it goes on instead",
			m.Name, l.Settings.ApplyTimeout, l.last.Name)
		return p, true
	}
	if !applierFailed(m) || !l.rec.Ledger.InSync(m.Name) {
		return no()
	}
	applier := m.State.Server.Applier
	p, ok := doubt(VerbForcePromote, "the applier of %s stopped with error %d (%s), and the last primary cannot go on",
		m.Name, applier.LastErrno, applier.LastError)
	p.Steps = l.doorTo(m)
	return p, ok
}
