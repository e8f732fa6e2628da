package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// volumeFaults are those of a member's volume.
var volumeFaults = map[string]faultKind{
	"volumeHung":    func(w *world, f fault, m *memberSim) { w.stops(f, &m.vol.gate) },
	"volumeEmptied": func(_ *world, _ fault, m *memberSim) { m.emptyVolume() },
	"diskOlder":     func(w *world, f fault, m *memberSim) { w.powerLost(f, m, 20) },
	// The same with a disk that is older by far.
	"diskMuchOlder": func(w *world, f fault, m *memberSim) { w.powerLost(f, m, 200) },
	// A dump of another server is imported with SET GLOBAL gtid_purged, which no other server
	// ever gets; clients read its rows from then on.
	"dumpImported": func(w *world, _ fault, m *memberSim) {
		if s := m.running(); s != nil && s.open && w.promised() {
			w.must.add(s.importDump())
		}
	},
	// An administrator's statement on a closed member.
	"errantWrite": func(_ *world, _ fault, m *memberSim) {
		if s := m.running(); s != nil && s.up && !s.open {
			s.commitTxn(txnInfo{}, false, func(bool, int) {})
		}
	},
	// The same while the passive streams, and the primary is kept from receiving it for a moment.
	"errantWhileStreaming": func(w *world, _ fault, m *memberSim) {
		s := m.running()
		primary := w.members[1-m.index].running()
		streams := s != nil && s.up && !s.open && s.recv != nil
		if !streams || primary == nil || !primary.open {
			return
		}
		w.fired["errant while streaming"]++
		primary.stopReceiving()
		s.commitTxn(txnInfo{}, false, func(bool, int) {})
		primary.a.later(time.Second, func() { primary.a.lead(primary) })
	},
	// PURGE BINARY LOGS, by hand or because the disk fills.
	"binlogsPurged": func(_ *world, _ fault, m *memberSim) {
		if s := m.running(); s != nil && s.up {
			s.purge()
		}
	},
	// mysqld dies while it copies its peer's data.
	"copiesDie": func(w *world, f fault, _ *memberSim) {
		w.during(f, func() { w.copiesDie++ }, func() { w.copiesDie-- })
	},
	"volumeLost": func(_ *world, _ fault, m *memberSim) { m.loseVolume() },
	// volumeDetached: the passive's pod is deleted by force while its node is cut off, and its
	// volume is attached to another node. The former process lives on, without the volume.
	"volumeDetached": func(w *world, _ fault, m *memberSim) {
		holder := w.api.pods[1-m.index]
		p := w.api.pods[m.index]
		if p == nil || p.agent == nil || p.agent.machine == nil || holder == nil || holder.agent == nil {
			return
		}
		w.stray = &stray{lost: p.agent, asker: holder.agent, detached: true}
		p.fenced = false
		m.vol.moved = true
		p.agent.vanish()
		w.api.remove(p)
	},
	// kubectl delete pvc --wait=false, perhaps of the wrong member.
	"claimDeleted": func(_ *world, _ fault, m *memberSim) { m.vol.claimDeleting = true },
	"strayLeft": func(w *world, _ fault, m *memberSim) {
		holder := w.api.pods[1-m.index]
		p := w.api.pods[m.index]
		if p != nil && p.agent != nil && p.agent.machine != nil && holder != nil && holder.agent != nil {
			w.stray = &stray{lost: p.agent, asker: holder.agent}
			m.loseVolume()
		}
	},
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
		p.fenced = false
		p.deleting = true
		p.ended = true
		p.asked = w.now
		w.api.remove(p)
	}
}

// powerLost: both machines go down, and the member's disk comes back older.
func (w *world) powerLost(f fault, m *memberSim, most int) {
	m.crash(f.lasts)
	w.members[1-m.index].crash(f.lasts)
	m.olderDisk(most)
}

// olderDisk gives the member a disk as it was up to so many commits ago: a restored snapshot, or a
// cache that lied. Its machine is down.
func (m *memberSim) olderDisk(most int) {
	d := m.vol.data
	other := m.w.members[1-m.index].vol.data
	l := m.w.api.lease
	if d == nil || other == nil || len(d.binlog) == 0 || l == nil || l.Ledger.State != authority.Both {
		return // without a second copy it is a lost volume
	}
	kept := len(d.binlog) - 1 - m.w.rng.IntN(min(most, len(d.binlog)))
	for _, t := range d.binlog[kept:] {
		if !other.received().has(t) {
			m.w.forgave.add(t) // the other machine lost it as well, with its relay log
		}
		d.inBinlog.remove(t)
		d.committed.remove(t)
		if m.w.txns[t].server == d.server {
			d.written = min(d.written, m.w.txns[t].number-1)
		}
	}
	d.binlog = slices.Clone(d.binlog[:kept])
	d.relay = nil
	m.w.tracef("the disk of %s is as it was after %d transactions", m.name, kept)
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

// dropClaimed: the volume claim goes with the last pod that uses it, and the data with it. An
// operator that had that pod deleted, or let it go, must not have needed the data.
func (m *memberSim) dropClaimed(p *pod) {
	if !m.vol.claimDeleting {
		return
	}
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	m.w.tracef("the volume of %s goes with its claim", m.name)
	if p.byOperator {
		m.w.lostData(m, m.vol.data)
	}
	m.w.forgiveAllBut(m.w.members[1-m.index])
	m.vol = &volume{}
}
