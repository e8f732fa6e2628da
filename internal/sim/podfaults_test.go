package sim

import "time"

// podFaults are those of pods and nodes as the API server sees them.
var podFaults = map[string]faultKind{
	"podDeleted": func(w *world, _ fault, m *memberSim) {
		if p := w.api.pods[m.index]; p != nil {
			p.deleting, p.asked = true, w.now
			m.kubelet()
		}
	},
	"finalizerTaken": func(w *world, _ fault, m *memberSim) {
		// Somebody edits the pod.
		if p := w.api.pods[m.index]; p != nil {
			p.fenced = false
			w.api.collect(p)
		}
	},
	"podForceDeleted": func(w *world, _ fault, m *memberSim) {
		if p := w.api.pods[m.index]; p != nil {
			w.api.remove(p)
		}
	},
	"nodeGone": func(w *world, _ fault, m *memberSim) {
		m.crash(time.Hour)
		w.after(2*time.Second, func() { m.node.outOfService = true })
	},
}
