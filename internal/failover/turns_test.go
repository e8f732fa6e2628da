package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/failover"
)

// TestWhatIsReportedDoesNotChangeWithTheStepThatHasItsTurn: while a step is refused, it and
// later ones take turns.
func TestWhatIsReportedDoesNotChangeWithTheStepThatHasItsTurn(t *testing.T) {
	o := between()
	o.Now = t0.Add(time.Hour) // every proof is overdue
	o.Evidence.SawEpoch(4, t0)
	o.Service.Detached = "a pod that is gone"
	o.Service.Member = ""
	o.Service.Epoch = -1
	turns := map[failover.RuleName]bool{}
	var before failover.Plan
	for i := range 6 {
		p := failover.Decide(o)
		turns[p.Rule] = true
		o.History = o.History.After(o, p, failover.Outcome{Failed: p.Rule == failover.RuleServiceFollows})
		if i < 2 {
			before = p // the step has to have failed once
			continue
		}
		if diff := cmp.Diff(before.State, p.State); diff != "" {
			t.Errorf("turn %d of %s: the state is another one:\n%s", i, p.Rule, diff)
		}
		if diff := cmp.Diff(before.Notes, p.Notes); diff != "" {
			t.Errorf("turn %d of %s: the notes are other ones:\n%s", i, p.Rule, diff)
		}
		if diff := cmp.Diff(before.FailoverReady, p.FailoverReady); diff != "" {
			t.Errorf("turn %d of %s: FailoverReady is another one:\n%s", i, p.Rule, diff)
		}
		if want := p.Rule == failover.RuleServiceFollows; p.Retried != want {
			t.Errorf("turn %d of %s: retried %v", i, p.Rule, p.Retried)
		}
		before = p
	}
	if len(turns) < 2 {
		t.Errorf("nothing took turns: %v", turns)
	}
}

func TestARefusedWriteThatAFailoverNeedsIsNoReadiness(t *testing.T) {
	for name, c := range map[string]struct {
		write failover.Write
		ready bool
	}{
		"of the Lease":            {failover.Write{Verb: "update", Kind: failover.KindLease, Name: "shop"}, false},
		"of a member's pod":       {failover.Write{Verb: "patch", Kind: failover.KindPod, Name: "shop-1"}, false},
		"of the client Service":   {failover.Write{Verb: "update", Kind: failover.KindService, Name: "shop"}, false},
		"of the passive Service":  {failover.Write{Verb: "apply", Kind: failover.KindService, Name: "shop-passive"}, true},
		"of a Secret":             {failover.Write{Verb: "apply", Kind: "Secret", Name: "shop-app"}, true},
		"of the pair's status":    {failover.Write{Verb: "patch the status of", Kind: failover.KindPair, Name: "shop"}, true},
		"of an operation's state": {failover.Write{Verb: "create", Kind: "DatabasePairOperation", Name: "shop-failover-4"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			o.Refused = []failover.RefusedWrite{{Write: c.write, Says: "exceeded quota", Since: t0}}
			p := failover.Decide(o)
			if p.FailoverReady.Ready != c.ready || p.Evictable != c.ready {
				t.Fatalf("ready %+v, evictable %v", p.FailoverReady, p.Evictable)
			}
			says := "the API server has refused to " + c.write.String() + " since 2026-01-02T03:04:05Z: exceeded quota"
			if !c.ready && (p.FailoverReady.Rule != failover.RuleWriteRefused || !strings.Contains(p.FailoverReady.Fact, says)) {
				t.Errorf("%s: %s", p.FailoverReady.Rule, p.FailoverReady.Fact)
			}
			if diff := cmp.Diff(failover.Decide(steady()).Steps, p.Steps); diff != "" {
				t.Errorf("the steps are others:\n%s", diff)
			}
		})
	}
}
