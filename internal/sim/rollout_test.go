package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

// specs are the generations of the pod template. A pod keeps the one that it was made by.
type specs struct {
	now, made int
	// bad are those with which no pod comes back, and how.
	bad map[int]badSpec
}

// badSpec is what is wrong with a template.
type badSpec string

const (
	// badImage cannot be pulled: no container is ever started.
	badImage badSpec = "image"
	// badCrash runs for a while, and ends, again and again.
	badCrash badSpec = "crash"
)

// change makes a new generation.
func (s *specs) change(bad badSpec) {
	s.made++
	s.now = s.made
	if bad == "" {
		return
	}
	if s.bad == nil {
		s.bad = map[int]badSpec{}
	}
	s.bad[s.now] = bad
}

// specFaults are changes of the spec by a person.
var specFaults = map[string]faultKind{
	"specChanged": func(w *world, f fault, _ *memberSim) { w.specs.change(badSpec(f.what)) },
	// The first spec has always run.
	"specReverted": func(w *world, _ fault, _ *memberSim) { w.specs.now = 0 },
}

// shown adds to a pod what a reader sees of its template.
func (p *pod) shownSpec(w *world, out failover.Pod) failover.Pod {
	if p.spec != w.specs.now {
		out.Outdated = "pod template"
	}
	switch w.specs.bad[p.spec] {
	case badImage:
		out.NeverRan = true
		out.Problem = "ImagePullBackOff"
	case badCrash:
		if p.agent == nil && p.status.terminated {
			out.Problem = "CrashLoopBackOff"
		}
	}
	return out
}

// startContainer starts the pod's container, unless its template keeps it from that.
func (m *memberSim) startContainer(p *pod) {
	switch m.w.specs.bad[p.spec] {
	case badImage:
		p.status.running = false
		return
	case badCrash:
		startAgent(m, p)
		a := p.agent
		m.w.after(m.w.between(500*time.Millisecond, 8*time.Second), a.vanish)
		return
	}
	startAgent(m, p)
}

// checkRollout: a rollout takes only the passive's pod, while the ledger has both members, and
// makes no member the primary that runs a spec with which none comes back.
func (w *world) checkRollout(obs failover.Observation, plan failover.Plan) {
	if plan.Rule != failover.RuleRollout || plan.Kind != failover.Acts {
		return
	}
	rec := obs.Authority.Record
	if w.set.lossless && !w.async && rec.Ledger.State != authority.Both {
		w.violate("rollout", "a pod is taken away while the ledger is %s(%s): %s", rec.Ledger.State, rec.Ledger.First, plan.Fact)
	}
	for _, s := range unfolded(plan.Steps) {
		switch step := s.(type) {
		case failover.DeletePod:
			if step.Subject.Member == rec.Holder.Member {
				w.violate("rollout", "the pod of the primary is taken away: %s", plan.Fact)
			}
		case failover.NoteOperation:
			w.checkSuccessor(obs, step)
		}
	}
}

// checkSuccessor: the member that is to be the primary was made by a spec with which it stays.
func (w *world) checkSuccessor(obs failover.Observation, step failover.NoteOperation) {
	for i, m := range obs.Members {
		p := w.api.pods[i]
		if m.Name == step.Note.To && p != nil && p.uid == m.Pod.UID && w.specs.bad[p.spec] != "" {
			w.violate("rollout", "%s is to be the primary with a spec with which it does not stay", m.Name)
		}
	}
}

func unfolded(steps []failover.Step) []failover.Step {
	var out []failover.Step
	for _, s := range steps {
		switch of := s.(type) {
		case failover.Together:
			out = append(out, unfolded(of.Steps)...)
		case failover.InOrder:
			out = append(out, unfolded(of.Steps)...)
		default:
			out = append(out, s)
		}
	}
	return out
}

// checkRolledOut: at the end both members run a spec that is good; one that is not has reached
// the passive alone.
func (w *world) checkRolledOut() {
	if !w.set.rollsOut || w.violation != "" {
		return
	}
	bad := w.specs.bad[w.specs.now] != ""
	var made []int
	for i, m := range w.members {
		p := w.api.pods[i]
		if p == nil {
			w.violate("dead end", "%s has no pod at the end%s", m.name, w.says())
			return
		}
		made = append(made, p.spec)
	}
	if bad && made[w.role(theHolder)] == w.specs.now {
		w.violate("rollout", "the primary was made by a spec with which no pod comes back")
	}
	if !bad && slices.ContainsFunc(made, func(s int) bool { return s != w.specs.now }) {
		w.violate("dead end", "the pods are of specs %v at the end, and %d is asked for%s", made, w.specs.now, w.says())
	}
}

// rolloutStories are about changes of the spec of a pair that runs.
var rolloutStories = []story{
	{name: "rolledOut", tell: rolledOut},
	{name: "rolloutBroken", tell: rolloutBroken},
	{name: "rolloutReverted", tell: rolloutReverted},
	{name: "rolloutDisturbed", tell: rolloutDisturbed},
}

// rollsOut has the operator make pods again.
func (t *teller) rollsOut() {
	t.quiet()
	t.s.rollsOut = true
	t.s.whole = true
}

// rolledOut: a good spec reaches both members, and clients hardly notice.
func rolledOut(t *teller) []fault {
	t.rollsOut()
	t.s.gapMost = 8 * sec
	return []fault{{kind: "specChanged", at: t.at}}
}

// rolloutBroken: a spec with which no pod comes back stops at the passive, and clients go on.
func rolloutBroken(t *teller) []fault {
	t.rollsOut()
	t.s.whole = false
	t.s.gapMost = 8 * sec
	return []fault{{kind: "specChanged", at: t.at, what: t.one("image", "crash")}}
}

// rolloutReverted: the same, and a person goes back to the former spec, or on to a better one.
func rolloutReverted(t *teller) []fault {
	t.rollsOut()
	t.s.gapMost = 8 * sec
	changed := fault{kind: "specChanged", at: t.at, what: t.one("image", "crash", "")}
	next := fault{kind: t.one("specReverted", "specChanged"), at: t.at + t.in(500*ms, 25*sec)}
	return []fault{changed, next}
}

// rolloutDisturbed: something fails at some moment of it, or the operator ends at a step.
func rolloutDisturbed(t *teller) []fault {
	t.rollsOut()
	what := t.one("mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "podDeleted", "nodeCrashed", "nodeFrozen",
		"cutWhole", "cutAPI", "cutPeer", "cutOperator", "operatorCrashed", "operatorFrozen", "apiStopped", "personFails", "personCancels", "cachesStale")
	disturbed := fault{kind: what, at: t.at, member: theHolder - t.r.IntN(2), delay: t.in(0, 12*sec), lasts: t.in(100*ms, 8*sec)}
	disturbed.after = []trigger{onSolo, onBoth, onDraining, onRevoked, onAppointed, onPassiveUp}[t.r.IntN(6)]
	if t.r.IntN(2) == 0 {
		t.s.crashAtFailpoint = 0.1
	}
	return []fault{disturbed, {kind: "specChanged", at: t.at + ms}}
}
