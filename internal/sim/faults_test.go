package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// inflict makes one fault happen, and end.
func (w *world) inflict(f fault) {
	if f.member < 0 {
		f.member = w.role(f.member)
	}
	m := w.members[f.member]
	w.tracef("fault %s member %d for %s", f.kind, f.member, f.lasts)
	w.fired["fault "+f.kind]++
	during := func(begin, end func()) {
		begin()
		w.after(f.lasts, end)
	}
	gated := func(g *gate) { during(g.stop, g.resume) }
	cuts := func(pairs ...[2]site) {
		during(func() {
			for _, p := range pairs {
				w.cut[p[0]][p[1]]++
			}
		}, func() {
			for _, p := range pairs {
				w.cut[p[0]][p[1]]--
			}
			m.kubelet()
		})
	}
	both := func(others ...site) {
		var pairs [][2]site
		for _, o := range others {
			pairs = append(pairs, [2]site{m.site, o}, [2]site{o, m.site})
		}
		cuts(pairs...)
	}
	other := w.members[1-f.member].site
	switch f.kind {
	case "mysqldKilled":
		if s := m.running(); s != nil {
			s.a.mysqldGone(s)
		}
	case "peerRestarted":
		for _, m := range w.members {
			if s := m.running(); s != nil && !s.open {
				s.a.mysqldGone(s)
			}
		}
	case "mysqldStopped":
		if s := m.running(); s != nil {
			gated(&s.gate)
		}
	case "agentKilled":
		for _, a := range slices.Clone(m.boxes) {
			a.vanish()
		}
	case "agentStopped":
		for _, a := range m.boxes {
			gated(&a.gate)
		}
	case "volumeHung":
		gated(&m.vol.gate)
	case "podDeleted":
		if p := w.api.pods[m.index]; p != nil {
			p.deleting, p.asked = true, w.now
			m.kubelet()
		}
	case "finalizerTaken":
		// Somebody edits the pod.
		if p := w.api.pods[m.index]; p != nil {
			p.fenced = false
			w.api.collect(p)
		}
	case "podForceDeleted":
		if p := w.api.pods[m.index]; p != nil {
			w.api.remove(p)
		}
	case "nodeCrashed":
		m.crash(f.lasts)
	case "nodeGone":
		m.crash(time.Hour)
		w.after(2*time.Second, func() { m.node.outOfService = true })
	case "nodeFrozen":
		during(m.node.gate.stop, func() { m.thaw() })
	case "machinePaused":
		w.vmPaused = true
		during(func() { m.node.gate.stop() }, func() {
			m.node.lost += f.lasts // BOOTTIME stood still as well
			m.thaw()
		})
	case "cutWhole":
		both(other, siteAPI, siteOp0, siteOp1, siteOut)
	case "cutAllButPeer":
		both(siteAPI, siteOp0, siteOp1)
	case "cutAPI":
		both(siteAPI)
	case "cutPeer":
		both(other)
	case "cutOperator":
		both(siteOp0, siteOp1)
	case "cutOneWay":
		cuts([2]site{m.site, []site{other, siteAPI, siteOp0}[w.rng.IntN(3)]})
	case "apiStopped":
		gated(&w.api.gate)
	default:
		w.inflictElsewhere(f, m, gated)
	}
}

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
		if f.after == "" {
			w.inflict(f)
			return
		}
		w.armed = append(w.armed, f)
	})
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

func (w *world) inflictElsewhere(f fault, m *memberSim, gated func(*gate)) {
	switch f.kind {
	case "operatorCrashed":
		for _, o := range w.ops {
			if o.leads {
				o.crash(o.life)
				break
			}
		}
	case "operatorFrozen":
		gated(&w.ops[0].gate)
	case "applierFailed":
		if s := m.running(); s != nil && !s.open && s.data != nil {
			s.data.errored = true
			if w.chance(0.7) {
				w.after(f.lasts, func() {
					s.data.errored = false
					if !s.dead {
						s.startApply()
					}
				})
			}
		}
	case "foreignReplica":
		if s := m.running(); s != nil && s.open {
			s.foreign, s.foreignSince = true, w.now
			w.after(f.lasts, func() { s.foreign = false })
		}
	case "waitingSwitchedOff":
		if s := m.running(); s != nil {
			s.switchOff()
			w.after(f.lasts, s.switchOn)
		}
	case "modeAsync":
		w.modeChange(f.lasts)
	case "fileAsync":
		m.mount(true)
		w.after(f.lasts, func() { m.mount(false) })
	case "volumeEmptied":
		m.emptyVolume()
	case "personReplays":
		// A manifest that was kept: its confirmation is of an epoch long gone.
		w.person(failover.VerbForcePromote, m.name)
		w.api.opsList[len(w.api.opsList)-1].confirmed = 0
	case "volumeLost":
		m.loseVolume()
	case "strayLeft":
		holder := w.api.pods[1-m.index]
		if p := w.api.pods[m.index]; p != nil && p.agent != nil && p.agent.machine != nil && holder != nil && holder.agent != nil {
			w.stray = &stray{lost: p.agent, asker: holder.agent}
			m.loseVolume()
		}
	case "backupTaken":
		b := &backup{service: w.api.service, status: w.api.status, labels: map[*pod]map[string]string{}}
		for _, p := range w.api.pods {
			if p != nil {
				b.labels[p] = maps.Clone(p.labels)
			}
		}
		if w.api.lease != nil {
			r := w.api.lease.Clone()
			b.lease = &r
		}
		w.api.backup = b
	case "etcdRestored", "etcdRestoredBlind":
		w.blind = w.blind || f.kind == "etcdRestoredBlind"
		if b := w.api.backup; b != nil && b.lease != nil {
			w.restored = true
			w.api.lease, w.api.leaseRV, w.api.status = b.lease, w.api.bump(), b.status
			w.api.service = b.service
			w.api.service.Version = w.api.bump()
			for _, p := range w.api.pods {
				if p != nil && !p.ended {
					p.deleting, p.noted = false, false
				}
				if p != nil {
					p.labels = map[string]string{}
					maps.Copy(p.labels, b.labels[p])
				}
			}
			if p := w.api.led; p != nil && !slices.Contains(slices.Collect(maps.Values(p.labels)), string(failover.LeadsOpen)) {
				w.api.led = nil // nothing in the store says so any more
			}
			w.tracef("etcd restored: epoch %d holder %s", b.lease.Epoch, b.lease.Holder)
		}
	case "leaseRestored":
		// Of pods and Service somebody thought that they need no backup.
		if b := w.api.backup; b != nil && b.lease != nil {
			w.restored = true
			w.api.lease, w.api.leaseRV, w.api.status = b.lease, w.api.bump(), b.status
			w.tracef("the Lease restored: epoch %d holder %s", b.lease.Epoch, b.lease.Holder)
		}
	case "leaseDeleted":
		w.api.lease = nil
	case "leaseRewritten":
		w.rewriteLease()
	case "leaseEdited":
		w.editLease()
	case "clientsRest":
		w.resting++
		w.after(f.lasts, func() { w.resting-- })
	case "personFails":
		w.person(failover.VerbFailover, "")
	case "personFences":
		w.person(failover.VerbFence, "")
	case "personForces":
		m.forced = true
		w.person(failover.VerbForcePromote, m.name)
	case "lateCommands":
		w.lateCommands++
		w.after(f.lasts, func() { w.lateCommands-- })
	case "personReleases":
		w.person(failover.VerbRelease, "")
	default:
		panic("no such fault: " + f.kind)
	}
}

// rewriteLease is a foreign hand that makes the other member the holder.
func (w *world) rewriteLease() {
	if w.api.lease == nil || w.api.lease.Holder.Nobody() {
		return
	}
	r := w.api.lease.Clone()
	for i, m := range w.members {
		if m.name != r.Holder.Member && w.api.pods[i] != nil {
			r.Holder = pair.Holder{Member: m.name, PodUID: w.api.pods[i].uid}
			break
		}
	}
	w.api.lease, w.api.leaseRV = &r, w.api.bump()
	w.restored = true
	w.tracef("a foreign hand makes %s the holder", r.Holder)
}

// editLease is a foreign hand that makes the other member the holder at the next epoch, as
// if it had been appointed.
func (w *world) editLease() {
	if w.api.lease == nil || w.api.lease.Holder.Nobody() {
		return
	}
	r := w.api.lease.Clone()
	for i, m := range w.members {
		if p := w.api.pods[i]; m.name != w.api.lease.Holder.Member && p != nil {
			r.Holder, r.Epoch = pair.Holder{Member: m.name, PodUID: p.uid}, r.Epoch+1
		}
	}
	w.api.lease, w.api.leaseRV = &r, w.api.bump()
	w.restored = true
	w.tracef("a foreign hand makes %s the holder at epoch %d", r.Holder, r.Epoch)
}

// loseVolume takes a member's data away while its machine is down.
func (m *memberSim) loseVolume() {
	w := m.w
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	if l := w.api.lease; l == nil || l.Ledger.State != authority.Both {
		w.forgiveAllBut(w.members[1-m.index])
	}
	m.vol = &volume{}
	if p := w.api.pods[m.index]; p != nil {
		p.fenced, p.deleting, p.ended, p.asked = false, true, true, w.now
		w.api.remove(p)
	}
}

// emptyVolume takes the data away under a pod that stays.
func (m *memberSim) emptyVolume() {
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	if l := m.w.api.lease; l == nil || l.Ledger.State != authority.Both {
		m.w.forgiveAllBut(m.w.members[1-m.index])
	}
	m.vol = &volume{}
}

// forgiveAllBut gives up what is not on this member's volume.
func (w *world) forgiveAllBut(m *memberSim) {
	var have bitset
	if m.vol.data != nil {
		have = m.vol.data.received()
	}
	for {
		t := w.must.missing(have, w.forgave)
		if t < 0 {
			return
		}
		w.forgave.add(t)
	}
}

// person makes an operation.
func (w *world) person(v failover.Verb, target pair.MemberName) {
	o := &operationObject{target: target, confirmed: -1}
	o.Name, o.Verb = w.id("person-"), v
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

// watchDoubts is a person who does what the status asks for, after a while.
func (w *world) watchDoubts() {
	w.after(5*time.Second, func() {
		w.watchDoubts()
		asked := slices.ContainsFunc(w.api.unfinished(), func(o failover.Operation) bool { return !o.ByOperator && o.Verb != failover.VerbFence })
		if w.now < w.faultsEnd+12*time.Second || asked {
			return
		}
		for _, o := range w.ops {
			if o.leads && o.plan.Kind == failover.Doubts {
				w.resolve(o.plan)
				return
			}
		}
	})
}

func (w *world) resolve(p failover.Plan) {
	best := w.members[0]
	if d := w.members[1].vol.data; d != nil && (best.vol.data == nil || w.must.missing(d.received(), w.forgave) < 0) {
		best = w.members[1]
	}
	switch p.Verb {
	case failover.VerbFailover, failover.VerbRelease:
		w.person(p.Verb, "")
	case failover.VerbForcePromote, failover.VerbAdopt:
		if p.Rule == failover.RuleBeginningStuck {
			w.beginElsewhere()
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
	case failover.VerbNone, failover.VerbFence:
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

// writer is a client: it keeps its connection until it breaks, and then asks the Service.
type writer struct {
	w    *world
	site site
	conn *mysqld
	busy bool
}

func (c *writer) loop() {
	c.w.after(c.w.between(100*time.Millisecond, 500*time.Millisecond), c.loop)
	if c.busy || c.w.resting > 0 {
		return
	}
	if c.conn == nil || c.conn.dead || !c.conn.open {
		c.conn = nil
		p := c.w.api.endpoint()
		if p == nil || p.agent == nil || p.agent.mysqld == nil {
			return
		}
		c.conn = p.agent.mysqld
	}
	s := c.conn
	if c.w.cut[c.site][s.m.site] > 0 || c.w.cut[s.m.site][c.site] > 0 {
		c.conn = nil
		return
	}
	c.busy = true
	answered := false
	s.later(200*time.Microsecond, func() {
		s.write(func(ok bool, t int) {
			if answered {
				return
			}
			answered, c.busy = true, false
			if ok {
				c.w.acked(s, t)
			} else {
				c.conn = nil
			}
		})
	})
	c.w.after(20*time.Second, func() {
		if !answered {
			c.busy, c.conn = false, nil
		}
	})
}
