package sim

import (
	"maps"
	"slices"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// storeFaults are those of the objects in the API server's store.
var storeFaults = map[string]faultKind{
	"backupTaken":  func(w *world, _ fault, _ *memberSim) { w.takeBackup() },
	"etcdRestored": func(w *world, _ fault, _ *memberSim) { w.restoreStore() },
	"etcdRestoredBlind": func(w *world, _ fault, _ *memberSim) {
		w.blind = true
		w.restoreStore()
	},
	"leaseRestored": func(w *world, _ fault, _ *memberSim) {
		// Of pods and Service someone thought that they need no backup.
		if b := w.api.backup; b != nil && b.lease != nil {
			w.restored = true
			w.api.lease, w.api.leaseRV, w.api.status = b.lease, w.api.bump(), b.status
			w.api.accepted = b.accepted
			w.tracef("the Lease restored: epoch %d holder %s", b.lease.Epoch, b.lease.Holder)
		}
	},
	"writesRefused": func(w *world, f fault, _ *memberSim) {
		w.during(f, func() { w.refused[f.what]++ }, func() { w.refused[f.what]-- })
	},
	// Someone leads the client Service to a door.
	"serviceEdited": func(w *world, _ fault, m *memberSim) {
		w.api.service = failover.Service{
			Reading:   failover.Read,
			Version:   w.api.bump(),
			Epoch:     -1,
			Leads:     failover.LeadsDoor,
			PortLeads: failover.LeadsDoor,
			Member:    m.name,
		}
	},
	"leaseDeleted":   func(w *world, _ fault, _ *memberSim) { w.api.lease = nil },
	"leaseRewritten": func(w *world, _ fault, _ *memberSim) { w.rewriteLease() },
	"leaseEdited":    func(w *world, _ fault, _ *memberSim) { w.editLease() },
	"ledgerForged":   func(w *world, _ fault, _ *memberSim) { w.forgeLedger() },
}

func (w *world) takeBackup() {
	b := &backup{
		service:  w.api.service,
		status:   w.api.status,
		accepted: w.api.accepted,
		labels:   map[*pod]map[string]string{},
	}
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
}

func (w *world) restoreStore() {
	b := w.api.backup
	if b == nil || b.lease == nil {
		return
	}
	w.restored = true
	w.api.lease, w.api.leaseRV, w.api.status = b.lease, w.api.bump(), b.status
	w.api.accepted = b.accepted
	w.api.service = b.service
	w.api.service.Version = w.api.bump()
	for _, p := range w.api.pods {
		if p != nil && !p.ended {
			p.deleting = false
			p.noted = false
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
	w.tracef("a foreign hand makes %s the holder at epoch %d", r.Holder, r.Epoch)
}

// forgeLedger is a foreign hand that has a member count as in sync that lacks writes: the
// ledger solo becomes both, at the same version.
func (w *world) forgeLedger() {
	if w.api.lease == nil || w.api.lease.Holder.Nobody() || w.api.lease.Ledger.State != authority.Solo {
		return
	}
	r := w.api.lease.Clone()
	r.Ledger.State = authority.Both
	r.Ledger.First = ""
	r.Ledger.Incarnations = map[pair.MemberName]pair.Incarnation{}
	for _, m := range w.members {
		for _, a := range m.boxes {
			if a.mysqld != nil {
				r.Ledger.Incarnations[m.name] = a.mysqld.inc
			}
		}
	}
	w.api.lease, w.api.leaseRV = &r, w.api.bump()
	w.forged = w.api.leaseRV
	w.tracef("a foreign hand makes the ledger both at version %d", r.Ledger.Version)
}

// checkForged: an operator that has found the Lease modified externally goes on saying so
// while it is the same.
func (w *world) checkForged(o *operator, obs failover.Observation, plan failover.Plan) {
	if obs.Authority.Reading != failover.Read || obs.Authority.Version != w.forged || w.forged == "" {
		return
	}
	switch plan.Rule {
	case failover.RuleStaleObservation, failover.RuleAdoptRequested:
		return
	}
	doubts := plan.Rule == failover.RuleAuthorityChangedByOthers || slices.ContainsFunc(plan.Notes, func(n failover.Note) bool { return n.Rule == failover.RuleAuthorityChangedByOthers })
	if o.doubted == w.forged && !doubts {
		w.violate("forgotten", "the Lease was found modified externally, is the same, and rule %s speaks: %s", plan.Rule, plan.Fact)
	}
	if doubts {
		o.doubted = w.forged
		w.fired["forged ledger found"]++
	}
}
