package sim

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// podGrace is the grace period of a member's pod.
const podGrace = 10 * time.Second

// kubelet looks at the member's pod soon. Without a way to the API server it does not.
func (m *memberSim) kubelet() {
	m.w.after(m.w.between(20*time.Millisecond, 400*time.Millisecond), m.sync)
}

func (m *memberSim) sync() {
	w := m.w
	if !m.node.up {
		return
	}
	if w.cut[m.site][siteAPI] > 0 || w.cut[siteAPI][m.site] > 0 || w.api.gate.stopped > 0 || m.node.gate.stopped > 0 {
		m.restartKnown()
		w.after(500*time.Millisecond, m.sync)
		return
	}
	m.knows = w.api.pods[m.index]
	p := m.knows
	m.killForgotten(p)
	if p == nil || p.ended || p.node != m.node {
		return
	}
	leaves := p.deleting || p.shutdown > 0
	switch {
	case leaves && p.agent != nil && !p.noted:
		p.noted = true
		grace := podGrace
		if p.shutdown > 0 {
			grace = p.shutdown
		}
		p.agent.terminate(grace)
	case leaves && p.agent == nil:
		m.endPod(p)
	case p.agent == nil && m.node.shutsDown:
	case p.agent == nil && p.status.running:
		// The end of a container is reported first, and its successor starts after a back-off.
		p.status.running = false
		p.status.terminated = true
		p.status.finished = w.now
		w.after(w.between(50*time.Millisecond, time.Second), m.sync)
	case p.agent == nil:
		p.status = podStatus{container: w.id("c"), running: true, disruption: p.status.disruption}
		m.startContainer(p)
	}
}

// restartKnown: a kubelet that is cut off restarts what it knows without asking anybody.
func (m *memberSim) restartKnown() {
	p := m.knows
	if p == nil || p.agent != nil || p.noted || p.ended || p.deleting || p.shutdown > 0 {
		return
	}
	if m.node.gate.stopped == 0 && p == m.w.api.pods[m.index] && p.node == m.node {
		m.startContainer(p)
	}
}

// endPod reports that the pod has ended for good: its deletion was asked for, or its kubelet
// ended it by itself. Such a pod is deleted by the StatefulSet's controller afterwards.
func (m *memberSim) endPod(p *pod) {
	w := m.w
	p.ended = true
	if p.status.container == "" {
		p.status.container = w.id("c")
	}
	p.status.running = false
	p.status.terminated = true
	p.status.finished = max(p.status.finished, p.lastEnd)
	p.status.phase = corev1.PodFailed
	if p.status.finished == 0 {
		p.status.finished = w.now
	}
	if w.chance(w.set.statusLost) {
		// The runtime has forgotten the container.
		p.status.reason = "ContainerStatusUnknown"
	}
	w.tracef("pod %s/%s: terminated", m.name, p.uid)
	if p.shutdown > 0 && !p.deleting {
		p.status.disruption = "TerminationByKubelet"
		w.after(w.between(50*time.Millisecond, 2*time.Second), func() { w.api.beginDeletion(p) })
		return
	}
	w.api.collect(p)
}

// killForgotten ends containers whose pod object is gone.
func (m *memberSim) killForgotten(p *pod) {
	for _, a := range slices.Clone(m.boxes) {
		if a.pod != p && !a.condemned {
			a.condemned = true
			m.w.after(m.w.between(0, 5*time.Second), func() { a.terminate(5 * time.Second) })
		}
	}
}

// boxEnded is called when a container's processes are gone.
func (m *memberSim) boxEnded(a *agentSim) {
	m.boxes = slices.DeleteFunc(m.boxes, func(o *agentSim) bool { return o == a })
	if a.pod.agent == a {
		a.pod.agent = nil
		a.pod.lastEnd = m.w.now
	}
	m.w.after(m.w.between(100*time.Millisecond, time.Second), m.sync)
}
