package failover_test

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// TestLostBinlogs: a member whose data has lost its binary logs is treated like one whose data is
// lost, but for data that may be all that is left of acknowledged writes.
func TestLostBinlogs(t *testing.T) {
	type obs = failover.Observation
	const message = "volume claim binlog-shop-x: the binary logs are lost"
	lost := func(i int) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			m := &o.Members[i]
			m.State = member(m.Name, m.Pod.UID, agentapi.PhaseVoid).State
			m.State.DataID = ""
			m.State.Problems = []agentapi.Problem{{Code: agentapi.ProblemBinlogsLost, Message: message}}
			delete(m.Pod.Labels, pair.LabelReadable)
		}
	}
	former := func(clean bool, epoch pair.Epoch) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.FreshID = "copy"
			o.Members[1].State.UncleanAt = 2
			o.Authority.Record.Left = &authority.Left{
				Member: m1,
				DataID: "data-shop-1",
				Epoch:  epoch,
				Clean:  clean,
				Proof:  fencing.Demoted,
			}
		}
	}
	check(t, map[string]decision{
		"of the primary: the other takes over": {
			from:  steady,
			rule:  "HolderDataLost",
			kind:  failover.Acts,
			steps: steps("Revoke"),
			with:  lost(0),
		},
		"of a primary that is alone: nobody does": {
			from: solo,
			rule: "NoTrustedCopy",
			kind: failover.Doubts,
			with: lost(0),
		},
		"of the passive: it is copied again": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(lost(1), func(_ *testing.T, o *obs) { o.FreshID = "copy" }),
		},
		"of a former primary whose tail is unknown: it is copied again": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(lost(1), former(true, 2)),
		},
		"of one whose tail may have been acknowledged: its data is kept": {
			from: solo,
			rule: "MemberProblem",
			kind: failover.Holds,
			with: then(lost(1), former(false, 2)),
		},
		"of one that ended uncleanly at another epoch than is known of: its data is kept": {
			from: solo,
			rule: "MemberProblem",
			kind: failover.Holds,
			with: then(lost(1), former(true, 1)),
		},
	})
	o := solo()
	then(lost(1), former(false, 2))(t, &o)
	fact := failover.Decide(o).Fact
	for _, want := range []string{message, "its data is kept as it is", "kubectl delete pvc data-shop-1"} {
		if !strings.Contains(fact, want) {
			t.Errorf("no %q in %q", want, fact)
		}
	}
}

// TestTheClaimOfBinaryLogsInDeletion is named, with what is lost with it.
func TestTheClaimOfBinaryLogsInDeletion(t *testing.T) {
	o := steady()
	o.Members[1].ClaimDeleting = true
	o.Members[1].DeletingClaim = "binlog-shop-1"
	p := failover.Decide(o)
	for _, want := range []string{"the volume claim binlog-shop-1 is being deleted", "its binary logs, without which its data is not used"} {
		if p.Rule != failover.RuleVolumeClaimDeleting || !strings.Contains(p.Fact, want) {
			t.Errorf("%s: no %q in %q", p.Rule, want, p.Fact)
		}
	}
}
