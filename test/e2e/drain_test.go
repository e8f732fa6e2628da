//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// TestDrain: kubectl drain of each member's node in turn, twice around, as an upgrade of the
// nodes does. Nothing runs beside it: others' pods could not come back to a node that is cordoned.
func TestDrain(t *testing.T) {
	runFaults(t, "drain", []fault{
		{
			name:    "each node in turn, twice around",
			want:    either,
			inject:  drainEachTwice,
			clients: countFailures,
			long:    true,
		},
	})
}

// drainEachTwice drains a node, lets pods back on it and waits until the pair is ready, as the
// drain of the next node would.
func drainEachTwice(st *stage) (func(context.Context) error, error) {
	members := st.pair.Members()
	for round := range 2 {
		for _, member := range members {
			node := st.nodes[member]
			if err := drain(st, node.Name); err != nil {
				return func(ctx context.Context) error { return harness.Uncordon(ctx, node.Name) }, err
			}
			st.Logf("round %d: %s is drained", round+1, node.Name)
			if err := errors.Join(harness.Uncordon(st.ctx, node.Name), st.pair.AwaitReady(st.ctx)); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func drain(st *stage, node string) error {
	out, err := harness.Drain(st.ctx, node, "dbpair.io/pair="+st.pair.Name)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 50)
}

// countFailures says what clients met: sessions that were closed while they did not use them, which a
// pool asks for once more, and connections that failed. How many of the latter there are depends on
// how late the nodes follow and how long doors hold, so on the machine.
func countFailures(st *stage, report history.Report) error {
	closed := 0
	failed := map[string]int{}
	for _, a := range report.Attempts {
		switch {
		case a.Acknowledged():
		case a.Server == "":
			failed[a.Error]++
		default:
			closed++
		}
	}
	st.Logf("%d attempts, %d sessions found closed, connections that failed: %v", len(report.Attempts), closed, failed)
	return nil
}
