package failover

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// rolloutSettled is how long the passive has to have streamed in one run of its mysqld before a
	// rollout takes its next step: a passive that crashes again and again is in sync in between.
	rolloutSettled = 10 * time.Second
	// rolloutRetry is the time from a switchover of a rollout that did not take place to the next one.
	rolloutRetry = 5 * time.Minute
)

// FormerSpec: the member's pod is not what the present spec would make. A pod that differs by its
// agent only runs the present spec.
func (m Member) FormerSpec() bool {
	return m.Pod.Outdated != "" && m.Pod.Outdated != OutdatedAgent
}

// RunsSpec: the member's pod is there and is what the present spec makes.
func (m Member) RunsSpec() bool {
	return m.Pod.Reading == Read && m.Pod.UID != "" && !m.FormerSpec()
}

// RolloutProgress says how many members run the present spec, and of which a restart is asked for.
func (o Observation) RolloutProgress() string {
	n := 0
	var asked []string
	for i := range o.Members {
		m := &o.Members[i]
		if m.RunsSpec() {
			n++
		}
		if m.Pod.RestartAsked {
			asked = append(asked, string(m.Name))
		}
	}
	text := fmt.Sprintf("%d of %d members run generation %d", n, len(o.Members), o.Settings.Generation)
	if former := o.formerAgents(); former != "" {
		text += ", and the agent of " + former + " is made again"
	}
	if len(asked) > 0 {
		text += fmt.Sprintf(", a restart of %s is asked for", strings.Join(asked, " and "))
	}
	return text
}

// AgentRenewal says when a member gets the operator's agent.
func (s Settings) AgentRenewal() string {
	if s.AutomaticAgentUpdate && s.AutomaticRollout {
		return "its pod is made again by a rollout (spec.agent.update: Automatic)"
	}
	return fmt.Sprintf("it is renewed with the next restart of its pod, or by kubectl dbpair upgrade-agent %s -n %s", s.Name, s.Namespace)
}

// formerAgents are the members whose pod is made again for its agent alone; empty for none.
func (o Observation) formerAgents() string {
	var names []string
	for i := range o.Members {
		if m := &o.Members[i]; o.Settings.AutomaticRollout && o.toUpgrade(m) {
			names = append(names, string(m.Name))
		}
	}
	return strings.Join(names, " and ")
}

// toReplace: the operator is to make the member's pod again.
func (o Observation) toReplace(m *Member) bool {
	return m.Pod.RestartAsked || (o.Settings.AutomaticRollout && (m.FormerSpec() || o.toUpgrade(m)))
}

// toUpgrade: the member's pod runs the present spec with a former agent, and does not keep that until
// it is made again for another reason.
func (o Observation) toUpgrade(m *Member) bool {
	return o.Settings.AutomaticAgentUpdate && m.Pod.Outdated == OutdatedAgent
}

// NeedsRollout: a pod of the pair is to be made again by the operator.
func (o Observation) NeedsRollout() bool {
	return o.toReplace(&o.Members[0]) || o.toReplace(&o.Members[1])
}

// RolloutUnderWay: one of the pods was made again, and the other one is to be.
func (o Observation) RolloutUnderWay() bool {
	return o.toReplace(&o.Members[0]) != o.toReplace(&o.Members[1])
}

// replacedFor says why a member's pod is made again.
func (m *Member) replacedFor() string {
	switch {
	case m.FormerSpec(), m.Pod.Outdated == OutdatedAgent && !m.Pod.RestartAsked:
		return "former " + m.Pod.Outdated
	}
	return "as was asked for"
}

// rollout makes the pods again by the present spec: the passive's pod is deleted, and the primary
// becomes the passive by a switchover. What it does follows from the pods alone, so that every
// operator goes on where the last one ended.
func rollout(l *look) (Plan, bool) {
	if !l.NeedsRollout() {
		return no()
	}
	progress := l.RolloutProgress()
	if why := l.holdsRollout(); why != "" {
		p, ok := wait("%s; the next step waits: %s", progress, why)
		p.After = time.Second
		if why == l.RolloutHeld {
			p.After = 5 * time.Second
		}
		return p, ok
	}
	if l.toReplace(l.passive) {
		if why := l.uncompared(); why != "" {
			return l.verifyFirst(why)
		}
		fact := fmt.Sprintf("%s; the pod of the passive %s (%s) is made again", progress, l.passive.Name, l.passive.replacedFor())
		return act(fact, l.replacePassive()...)
	}
	fact := fmt.Sprintf("%s; the primary %s (%s) is switched over to %s", progress, l.holder.Name, l.holder.replacedFor(), l.passive.Name)
	return act(fact, NoteOperation{Note: OperationNote{
		Name:    l.rolloutOperation(),
		Verb:    VerbSwitchover,
		Rule:    RuleRollout,
		Phase:   pair.OperationPending,
		From:    l.holder.Name,
		To:      l.passive.Name,
		Message: fact,
	}})
}

// verifyFirst: the primary's mysqld was restarted since the passive was last verified to have
// everything. Nothing compares them again while both are well, and the primary must not go on alone before.
func (l *look) verifyFirst(why string) (Plan, bool) {
	progress := l.RolloutProgress()
	step, ok := l.subjectsForJoining()
	if !ok {
		return wait("%s; the next step waits: %s", progress, why)
	}
	return act(fmt.Sprintf("%s; %s, so that %s is verified again first", progress, why, l.passive.Name), step)
}

// holdsRollout says why no pod may be taken away now; empty when one may: the primary is open, and
// the passive could take over at this moment without loss.
func (l *look) holdsRollout() string {
	if why := l.unfitForSwitchover(&Operation{}); why != "" {
		return why
	}
	switch {
	case l.Settings.Hibernate:
		return "spec.hibernate is set: the next pods are made by the present spec"
	case l.passive.Pod.Deleting || l.passive.ClaimDeleting:
		return fmt.Sprintf("the pod or the volume claim of %s is being deleted", l.passive.Name)
	case len(l.RefusedForRoles()) > 0:
		return "a failover needs writes that are refused: " + RefusedFact(l.RefusedForRoles())
	case len(l.Operations) > 0:
		return fmt.Sprintf("operation %s is not finished", l.Operations[0].Name)
	case l.RolloutHeld != "":
		return l.RolloutHeld
	case l.toReplace(l.passive) && l.Settings.Lossless && !l.Settings.ContinueAlone:
		return fmt.Sprintf("durability.onPassiveLoss is Block, so that commits would wait while the pod of %s is made again: "+
			"delete it yourself, or set it to Continue for that time", l.passive.Name)
	}
	if left := rolloutSettled - l.streamedFor(); left > 0 {
		return fmt.Sprintf("%s has to follow for %s without a break first", l.passive.Name, rolloutSettled)
	}
	return l.triedLately()
}

// streamedFor is for how long this process has seen the passive stream in the present run of its mysqld.
func (l *look) streamedFor() time.Duration {
	s := l.History.Streamed
	if !streams(l.passive) || s.Since.IsZero() {
		return 0
	}
	if s.Member != l.passive.Name || s.Incarnation != l.passive.State.Mysqld.Incarnation {
		return 0
	}
	return l.Now.Sub(s.Since)
}

// triedLately says that a switchover of this rollout did not take place, and when the next one is
// tried; empty when it may be tried now.
func (l *look) triedLately() string {
	if l.toReplace(l.passive) {
		return ""
	}
	for _, ended := range l.Kept.Rollouts {
		next := ended.At.Add(rolloutRetry)
		if !ended.Succeeded && l.Now.Before(next) {
			return fmt.Sprintf("operation %s ended without a switchover (%s), the next attempt is at %s",
				ended.Name, ended.Message, next.UTC().Format(time.TimeOnly))
		}
	}
	return ""
}

// rolloutOperation is the name of the next switchover of a rollout: one that no operation has had
// at this epoch, and the same for as long as it is not seen.
func (l *look) rolloutOperation() string {
	name := fmt.Sprintf("%s-rollout-%d", l.Settings.Name, l.e+1)
	last := 0
	for _, begun := range l.Kept.Begun {
		rest, ours := strings.CutPrefix(begun, name)
		if !ours {
			continue
		}
		if rest == "" {
			last = max(last, 1)
		} else if n, err := strconv.Atoi(strings.TrimPrefix(rest, "-")); err == nil && rest[0] == '-' {
			last = max(last, n)
		}
	}
	if last == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, last+1)
}

// replacePassive are the steps by which the passive's pod is made again. The primary goes on alone
// before that, so that no commit waits for a mysqld that ends.
func (l *look) replacePassive() []Step {
	gone := DeletePod{Subject: l.passive.subject()}
	if !l.Settings.Lossless || l.rec.Ledger.State == authority.Solo || !l.rec.Ledger.InSync(l.holder.Name) {
		return []Step{gone}
	}
	return []Step{InOrder{Steps: []Step{
		l.change(authority.EnterSolo{Member: l.holder.Name}),
		ReadLease{Member: l.holder.Name},
		gone,
	}}}
}

// rolloutStopped: the passive was made by the present spec and does not come back. The primary
// stays as it is until the spec is changed.
func rolloutStopped(l *look) (Plan, bool) {
	if !l.NeedsRollout() || l.toReplace(l.passive) || !l.open(l.holder) {
		return no()
	}
	why := l.broken(l.passive)
	if why == "" {
		return no()
	}
	return hold(VerbNone,
		"%s: %s does not come back with generation %d of the spec (%s). %s stays the primary (%s); correct the spec, or set it back",
		l.RolloutProgress(), l.passive.Name, l.Settings.Generation, why, l.holder.Name, l.holder.replacedFor())
}

// broken says, in the words of the cluster or of mysqld, why a member does not come back by
// itself; empty when it may be under way.
func (l *look) broken(m *Member) string {
	switch {
	case !m.heard():
		return m.Pod.Problem
	case m.State.Phase == agentapi.PhaseFailed:
		return firstProblem(m)
	case len(m.State.WrongSettings) > 0:
		return "a setting is not as it must be: " + m.State.WrongSettings[0]
	case missingLibrary(m) != "":
		return missingLibrary(m)
	case m.State.Server != nil && m.State.Server.Applier.LastErrno != 0:
		applier := m.State.Server.Applier
		return fmt.Sprintf("its applier stopped with error %d: %s", applier.LastErrno, applier.LastError)
	}
	return ""
}

// replaceBrokenPod: the passive does not come back with a former spec, such as the one that the
// present spec took back. Nothing is lost with its pod, so it is not waited for.
func replaceBrokenPod(l *look) (Plan, bool) {
	m := l.passive
	why := l.broken(m)
	if !l.toReplace(m) || why == "" || !l.open(l.holder) {
		return no()
	}
	there := m.Pod.Reading == Read && m.Pod.UID != "" && !m.Pod.Deleting
	busy := m.ClaimDeleting || l.leadsTo(m) || l.awaitsReseed() || l.uncompared() != ""
	if !there || busy {
		return no()
	}
	fact := fmt.Sprintf("%s does not come back (%s): its pod is made again (%s)", m.Name, why, m.replacedFor())
	if l.Settings.Lossless && !l.Settings.ContinueAlone {
		if m.heard() && m.State.Mysqld.Running {
			return no() // commits would wait that do not now
		}
		return act(fact, DeletePod{Subject: m.subject()})
	}
	return act(fact, l.replacePassive()...)
}
