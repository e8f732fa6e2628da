package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
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
	shutsDown    bool // its kubelet starts nothing any more
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
	// hidden: its pod is in no cache.
	hidden int
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
	if a.pods[m.index] != nil || a.set.Replicas == 0 {
		return
	}
	m.made++
	if m.node.outOfService {
		// Its volume was detached there, and it is scheduled elsewhere.
		m.node = &node{name: m.w.id("node-"), up: true, rate: m.node.rate, booted: m.w.now}
	}
	p := &pod{
		uid:     pair.PodUID(fmt.Sprintf("%d%c", m.index, 'a'+m.made-1)),
		member:  m,
		node:    m.node,
		created: m.w.now,
		labels:  map[string]string{},
		spec:    m.w.specs.now,
	}
	a.pods[m.index] = p
	m.w.tracef("pod %s/%s is made", m.name, p.uid)
	m.kubelet()
}

// crash takes the machine away at once; unsynced relay log may be lost.
func (m *memberSim) crash(down time.Duration) {
	w := m.w
	w.tracef("node %s crashes for %s", m.node.name, down)
	m.node.up = false
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	n := m.node
	n.gate.held = nil
	if d := m.vol.data; d != nil && len(d.relay) > 0 && w.chance(w.set.relayLost) {
		d.relay = d.relay[:w.rng.IntN(len(d.relay))]
		d.half = nil
	}
	w.after(down, func() {
		n.up = true
		n.booted = w.now
		n.lost = 0
		w.tracef("node %s is back", n.name)
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
	seen       *agentapi.SeenLedger
	lock       *agentSim
	// moved: it was attached to another machine, where no process has lived long enough yet.
	moved bool
	// claimDeleting: the deletion of its claim was accepted; it goes with the pod.
	claimDeleting bool
	// saved is what the quarantine has of relay logs, discarded the last discard.
	saved     bitset
	discarded *agentapi.Discarded
}
