package sim

import (
	"slices"
	"time"
)

// processFaults are those of processes and machines.
var processFaults = map[string]faultKind{
	"mysqldKilled": func(_ *world, _ fault, m *memberSim) {
		if s := m.running(); s != nil {
			s.a.mysqldGone(s)
		}
	},
	"peerRestarted": func(w *world, _ fault, _ *memberSim) {
		for _, m := range w.members {
			if s := m.running(); s != nil && !s.open {
				s.a.mysqldGone(s)
			}
		}
	},
	"mysqldStopped": func(w *world, f fault, m *memberSim) {
		if s := m.running(); s != nil {
			w.stops(f, &s.gate)
		}
	},
	"agentKilled": func(_ *world, _ fault, m *memberSim) {
		for _, a := range slices.Clone(m.boxes) {
			a.vanish()
		}
	},
	"agentStopped": func(w *world, f fault, m *memberSim) {
		for _, a := range m.boxes {
			w.stops(f, &a.gate)
		}
	},
	"nodeCrashed": func(_ *world, f fault, m *memberSim) { m.crash(f.lasts) },
	"nodeFrozen":  func(w *world, f fault, m *memberSim) { w.during(f, m.node.gate.stop, m.thaw) },
	"machinePaused": func(w *world, f fault, m *memberSim) {
		w.vmPaused = true
		w.during(f, m.node.gate.stop, func() {
			m.node.lost += f.lasts // BOOTTIME stood still as well
			m.thaw()
		})
	},
	"operatorCrashed": func(w *world, _ fault, _ *memberSim) {
		for _, o := range w.ops {
			if o.leads {
				o.crash(o.life)
				break
			}
		}
	},
	"operatorFrozen": func(w *world, f fault, _ *memberSim) { w.stops(f, &w.ops[0].gate) },
	"apiStopped":     func(w *world, f fault, _ *memberSim) { w.stops(f, &w.api.gate) },
	"applierFailed": func(w *world, f fault, m *memberSim) {
		s := m.running()
		if s == nil || s.open || s.data == nil {
			return
		}
		s.data.errored = true
		if w.chance(0.7) {
			w.after(f.lasts, func() {
				s.data.errored = false
				if !s.dead {
					s.startApply()
				}
			})
		}
	},
	"foreignReplica": func(w *world, f fault, m *memberSim) {
		if s := m.running(); s != nil && s.open {
			s.foreign = true
			s.foreignSince = w.now
			w.after(f.lasts, func() { s.foreign = false })
		}
	},
	"waitingSwitchedOff": func(w *world, f fault, m *memberSim) {
		if s := m.running(); s != nil {
			s.switchOff()
			w.after(f.lasts, s.switchOn)
		}
	},
	"modeAsync": func(w *world, f fault, _ *memberSim) { w.modeChange(f.lasts) },
	"fileAsync": func(w *world, f fault, m *memberSim) {
		w.during(f, func() { m.mount(true) }, func() { m.mount(false) })
	},
	// An ALTER that a replica needs as long for as the primary did.
	"longChange": func(_ *world, f fault, m *memberSim) {
		if s := m.running(); s != nil && s.open {
			s.commitTxn(txnInfo{applies: f.lasts}, true, func(bool, int) {})
		}
	},
	// A transaction whose last event comes long after its first.
	"largeTransaction": func(_ *world, f fault, m *memberSim) {
		if s := m.running(); s != nil && s.open {
			s.commitTxn(txnInfo{wire: f.lasts}, true, func(bool, int) {})
		}
	},
	// SET GLOBAL of an owned setting, which cannot be set right for a while.
	"settingDrifts": func(w *world, f fault, m *memberSim) {
		if s := m.running(); s != nil {
			s.drifted = true
			s.driftedUntil = w.now + f.lasts
		}
	},
	"eventsCommit": func(w *world, f fault, m *memberSim) { m.runEvents(w.now + f.lasts) },
	"clientsRest": func(w *world, f fault, _ *memberSim) {
		w.resting++
		w.after(f.lasts, func() { w.resting-- })
	},
}

// runEvents has the event scheduler of this member's mysqld commit while that is open: its
// threads are no sessions.
func (m *memberSim) runEvents(until time.Duration) {
	w := m.w
	if w.now > until {
		return
	}
	if s := m.running(); s != nil && s.open && s.gate.stopped == 0 && m.node.gate.stopped == 0 {
		s.commitTxn(txnInfo{}, false, func(bool, int) {})
	}
	w.after(w.between(100*time.Millisecond, 400*time.Millisecond), func() { m.runEvents(until) })
}
