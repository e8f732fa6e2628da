package failover_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

func labeledFor(e int64) map[string]string {
	return map[string]string{fmt.Sprint(pair.LabelEpochPrefix, e): string(failover.LeadsOpen)}
}

// What no pair can have is no fact about this one: neither a doubt nor a number that the
// next epoch has to be above.
func TestImpossibleEpochsAreNoFacts(t *testing.T) {
	check(t, map[string]decision{
		"a label out of range is taken off": {
			from:  steady,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels = labeledFor(math.MaxInt64) },
		},
		"a label far above the Lease is taken off": {
			from:  steady,
			rule:  "LabelsFollow",
			kind:  failover.Acts,
			steps: steps("LabelPod"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels = labeledFor(pair.MaxVersion) },
		},
		"a label above the Lease is doubt": {
			from: steady,
			rule: "AuthorityRolledBack",
			kind: failover.Doubts,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Labels = labeledFor(40) },
		},
		"a status out of range": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: func(_ *testing.T, o *failover.Observation) { o.History.Epoch = math.MaxInt64 },
		},
		"a Service far above the Lease leads elsewhere": {
			from:  steady,
			rule:  "ServiceFollows",
			kind:  failover.Acts,
			steps: steps("PointService"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Service.Epoch = pair.MaxVersion },
		},
	})
}

// An agent that names an impossible number is heard no more than one that does not answer.
func TestAnAgentWithAnImpossibleNumberIsNotHeard(t *testing.T) {
	for name, spoil := range map[string]func(*agentapi.State){
		"epoch":            func(s *agentapi.State) { s.KnownEpoch = math.MaxInt64 },
		"open epoch":       func(s *agentapi.State) { s.OpenEpoch = -1 },
		"ledger version":   func(s *agentapi.State) { s.ActedLedger = math.MaxInt64 },
		"ledger that was":  func(s *agentapi.State) { s.Ledger = &agentapi.SeenLedger{Version: math.MaxInt64} },
		"volume's epoch":   func(s *agentapi.State) { s.Found = &agentapi.FoundVolume{KnownEpoch: math.MaxInt64} },
		"volume's version": func(s *agentapi.State) { s.Found = &agentapi.FoundVolume{Ledger: &agentapi.SeenLedger{Version: -1}} },
	} {
		o := steady()
		spoil(o.Members[1].State)
		p := failover.Decide(o)
		if p.Kind == failover.Doubts || p.FailoverReady.Ready {
			t.Errorf("%s: rule %s (%s), ready %t: %s", name, p.Rule, p.Kind, p.FailoverReady.Ready, p.Fact)
		}
	}
}

// After an adoption there is always room for the next epochs, whatever was claimed.
func TestAdoptionLeavesRoomForEpochs(t *testing.T) {
	for _, claim := range []int64{40, pair.MaxVersion, math.MaxInt32, math.MaxInt64} {
		o := steady()
		o.Members[1].Pod.Labels = labeledFor(claim)
		o.Authority.Record.Appointed = nil // a doubt of another kind
		o.Operations = []failover.Operation{{
			Name:          "op",
			Verb:          failover.VerbAdopt,
			Target:        m0,
			Confirmed:     o.Authority.Record.Epoch,
			ConfirmedPair: "shop",
			Running:       true,
		}}
		p := failover.Decide(o)
		if p.Rule != failover.RuleAdoptRequested || len(p.Steps) == 0 {
			t.Fatalf("label %d: rule %s: %s", claim, p.Rule, p.Fact)
		}
		c := p.Steps[0].(failover.ChangeAuthority)
		next, err := c.Change.Apply(c.From)
		if err != nil || next.CheckRange() != nil || next.Epoch > 1000 {
			t.Errorf("label %d: adopted at epoch %d: %v, %v", claim, next.Epoch, err, next.CheckRange())
		}
	}
}
