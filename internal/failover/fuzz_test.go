package failover_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// FuzzPassive: whatever the agent of a passive says of itself, the operator does not take the
// authority from a primary that is open and answers. (It may fence the passive itself.)
func FuzzPassive(f *testing.F) {
	good, err := json.Marshal(steady().Members[1].State)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good), true)
	f.Add(`{"phase":"Open","openEpoch":9,"knownEpoch":9,"peerSilentFor":3600000000000}`, false)
	f.Add(`{"phase":"Closed","knownEpoch":9223372036854775807,"actedLedger":9223372036854775807}`, true)
	f.Add(`{"phase":"Nonsense","dataID":"data-shop-0","mysqld":{"running":true},"server":{"binlogGTIDs":"no set","executedGTIDs":","}}`, true)
	f.Add(`{"phase":"Failed","problems":[{}],"ending":true,"seed":{}}`, false)
	f.Add(`{"server":null,"drain":{},"discarded":{"epoch":-1}}`, true)
	f.Fuzz(func(t *testing.T, body string, both bool) {
		o := steady()
		if !both {
			o = solo()
		}
		state := agentapi.State{}
		if json.Unmarshal([]byte(body), &state) != nil {
			return
		}
		// The operator takes no answer of another agent.
		state.PairUID, state.Member, state.PodUID = "pair-1", m1, p1
		o.Members[1].State = &state
		p := failover.Decide(o)
		moves := []failover.StepName{"Revoke", "Appoint", "Adopt"}
		for _, step := range stepNames(p.Steps) {
			if slices.Contains(moves, step) {
				t.Errorf("%q: rule %s takes %v: %s", body, p.Rule, stepNames(p.Steps), p.Fact)
			}
		}
		if p.Rule == "" || p.Fact == "" {
			t.Errorf("%q: rule %q without a fact %q", body, p.Rule, p.Fact)
		}
		if holder := o.Authority.Record.Holder; holder != (pair.Holder{Member: m0, PodUID: p0}) {
			t.Errorf("%q: the record was changed: %v", body, holder)
		}
	})
}
