package failover_test

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

// TestOnlyATailThatWasNeverAcknowledgedIsCut: of any other tail the member is asked to cut nothing.
func TestOnlyATailThatWasNeverAcknowledgedIsCut(t *testing.T) {
	cases := map[string]struct {
		clean, touched bool
		with           func(*failover.Observation)
		keeps          bool
	}{
		"a clean end": {clean: true},
		"a mysqld was started since the end": {
			clean:   true,
			touched: true,
			keeps:   true,
		},
		"an end that may have been acknowledged": {keeps: true},
		"the authority says nothing about it": {
			clean: true,
			keeps: true,
			with:  func(o *failover.Observation) { o.Authority.Record.Left = nil },
		},
		"the authority speaks of another end": {
			clean: true,
			keeps: true,
			with:  func(o *failover.Observation) { o.Members[1].State.UncleanAt = 2 },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := solo()
			held(c.clean, c.touched)(t, &o)
			if c.with != nil {
				c.with(&o)
			}
			p := failover.Decide(o)
			step, ok := rewindOf(p)
			if !ok || step.KeepTail != c.keeps {
				t.Errorf("%s: %s, steps %+v", p.Rule, p.Fact, p.Steps)
			}
		})
	}
}

func rewindOf(p failover.Plan) (failover.Rewind, bool) {
	if len(p.Steps) != 1 {
		return failover.Rewind{}, false
	}
	step, ok := p.Steps[0].(failover.Rewind)
	return step, ok
}

// TestAKeptTailIsComparedAgainOnceThePrimaryHasIt: an admin may give the primary empty
// transactions of the same GTIDs.
func TestAKeptTailIsComparedAgainOnceThePrimaryHasIt(t *testing.T) {
	for has, again := range map[string]bool{":1-9": false, ":1-11": true} {
		o := solo()
		held(false, false)(t, &o)
		o.Members[1].State.RewindRefused = "it has 2 transactions that the primary lacks"
		o.Members[1].State.TailKept = serverOf(m1) + ":10-11"
		o.Members[0].State.Server.BinlogGTIDs = serverOf(m1) + has
		p := failover.Decide(o)
		if step, ok := rewindOf(p); ok != again || (ok && !step.KeepTail) {
			t.Errorf("primary has %s: %s (%s), %+v", has, p.Fact, p.Kind, p.Steps)
		}
		if !again && (p.Kind != failover.Holds || p.Verb != failover.VerbReseed || !strings.Contains(p.Fact, "2 transactions")) {
			t.Errorf("%s %s: %s", p.Kind, p.Verb, p.Fact)
		}
	}
}

// TestAFormerPrimaryIsNotComparedWhileItCountsAsInSync: its agent would refuse.
func TestAFormerPrimaryIsNotComparedWhileItCountsAsInSync(t *testing.T) {
	o := steady()
	held(false, false)(t, &o)
	o.Authority.Record.Ledger.State = authority.Joining
	if p := failover.Decide(o); len(p.Steps) > 0 {
		if _, ok := rewindOf(p); ok {
			t.Errorf("%s: %s", p.Rule, p.Fact)
		}
	}
}
