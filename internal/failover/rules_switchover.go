package failover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// drainFor is how long an agent drains by one request. It ends by itself when no operator
	// renews it.
	drainFor = 10 * time.Second
	// settleFor is how long new clients are passed on to the primary before it is drained: the
	// nodes lead them to the candidate's door meanwhile. kube-proxy writes its rules once a
	// second where it is not told otherwise (minSyncPeriod).
	settleFor = 1200 * time.Millisecond
	// freshWithin is how far the passive may be behind for a switchover to begin, and freshBacklog
	// how many transactions it may have left to apply: clients wait while it applies them.
	freshWithin  = time.Second
	freshBacklog = 2000
	// calmBacklog is how many it may have left for the drain to begin before half of drainTimeout is
	// over: clients are served until then.
	calmBacklog = 300
	// drainedBacklog is how many it may have left when the primary is drained and revoked. Nobody
	// writes then but what the pair itself and its administrators do.
	drainedBacklog = 100
)

// awaitSwitchover: an operation asks for a switchover that cannot begin now.
func awaitSwitchover(l *look) (Plan, bool) {
	op := l.askedSwitchover()
	if op == nil || op.Running {
		return no()
	}
	why := l.unfitForSwitchover(op)
	if why == "" {
		return no()
	}
	p, ok := hold(VerbNone, "operation %s asks for a switchover, which waits: %s", op.Name, why)
	p.After = time.Second
	return p, ok
}

// drainForSwitchover leads new clients to the candidate's door and has the primary's agent
// close each session as soon as it is outside a transaction. What is under way is on record
// before anything is done, so that the next operator finds it.
func drainForSwitchover(l *look) (Plan, bool) {
	op := l.askedSwitchover()
	if op == nil {
		return no()
	}
	if !op.Running {
		if l.unfitForSwitchover(op) != "" {
			return no()
		}
		note := l.switchoverNote(op, fmt.Sprintf("%s is being drained", l.holder.Name))
		return act(fmt.Sprintf("operation %s asks for a switchover to %s", op.Name, l.passive.Name), NoteOperation{Note: *note})
	}
	if l.draining() == nil || l.revokes(op) {
		return no()
	}
	steps := l.drainSteps(op)
	switch {
	case l.settles(op):
		steps = l.settleSteps()
	case l.drainState(op) == nil && l.passiveBehind() != "":
		steps = nil // nobody could take over from a primary that is drained now
	}
	fact := fmt.Sprintf("%s is drained for operation %s: %s", l.holder.Name, op.Name, l.drainFact(op))
	p := Plan{
		Kind:  Waits,
		Fact:  fact,
		After: l.drainLeft(op),
		Steps: together(steps),
	}
	if len(steps) > 0 {
		p.Kind = Acts
		p.Operation = l.switchoverNote(op, fact)
	}
	return p, true
}

// switchover revokes the primary that was drained.
func switchover(l *look) (Plan, bool) {
	op := l.draining()
	if op == nil || !l.revokes(op) {
		return no()
	}
	p, ok := l.revoke(RuleSwitchover, op.Name, l.passive,
		fmt.Sprintf("operation %s asks for a switchover to %s: %s", op.Name, l.passive.Name, l.drainFact(op)))
	p.Operation.Verb = VerbSwitchover
	p.Operation.Drained = l.drained(op)
	return p, ok
}

// endDrain: the primary's agent drains for a switchover that was given up, or the passive's door
// passes clients on to it.
func endDrain(l *look) (Plan, bool) {
	m := l.holder
	if !l.open(m) || l.drainsLeaving() || l.drainsToHibernate() {
		return no()
	}
	op := l.draining()
	if m.State.Drain == nil || m.State.Drain.Left <= 0 {
		if op != nil || l.forwardedFor() == 0 {
			return no()
		}
		return act(fmt.Sprintf("the door of %s passes clients on for a switchover that does not go on", l.passive.Name),
			Hold{Subject: l.passive.subject(), Cancel: true})
	}
	if op != nil && op.Name == m.State.Drain.Operation {
		return no()
	}
	steps := []Step{Drain{Subject: m.subject(), Operation: m.State.Drain.Operation}}
	if l.holdsAt(l.passive) {
		steps = append(steps, Hold{Subject: l.passive.subject(), Cancel: true})
	}
	return act(fmt.Sprintf("%s is drained for operation %s, which does not go on", m.Name, m.State.Drain.Operation), together(steps)...)
}

// askedSwitchover is the switchover that is under way, or the oldest one that is asked for.
// Others wait for it.
func (l *look) askedSwitchover() *Operation {
	var waiting *Operation
	for i := range l.Operations {
		op := &l.Operations[i]
		if op.Verb != VerbSwitchover || !l.confirmed(op) {
			continue
		}
		if op.Running && op.Epoch >= l.e {
			return op
		}
		mayBegin := !op.Running && l.stopped(op) == "" && l.refusedSwitchover(op) == ""
		if waiting == nil && mayBegin {
			waiting = op
		}
	}
	return waiting
}

// draining is the switchover for which the present primary is drained; nil for none, also when
// it is not to go on.
func (l *look) draining() *Operation {
	op := l.askedSwitchover()
	if op == nil || l.holder == nil {
		return nil
	}
	begunHere := op.Running && op.Epoch == l.e+1 && op.From == l.holder.Name
	if !begunHere || l.stopped(op) != "" {
		return nil
	}
	return op
}

// stopped says why a switchover is not to go on; empty when it is. What is stopped stays so:
// nothing here depends on more than the operation and the time.
func (l *look) stopped(op *Operation) string {
	s := op.Switchover
	switch {
	case op.Canceled != "":
		return "it was canceled: " + op.Canceled
	case s == nil:
		return ""
	case !l.Now.Before(op.CreatedAt.Add(s.Deadline)):
		return fmt.Sprintf("its deadline of %s has passed", s.Deadline)
	case op.Running && s.GiveUp && !l.Now.Before(op.StartedAt.Add(s.DrainTimeout)):
		return fmt.Sprintf("the primary was not drained within drainTimeout %s, and onTimeout is GiveUp", s.DrainTimeout)
	}
	return ""
}

// refusedSwitchover says why this operation can never be done; empty when it can.
func (l *look) refusedSwitchover(op *Operation) string {
	if op.Verb != VerbSwitchover {
		return ""
	}
	switch s := op.Switchover; {
	case op.Target != "" && l.member(op.Target) == nil:
		return fmt.Sprintf("%s is no member", op.Target)
	case l.holder != nil && op.Target == l.holder.Name:
		return fmt.Sprintf("%s is the primary already", op.Target)
	case s != nil && s.DrainTimeout >= s.Deadline:
		return fmt.Sprintf("drainTimeout %s is not shorter than the deadline %s", s.DrainTimeout, s.Deadline)
	}
	return ""
}

// unfitForSwitchover says why a switchover cannot begin now; empty when it can. Nothing of it
// is done by force: an operation that waits for too long ends.
func (l *look) unfitForSwitchover(op *Operation) string {
	switch {
	case !l.open(l.holder) || !l.leadsOpen(l.holder):
		return fmt.Sprintf("%s is not open with the Service leading to it", l.holder.Name)
	case l.holder.Pod.Deleting || l.holder.State.Ending:
		return fmt.Sprintf("the pod of %s ends, which is a switchover of its own", l.holder.Name)
	case l.holder.ClaimDeleting:
		return fmt.Sprintf("the volume claim of %s is being deleted", l.holder.Name)
	case len(l.holder.State.WrongSettings) > 0:
		return fmt.Sprintf("a setting of %s is not as it must be (%s)", l.holder.Name, l.holder.State.WrongSettings[0])
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return c.why
	}
	if why := l.passiveBehind(); why != "" {
		return why
	}
	if len(l.Jobs) > 0 {
		return fmt.Sprintf("operation %s is running", l.Jobs[0])
	}
	return l.longTransactions(op)
}

// passiveBehind says why a switchover would wait for the passive; empty when it would not.
func (l *look) passiveBehind() string {
	m := l.passive
	switch {
	case !streams(m):
		return fmt.Sprintf("%s does not stream from %s", m.Name, l.holder.Name)
	case !m.State.Server.Applier.Running:
		return fmt.Sprintf("%s does not apply what it receives", m.Name)
	case m.State.Server.LagSeconds < 0 || m.lag() >= freshWithin:
		return fmt.Sprintf("%s lags", m.Name)
	case m.State.Server.LagTransactions > freshBacklog:
		return fmt.Sprintf("%s has more than %d transactions left to apply", m.Name, freshBacklog)
	case m.Pod.IP == "":
		return fmt.Sprintf("the pod of %s has no address", m.Name)
	}
	return ""
}

// appliedDrained: the passive has next to nothing left to apply of what the primary wrote before it
// was drained, so that it can be appointed at once.
func (l *look) appliedDrained() bool {
	s := l.passive.State
	return s != nil && s.Server != nil && s.Server.LagTransactions <= drainedBacklog
}

// leftToApply says how much the passive has left to apply.
func (l *look) leftToApply() string {
	s := l.passive.State
	if s == nil || s.Server == nil {
		return fmt.Sprintf("what %s has left to apply is not known", l.passive.Name)
	}
	return fmt.Sprintf("%s has %d left to apply", l.passive.Name, s.Server.LagTransactions)
}

// longTransactions says which sessions of the primary would not be outside a transaction in
// time; empty for none, or when they are to be cut. No switchover begins while a definition changes,
// since an ALTER that is cut may lose hours.
func (l *look) longTransactions(op *Operation) string {
	s := op.Switchover
	if s == nil || l.holder.State.Server == nil {
		return ""
	}
	var long []string
	for _, one := range l.holder.State.Server.InFlight {
		if one.DDL || (s.GiveUp && one.Age >= s.DrainTimeout) {
			long = append(long, describeSession(one))
		}
	}
	if len(long) == 0 {
		return ""
	}
	return fmt.Sprintf("%d long transactions or changes of definitions on %s: %s", len(long), l.holder.Name, strings.Join(long, "; "))
}

// describeSession names a session by what does not change while it lasts.
func describeSession(one agentapi.Session) string {
	text := fmt.Sprintf("session %d of %s@%s", one.ID, one.User, one.Host)
	if one.Statement != "" {
		text += ": " + one.Statement
	}
	return text
}

// drainSteps are what the drain lacks: the Service at the candidate's door, which holds clients
// from the begin of the drain on, and the request to the primary's agent.
func (l *look) drainSteps(op *Operation) []Step {
	var steps []Step
	d := l.drainState(op)
	due := d == nil || d.Left < drainFor/2
	if due && l.holdsAt(l.passive) {
		// Clients are held once for the whole change: neither another request nor the revocation
		// extends that. An agent that is not asked any more takes the change for given up.
		steps = append(steps, Hold{Subject: l.passive.subject()})
	}
	if l.candidateTakesClients() {
		steps = append(steps, l.doorTo(l.passive)...)
	}
	if due {
		steps = append(steps, Drain{
			Subject:   l.holder.subject(),
			Operation: op.Name,
			For:       drainFor,
		})
	}
	return steps
}

// drainState is what the primary's agent says of the drain for this operation; nil for nothing.
func (l *look) drainState(op *Operation) *agentapi.Drain {
	if d := l.drainAs(op.Name); d != nil && d.Left > 0 {
		return d
	}
	return nil
}

// drainAs is the drain of this name, also when its time is over; nil when it was not begun.
func (l *look) drainAs(name string) *agentapi.Drain {
	if !l.holder.heard() || l.holder.State.Drain == nil || l.holder.State.Drain.Operation != name {
		return nil
	}
	return l.holder.State.Drain
}

func (l *look) drainFact(op *Operation) string {
	d := l.drainState(op)
	behind := l.passiveBehind()
	switch {
	case d == nil && behind != "":
		return fmt.Sprintf("it begins when the passive has caught up: %s", behind)
	case d == nil && l.settles(op) && l.forwardedFor() >= l.settleTime(op) && l.awaitsCalm(op) != "":
		return fmt.Sprintf("new clients are passed on by %s, since a drain would take long now: %s", l.passive.Name, l.awaitsCalm(op))
	case d == nil && l.settles(op):
		return fmt.Sprintf("new clients are led to %s, which passes them on until every node leads there", l.passive.Name)
	case d == nil:
		return "its agent has not begun yet"
	case d.InFlight == 0 && !l.appliedDrained():
		return "no transaction is in flight, " + l.leftToApply()
	case d.InFlight == 0:
		return fmt.Sprintf("no transaction is in flight, %d sessions were closed", d.Closed)
	}
	return fmt.Sprintf("%d transactions are in flight, %d sessions were closed", d.InFlight, d.Closed)
}

// drained is the account of the drain.
func (l *look) drained(op *Operation) *Drained { return l.drainedAs(op.Name) }

func (l *look) drainedAs(name string) *Drained {
	d := l.drainAs(name)
	if d == nil {
		return nil
	}
	out := &Drained{Closed: d.Closed, Cut: d.InFlight}
	for _, one := range d.Busy {
		out.Sessions = append(out.Sessions, describeSession(one))
	}
	return out
}

// drainLeft is when the drain has to be looked at again, if nothing changes.
func (l *look) drainLeft(op *Operation) time.Duration {
	left := drainFor / 4
	if f := l.forwardedFor(); f > 0 && l.settles(op) {
		nodes := l.settleTime(op) - f
		if nodes <= 0 {
			nodes = drainPoll
		}
		left = min(left, nodes)
	}
	if s := op.Switchover; s != nil {
		left = min(left, op.StartedAt.Add(s.DrainTimeout).Sub(l.Now), op.CreatedAt.Add(s.Deadline).Sub(l.Now))
	}
	return max(left, 10*time.Millisecond)
}

// revokes: the primary is drained, or may be cut now, clients are led away from it, and the
// passive can take over at this moment.
func (l *look) revokes(op *Operation) bool {
	if !l.atDoorOf(l.passive) || !l.candidacyOf(l.passive).ok || l.passiveBehind() != "" || !l.appliedDrained() {
		return false
	}
	d := l.drainState(op)
	if d == nil {
		return false
	}
	timeUp := op.Switchover != nil && !op.Switchover.GiveUp && !l.Now.Before(op.StartedAt.Add(op.Switchover.DrainTimeout))
	drained := d.Rounds > 0 && d.InFlight == 0
	return drained || timeUp
}

func (l *look) switchoverNote(op *Operation, message string) *OperationNote {
	trigger := RuleDrainForSwitchover
	switch {
	case op.Drill:
		trigger = RuleDrill
	case op.ByOperator:
		trigger = RuleRollout
	}
	return &OperationNote{
		Name:       op.Name,
		Verb:       VerbSwitchover,
		Rule:       trigger,
		OnlyUpdate: true,
		Phase:      pair.OperationRunning,
		Epoch:      l.e + 1,
		From:       l.holder.Name,
		To:         l.passive.Name,
		Message:    message,
	}
}

// operationWaits says in an operation's status what it waits for.
func operationWaits(l *look) (Plan, bool) {
	if l.holder == nil {
		return no()
	}
	for i := range l.Operations {
		op := &l.Operations[i]
		if op.Verb != VerbSwitchover || op.Running || !l.confirmed(op) {
			continue
		}
		why := "waits: " + l.waitsBehind(op)
		if why == "waits: " || why == op.Message {
			continue
		}
		note := OperationNote{
			Name:       op.Name,
			Verb:       op.Verb,
			Rule:       RuleOperationWaits,
			Phase:      pair.OperationPending,
			OnlyUpdate: true,
			Message:    why,
		}
		return act("operation "+op.Name+" "+why, NoteOperation{Note: note})
	}
	return no()
}

// waitsBehind is what a switchover waits for; empty for nothing.
func (l *look) waitsBehind(op *Operation) string {
	switch first := l.askedSwitchover(); {
	case first == nil:
		return ""
	case first.Name != op.Name:
		return fmt.Sprintf("operation %s comes first", first.Name)
	}
	return l.unfitForSwitchover(op)
}
