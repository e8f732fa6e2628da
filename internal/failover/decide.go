package failover

import (
	"cmp"
	"fmt"
	"slices"
)

// Decide says what to do. It is pure and total: the same observation gives the same plan.
//
// The tables are asked in their order. The first rule that has something to do speaks;
// rules that only wait or hold let later ones speak. When none has anything to do, the rule
// that ended the tables names the state, or else the first that applied. Two things give a later rule its turn: what only writes down
// what has happened is asked when no rule about roles has something new to do, and a rule
// whose step failed over this very version of the authority is passed over.
func Decide(o Observation) Plan {
	l := newLook(o)
	var a asked
	goesOn := a.ask(l, rolesFor(l))
	if goesOn && a.stale(l) {
		a.ask(l, recordsFor(l))
	}
	chosen, held := a.choose(l)
	return l.finish(chosen, a.stated(chosen), held)
}

// asked is what the rules that were asked have said.
type asked struct {
	// acts are plans with steps that are due, failed those whose step has failed over this
	// version of the authority.
	acts, failed []Plan
	// first is the first of both in the order of the tables; nil for none.
	first *Plan
	// held are plans without steps; the first names the state.
	held []Plan
}

// ask asks the rules of a table until one has something to do or ends it. It reports whether
// other tables may be asked as well.
func (a *asked) ask(l *look, rules []rule) bool {
	for _, r := range rules {
		p, ok := r.apply(l)
		if !ok {
			continue
		}
		p.Rule = r.name
		switch {
		case len(p.Steps) == 0 && (r.ends || r.endsAll):
			a.held = slices.Insert(a.held, 0, p)
		case len(p.Steps) == 0:
			a.held = append(a.held, p)
		case l.History.failed(l.Authority.Version, p) && !r.ends && !r.endsAll:
			a.failed = append(a.failed, p)
			a.first = cmp.Or(a.first, &p)
			continue
		default:
			a.acts = append(a.acts, p)
			a.first = cmp.Or(a.first, &p)
			return !r.endsAll
		}
		if r.ends || r.endsAll {
			return !r.endsAll
		}
	}
	return true
}

// stale: no rule has something to do that has not just been done over the same authority.
func (a *asked) stale(l *look) bool {
	return len(a.acts) == 0 || l.History.repeats(l.Authority.Version, a.acts[0])
}

// choose is the plan that speaks, and what the other rules hold. Of several that are due the
// first is taken that was not executed last, so that one that does not help, or fails, does
// not keep the others from their turn.
func (a *asked) choose(l *look) (Plan, []Plan) {
	due := slices.Concat(a.acts, a.failed)
	held := slices.Concat(a.held, a.doubts())
	for _, p := range due {
		if !l.History.repeats(l.Authority.Version, p) {
			return p, held
		}
	}
	switch {
	case len(due) > 0:
		return due[0], held
	case len(a.held) > 0:
		return a.held[0], a.held[1:]
	}
	return Plan{
		Rule: RuleStaleObservation,
		Kind: Waits,
		Fact: "no rule applies to what was seen",
	}, nil
}

// doubts are the plans that are due and doubts, but for the one that names the state: a doubt
// shows also while another plan has its turn.
func (a *asked) doubts() []Plan {
	var out []Plan
	for _, p := range slices.Concat(a.acts, a.failed) {
		if p.Kind == Doubts && p.Rule != a.first.Rule {
			out = append(out, p)
		}
	}
	return out
}

// stated is the plan that names the state. Of several that are due each has its turn, and what
// the pair reports must not change with that.
func (a *asked) stated(chosen Plan) Plan {
	if a.first != nil {
		return *a.first
	}
	return chosen
}

// finish adds to a plan what names the state and what other rules hold, most serious first.
func (l *look) finish(p, state Plan, held []Plan) Plan {
	p.State = l.note(state)
	p.Retried = l.History.failed(l.Authority.Version, p)
	for _, kind := range []Kind{Doubts, Holds, Waits, Settled, Acts} {
		for _, h := range held {
			if h.Kind != kind {
				continue
			}
			p.Notes = append(p.Notes, l.note(h))
			if h.After > 0 && (p.After == 0 || h.After < p.After) {
				p.After = h.After
			}
		}
	}
	p.Remedy = l.remedy(p)
	core := l.canFailOver(p)
	p.FailoverReady = l.readiness(core)
	// A pod that is taken away now must not be followed by the other one.
	takesPassive := p.Rule == RuleRollout && p.Kind == Acts
	p.Evictable = core.Ready && l.Settings.AutomaticFailover && !l.Settings.Paused && !takesPassive
	return p
}

func (l *look) note(p Plan) Note {
	return Note{
		Rule:   p.Rule,
		Kind:   p.Kind,
		Fact:   p.Fact,
		Verb:   p.Verb,
		Remedy: l.remedy(p),
	}
}

// readiness is the condition FailoverReady: a failover would lose nothing, and would be
// started.
func (l *look) readiness(core Readiness) Readiness {
	switch {
	case l.Settings.Paused:
		fact := "spec.paused is set: no failover is started, not even one that you ask for"
		if !core.Ready {
			fact += ". Besides, " + core.Fact
		}
		return Readiness{Rule: RulePaused, Fact: fact}
	case !core.Ready:
		return core
	case !l.Settings.AutomaticFailover:
		core.Fact += fmt.Sprintf("; failover.mode is Manual: it does when you ask for it with kubectl dbpair failover %s -n %s",
			l.Settings.Name, l.Settings.Namespace)
	case l.budgetSpent():
		return Readiness{Rule: RuleFlapBudgetSpent, Fact: fmt.Sprintf(
			"there were %d failovers in the last hour (failover.maxPerHour): the next one is not automatic", len(l.History.Failovers))}
	}
	return core
}

// canFailOver: could the pair fail over now without loss?
func (l *look) canFailOver(p Plan) Readiness {
	no := func(rule RuleName, format string, args ...any) Readiness {
		return Readiness{Rule: rule, Fact: fmt.Sprintf(format, args...)}
	}
	doubt, inDoubt := p.doubt()
	refused := l.RefusedForRoles()
	switch {
	case l.Authority.Reading != Read:
		return no(p.State.Rule, "the authority was not read")
	case l.holder == nil:
		return no(p.State.Rule, "nobody is the primary")
	case inDoubt:
		return no(doubt.Rule, "%s", doubt.Fact)
	case len(refused) > 0:
		return no(RuleWriteRefused, "a failover needs writes that are refused: %s", RefusedFact(refused))
	case !l.open(l.holder):
		return no(RuleAwaitOpening, "%s is not open", l.holder.Name)
	case l.holder.Pod.Deleting:
		return no(RuleHolderLeaving, "the pod of the primary %s is being deleted", l.holder.Name)
	case l.holder.ClaimDeleting:
		return no(RuleVolumeClaimDeleting, "the volume claim of the primary %s is being deleted: a failover would remove it with its pod",
			l.holder.Name)
	}
	if !l.lacks(l.passive).IsEmpty() {
		return no(RulePassiveLacksData, "%s. %s", l.lackOf(l.passive), l.copyAgain(l.passive))
	}
	if errant := l.compare(l.passive).errant; !errant.IsEmpty() {
		return no(RuleDiverged, "%s has %d transactions that %s lacks, such as %.200s: "+
			"someone wrote on it, or they are of its time as the primary. %s",
			l.passive.Name, errant.Count(), l.holder.Name, errant, l.copyAgain(l.passive))
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return no(RuleNoCandidate, "%s", c.why)
	}
	if !streams(l.passive) {
		return no(RuleAwaitStreaming, "%s does not stream from %s", l.passive.Name, l.holder.Name)
	}
	if lag := l.passive.lag(); lag > l.Settings.ApplyTimeout {
		return no(RuleLagging, "%s lags by %s, and would not apply that within failover.applyTimeout %s",
			l.passive.Name, lag, l.Settings.ApplyTimeout)
	}
	return Readiness{
		Ready: true,
		Rule:  RuleInSync,
		Fact:  fmt.Sprintf("%s can take over from %s", l.passive.Name, l.holder.Name),
	}
}

func act(fact string, steps ...Step) (Plan, bool) {
	return Plan{
		Kind:  Acts,
		Fact:  fact,
		Steps: steps,
	}, true
}

func wait(format string, args ...any) (Plan, bool) {
	return Plan{Kind: Waits, Fact: fmt.Sprintf(format, args...)}, true
}

func hold(verb Verb, format string, args ...any) (Plan, bool) {
	return Plan{
		Kind: Holds,
		Verb: verb,
		Fact: fmt.Sprintf(format, args...),
	}, true
}

func doubt(verb Verb, format string, args ...any) (Plan, bool) {
	return Plan{
		Kind: Doubts,
		Verb: verb,
		Fact: fmt.Sprintf(format, args...),
	}, true
}

func no() (Plan, bool) { return Plan{}, false }

// together is one step of several that do not depend on each other.
func together(steps []Step) []Step {
	if len(steps) < 2 {
		return steps
	}
	return []Step{Together{Steps: steps}}
}
