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

// automatic: spec.rejoin.onDivergence is Automatic, and mysqld of the primary is the run that the
// ledger names.
func automatic(_ *testing.T, o *failover.Observation) {
	o.Settings.ReseedsDiverged = true
	o.FreshID = "fresh"
	ledger := &o.Authority.Record.Ledger
	if ledger.State == authority.Solo {
		ledger.Incarnations = map[pair.MemberName]pair.Incarnation{m0: "inc-shop-0"}
	}
}

// wroteOn: the passive's agent found transactions of this server that the primary lacks.
func wroteOn(server string) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.Members[1].State.Compared = &agentapi.Comparison{
			DataID:            "data-shop-1",
			Incarnation:       "inc-shop-1",
			HolderDataID:      "data-shop-0",
			HolderIncarnation: "inc-shop-0",
			Errant:            server + ":5-6",
		}
		o.Members[1].State.Server.Receiver.Running = false
		delete(o.Members[1].Pod.Labels, pair.LabelReadable)
	}
}

// wroteWhileStreaming: the same, and the passive goes on receiving from the primary.
func wroteWhileStreaming(t *testing.T, o *failover.Observation) {
	wroteOn(serverOf(m1))(t, o)
	o.Members[1].State.Server.Receiver.Running = true
	o.Members[1].Pod.Labels[pair.LabelReadable] = "true"
}

// leftBy: the passive was the primary at epoch 2, and lost the authority by this proof.
func leftBy(kind fencing.Kind, clean bool) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.Authority.Record.Left = &authority.Left{
			Member: m1,
			DataID: "data-shop-1",
			Epoch:  2,
			Clean:  clean,
			Proof:  kind,
		}
	}
}

// tailRefused: the passive's tail was found and is not cut.
func tailRefused(t *testing.T, o *failover.Observation) {
	heldPassive(t, o)
	s := o.Members[1].State
	s.RewindRefused, s.TailKept, s.TailCommitted = "the tail is committed", serverOf(m1)+":5-6", true
	o.Members[0].State.Server.BinlogGTIDs = serverOf(m0) + ":1-9"
	delete(o.Members[1].Pod.Labels, pair.LabelReadable)
}

func TestADivergedPassiveIsCopiedWhereNothingAcknowledgedIsLost(t *testing.T) {
	type obs = failover.Observation
	own := wroteOn(serverOf(m1))
	check(t, map[string]decision{
		"not unless it is asked for": {from: solo, rule: "Diverged", kind: failover.Holds, with: own},
		"the primary goes on alone first": {from: steady, rule: "ReseedDiverged", kind: failover.Acts, steps: steps("EnterSolo"),
			with: then(automatic, own)},
		"then the data is given up": {from: solo, rule: "ReseedDiverged", kind: failover.Acts, steps: steps("ForgetData"),
			with: then(automatic, own)},
		"also a tail that was committed and never acknowledged": {from: solo, rule: "ReseedDiverged", kind: failover.Acts,
			steps: steps("ForgetData"), with: then(automatic, tailRefused, leftBy(fencing.ProcessStopped, true))},
		"not after a forced promotion": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, leftBy(fencing.HumanAck, false))},
		"nor the tail that such a promotion left": {from: solo, rule: "RewindTail", kind: failover.Holds,
			with: then(automatic, tailRefused, leftBy(fencing.HumanAck, false))},
		"nor a tail of another epoch": {from: solo, rule: "RewindTail", kind: failover.Holds,
			with: then(automatic, tailRefused, leftBy(fencing.ProcessStopped, true), func(_ *testing.T, o *obs) {
				o.Members[1].State.UncleanAt = 1
			})},
		"nor in Async": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) { o.Settings.Lossless = false })},
		"nor when the primary was restarted": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) {
				o.Authority.Record.Ledger.Incarnations[m0] = "former"
			})},
		"nor when the finding is of a former run of the primary": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, errant, func(_ *testing.T, o *obs) {
				o.Members[1].State.Compared.HolderIncarnation = "former"
			})},
		"nor what the primary has lost itself": {from: solo, rule: "PrimaryDataRolledBack", kind: failover.Doubts,
			with: then(automatic, wroteOn(serverOf(m0)))},
		"nor what no quarantine would have": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) {
				o.Members[1].State.Server.PurgedGTIDs = serverOf(m1) + ":5"
			})},
		"nor data that the authority does not know": {from: solo, rule: "Diverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) { o.Members[1].State.DataID = "other" })},
		"nor while the claim goes": {from: solo, rule: "ReseedDiverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) { o.Members[1].ClaimDeleting = true })},
		"nor where the primary must not go on alone": {from: steady, rule: "ReseedDiverged", kind: failover.Holds,
			with: then(automatic, own, func(_ *testing.T, o *obs) { o.Settings.ContinueAlone = false })},
	})
}

// Root writes on a passive that streams, and the primary does not receive it.
func TestAStreamingPassiveWithWritesOfItsOwnIsNotPromotable(t *testing.T) {
	type obs = failover.Observation
	ended := func(_ *testing.T, o *obs) { exited(o) }
	check(t, map[string]decision{
		"the ledger says so at once": {
			from:  steady,
			rule:  "Diverged",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with:  wroteWhileStreaming,
		},
		"it is not verified in vain again and again": {
			from: steady,
			rule: "Diverged",
			kind: failover.Holds,
			with: then(wroteWhileStreaming, joining),
		},
		"it does not take over": {
			from: steady,
			rule: "NoCandidate",
			kind: failover.Holds,
			with: then(wroteWhileStreaming, joining, ended),
		},
		"one that does not stream is left to the commits that wait": {
			from: steady,
			rule: "Diverged",
			kind: failover.Holds,
			with: wroteOn(serverOf(m1)),
		},
		"what a restarted primary lacks may have been acknowledged": {
			from: steady,
			rule: "Diverged",
			kind: failover.Holds,
			with: then(wroteWhileStreaming, func(_ *testing.T, o *obs) {
				o.Members[0].State.Mysqld.Incarnation = "next"
				o.Members[1].State.Compared.HolderIncarnation = "next"
			}),
		},
		"in Async nothing waits for it": {
			from: solo,
			rule: "Diverged",
			kind: failover.Holds,
			with: then(wroteWhileStreaming, func(_ *testing.T, o *obs) { o.Settings.Lossless = false }),
		},
	})
}

func TestFailoverReadyNamesWhatThePassiveAloneHasAndTheCure(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *failover.Observation){
		"before the ledger says so": wroteWhileStreaming,
		"after":                     then(wroteWhileStreaming, joining),
		"while it does not stream":  wroteOn(serverOf(m1)),
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			change(t, &o)
			p := failover.Decide(o)
			if p.FailoverReady.Ready || p.FailoverReady.Rule != failover.RuleDiverged || p.Evictable {
				t.Errorf("FailoverReady is %+v, evictable %t", p.FailoverReady, p.Evictable)
			}
			for _, want := range []string{"shop-1 has 2 transactions that shop-0 lacks", serverOf(m1) + ":5-6", "kubectl dbpair reseed shop shop-1 -n ns"} {
				if !strings.Contains(p.FailoverReady.Fact, want) {
					t.Errorf("it does not say %q: %s", want, p.FailoverReady.Fact)
				}
			}
		})
	}
}
