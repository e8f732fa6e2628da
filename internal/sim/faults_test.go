package sim

import (
	"slices"

	"github.com/dbpair/dbpair/internal/authority"
)

// faultKind is what one kind of fault does to a member, or to the pair.
type faultKind func(w *world, f fault, m *memberSim)

// faultsByName are all kinds of faults.
var faultsByName = map[string]faultKind{}

func init() {
	sets := []map[string]faultKind{
		processFaults,
		networkFaults,
		cacheFaults,
		podFaults,
		storeFaults,
		volumeFaults,
		personFaults,
		specFaults,
		hibernationFaults,
		hostileFaults,
	}
	for _, set := range sets {
		for name, kind := range set {
			if faultsByName[name] != nil {
				panic("two faults are called " + name)
			}
			faultsByName[name] = kind
		}
	}
}

// inflict makes one fault happen, and end.
func (w *world) inflict(f fault) {
	if f.member < 0 {
		f.member = w.role(f.member)
	}
	kind := faultsByName[f.kind]
	if kind == nil {
		panic("no such fault: " + f.kind)
	}
	w.tracef("fault %s member %d for %s", f.kind, f.member, f.lasts)
	w.fired["fault "+f.kind]++
	kind(w, f, w.members[f.member])
}

// during has something begin now and end when the fault does.
func (w *world) during(f fault, begin, end func()) {
	begin()
	w.after(f.lasts, end)
}

// stops holds up what runs behind a gate while the fault lasts.
func (w *world) stops(f fault, g *gate) { w.during(f, g.stop, g.resume) }

// role is the ordinal of the holder or of the other member, now.
func (w *world) role(r int) int {
	holder := 0
	if l := w.api.lease; l != nil {
		name := l.Holder.Member
		if l.Holder.Nobody() && l.LastHolder != nil {
			name = l.LastHolder.Holder.Member
		}
		if w.members[1].name == name {
			holder = 1
		}
	}
	if r == theHolder {
		return holder
	}
	return 1 - holder
}

// arm has a fault come at its time, or after what it waits for.
func (w *world) arm(f fault) {
	w.after(f.at, func() {
		if f.after == "" && w.set.orderly && !w.inSync() {
			f.after = onBoth // an announced end costs next to nothing where another member can take over
		}
		if f.after == "" {
			w.inflict(f)
			return
		}
		w.armed = append(w.armed, f)
	})
}

// inSync: the ledger says that both members have every acknowledged write.
func (w *world) inSync() bool {
	return w.api.lease != nil && w.api.lease.Ledger.State == authority.Both
}

// happens lets the faults come that waited for this.
func (w *world) happens(t trigger) {
	var left []fault
	for _, f := range w.armed {
		switch {
		case f.after != t:
			left = append(left, f)
		case w.now < faultsOver-f.lasts-f.delay:
			f.lasts = min(f.lasts, faultsOver-w.now)
			w.after(f.delay, func() { w.inflict(f) })
		}
	}
	w.armed = left
}

// thaw resumes a machine; what was held up runs in any order of its processes, mysqld
// first or the agent.
func (m *memberSim) thaw() {
	if m.node.gate.stopped == 1 && m.w.chance(0.5) {
		slices.Reverse(m.node.gate.held)
	}
	m.thawed = m.w.now
	m.node.gate.resume()
	m.kubelet()
}
