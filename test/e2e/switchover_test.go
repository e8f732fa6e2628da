//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestSwitchover: the primary of a pair under load is switched over in order.
func TestSwitchover(t *testing.T) {
	t.Parallel()
	demoted := []fencing.Kind{fencing.Demoted}
	runFaults(t, "switchover", []fault{
		{name: "a dry run does nothing", want: undisturbed, inject: dryRun},
		{
			name:    "Demote",
			want:    failsOver,
			inject:  switchOver("Demote"),
			proofs:  demoted,
			after:   keptBoth,
			clients: countFailures,
		},
		{
			name:    "DeletePod",
			want:    failsOver,
			inject:  switchOver("DeletePod"),
			proofs:  demoted,
			clients: countFailures,
		},
		{
			name:   "Demote, and back",
			want:   failsOver,
			inject: switchOver("Demote"),
			proofs: demoted,
			after:  keptBoth,
		},
		{name: "given up for a long transaction", want: undisturbed, inject: giveUpForATransaction},
		{name: "canceled while a transaction is waited for", want: undisturbed, inject: cancelWhileDraining},
	})
}

// switchOver asks for a switchover and waits until the plugin says that it succeeded.
func switchOver(oldPrimary string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pod, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		if oldPrimary == "Demote" {
			st.run.Demoted(string(pod.UID))
		}
		out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--to", st.passive, "--old-primary", oldPrimary, "--wait")
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		if oldPrimary != "Demote" {
			return nil, nil
		}
		now, err := st.pair.Pod(st.ctx, st.primary)
		if err == nil && (now.UID != pod.UID || now.DeletionTimestamp != nil) {
			err = fmt.Errorf("the pod of %s did not stay", st.primary)
		}
		return nil, err
	}
}

// keptBoth: neither member left the ledger for the switchover.
func keptBoth(st *stage) error {
	record, err := lease.Parse(st.lease())
	if err != nil {
		return err
	}
	if record.Ledger.State != authority.Both || record.Appointed == nil || !record.Appointed.Demoted {
		return fmt.Errorf("ledger %s, appointment %+v", record.Ledger.State, record.Appointed)
	}
	return nil
}

// dryRun says that the pair is fit, and changes nothing.
func dryRun(st *stage) (func(context.Context) error, error) {
	out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--dry-run")
	if err == nil && (!strings.Contains(out, "fit: the passive is in sync") || !strings.Contains(out, "idle sessions would be closed")) {
		err = fmt.Errorf("the dry run says %q", out)
	}
	operations, listed := st.pair.Operations(st.ctx)
	for _, o := range operations {
		if o.Spec.Type == v1alpha1.OperationSwitchover {
			listed = errors.Join(listed, fmt.Errorf("the dry run made operation %s", o.Name))
		}
	}
	return nil, errors.Join(err, listed)
}

// giveUpForATransaction: a transaction does not end, and is not cut.
func giveUpForATransaction(st *stage) (func(context.Context) error, error) {
	end, err := transactionInFlight(st)
	if err != nil {
		return end, err
	}
	out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--on-timeout", "GiveUp", "--drain-timeout", "2s", "--deadline", "15s", "--wait")
	if err == nil {
		return end, fmt.Errorf("the switchover succeeded: %s", out)
	}
	return end, st.awaitOperation(st.ctx, "", v1alpha1.OperationAbandoned, v1alpha1.OperationSwitchover)
}

// cancelWhileDraining: a person changes their mind.
func cancelWhileDraining(st *stage) (func(context.Context) error, error) {
	end, err := transactionInFlight(st)
	if err != nil {
		return end, err
	}
	if out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--drain-timeout", "5m", "--deadline", "10m"); err != nil {
		return end, fmt.Errorf("%w: %s", err, out)
	}
	if err := st.awaitOperation(st.ctx, "", v1alpha1.OperationRunning, v1alpha1.OperationSwitchover); err != nil {
		return end, err
	}
	out, err := cluster.Plugin(st.ctx, st.namespace, "cancel", st.pair.Name)
	if err != nil {
		return end, fmt.Errorf("%w: %s", err, out)
	}
	return end, st.awaitFinished(st.ctx)
}

// awaitFinished waits until no switchover is under way.
func (st *stage) awaitFinished(ctx context.Context) error {
	return harness.Eventually(ctx, harness.Patience, "the end of every switchover", func(ctx context.Context) error {
		operations, err := st.pair.Operations(ctx)
		if err != nil {
			return err
		}
		for _, o := range operations {
			if o.Spec.Type == v1alpha1.OperationSwitchover && !o.Status.Phase.Terminal() {
				return harness.NotYet("operation %s is %s: %s", o.Name, o.Status.Phase, o.Status.Message)
			}
		}
		return nil
	})
}
