package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// Reconciled says how the parts of the pair that Decide does not look at are doing: the
// child objects.
type Reconciled struct {
	// Done: every child object is as this generation of the spec wants it.
	Done bool
	// Fact says what is not, and what to do.
	Fact string
	// Reason is that of Ready while it is False for Fact, and not merely because an object is
	// being made; empty for ReasonObjectsPending.
	Reason string
	// Checksum is what comparisons of the members' tables found, see Compared.
	Checksum *v1alpha1.ChecksumStatus
	// StaleAfter is the age from which on a comparison says nothing any more; 0 for never.
	StaleAfter time.Duration
	// ScheduleProblem says why spec.checksum makes no schedule, and what to do.
	ScheduleProblem string
	// Backup is what is known of the pair's backups, see BackedUp.
	Backup Backups
	// BackupStaleAfter is the age from which on the last backup is too old; 0 for never.
	BackupStaleAfter time.Duration
	// BackupProblem says why there are no backups by spec.backup, and what to do.
	BackupProblem string
	// RestoreDrillStaleAfter is the age from which on the last restore drill is too old; 0 for never.
	RestoreDrillStaleAfter time.Duration
	// RestoreDrillProblem says why there are no restore drills by spec.backup.drill, and what to do.
	RestoreDrillProblem string
	// Archive is what is known of the pair's archive of binary logs.
	Archive Archive
	// Bootstrap is what the pair begins with.
	Bootstrap Bootstrap
	// Router is what is known of the pair's router.
	Router Router
}

// Conditions are the pair's conditions after this look. old is not modified; a condition
// that did not change keeps its transition time.
func Conditions(o failover.Observation, p failover.Plan, done Reconciled, old []metav1.Condition) []metav1.Condition {
	out := append([]metav1.Condition{}, old...)
	if !done.Backup.Wanted {
		meta.RemoveStatusCondition(&out, v1alpha1.ConditionBackedUp)
		meta.RemoveStatusCondition(&out, v1alpha1.ConditionRestorable)
	}
	if !done.Archive.Wanted {
		meta.RemoveStatusCondition(&out, v1alpha1.ConditionArchiving)
	}
	if !done.Router.Wanted {
		meta.RemoveStatusCondition(&out, v1alpha1.ConditionRouterReady)
	}
	found := judge(o, p, done)
	if done.Bootstrap.Spec != nil {
		found = append(found, bootstrapped(o, p.Stated(), done, old))
	}
	for _, c := range found {
		c.ObservedGeneration = o.Settings.Generation
		c.LastTransitionTime = metav1.NewTime(o.Now)
		c.Message = clip(c.Message)
		meta.SetStatusCondition(&out, c)
	}
	return out
}

// maxMessage is what the API server accepts.
const maxMessage = 32768

func clip(s string) string {
	if len(s) > maxMessage {
		return s[:maxMessage]
	}
	return s
}

func judge(o failover.Observation, p failover.Plan, done Reconciled) []metav1.Condition {
	p = p.Stated()
	c := judged{
		o:           o,
		p:           p,
		done:        done,
		available:   availability(o, p),
		replicating: replicating(o),
		failover:    readyToFail(o, p, done),
		inDoubt:     inDoubt(o, p),
		stalled:     stalled(o, p, done),
	}
	out := []metav1.Condition{
		readiness(c),
		c.available,
		c.replicating,
		c.failover,
		consistent(o, done),
		progressing(o, p, done),
		c.inDoubt,
		c.stalled,
		agentOutdated(o),
	}
	if done.Backup.Wanted {
		out = append(out, backedUp(o, done), restorable(o, done))
	}
	if done.Archive.Wanted {
		out = append(out, archiving(o, done))
	}
	if done.Router.Wanted {
		out = append(out, routerReady(o, done.Router.Pods))
	}
	return out
}

func known(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

func condition[R ~string](kind string, s metav1.ConditionStatus, reason R, message string) metav1.Condition {
	return metav1.Condition{
		Type:    kind,
		Status:  s,
		Reason:  cmp.Or(string(reason), string(failover.RuleStaleObservation)),
		Message: message,
	}
}

// Message is a fact and, where someone has to act, the complete command with what it may
// cost: the text of conditions and of events.
func Message(o failover.Observation, fact string, remedy failover.Remedy) string {
	commands := slices.DeleteFunc(remedy.Commands(o.Settings.Namespace, o.Settings.Name), func(c string) bool {
		return strings.Contains(fact, c) // the fact says when to use which
	})
	if len(commands) == 0 {
		return fact
	}
	cost := ""
	if remedy.Loses != "" {
		cost = " (" + remedy.Loses + ")"
	}
	return fmt.Sprintf("%s. Command: %s%s", fact, strings.Join(commands, "; or: "), cost)
}

// Holder is the member that the authority names, if it was read.
func holder(o failover.Observation) *failover.Member {
	if o.Authority.Reading != failover.Read {
		return nil
	}
	for i := range o.Members {
		if o.Members[i].Name == o.Authority.Record.Holder.Member && o.Members[i].Name != "" {
			return &o.Members[i]
		}
	}
	return nil
}

// opened: the holder's agent says that it is open at the authority's epoch.
func opened(o failover.Observation, m *failover.Member) bool {
	return m != nil && m.Heard() && m.State.PodUID == o.Authority.Record.Holder.PodUID &&
		m.State.OpenEpoch == o.Authority.Record.Epoch && o.Authority.Record.Epoch > 0
}

// serviceLeadsTo: the client Service leads to the member's mysqld at the authority's epoch.
func serviceLeadsTo(o failover.Observation, m *failover.Member) bool {
	s := o.Service
	if m == nil || s.Reading != failover.Read {
		return false
	}
	current := s.Member == m.Name && s.Epoch == o.Authority.Record.Epoch
	return current && s.Leads == failover.LeadsOpen && s.PortLeads == failover.LeadsOpen
}

func availability(o failover.Observation, p failover.Plan) metav1.Condition {
	m := holder(o)
	leads := serviceLeadsTo(o, m)
	switch {
	case o.Authority.Reading == failover.Unread:
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionUnknown, failover.RuleAuthorityUnreadable, unread(o))
	case m != nil && !m.Heard() && leads && p.Kind != failover.Doubts:
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionUnknown, failover.RuleHolderUnhealthy,
			m.Silence()+"; it is the primary")
	case opened(o, m) && blocked(p) != "":
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, failover.RuleWritesBlocked, blocked(p))
	case opened(o, m) && leads:
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, ReasonAcceptsWrites,
			fmt.Sprintf("%s accepts writes and the Service leads to it", m.Name))
	case len(refusedForClients(o)) > 0:
		fact := withDoubt(o, p, failover.RefusedFact(refusedForClients(o)))
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, failover.RuleWriteRefused, fact)
	case opened(o, m):
		return condition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, failover.RuleServiceFollows,
			fmt.Sprintf("%s accepts writes; the Service does not lead to it yet", m.Name))
	}
	return condition(v1alpha1.ConditionAvailable, metav1.ConditionFalse, p.Rule, Message(o, p.Fact, p.Remedy)+problemsOf(o, p))
}

// refusedForClients are the refused writes that can keep clients from a primary: those of a
// change of roles, and as long as a member has no pod or there never was a primary, those of
// every object but the pair's own status.
func refusedForClients(o failover.Observation) []failover.RefusedWrite {
	begins := o.Authority.Record.Epoch == 0
	for i := range o.Members {
		begins = begins || o.Members[i].Pod.Reading == failover.Missing
	}
	if begins {
		return refused(o)
	}
	return o.RefusedForRoles()
}

// refused are the refused writes but for the status itself: what is rendered is read once that
// write has succeeded.
func refused(o failover.Observation) []failover.RefusedWrite {
	return slices.DeleteFunc(slices.Clone(o.Refused), func(w failover.RefusedWrite) bool { return w.Kind == failover.KindPair })
}

// withDoubt adds to a fact the doubt that the pair is in beside it, with its command.
func withDoubt(o failover.Observation, p failover.Plan, fact string) string {
	if c := inDoubt(o, p); c.Status == metav1.ConditionTrue {
		return fact + ". " + c.Message
	}
	return fact
}

// blocked says why commits wait and go on waiting, as the spec asks; empty when they do not.
// Clients reach the primary then, and no write of theirs ends.
func blocked(p failover.Plan) string {
	if p.Rule == failover.RuleWritesBlocked {
		return p.Fact
	}
	for _, n := range p.Notes {
		if n.Rule == failover.RuleWritesBlocked {
			return n.Fact
		}
	}
	return ""
}

// problemsOf are the members' problems while the pair waits: what it waits for may never
// come before someone does something about them.
func problemsOf(o failover.Observation, p failover.Plan) string {
	if p.Kind != failover.Waits {
		return ""
	}
	var out strings.Builder
	for i := range o.Members {
		m := &o.Members[i]
		if what := problem(m); what != "" && !strings.Contains(p.Fact, what) {
			fmt.Fprintf(&out, "; %s: %s", m.Name, what)
		}
	}
	return out.String()
}

func replicating(o failover.Observation) metav1.Condition {
	const kind = v1alpha1.ConditionReplicating
	primary := holder(o)
	if primary == nil {
		return condition(kind, metav1.ConditionFalse, ReasonNoPrimary, "nobody is the primary")
	}
	passive := &o.Members[0]
	if passive.Name == primary.Name {
		passive = &o.Members[1]
	}
	if !passive.Heard() {
		return condition(kind, metav1.ConditionUnknown, failover.RulePassiveAway, passive.Silence())
	}
	server := passive.State.Server
	switch {
	case server == nil || !passive.State.Mysqld.Running:
		return condition(kind, metav1.ConditionFalse, failover.RulePassiveAway,
			fmt.Sprintf("mysqld of %s does not run (%s)", passive.Name, passive.State.Phase))
	case !server.Receiver.Running:
		return condition(kind, metav1.ConditionFalse, failover.RuleAwaitStreaming,
			fmt.Sprintf("%s does not receive from %s%s", passive.Name, primary.Name, because(server.Receiver.LastError)))
	case !server.Applier.Running || server.Applier.LastErrno != 0:
		return condition(kind, metav1.ConditionFalse, ReasonApplierStopped,
			fmt.Sprintf("%s does not apply what it receives%s", passive.Name, because(server.Applier.LastError)))
	}
	return condition(kind, metav1.ConditionTrue, failover.RuleReplicating,
		fmt.Sprintf("%s receives from %s and applies", passive.Name, primary.Name))
}

// because appends what mysqld says, if it says anything.
func because(said string) string {
	if said == "" {
		return ""
	}
	return ": " + said
}

func progressing(o failover.Observation, p failover.Plan, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionProgressing
	if n, found := noteOf(p, failover.RuleRolloutStopped); found {
		return condition(kind, metav1.ConditionFalse, n.Rule, n.Fact)
	}
	for _, rule := range []failover.RuleName{
		failover.RuleHibernate,
		failover.RuleAwaitHibernation,
		failover.RuleRollout,
		failover.RuleRestartPending,
	} {
		if n, found := noteOf(p, rule); found {
			return condition(kind, metav1.ConditionTrue, n.Rule, n.Fact)
		}
	}
	switch {
	case p.Kind == failover.Acts || p.Kind == failover.Waits:
		return condition(kind, metav1.ConditionTrue, p.Rule, p.Fact)
	case !done.Done && !done.refused() && !o.Settings.Paused:
		return condition(kind, metav1.ConditionTrue, ReasonObjectsPending, cmp.Or(done.Fact, "the objects of the pair are being made"))
	}
	return condition(kind, metav1.ConditionFalse, ReasonNothingPending, "nothing is under way")
}

// noteOf is what a rule found, whether it speaks or not.
func noteOf(p failover.Plan, rule failover.RuleName) (failover.Note, bool) {
	for _, n := range notes(p) {
		if n.Rule == rule {
			return n, true
		}
	}
	return failover.Note{}, false
}

// notes are what all rules found, the one that speaks first.
func notes(p failover.Plan) []failover.Note {
	return append([]failover.Note{{
		Rule:   p.Rule,
		Kind:   p.Kind,
		Fact:   p.Fact,
		Verb:   p.Verb,
		Remedy: p.Remedy,
	}}, p.Notes...)
}

func inDoubt(o failover.Observation, p failover.Plan) metav1.Condition {
	const kind = v1alpha1.ConditionInDoubt
	for _, n := range notes(p) {
		if n.Kind == failover.Doubts {
			return condition(kind, metav1.ConditionTrue, n.Rule, Message(o, n.Fact, n.Remedy))
		}
	}
	if o.Authority.Reading == failover.Unread {
		return condition(kind, metav1.ConditionUnknown, failover.RuleAuthorityUnreadable, unread(o))
	}
	return condition(kind, metav1.ConditionFalse, ReasonNoDoubt, "nothing is in doubt")
}

// unread says that the Lease could not be read, and why.
func unread(o failover.Observation) string {
	return "the Lease could not be read" + because(o.Authority.Problem)
}

func agentOutdated(o failover.Observation) metav1.Condition {
	const kind = v1alpha1.ConditionAgentOutdated
	heard := 0
	for _, m := range o.Members {
		if !m.Heard() {
			continue
		}
		heard++
		if o.Settings.AgentVersion != "" && m.State.AgentVersion != o.Settings.AgentVersion {
			return condition(kind, metav1.ConditionTrue, failover.RuleAgentOutdated,
				fmt.Sprintf("the agent of %s is %s, the operator's is %s; %s",
					m.Name, m.State.AgentVersion, o.Settings.AgentVersion, o.Settings.AgentRenewal()))
		}
	}
	if heard == 0 {
		return condition(kind, metav1.ConditionUnknown, ReasonAgentsSilent, "no agent has answered")
	}
	return condition(kind, metav1.ConditionFalse, ReasonAgentsCurrent, "the agents that answered are the operator's version")
}
