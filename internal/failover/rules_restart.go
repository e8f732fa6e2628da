package failover

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// bootstrapStalled: the pair never opened, and what its beginning rests on does not answer
// or is gone. Nobody ever held this authority, so nothing was acknowledged; but whether the
// volume comes back is not known, and a Lease restored from before the first appointment
// looks the same.
func bootstrapStalled(l *look) (Plan, bool) {
	b := l.beginning()
	if b.why == "" {
		return no()
	}
	p, ok := doubt(VerbForcePromote, "the pair never opened: %s. Bring it back, or begin again on a member whose volume is empty", b.why)
	p.Missing = b.missing
	return p, ok
}

// beginning is why it does not go on by itself, empty when it may, and the pods that are
// waited for.
type beginning struct {
	why     string
	missing []fencing.Subject
}

func (l *look) beginning() beginning {
	name, begun := l.first()
	if !begun {
		return l.notBegun()
	}
	m := l.member(name)
	long := max(l.Settings.DeadAfter, l.Settings.InitialDelay)
	switch {
	case m == nil:
		return beginning{why: fmt.Sprintf("the Lease has it begin on %q, who is no member", name)}
	case l.lostData(m):
		return beginning{fmt.Sprintf("its first data was on %s and is gone (%s)", name, m.State.Phase), []fencing.Subject{m.subject()}}
	case l.rec.Bootstrap != nil && m.heard() && m.State.DataID != "" && m.State.DataID != l.rec.Bootstrap.DataID:
		return beginning{fmt.Sprintf("it is to begin on %s, which holds data %s that nobody asked for", name, m.State.DataID), nil}
	case l.awayFor(m) >= long:
		return beginning{fmt.Sprintf("it is to begin on %s, which has not answered for %s (%s)",
			name, l.awayFor(m).Round(time.Second), cmp.Or(m.Pod.Problem, m.Reach.String())), []fencing.Subject{m.subject()}}
	}
	return beginning{}
}

// first is the member that the Lease has begin: it may initialize, or has done so. Of none
// when there are data of several, which no sequence of changes can have made.
func (l *look) first() (name pair.MemberName, begun bool) {
	if b := l.rec.Bootstrap; b != nil {
		return b.Member, true
	}
	for m := range l.rec.Data {
		name = m
	}
	if len(l.rec.Data) > 1 {
		name = ""
	}
	return name, len(l.rec.Data) > 0
}

// notBegun: nothing was begun because a member does not answer whose volume could hold
// data. A pod whose mysqld container never ran is only under way, or says itself what it
// lacks.
func (l *look) notBegun() beginning {
	long := max(l.Settings.DeadAfter, l.Settings.InitialDelay)
	for i := range l.Members {
		m := &l.Members[i]
		if l.awaited(i) && m.Pod.Ended.LastRunning != "" && l.silentFor(m) >= long {
			return beginning{fmt.Sprintf("what the volume of %s holds is not known: it has not answered for %s (%s)",
				m.Name, l.silentFor(m).Round(time.Second), m.Reach), []fencing.Subject{m.subject()}}
		}
	}
	return beginning{}
}

// awaited: nobody begins before this member's agent has answered.
func (l *look) awaited(i int) bool {
	m := &l.Members[i]
	return !m.heard() && (i == 0 || m.MadeForPair != Yes)
}

// awayFor is how long a member has not been heard, also when there was nothing to try.
func (l *look) awayFor(m *Member) time.Duration {
	if m.heard() || !m.SilentSince.IsZero() {
		return l.silentFor(m)
	}
	since := l.History.StartedAt
	if m.Pod.CreatedAt.After(since) {
		since = m.Pod.CreatedAt
	}
	return max(0, l.Now.Sub(since))
}

// restartBootstrap: a person says on which member the pair is to begin in place of the one that
// is stuck. That nobody is ever appointed beside the new one is a matter of the write: it
// fails if anything was decided since.
func restartBootstrap(l *look) (Plan, bool) {
	refused := ""
	for i := range l.Operations {
		op := &l.Operations[i]
		if op.Verb != VerbForcePromote || !l.confirmed(op) {
			continue
		}
		first, _ := l.first()
		to := l.member(op.Target)
		b := l.beginning()
		why := l.cannotBegin(to)
		switch {
		case op.Running && first == op.Target && b.why == "":
			continue // under way
		case b.why == "":
			why = "the beginning goes on by itself"
		}
		if why != "" {
			refused = fmt.Sprintf("operation %s asks to begin on %s, but %s", op.Name, op.Target, why)
			continue
		}
		fact := fmt.Sprintf("operation %s: %s, and the pair begins again on %s", op.Name, b.why, to.Name)
		p, ok := act(fact, l.change(authority.RestartBootstrap{Member: to.Name, DataID: pair.DataID(l.FreshID)}))
		p.Operation = &OperationNote{
			Name:    op.Name,
			Verb:    VerbForcePromote,
			Rule:    RuleRestartBootstrap,
			Phase:   pair.OperationRunning,
			Epoch:   l.e,
			To:      to.Name,
			Message: fact,
		}
		return p, ok
	}
	if refused == "" {
		return no()
	}
	return hold(VerbNone, "%s", refused)
}

// cannotBegin says what even an administrator's operation does not overrule.
func (l *look) cannotBegin(m *Member) string {
	switch {
	case m == nil:
		return "there is no such member"
	case !m.heard():
		return fmt.Sprintf("its agent does not answer (%s)", m.Reach)
	case m.State.Phase != agentapi.PhaseEmpty:
		return fmt.Sprintf("its volume is not empty (%s)", m.State.Phase)
	case l.FreshID == "":
		return "no name was drawn for its data"
	}
	return ""
}
