package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// wall is a true instant as a time.
func (w *world) wall(d time.Duration) time.Time { return epochOfTime.Add(d) }

var epochOfTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// node is a machine.
type node struct {
	name         string
	gate         gate
	up           bool
	outOfService bool
	booted       time.Duration
	lost         time.Duration // time that BOOTTIME did not count: a hypervisor stopped it
	rate         float64
}

// memberSim is a member: its node, volume, and whatever processes run there.
type memberSim struct {
	w     *world
	index int
	site  site
	name  pair.MemberName
	node  *node
	vol   *volume
	boxes []*agentSim // running containers; two after a forced deletion
	made  int
	// thawed is when its machine was resumed last; forced: a person chose this member.
	thawed time.Duration
	knows  *pod
	forced bool
	// fileAsync: the file that its agent mounts says durability.mode Async.
	fileAsync bool
}

func newMember(w *world, i int) *memberSim {
	m := &memberSim{
		w: w, index: i, site: site(i), name: pair.MemberName(fmt.Sprintf("shop-%d", i)),
		node: &node{name: fmt.Sprintf("node-%d", i), up: true, rate: 1 + (w.rng.Float64()-0.5)*2*w.set.drift}, vol: &volume{},
	}
	return m
}

// running is the mysqld that runs on this member's volume.
func (m *memberSim) running() *mysqld {
	for _, a := range m.boxes {
		if a.mysqld != nil && !a.mysqld.dead {
			return a.mysqld
		}
	}
	return nil
}

// makePod is the StatefulSet controller.
func (m *memberSim) makePod() {
	a := m.w.api
	if a.pods[m.index] != nil {
		return
	}
	m.made++
	p := &pod{uid: pair.PodUID(fmt.Sprintf("%d%c", m.index, 'a'+m.made-1)), member: m, created: m.w.now, labels: map[string]string{}}
	a.pods[m.index] = p
	m.w.tracef("pod %s/%s is made", m.name, p.uid)
	m.kubelet()
}

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
		// A kubelet restarts what it knows without asking anybody.
		if p := m.knows; p != nil && p.agent == nil && !p.noted && !p.ended && m.node.gate.stopped == 0 && p == w.api.pods[m.index] && !p.deleting {
			startAgent(m, p)
		}
		w.after(500*time.Millisecond, m.sync)
		return
	}
	m.knows = w.api.pods[m.index]
	p := w.api.pods[m.index]
	m.killForgotten(p)
	switch {
	case p == nil:
	case p.deleting && p.agent != nil && !p.noted:
		p.noted = true
		p.agent.terminate(10 * time.Second)
	case p.deleting && p.agent == nil && !p.ended:
		p.ended, p.running, p.byKubelet = true, false, true
		p.finished = max(p.finished, w.now)
		if p.container == "" {
			p.container = w.id("c")
		}
		w.tracef("pod %s/%s: terminated", m.name, p.uid)
		w.api.collect(p)
	case !p.deleting && p.agent == nil:
		p.container, p.running, p.ended = w.id("c"), true, false
		p.ran = p.container
		startAgent(m, p)
	}
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
		a.pod.finished = m.w.now
	}
	m.w.after(m.w.between(100*time.Millisecond, time.Second), m.sync)
}

// crash takes the machine away at once; unsynced relay log may be lost.
func (m *memberSim) crash(down time.Duration) {
	w := m.w
	w.tracef("node %s crashes for %s", m.node.name, down)
	m.node.up = false
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	m.node.gate.held = nil
	if d := m.vol.data; d != nil && len(d.relay) > 0 && w.chance(w.set.relayLost) {
		d.relay = d.relay[:w.rng.IntN(len(d.relay))]
	}
	w.after(down, func() {
		m.node.up, m.node.booted, m.node.lost = true, w.now, 0
		w.tracef("node %s is back", m.node.name)
		m.kubelet()
	})
}

// volume is a member's volume.
type volume struct {
	gate       gate // hung
	data       *dataset
	id         pair.DataID
	void       bool
	durable    authority.Durable
	remembered bool
	lock       *agentSim
}
