package controllers

import (
	"testing"

	"github.com/dbpair/dbpair/internal/failover"
)

func TestHousekeepingIsNoNews(t *testing.T) {
	for name, tc := range map[string]struct {
		kind failover.Kind
		step failover.Step
		want bool
	}{
		"labels":                         {failover.Acts, failover.LabelPod{}, true},
		"a finalizer":                    {failover.Acts, failover.RemoveFinalizer{}, true},
		"an agent is asked to look":      {failover.Acts, failover.Look{}, true},
		"the Service to a door":          {failover.Acts, failover.PointService{Leads: failover.LeadsDoor}, true},
		"the Service to a mysqld":        {failover.Acts, failover.PointService{Leads: failover.LeadsOpen}, false},
		"a change of the authority":      {failover.Acts, failover.ChangeAuthority{}, false},
		"a doubt that moves the Service": {failover.Doubts, failover.PointService{Leads: failover.LeadsDoor}, false},
	} {
		t.Run(name, func(t *testing.T) {
			plan := failover.Plan{Kind: tc.kind, Steps: []failover.Step{tc.step}}
			if got := housekeeping(plan); got != tc.want {
				t.Errorf("housekeeping = %t, want %t", got, tc.want)
			}
		})
	}
}
