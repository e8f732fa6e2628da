package failover_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// A release takes effect at once, and one that is answered only after its fence has ended
// has succeeded: it has done its work.
func TestAReleaseNeedsNoNoteToTakeEffect(t *testing.T) {
	o := between()
	o.Operations = []failover.Operation{op(failover.VerbFence, "", -1), {Name: "op-2", Verb: failover.VerbRelease, Confirmed: -1}}
	if p := failover.Decide(o); p.Rule != failover.RulePromoteCandidate {
		t.Errorf("rule %s (%s), want the way to a primary", p.Rule, p.Fact)
	}
	o = steady()
	o.Operations = []failover.Operation{{Name: "op-2", Verb: failover.VerbRelease, Confirmed: -1}}
	if n := note(t, failover.Decide(o)); n.Name != "op-2" || n.Phase != pair.OperationSucceeded {
		t.Errorf("note %+v, want that op-2 has succeeded", n)
	}
}

func TestAReleaseDoesNotEndALaterFence(t *testing.T) {
	o := between()
	o.Operations = []failover.Operation{
		{
			Name:      "op-2",
			Verb:      failover.VerbRelease,
			Confirmed: -1,
			CreatedAt: t0.Add(-time.Minute),
		},
		{
			Name:      "op-3",
			Verb:      failover.VerbFence,
			Confirmed: -1,
			CreatedAt: t0.Add(-time.Second),
		},
	}
	if p := failover.Decide(o); p.Rule != failover.RuleManuallyFenced {
		t.Errorf("rule %s (%s), want the fence", p.Rule, p.Fact)
	}
}
