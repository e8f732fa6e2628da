package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// personFaults are what a person asks for.
var personFaults = map[string]faultKind{
	"personReplays": func(w *world, _ fault, m *memberSim) {
		// A manifest that was kept: its confirmation is of an epoch long gone.
		w.person(failover.VerbForcePromote, m.name)
		w.api.opsList[len(w.api.opsList)-1].confirmed = 0
	},
	"personFails":        func(w *world, _ fault, _ *memberSim) { w.person(failover.VerbFailover, "") },
	"personConfirmsDead": func(w *world, _ fault, m *memberSim) { w.person(failover.VerbConfirmDead, m.name) },
	"personFences":       func(w *world, _ fault, _ *memberSim) { w.person(failover.VerbFence, "") },
	"personForces": func(w *world, _ fault, m *memberSim) {
		m.forced = true
		w.person(failover.VerbForcePromote, m.name)
	},
	"personDiscards": func(w *world, _ fault, m *memberSim) { w.personDiscards(m) },
	"personReseeds": func(w *world, _ fault, m *memberSim) {
		w.person(failover.VerbReseed, m.name)
		w.api.opsList[len(w.api.opsList)-1].confirmed = -1
	},
	"personSwitchesOver": func(w *world, f fault, _ *memberSim) { w.switchOver(f.what == "Demote") },
	"personCancels": func(w *world, _ fault, _ *memberSim) {
		for _, o := range w.api.opsList {
			if o.Verb == failover.VerbSwitchover && !o.ended() {
				o.canceled = "a person changed their mind"
			}
		}
	},
	"personReleases": func(w *world, _ fault, _ *memberSim) { w.person(failover.VerbRelease, "") },
}

// switchOver asks for a planned switchover to the other member.
func (w *world) switchOver(demote bool) {
	w.person(failover.VerbSwitchover, "")
	asked := w.switchover()
	asked.Demote = demote
	w.api.opsList[len(w.api.opsList)-1].switchover = asked
}

// switchover are the parameters of one.
func (w *world) switchover() *failover.Switchover {
	return &failover.Switchover{
		Demote:       w.chance(0.5),
		GiveUp:       w.chance(0.5),
		DrainTimeout: w.between(100*time.Millisecond, 3*time.Second),
		Deadline:     w.between(4*time.Second, 20*time.Second),
	}
}

// person makes an operation.
func (w *world) person(v failover.Verb, target pair.MemberName) {
	o := &operationObject{target: target, confirmed: -1, made: w.now}
	o.Name = w.id("person-")
	o.Verb = v
	if target != "" {
		o.confirmed = w.api.status
		if l := w.api.lease; l != nil {
			o.confirmed = l.Epoch
		}
	}
	w.tracef("a person asks: %s %s %d", v, target, o.confirmed)
	w.fired["verb "+string(v)]++
	w.api.opsList = append(w.api.opsList, o)
}

// personDiscards: a person forces a member and allows to discard what it cannot apply.
func (w *world) personDiscards(m *memberSim) {
	m.forced = true
	w.person(failover.VerbForcePromote, m.name)
	w.api.opsList[len(w.api.opsList)-1].discard = true
}

// watchDoubts is a person who does what the status asks for, after a while.
func (w *world) watchDoubts() {
	w.after(5*time.Second, func() {
		w.watchDoubts()
		w.checkVerb()
		asked := slices.ContainsFunc(w.api.unfinished(), func(o failover.Operation) bool {
			return !o.ByOperator && o.Verb != failover.VerbFence && o.Verb != failover.VerbSwitchover
		})
		if w.now < w.faultsEnd+12*time.Second || asked {
			return
		}
		for _, o := range w.ops {
			if o.leads && o.plan.Kind == failover.Doubts {
				n := len(w.api.opsList)
				w.resolve(o.plan)
				if len(w.api.opsList) > n {
					w.asked = answer{rule: o.plan.Rule, operation: w.api.opsList[n], at: w.now}
				}
				return
			}
		}
	})
}

// answer is what a person asked for because a doubt asked for it.
type answer struct {
	rule      failover.RuleName
	operation *operationObject
	at        time.Duration
}

// answerMost is how long the verb of a doubt may take: T, the margin and a start of mysqld.
const answerMost = 25 * time.Second

// checkVerb: the verb that a doubt asks for ends it, once both machines are there and nothing
// goes wrong any more.
func (w *world) checkVerb() {
	a := w.asked
	if a.operation == nil || w.now-a.at < answerMost {
		return
	}
	w.asked = answer{}
	for _, m := range w.members {
		if !m.node.up || w.now-m.node.booted < answerMost {
			return
		}
	}
	for _, o := range w.ops {
		if o.leads && o.plan.Kind == failover.Doubts && o.plan.Rule == a.rule {
			w.violate("verb", "%s asked for %s, and %s after that it asks for %s still: %s", a.rule, a.operation.Verb, w.now-a.at, o.plan.Verb, o.plan.Fact)
		}
	}
}

func (w *world) resolve(p failover.Plan) {
	best := w.members[0]
	if d := w.members[1].vol.data; d != nil && (best.vol.data == nil || w.must.missing(d.received(), w.forgave) < 0) {
		best = w.members[1]
	}
	if p.Rule == failover.RuleVolumeClaimDeleting {
		best = w.members[w.role(thePassive)] // the other one's volume goes
	}
	switch p.Verb {
	case failover.VerbFailover, failover.VerbRelease:
		w.person(p.Verb, "")
	case failover.VerbForcePromote, failover.VerbAdopt:
		if p.Rule == failover.RuleBootstrapStalled {
			w.beginElsewhere()
			return
		}
		if slices.Contains(p.Remedy.Unapplied, best.name) {
			w.personDiscards(best)
			return
		}
		w.person(p.Verb, best.name)
		w.members[best.index].forced = true
	case failover.VerbConfirmDead:
		if len(p.Missing) == 0 {
			return
		}
		for _, m := range w.members {
			if m.name == p.Missing[0].Member {
				m.crash(20 * time.Second) // the person has seen to it
				w.person(p.Verb, m.name)
			}
		}
	case failover.VerbNone, failover.VerbFence, failover.VerbReseed, failover.VerbSwitchover:
	}
}

// beginElsewhere: a person has the pair begin on a member that has no data. That gives no
// write up, because there was none.
func (w *world) beginElsewhere() {
	for _, m := range w.members {
		if m.node.up && m.vol.id == "" && !m.vol.void {
			w.person(failover.VerbForcePromote, m.name)
			return
		}
	}
}
