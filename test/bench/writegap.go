package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// gapTolerance is by how much the status may differ from what clients saw.
const gapTolerance = 50 * time.Millisecond

// compareGap prints status.writeGap of the failover that followed the one before beside the time
// for which no client had a write acknowledged, and holds it against what clients saw who asked
// each member directly, without a Service in between. A fault that its primary outlived, restarted
// in place at the same epoch, has no operation. agentGone: nobody could say when the former primary
// closed, so that the status may say more than the truth.
func compareGap(ctx context.Context, pair *harness.Pair, before string, at history.Stamp, result harness.Result, agentGone bool) error {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return err
	}
	last, found := newestOf(operations, v1alpha1.OperationFailover)
	if !found || last.Name == before {
		fmt.Printf("  clients %s, no failover\n", rounded(result.Gap.Length()))
		return nil
	}
	if last.Status.WriteGap == nil {
		fmt.Printf("  clients %s, status.writeGap unknown\n", rounded(result.Gap.Length()))
		return nil
	}
	members := last.Status.WriteGap.Duration
	seen, found := windowOf(result.Report.Samples, at)
	if !found {
		return errors.New("no client saw the former primary and the new one accept writes")
	}
	fmt.Printf("  clients %s, status.writeGap %s, clients of each member from %s to %s\n",
		rounded(result.Gap.Length()), rounded(members), rounded(seen.least), rounded(seen.most))
	tooLong := members > seen.most+gapTolerance && !agentGone
	if tooLong || members < seen.least-gapTolerance {
		return fmt.Errorf("status.writeGap is %s, and clients who asked each member saw from %s to %s", members, seen.least, seen.most)
	}
	return nil
}

// window bounds the time for which no member accepted writes.
type window struct {
	least, most time.Duration
}

// windowOf is what samples say of the gap after an instant: at least from the first answer that the
// former primary accepts no writes to the last question that the new one answered so, and at
// most from the last question to the former that it answered with yes to the first such answer
// of the new one. A question without an answer says nothing: a member that opens ends its readers first.
func windowOf(samples []history.Sample, at history.Stamp) (window, bool) {
	samples = slices.SortedFunc(slices.Values(samples), func(a, b history.Sample) int { return cmp.Compare(a.Asked, b.Asked) })
	former := lastOf(samples, func(s history.Sample) bool { return s.Writable && s.Asked < at })
	if former == nil {
		return window{}, false
	}
	i := slices.IndexFunc(samples, func(s history.Sample) bool {
		return s.Writable && s.Asked > at && s.Member != former.Member
	})
	if i < 0 {
		return window{}, false
	}
	opened := samples[i]
	open := lastOf(samples, func(s history.Sample) bool {
		return s.Writable && s.Member == former.Member && s.Asked < opened.Asked
	})
	out := window{most: opened.Answered.Sub(open.Asked)}
	shut := lastOf(samples, func(s history.Sample) bool {
		return !s.Writable && !s.Failed && s.Member == opened.Member && s.Answered < opened.Asked
	})
	closed := slices.IndexFunc(samples, func(s history.Sample) bool {
		return !s.Writable && !s.Failed && s.Member == former.Member && s.Asked > open.Answered
	})
	if shut != nil && closed >= 0 {
		out.least = max(shut.Asked.Sub(samples[closed].Answered), 0)
	}
	return out, true
}

func lastOf(samples []history.Sample, fine func(history.Sample) bool) *history.Sample {
	for i := len(samples) - 1; i >= 0; i-- {
		if fine(samples[i]) {
			return &samples[i]
		}
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

// newestOf is the operation of one of the types that was begun last, if any was.
func newestOf(operations []v1alpha1.DatabasePairOperation, kinds ...v1alpha1.OperationType) (v1alpha1.DatabasePairOperation, bool) {
	operations = slices.DeleteFunc(operations, func(o v1alpha1.DatabasePairOperation) bool {
		return !slices.Contains(kinds, o.Spec.Type) || o.Status.StartTime == nil
	})
	if len(operations) == 0 {
		return v1alpha1.DatabasePairOperation{}, false
	}
	return slices.MaxFunc(operations, func(a, b v1alpha1.DatabasePairOperation) int {
		return a.Status.StartTime.Compare(b.Status.StartTime.Time)
	}), true
}
