package failover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
)

// StatefulSet is the StatefulSet of the members as it was read.
type StatefulSet struct {
	Reading Reading
	Version string
	// Replicas is how many pods it asks for.
	Replicas int
}

// longestDrain is what an agent accepts for one request to drain.
const longestDrain = time.Minute

// Hibernates: the pair has no pods, as spec.hibernate asks, and is to have none: nobody is the
// primary, and the StatefulSet asks for no pod.
func (o Observation) Hibernates() bool {
	noPods := o.StatefulSet.Reading == Read && o.StatefulSet.Replicas == 0
	nobody := o.Authority.Reading == Read && o.Authority.Record.Holder.Nobody()
	return o.Settings.Hibernate && noPods && nobody
}

// WakeCommand is the command that ends a hibernation.
func (s Settings) WakeCommand() string {
	return fmt.Sprintf("kubectl dbpair wake %s -n %s", s.Name, s.Namespace)
}

// awaitHibernation: the pair is to hibernate and is not fit for it. It serves clients until it is.
func awaitHibernation(l *look) (Plan, bool) {
	if !l.Settings.Hibernate {
		return no()
	}
	why := l.unfitToHibernate()
	if why == "" {
		return no()
	}
	p, ok := wait("spec.hibernate is set, and the pair goes on until both members can be ended in order: %s", why)
	p.After = time.Second
	return p, ok
}

// unfitToHibernate says why the members cannot be ended in order now; empty when they can. Both
// volumes are to hold the same data, so that either is enough later.
func (l *look) unfitToHibernate() string {
	m := l.holder
	switch {
	case !l.open(m):
		return fmt.Sprintf("the primary %s is not open", m.Name)
	case m.Pod.Deleting || m.State.Ending:
		return fmt.Sprintf("the pod of the primary %s ends, which comes first", m.Name)
	case m.ClaimDeleting || l.passive.ClaimDeleting:
		return "a volume claim is being deleted"
	case len(l.Operations) > 0:
		return fmt.Sprintf("operation %s is not finished", l.Operations[0].Name)
	case len(l.Jobs) > 0:
		return fmt.Sprintf("operation %s is running", l.Jobs[0])
	case l.StatefulSet.Reading != Read:
		return "the StatefulSet was not read"
	}
	if refused := l.RefusedForRoles(); len(refused) > 0 {
		return "writes are refused: " + RefusedFact(refused)
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return c.why
	}
	if why := l.passiveBehind(); why != "" {
		return why
	}
	if left := rolloutSettled - l.streamedFor(); left > 0 {
		return fmt.Sprintf("%s has to follow for %s without a break first", l.passive.Name, rolloutSettled)
	}
	return ""
}

// hibernate drains the primary and revokes it. New clients are refused at the passive's door
// meanwhile; nobody holds them, since no primary follows.
func hibernate(l *look) (Plan, bool) {
	if !l.Settings.Hibernate || l.unfitToHibernate() != "" {
		return no()
	}
	fact := fmt.Sprintf("spec.hibernate is set: the primary %s is drained and closed", l.holder.Name)
	drain := Drain{
		Subject:   l.holder.subject(),
		Operation: l.hibernation(),
		For:       min(l.Settings.DrainTimeout, longestDrain),
	}
	d := l.drainAs(l.hibernation())
	switch {
	case !l.atDoorOf(l.passive):
		return act(fact, together(append(l.doorTo(l.passive), drain))...)
	case d == nil:
		return act(fact, drain)
	case d.Left > 0 && (d.Rounds == 0 || d.InFlight > 0):
		return Plan{
			Kind:  Waits,
			Fact:  fmt.Sprintf("%s; %d transactions are in flight", fact, d.InFlight),
			After: d.Left,
		}, true
	}
	// There is no operation of it: no member takes over.
	return act(fmt.Sprintf("%s; %d sessions were closed, %d were in a transaction", fact, d.Closed, d.InFlight),
		l.change(authority.Revoke{Intent: authority.Intent{Target: l.holder.Name, Rule: string(RuleHibernate)}}))
}

// hibernation is the name of the drain.
func (l *look) hibernation() string {
	return fmt.Sprintf("%s-hibernation-%d", l.Settings.Name, l.Settings.Generation)
}

// drainsToHibernate: the primary is drained because the pair is to hibernate.
func (l *look) drainsToHibernate() bool {
	if l.holder == nil || !l.Settings.Hibernate || l.unfitToHibernate() != "" {
		return false
	}
	return l.drainAs(l.hibernation()) != nil
}

// hibernated: the StatefulSet asks for no pod any more. What ends is let go.
func hibernated(l *look) (Plan, bool) {
	if !l.Hibernates() {
		return no()
	}
	if l.oldPodEnds() || l.oldPodLost() {
		if p, ok := l.endOldPod(l.lastSubject()); ok {
			return p, ok
		}
	}
	var left []string
	for i := range l.Members {
		if m := &l.Members[i]; m.Pod.Reading != Missing {
			left = append(left, string(m.Name))
		}
	}
	if len(left) > 0 {
		p, ok := wait("spec.hibernate is set: the pods of %s are ending", strings.Join(left, " and "))
		p.Steps = l.toAnyDoor()
		return p, ok
	}
	return hold(VerbNone, "the pair hibernates, as spec.hibernate asks: no mysqld runs, and volumes, Secrets and Services are kept. "+
		"To wake it: %s", l.Settings.WakeCommand())
}

// revokedToHibernate: the last primary was revoked because the pair was to hibernate, and nobody was
// appointed since.
func (l *look) revokedToHibernate() bool {
	return l.rec.Intent != nil && l.rec.Intent.Rule == string(RuleHibernate)
}

// endMembers ends both members once the last primary is proven to be closed and the other one
// has applied everything that its binlog holds.
func endMembers(l *look) (Plan, bool) {
	if !l.Settings.Hibernate || !l.revokedToHibernate() || l.cannotEndMembers() != "" {
		return no()
	}
	closed, known := l.closedWith()
	var steps []Step
	if !known {
		steps = append(l.doorTo(l.peer), Fence{Subject: l.lastSubject()})
	}
	if !l.closedProof(l.peer) {
		// It receives on. With its proof the last primary can go on at once, should this come to nothing.
		steps = append(steps, Fence{Subject: l.peer.subject()})
	}
	if len(steps) > 0 {
		return act(fmt.Sprintf("spec.hibernate is set: %s is being closed", l.last.Name), together(steps)...)
	}
	if !l.hasApplied(l.peer, closed.GTIDs()) {
		return wait("spec.hibernate is set: %s is closed, and %s applies what it has received", l.last.Name, l.peer.Name)
	}
	return act(fmt.Sprintf("spec.hibernate is set: %s is closed, and %s has all of its transactions: both members are ended",
		l.last.Name, l.peer.Name), ScaleDown{Version: l.StatefulSet.Version})
}

// hasApplied: the member has executed all of these GTIDs. What it applies it writes to its own
// binary log.
func (l *look) hasApplied(m *Member, gtids string) bool {
	if !m.answersQueries() {
		return false
	}
	server := m.State.Server
	return parsed(server.GTIDExecuted).Union(parsed(server.BinlogGTIDs)).Covers(parsed(gtids))
}

// cannotEndMembers says why the pair does not hibernate after all, so that its last primary goes
// on; empty when it does.
func (l *look) cannotEndMembers() string {
	c := l.candidacyOf(l.peer)
	patience := max(l.Settings.DeadAfter, l.Settings.ApplyTimeout)
	_, closed := l.closedWith()
	switch {
	case !l.canGoOn():
		return fmt.Sprintf("the pod in which %s was the primary is not there as it was", l.last.Name)
	case !closed && !l.last.State.Mysqld.Running:
		return fmt.Sprintf("mysqld of %s has ended before it said what its binary log holds", l.last.Name)
	case l.StatefulSet.Reading != Read:
		return "the StatefulSet was not read"
	case !c.ok && c.lasting:
		return c.why
	case l.sinceEpoch() > patience:
		return fmt.Sprintf("%s was not ready within %s", l.peer.Name, patience)
	}
	return ""
}

// wake has the last primary of a pair that hibernated, or could not, go on. Its data is what
// counts, and the other member has the same: which of them answers first makes no difference.
func wake(l *look) (Plan, bool) {
	if !l.revokedToHibernate() {
		return no()
	}
	fact := "the pair wakes up: the data of %s goes on"
	if l.Settings.Hibernate {
		fact = "the pair does not hibernate yet, " + strings.ReplaceAll(l.cannotEndMembers(), "%", "%%") + ": %s goes on"
	}
	for _, replaced := range []bool{false, true} {
		c, ok := l.goesOn(replaced, fact)
		if !ok {
			continue
		}
		if l.overdue() && len(l.gather(c).missing) > 0 {
			return no() // a person may have to prove what is missing
		}
		return l.pursue(c), true
	}
	if l.oldPodEnds() || l.oldPodLost() {
		return l.endOldPod(l.lastSubject())
	}
	lost := l.last.heard() && !l.hasData(l.last) && l.lostData(l.last)
	if lost || l.sinceAwake() > max(l.Settings.InitialDelay, l.Settings.DeadAfter) {
		return no()
	}
	p, ok := wait("the pair wakes up, and waits for the pod of its last primary %s (%s) %s", l.last.Name, l.last.Reach, l.last.Pod.Problem)
	p.Steps = l.toAnyDoor()
	return p, ok
}

// sinceAwake is for how long the members could have done something about the present epoch. The time
// for which a pair hibernates does not count, and no time does while its last primary has no pod yet.
func (l *look) sinceAwake() time.Duration {
	since := l.sinceEpoch()
	if !l.revokedToHibernate() {
		return since
	}
	for i := range l.Members {
		pod := l.Members[i].Pod
		switch {
		case pod.Reading == Read && pod.UID != "":
			since = min(since, max(0, l.Now.Sub(pod.CreatedAt)))
		case &l.Members[i] == l.last:
			return 0
		}
	}
	return since
}

// lastSubject is the pod of the last primary.
func (l *look) lastSubject() fencing.Subject { return fencing.SubjectOf(l.rec.LastHolder.Holder) }

// refusedByHibernation says why an operation has nothing to act on: the pair hibernates, or is about to
// and its roles stay as they are until then. Empty when it can be carried out.
func (l *look) refusedByHibernation(op *Operation) string {
	if !l.Settings.Hibernate {
		return ""
	}
	noMysqld := l.Hibernates() && (op.Verb.movesRoles() || op.Verb == VerbReseed || op.Verb == VerbFence)
	if op.Verb != VerbSwitchover && !noMysqld {
		return ""
	}
	return "the pair hibernates, or is about to (spec.hibernate). Wake it first: " + l.Settings.WakeCommand()
}
