package failover_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// adopted is a pair whose primary was shop-0 at epoch 3, and of which a person adopted the
// data of shop-1: its pod stands in the place of the last holder.
func adopted() failover.Observation {
	o := steady()
	r := &o.Authority.Record
	r.Epoch = 4
	r.Holder = pair.Holder{}
	r.Appointed = nil
	r.LastHolder = &authority.LastHolder{Holder: pair.Holder{Member: m1, PodUID: p1}, DataID: "data-shop-1", Epoch: 3}
	r.Ledger = authority.Ledger{Version: 8, State: authority.Solo, First: m1}
	o.Evidence = fencing.NewBook()
	o.Evidence.SawEpoch(4, t0)
	o.Members[1].Pod.Fenced = true
	return o
}

// TestTheOtherMemberIsAdopted: the pod that the Service led to before is deleted before
// the Service leads to another mysqld, as in a failover.
func TestTheOtherMemberIsAdopted(t *testing.T) {
	type obs = failover.Observation
	closed := func(t *testing.T, o *obs) {
		ceased(t, *o, m1, p1, t0)
		prove(t, *o, fencing.Subject{Member: m0, PodUID: p0})
	}
	door := func(o *obs) {
		o.Service = failover.Service{
			Reading:   failover.Read,
			Version:   "6",
			Epoch:     -1,
			Leads:     failover.LeadsDoor,
			PortLeads: failover.LeadsDoor,
			Member:    m1,
		}
	}
	check(t, map[string]decision{
		"the Service leaves the former primary's mysqld first": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  closed,
		},
		"then the pod that it led to is deleted beside the appointment": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: append(appointment, "DeletePod"),
			with:  func(t *testing.T, o *obs) { closed(t, o); door(o) },
		},
		"once its deletion is accepted that is left": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: appointment,
			with:  func(t *testing.T, o *obs) { closed(t, o); door(o); o.Members[0].Pod.Deleting = true },
		},
		"a pod that the Service never led to stays": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				closed(t, o)
				door(o)
				delete(o.Members[0].Pod.Labels, pair.EpochLabel(3))
			},
		},
		"and so does its next pod": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: appointment,
			with: func(t *testing.T, o *obs) {
				door(o)
				o.Members[0].Pod.UID, o.Members[0].State.PodUID = "pod-0b", "pod-0b"
				o.Members[0].Pod.Labels = map[string]string{}
				ceased(t, *o, m1, p1, t0)
				prove(t, *o, fencing.Subject{Member: m0, PodUID: "pod-0b"})
			},
		},
		"its finalizer stays until another pod is the primary's": {
			from:  adopted,
			rule:  "Abandon",
			kind:  failover.Acts,
			steps: steps("Cease", "Fence"),
			with:  func(_ *testing.T, o *obs) { door(o); o.Members[0].Pod.Deleting = true },
		},
	})
}
