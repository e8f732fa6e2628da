package failover_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with a file of testdata, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test ./internal/failover -update writes it:\n%s", path, diff)
	}
}

// doubts has an observation for every rule that a person resolves.
func doubts(t *testing.T) map[failover.RuleName]failover.Observation {
	t.Helper()
	made := map[failover.RuleName]failover.Observation{}
	add := func(rule failover.RuleName, o failover.Observation, with ...func(*failover.Observation)) {
		for _, change := range with {
			change(&o)
		}
		made[rule] = o
	}
	type obs = failover.Observation
	lostFirst := func(o *obs) { o.Members[0].State = member(m0, p0, agentapi.PhaseEmpty).State }
	add(failover.RuleAuthorityMissing, newPair(), func(o *obs) { o.History.Epoch = 2 })
	add(failover.RuleAuthorityMalformed, steady(), func(o *obs) { o.Authority.Record.PairUID = "other" })
	add(failover.RuleAuthorityRolledBack, steady(), func(o *obs) { o.Members[1].State.KnownEpoch = 9 })
	add(failover.RuleAuthorityChangedByOthers, steady(), func(o *obs) { o.Authority.Record.Appointed = nil })
	add(failover.RuleBootstrapStalled, began(), func(o *obs) { gone(o, 0, time.Minute) })
	add(failover.RuleFlapBudgetSpent, steady(), exited, func(o *obs) { o.History.Failovers = make([]time.Time, 3) })
	add(failover.RuleFailoverDue, steady(), exited, func(o *obs) { o.Settings.AutomaticFailover = false })
	add(failover.RulePrimaryDataRolledBack, steady(), func(o *obs) { bothRestarted(serverOf(m0)+":90-95")(t, o) })
	add(failover.RuleManuallyFenced, between(), func(o *obs) { o.Operations = []failover.Operation{op(failover.VerbFence, "", -1)} })
	add(failover.RuleAwaitingProof, between(), fenced, func(o *obs) {
		ceased(t, *o, m1, p1, t0)
		o.Settings.Lossless = false
		o.Now = t0.Add(time.Minute)
	})
	add(failover.RuleCandidateStuck, between(), lostFirst, func(o *obs) { o.Members[1].State.Server.Applier.LastErrno = 1062 })
	add(failover.RuleNoTrustedCopy, between(), lostFirst, func(o *obs) { o.Members[1].State.Mysqld.Incarnation = "next" })
	add(failover.RuleVolumeClaimDeleting, between(), func(o *obs) {
		o.Members[1].State.Mysqld.Incarnation = "next"
		o.Members[0].Pod.Deleting, o.Members[0].ClaimDeleting = true, true
	})
	add(failover.RulePassiveLacksData, steady(), func(o *obs) { lacking(t, o); joining(t, o) })
	add(failover.RuleDiverged, solo(), func(o *obs) {
		o.History.Errant = failover.ErrantByMember{m1: {GTIDs: serverOf(m1) + ":5", DataID: "data-shop-1", Incarnation: "inc-shop-1"}}
	})
	return made
}

// Every rule that a person resolves says how, by complete commands. The plugin has a test
// that takes each of them.
func TestEveryDoubtHasItsCommands(t *testing.T) {
	cases := doubts(t)
	names := append(slices.Clone(failover.DoubtRules), failover.RuleFailoverDue, failover.RulePassiveLacksData, failover.RuleDiverged)
	var out strings.Builder
	for _, rule := range names {
		o, ok := cases[rule]
		if !ok {
			t.Errorf("rule %s has no case here", rule)
			continue
		}
		p := failover.Decide(o)
		if p.Rule != rule {
			t.Errorf("the case for %s is %s: %s", rule, p.Rule, p.Fact)
		}
		if len(p.Remedy.Commands("ns", "shop")) == 0 || p.Remedy.Loses == "" {
			t.Errorf("%s says neither what to do nor what it costs: %+v", rule, p.Remedy)
		}
		fmt.Fprintf(&out, "%s: %s\n", rule, p.Remedy.Loses)
		for _, command := range p.Remedy.Commands("ns", "shop") {
			fmt.Fprintf(&out, "\t%s\n", command)
		}
	}
	golden(t, "testdata/remedies.txt", out.String())
}
