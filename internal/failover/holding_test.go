package failover_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// holding turns an observation into one of a pair whose clients are held at doors.
func holding(from func() failover.Observation) func() failover.Observation {
	return func() failover.Observation {
		o := from()
		o.Settings.HoldsClients = true
		for i := range o.Members {
			o.Members[i].State.Door = &agentapi.Door{}
		}
		return o
	}
}

// atDoor is after the candidate's appointment; the Service leads to its door, and the old pod
// is being deleted.
func atDoor() failover.Observation {
	o := appointed()
	o.Service = failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m1,
	}
	return o
}

func opened(o *failover.Observation) {
	s := o.Members[1].State
	s.Phase = agentapi.PhaseOpen
	s.OpenEpoch = 5
	s.Server.ReadOnly = false
	s.Server.SuperReadOnly = false
	s.Server.OfflineMode = false
}

func TestClientsAreHeldAtTheDoorAndReleasedAfterTheDeletion(t *testing.T) {
	type obs = failover.Observation
	toTheDoor := steps("AckFence", "AddFinalizer", "Fence", "Cease", "PointService")
	check(t, map[string]decision{
		"the Service leads to the candidate's door at once": {
			from:  holding(killed),
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: toTheDoor,
		},
		"not to that of an agent which cannot hold them": {
			from:  holding(killed),
			rule:  "PromoteCandidate",
			kind:  failover.Acts,
			steps: steps("AckFence", "AddFinalizer", "Fence", "Cease", "DetachService"),
			with:  func(_ *testing.T, o *obs) { o.Members[1].State.Door = nil },
		},
		"a Service without a selector is led there too": {
			from:  holding(appointed),
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
		},
		"the release comes with the Service": {
			from:  holding(atDoor),
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService", "ReleaseHeld"),
			with:  func(_ *testing.T, o *obs) { opened(o) },
		},
		"once": {
			from:  holding(atDoor),
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with: func(_ *testing.T, o *obs) {
				opened(o)
				o.Members[1].State.Door.Released = 5
			},
		},
		"again at another epoch": {
			from:  holding(atDoor),
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService", "ReleaseHeld"),
			with: func(_ *testing.T, o *obs) {
				opened(o)
				o.Members[1].State.Door.Released = 4
			},
		},
		"not before the deletion of the old pod": {
			from:  holding(atDoor),
			rule:  "DeleteFormerPrimaryPod",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with: func(_ *testing.T, o *obs) {
				opened(o)
				o.Members[0].Pod.Deleting = false
			},
		},
		"not where clients get an error": {
			from:  atDoor,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *obs) { opened(o) },
		},
	})
}

// The appointment's own step releases the door, after the deletion and never beside it.
func TestTheReleaseFollowsTheDeletion(t *testing.T) {
	o := holding(killed)()
	o.Service = failover.Service{
		Reading:   failover.Read,
		Version:   "6",
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m1,
	}
	steps := failover.ClearTheWay(o, m1)
	if len(steps) != 1 {
		t.Fatalf("got %v", steps)
	}
	order, ok := steps[0].(failover.InOrder)
	if !ok || len(order.Steps) != 2 || order.Steps[0].Name() != (failover.DeletePod{}).Name() || order.Steps[1].Name() != (failover.ReleaseHeld{}).Name() {
		t.Errorf("got %v", steps)
	}
	o.Members[0].Pod.Deleting = true
	if steps = failover.ClearTheWay(o, m1); len(steps) != 1 || steps[0].Name() != (failover.ReleaseHeld{}).Name() {
		t.Errorf("with a pod that is being deleted: %v", steps)
	}
	o.Members[0].Pod.Deleting = false
	o.Service = steadyService()
	if steps = failover.ClearTheWay(o, m1); len(steps) != 0 {
		t.Errorf("with a Service that still leads to the old pod: %v", steps)
	}
}

func steadyService() failover.Service { return steady().Service }
