package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// hibernationFaults are changes of spec.hibernate by a person.
var hibernationFaults = map[string]faultKind{
	"hibernated": func(w *world, _ fault, _ *memberSim) {
		w.tracef("spec.hibernate is set")
		w.hibernate = true
		if w.api.lease != nil && !w.api.lease.Holder.Nobody() {
			w.heldBefore = w.api.lease.Holder.Member
		}
	},
	"woken": func(w *world, _ fault, _ *memberSim) {
		w.tracef("spec.hibernate is taken away")
		w.hibernate = false
	},
}

// scaleDown is conditional on the version.
func (a *apiServer) scaleDown(version string) error {
	if a.set.Version != version {
		return execute.ErrConflict
	}
	a.scale(0)
	return nil
}

// scale has the controller of StatefulSets make or delete pods soon.
func (a *apiServer) scale(replicas int) {
	a.set.Replicas = replicas
	a.set.Version = a.bump()
	a.w.tracef("StatefulSet: %d replicas", replicas)
	if replicas == 0 {
		a.w.happens(onScaledDown)
	}
	for i, m := range a.w.members {
		a.w.after(a.w.between(10*time.Millisecond, time.Second), func() {
			if p := a.pods[i]; p != nil && a.set.Replicas == 0 {
				a.beginDeletion(p)
			}
			if a.pods[i] == nil {
				m.makePod()
			}
		})
	}
}

// keepPods is what a controller does about the StatefulSet beside the steps: it asks for two pods,
// and for none only where that was a step.
func (o *operator) keepPods(obs failover.Observation) {
	held := obs.Authority.Reading == failover.Read && !obs.Authority.Record.Holder.Nobody()
	down := obs.StatefulSet.Reading == failover.Read && obs.StatefulSet.Replicas == 0
	if !down || (obs.Settings.Hibernate && !held) {
		return
	}
	o.api(func() any {
		if a := o.w.api; a.set.Replicas == 0 {
			a.scale(2)
		}
		return nil
	})
}

// hibernates: the pair is asked to hibernate, and no pod of it is there any more.
func (w *world) hibernates() bool {
	return w.hibernate && w.api.set.Replicas == 0 && w.api.pods[0] == nil && w.api.pods[1] == nil
}

// checkHibernation: the members are ended only when nobody may be open, neither is, and both have
// everything that the last primary's binlog holds.
func (w *world) checkHibernation(obs failover.Observation, plan failover.Plan) {
	if plan.Kind != failover.Acts {
		return
	}
	for _, s := range unfolded(plan.Steps) {
		if _, ends := s.(failover.ScaleDown); !ends || w.api.leaseRV != obs.Authority.Version {
			continue
		}
		w.fired["members ended"]++
		rec := obs.Authority.Record
		if !rec.Holder.Nobody() || rec.LastHolder == nil {
			w.violate("hibernation", "both members are ended while the Lease names %s", rec.Holder)
			return
		}
		w.checkEqual(rec.LastHolder.Holder.Member)
	}
}

// checkEqual: the other member has every transaction that this one has, and neither is open.
func (w *world) checkEqual(last pair.MemberName) {
	for i, m := range w.members {
		if s := m.running(); s != nil && s.open && s.up {
			w.violate("hibernation", "both members are ended while %s accepts writes", m.name)
		}
		other := w.members[1-i]
		if m.name != last || m.vol.data == nil || other.vol.data == nil {
			continue
		}
		if n := m.vol.data.inBinlog.missing(other.vol.data.committed); n >= 0 {
			w.violate("hibernation", "both members are ended, and %s lacks transaction %d of %s", other.name, n, m.name)
		}
	}
}

// checkHibernated: at the end there are no pods if that is asked for; and the primary is the former
// one where nothing spoke against it.
func (w *world) checkHibernated() {
	if w.violation != "" {
		return
	}
	if w.set.ends && w.fired["members ended"] == 0 {
		w.violate("dead end", "the pair was to hibernate, and its members were never ended%s", w.says())
	}
	if w.set.stays && !w.hibernates() {
		w.violate("dead end", "spec.hibernate is set, and there are pods at the end%s", w.says())
	}
	if l := w.api.lease; w.set.samePrimary && l != nil && l.Holder.Member != w.heldBefore {
		w.violate("hibernation", "%s was the primary, and %s is after the hibernation", w.heldBefore, l.Holder)
	}
}

// hibernationStories are about pairs that are ended and come back.
var hibernationStories = []story{
	{name: "hibernated", tell: hibernatedAndWoken},
	{name: "hibernationStays", tell: hibernationStays},
	{name: "hibernationFlipped", tell: hibernationFlipped},
	{name: "hibernationDisturbed", tell: hibernationDisturbed},
}

// hibernatedAndWoken: a pair that is well is ended and woken, and has the primary that it had.
func hibernatedAndWoken(t *teller) []fault {
	t.quiet()
	t.s.whole = t.s.lossless
	t.s.samePrimary = true
	t.s.ends = true
	return []fault{
		{kind: "hibernated", at: t.at},
		{kind: "woken", at: t.at + t.in(14*sec, 24*sec)},
	}
}

// hibernationStays: nobody wakes it, whatever happens in between.
func hibernationStays(t *teller) []fault {
	t.quiet()
	t.s.stays = true
	what := t.one("mysqldKilled", "mysqldStopped", "agentKilled", "podDeleted", "cutPeer", "cutOperator", "operatorCrashed", "apiStopped")
	disturbed := fault{kind: what, at: t.at, member: theHolder - t.r.IntN(2), delay: t.in(0, 2*sec), lasts: t.in(100*ms, 5*sec)}
	disturbed.after = []trigger{onDraining, onRevoked, onScaledDown}[t.r.IntN(3)]
	if t.r.IntN(2) == 0 {
		t.s.crashAtFailpoint = 0.1
	}
	return []fault{disturbed, {kind: "hibernated", at: t.at + ms}}
}

// hibernationFlipped: it is taken back, and perhaps set again, at some moment of it. When only one pod
// was ended by then, the other member may take over. A client may be held for each of two changes
// that follow at once, which the bound of one is not about.
func hibernationFlipped(t *teller) []fault {
	t.quiet()
	t.s.holds = false
	t.s.whole = t.s.lossless
	back := fault{kind: "woken", at: t.at, delay: t.in(0, 3*sec)}
	back.after = []trigger{onDraining, onRevoked, onScaledDown}[t.r.IntN(3)]
	out := []fault{back, {kind: "hibernated", at: t.at + ms}}
	if t.r.IntN(2) == 0 {
		again := t.at + t.in(2*sec, 8*sec)
		out = append(out, fault{kind: "hibernated", at: again}, fault{kind: "woken", at: again + t.in(100*ms, 8*sec)})
	}
	return append(out, fault{kind: "woken", at: 30 * sec})
}

// hibernationDisturbed: something fails at some moment of it, or the operator ends at a step.
func hibernationDisturbed(t *teller) []fault {
	t.s.holds = false
	what := t.one("mysqldKilled", "mysqldStopped", "agentKilled", "agentStopped", "podDeleted", "podForceDeleted", "nodeCrashed", "nodeFrozen",
		"cutWhole", "cutAPI", "cutPeer", "cutOperator", "operatorCrashed", "operatorFrozen", "apiStopped", "cachesStale", "volumeHung")
	disturbed := fault{kind: what, at: t.at, member: theHolder - t.r.IntN(2), delay: t.in(0, 2*sec), lasts: t.in(100*ms, 8*sec)}
	disturbed.after = []trigger{onDraining, onRevoked, onScaledDown, onAppointed}[t.r.IntN(4)]
	if t.r.IntN(2) == 0 {
		t.s.crashAtFailpoint = 0.15
	}
	return []fault{
		disturbed,
		{kind: "hibernated", at: t.at + ms},
		{kind: "woken", at: t.at + t.in(300*ms, 20*sec)},
	}
}
