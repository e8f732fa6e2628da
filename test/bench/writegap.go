package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// gapTolerance is what the status may say beyond what clients lived through.
const gapTolerance = 50 * time.Millisecond

// compareGap prints status.writeGap of the failover that followed the one before beside the time
// for which no client had a write acknowledged. The members measure the first, so it lacks what the
// cluster takes to lead clients to the new primary, and is never longer than the second, which is an
// error. A fault that its primary outlived, restarted in place at the same epoch, has no operation.
// agentGone: nobody could say when the former primary closed, so that the status says more than the truth.
func compareGap(ctx context.Context, pair *harness.Pair, before string, result harness.Result, agentGone bool) error {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return err
	}
	last, found := newestOf(operations, v1alpha1.OperationFailover)
	if !found || last.Name == before {
		fmt.Printf("  clients %s, no failover\n", result.Gap.Length().Round(time.Millisecond))
		return nil
	}
	status := last.Status
	if status.WriteGap == nil {
		fmt.Printf("  clients %s, status.writeGap unknown\n", result.Gap.Length().Round(time.Millisecond))
		return nil
	}
	members := status.WriteGap.Duration
	clients := result.Gap.Length()
	fmt.Printf("  clients %s, status.writeGap %s\n", clients.Round(time.Millisecond), members.Round(time.Millisecond))
	if !agentGone && members > clients+gapTolerance {
		return fmt.Errorf("status.writeGap is %s, and clients were without an acknowledged write for %s only", members, clients)
	}
	return nil
}

// lastFailover is the name of the newest failover; empty when there was none.
func lastFailover(ctx context.Context, pair *harness.Pair) (string, error) {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return "", err
	}
	last, _ := newestOf(operations, v1alpha1.OperationFailover)
	return last.Name, nil
}

// newestOf is the operation of a type that was begun last, if any was.
func newestOf(operations []v1alpha1.DatabasePairOperation, kind v1alpha1.OperationType) (v1alpha1.DatabasePairOperation, bool) {
	operations = slices.DeleteFunc(operations, func(o v1alpha1.DatabasePairOperation) bool {
		return o.Spec.Type != kind || o.Status.StartTime == nil
	})
	if len(operations) == 0 {
		return v1alpha1.DatabasePairOperation{}, false
	}
	return slices.MaxFunc(operations, func(a, b v1alpha1.DatabasePairOperation) int {
		return a.Status.StartTime.Compare(b.Status.StartTime.Time)
	}), true
}
