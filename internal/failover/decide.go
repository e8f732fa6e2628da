package failover

import (
	"fmt"
	"slices"
)

// rule is one named rule. apply says whether it applies, and what then.
type rule struct {
	name  RuleName
	apply func(*look) (Plan, bool)
	// ends: when it applies, no later rule is asked even if it has nothing to do.
	ends bool
}

// Decide says what to do. It is pure and total: the same observation gives the same
// plan. The first rule that has something to do speaks; rules that merely wait or hold
// let later ones speak, and the first of them names the state when none has anything to
// do.
func Decide(o Observation) Plan {
	l := newLook(o)
	var held []Plan
	for _, r := range rulesFor(l) {
		p, ok := r.apply(l)
		if !ok {
			continue
		}
		if p.Rule == "" {
			p.Rule = r.name
		}
		if r.ends || len(p.Steps) > 0 {
			return l.finish(p, held)
		}
		held = append(held, p)
	}
	if len(held) == 0 {
		return l.finish(Plan{Rule: RuleLookAgain, Kind: Waits, Fact: "no rule applies to what was seen"}, nil)
	}
	return l.finish(held[0], held[1:])
}

// rulesFor are the rules in their order, which depends on nothing but the authority.
func rulesFor(l *look) []rule {
	all := append([]rule{}, pairRules...)
	switch {
	case l.e == 0:
		return append(all, bootstrapRules...)
	case l.holder == nil:
		return append(all, betweenRules...)
	}
	return append(append(all, revokingRules...), holderRules...)
}

// finish adds to a plan what other rules hold, most serious first.
func (l *look) finish(p Plan, held []Plan) Plan {
	for _, kind := range []Kind{Doubts, Holds, Waits, Settled, Acts} {
		for _, h := range held {
			if h.Kind == kind {
				p.Notes = append(p.Notes, Note{Rule: h.Rule, Kind: h.Kind, Fact: h.Fact, Verb: h.Verb})
			}
			if h.After > 0 && (p.After == 0 || h.After < p.After) && h.Kind == kind {
				p.After = h.After
			}
		}
	}
	if p.Operation == nil && len(p.Steps) > 0 && slices.Contains(openingRules, p.Rule) {
		p.Operation = l.opening()
	}
	p.FailoverReady = l.readiness(p)
	return l.notForgotten(p)
}

// openingRules are those whose steps belong to the operation that appointed the holder.
var openingRules = []RuleName{RuleFormerPodGoes, RuleServiceFollows, RuleAwaitOpening}

// readiness: could the pair fail over now without loss?
func (l *look) readiness(p Plan) Readiness {
	no := func(rule RuleName, format string, args ...any) Readiness {
		return Readiness{Rule: rule, Fact: fmt.Sprintf(format, args...)}
	}
	switch {
	case l.Authority.Reading != Read:
		return no(p.Rule, "the authority was not read")
	case l.holder == nil:
		return no(p.Rule, "nobody is the primary")
	case p.Kind == Doubts:
		return no(p.Rule, "%s", p.Fact)
	case !l.open(l.holder):
		return no(RuleAwaitOpening, "%s is not open", l.holder.Name)
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return no(RuleNoCandidate, "%s", c.why)
	}
	if !streams(l.passive) {
		return no(RuleAwaitStreaming, "%s does not stream from %s", l.passive.Name, l.holder.Name)
	}
	return Readiness{Ready: true, Rule: RuleInSync, Fact: fmt.Sprintf("%s can take over from %s", l.passive.Name, l.holder.Name)}
}

func act(fact string, steps ...Step) (Plan, bool) {
	return Plan{Kind: Acts, Fact: fact, Steps: steps}, true
}

func wait(format string, args ...any) (Plan, bool) {
	return Plan{Kind: Waits, Fact: fmt.Sprintf(format, args...)}, true
}

func hold(verb Verb, format string, args ...any) (Plan, bool) {
	return Plan{Kind: Holds, Verb: verb, Fact: fmt.Sprintf(format, args...)}, true
}

func doubt(verb Verb, format string, args ...any) (Plan, bool) {
	return Plan{Kind: Doubts, Verb: verb, Fact: fmt.Sprintf(format, args...)}, true
}

func no() (Plan, bool) { return Plan{}, false }

// together is one step of several that do not depend on each other.
func together(steps []Step) []Step {
	if len(steps) < 2 {
		return steps
	}
	return []Step{Together{Steps: steps}}
}
