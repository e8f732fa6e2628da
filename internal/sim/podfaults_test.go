package sim

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// podFaults are those of pods and nodes as the API server sees them.
var podFaults = map[string]faultKind{
	"podDeleted": func(w *world, _ fault, m *memberSim) {
		if p := w.api.pods[m.index]; p != nil {
			w.api.beginDeletion(p)
		}
	},
	// A drain: anyone who evicts says so with a condition.
	"podEvicted": func(w *world, _ fault, m *memberSim) {
		if p := w.api.pods[m.index]; p != nil && !p.deleting {
			p.status.disruption = "EvictionByEvictionAPI"
			w.api.beginDeletion(p)
		}
	},
	// Node pressure: the kubelet ends the pod by itself, and it is deleted after that.
	"podEndedByKubelet": func(_ *world, f fault, m *memberSim) { m.endByKubelet(f.grace) },
	// Graceful shutdown of the node: the same, and then the machine is away.
	"nodeShutDown": func(w *world, f fault, m *memberSim) {
		n := m.node
		n.shutsDown = true
		m.endByKubelet(f.grace)
		w.after(f.grace+2*time.Second, func() {
			n.shutsDown = false
			m.crash(f.lasts)
		})
	},
	// SIGTERM to the container alone: it starts again in place.
	"containerTerminated": func(_ *world, f fault, m *memberSim) {
		for _, a := range m.boxes {
			a.terminate(f.grace)
		}
	},
	"nodeReplaced": func(w *world, f fault, m *memberSim) {
		n := m.node
		m.crash(time.Hour)
		w.after(f.lasts, func() { w.api.takeOutOfService(m, n) })
	},
	"finalizerTaken": func(w *world, _ fault, m *memberSim) {
		// Someone edits the pod.
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

// endByKubelet has the pod's kubelet end it without a deletion.
func (m *memberSim) endByKubelet(grace time.Duration) {
	if p := m.w.api.pods[m.index]; p != nil && !p.deleting && !p.ended {
		p.shutdown = grace
		m.kubelet()
	}
}

// takeOutOfService is an admin who taints a lost node. The pod garbage collector then deletes
// the pods there by force and says that they failed; a finalizer keeps their objects.
func (a *apiServer) takeOutOfService(m *memberSim, n *node) {
	n.outOfService = true
	p := a.pods[m.index]
	if p == nil || p.node != n {
		return
	}
	a.w.tracef("node %s is out of service", n.name)
	p.status.phase = corev1.PodFailed
	p.status.disruption = "DeletionByPodGC"
	p.ended = true
	a.beginDeletion(p)
	a.collect(p)
}
