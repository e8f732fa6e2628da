package status

import (
	"cmp"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// judged is what Ready follows from.
type judged struct {
	o    failover.Observation
	p    failover.Plan
	done Reconciled

	available, replicating, failover, inDoubt, stalled metav1.Condition
}

// obstacle is what keeps a pair from being ready; the zero value is none.
type obstacle struct{ reason, message string }

// obstacles are looked for in this order, which docs/conditions.md promises.
var obstacles = []func(judged) obstacle{
	judged.refused,
	judged.notAvailable,
	judged.doubtful,
	judged.writeRefused,
	judged.pending,
	judged.hibernating,
	judged.claimDeleting,
	judged.formerSpec,
	judged.memberProblem,
	judged.notReplicating,
	judged.notFailoverReady,
	judged.waitingForPerson,
}

// readiness is the condition Ready: a promise that clients can write, that a failover would
// work, and that what runs is what the spec says.
func readiness(c judged) metav1.Condition {
	for _, look := range obstacles {
		if found := look(c); found.reason != "" {
			return condition(v1alpha1.ConditionReady, metav1.ConditionFalse, found.reason, found.message)
		}
	}
	return condition(v1alpha1.ConditionReady, metav1.ConditionTrue, ReasonMembersReady,
		fmt.Sprintf("%s; both members run generation %d of the spec", c.failover.Message, c.o.Settings.Generation))
}

// refused: what is not done is not done for a reason that only a person can take away.
func (r Reconciled) refused() bool { return !r.Done && r.Reason != "" }

func (c judged) refused() obstacle {
	if !c.done.refused() {
		return obstacle{}
	}
	message := c.done.Fact
	if c.available.Status != metav1.ConditionTrue && !strings.Contains(message, c.available.Message) {
		message += "; " + c.available.Message
	}
	return obstacle{c.done.Reason, message}
}

func (c judged) notAvailable() obstacle {
	if c.available.Status == metav1.ConditionTrue {
		return obstacle{}
	}
	message := c.available.Message
	if c.done.Fact != "" && !strings.Contains(message, c.done.Fact) {
		message += "; " + c.done.Fact
	}
	return obstacle{c.available.Reason, message}
}

func (c judged) doubtful() obstacle {
	if c.inDoubt.Status == metav1.ConditionFalse {
		return obstacle{}
	}
	return obstacle{c.inDoubt.Reason, c.inDoubt.Message}
}

func (c judged) writeRefused() obstacle {
	writes := refused(c.o)
	if len(writes) == 0 {
		return obstacle{}
	}
	return obstacle{string(failover.RuleWriteRefused), failover.RefusedFact(writes)}
}

func (c judged) pending() obstacle {
	switch {
	case c.done.Done:
		return obstacle{}
	case c.o.Settings.Paused:
		return obstacle{string(failover.RulePaused), "spec.paused is set: nothing is changed"}
	}
	return obstacle{ReasonObjectsPending, cmp.Or(c.done.Fact, "the objects of the pair are being made")}
}

// hibernating: the pair is to be ended, and serves clients until it can be.
func (c judged) hibernating() obstacle {
	if !c.o.Settings.Hibernate {
		return obstacle{}
	}
	for _, rule := range []failover.RuleName{failover.RuleHibernate, failover.RuleAwaitHibernation} {
		if n, found := noteOf(c.p, rule); found {
			return obstacle{string(n.Rule), n.Fact}
		}
	}
	return obstacle{string(failover.RuleAwaitHibernation), "spec.hibernate is set, and the pair goes on; " + c.p.Fact}
}

func (c judged) claimDeleting() obstacle {
	var names []string
	for i := range c.o.Members {
		if c.o.Members[i].ClaimDeleting {
			names = append(names, string(c.o.Members[i].Name))
		}
	}
	if len(names) == 0 {
		return obstacle{}
	}
	if n, found := noteOf(c.p, failover.RuleVolumeClaimDeleting); found {
		return obstacle{string(n.Rule), n.Fact} // with the commands that lead out of it
	}
	return obstacle{string(failover.RuleVolumeClaimDeleting), fmt.Sprintf(
		"the volume claim of %s is being deleted: its data goes when its pod ends", strings.Join(names, " and "))}
}

// formerSpec: a member was not made by this generation of the spec. An agent that is older than
// the operator runs the same spec: see AgentOutdated.
func (c judged) formerSpec() obstacle {
	former := c.o.Members[0].FormerSpec() || c.o.Members[1].FormerSpec()
	asked := c.o.Members[0].Pod.RestartAsked || c.o.Members[1].Pod.RestartAsked
	if !former && !asked {
		return obstacle{}
	}
	for _, rule := range []failover.RuleName{failover.RuleRolloutStopped, failover.RuleRollout, failover.RuleRestartPending} {
		if n, found := noteOf(c.p, rule); found {
			return obstacle{string(n.Rule), n.Fact}
		}
	}
	if c.o.Settings.AutomaticRollout || asked {
		return obstacle{string(failover.RuleRollout), fmt.Sprintf("%s; %s", c.o.RolloutProgress(), c.p.Fact)}
	}
	return obstacle{string(failover.RuleRestartPending), "a member runs a former spec until its pod is made again"}
}

func (c judged) memberProblem() obstacle {
	for i := range c.o.Members {
		m := &c.o.Members[i]
		if what := problem(m); what != "" {
			return obstacle{string(failover.RuleMemberProblem), fmt.Sprintf("%s: %s", m.Name, what)}
		}
	}
	if differs := c.o.LibraryDifference(); differs != "" {
		return obstacle{string(failover.RuleMemberProblem), differs}
	}
	return obstacle{}
}

func (c judged) notReplicating() obstacle {
	if c.replicating.Status == metav1.ConditionTrue {
		return obstacle{}
	}
	return obstacle{c.replicating.Reason, c.replicating.Message}
}

func (c judged) notFailoverReady() obstacle {
	if c.failover.Status == metav1.ConditionTrue {
		return obstacle{}
	}
	return obstacle{c.failover.Reason, c.failover.Message}
}

func (c judged) waitingForPerson() obstacle {
	if c.stalled.Status == metav1.ConditionFalse {
		return obstacle{}
	}
	return obstacle{c.stalled.Reason, c.stalled.Message}
}

// stalled: nothing goes on without a person.
func stalled(o failover.Observation, p failover.Plan, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionStalled
	if done.refused() {
		return condition(kind, metav1.ConditionTrue, done.Reason, done.Fact)
	}
	if n, found := noteOf(p, failover.RuleRolloutStopped); found {
		return condition(kind, metav1.ConditionTrue, n.Rule, n.Fact)
	}
	for _, n := range notes(p) {
		if n.Kind == failover.Doubts || (n.Kind == failover.Holds && n.Remedy.Verb != failover.VerbNone) {
			return condition(kind, metav1.ConditionTrue, n.Rule, Message(o, n.Fact, n.Remedy))
		}
	}
	return condition(kind, metav1.ConditionFalse, ReasonNotStalled, "nothing waits for a person")
}
