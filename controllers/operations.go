package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

// observeOperations are the unfinished operations of the pair, oldest first. All of
// them are added to the view.
func (r *PairReconciler) observeOperations(
	ctx context.Context, p *v1alpha1.DatabasePair, seen *view,
) ([]failover.Operation, error) {
	var list v1alpha1.DatabasePairOperationList
	if err := r.Client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingFields{indexPair: p.Name}); err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.DatabasePairOperation) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	seen.operations = list.Items
	var out []failover.Operation
	for i := range list.Items {
		op := &list.Items[i]
		if op.Spec.Type.ByJob() {
			if op.Status.Phase == v1alpha1.OperationRunning {
				seen.jobs = append(seen.jobs, op.Name)
			}
			continue // nothing about the roles but a switchover depends on it
		}
		if !op.Status.Phase.Terminal() {
			one := operationOf(op)
			one.Switchover = switchoverOf(op, p)
			out = append(out, one)
		}
	}
	return out, nil
}

// ofFormerPair says why the operation is about a pair that had this one's name before it;
// empty when it is about this one.
func ofFormerPair(op *v1alpha1.DatabasePairOperation, p *v1alpha1.DatabasePair) string {
	return operationOf(op).OfFormerPair(pair.UID(p.UID), p.CreationTimestamp.Time)
}

// ours are the operations that are about this very pair.
func (v *visit) ours() []v1alpha1.DatabasePairOperation {
	return slices.DeleteFunc(slices.Clone(v.operations),
		func(op v1alpha1.DatabasePairOperation) bool { return ofFormerPair(&op, v.pair) != "" })
}

// automaticFailover: one that the operator began and that moved the authority.
func automaticFailover(op *v1alpha1.DatabasePairOperation) bool {
	planned := op.Status.Rule == string(failover.RuleHolderLeaving)
	return byOperator(op) && op.Spec.Type == v1alpha1.OperationFailover && op.Status.Phase == v1alpha1.OperationSucceeded && !planned
}

func byOperator(op *v1alpha1.DatabasePairOperation) bool {
	return op.Labels[cluster.LabelByOperator] == "true"
}

func operationOf(op *v1alpha1.DatabasePairOperation) failover.Operation {
	out := failover.Operation{
		Name:             op.Name,
		Verb:             cluster.VerbOf(op.Spec.Type),
		Target:           pair.MemberName(op.Spec.Target),
		Confirmed:        -1,
		Running:          op.Status.Phase == v1alpha1.OperationRunning,
		ByOperator:       byOperator(op),
		Drill:            byOperator(op) && status.IsDrill(op),
		Epoch:            pair.Epoch(op.Status.Epoch),
		From:             pair.MemberName(op.Status.From),
		CreatedAt:        op.CreationTimestamp.Time,
		PairUID:          pair.UID(op.Spec.PairRef.UID),
		DiscardUnapplied: op.Spec.DiscardUnapplied,
		GiveUp:           op.Spec.GiveUp,
		Message:          op.Status.Message,
		Canceled:         op.Annotations[v1alpha1.AnnotationCancel],
	}
	if op.Status.StartTime != nil {
		out.StartedAt = op.Status.StartTime.Time
	}
	if op.Spec.Type == v1alpha1.OperationReseed && op.Spec.From == v1alpha1.ReseedFromBackup {
		out.Backup = &failover.ServedBackup{Fact: "it was not looked at yet"}
	}
	if name, epoch, ok := strings.Cut(op.Spec.Confirm, "/"); ok {
		if n, err := strconv.ParseInt(epoch, 10, 64); err == nil {
			out.ConfirmedPair = name
			out.Confirmed = pair.Epoch(n)
		}
	}
	return out
}

// switchoverOf are the parameters of a switchover, where it does not say otherwise those of the
// pair; nil for other operations.
func switchoverOf(op *v1alpha1.DatabasePairOperation, p *v1alpha1.DatabasePair) *failover.Switchover {
	if op.Spec.Type != v1alpha1.OperationSwitchover {
		return nil
	}
	given := op.Spec.Switchover
	if given == nil {
		given = &v1alpha1.SwitchoverParameters{}
	}
	spec := p.Spec.Switchover
	out := &failover.Switchover{
		Demote:       cmp.Or(given.OldPrimary, spec.OldPrimary) == v1alpha1.DemotePrimary,
		GiveUp:       cmp.Or(given.OnTimeout, spec.OnTimeout) == v1alpha1.GiveUpSwitchover,
		DrainTimeout: cmp.Or(spec.DrainTimeout.Duration, 10*time.Second),
		Deadline:     cmp.Or(spec.Deadline.Duration, time.Minute),
	}
	if d := given.DrainTimeout; d != nil {
		out.DrainTimeout = d.Duration
	}
	if d := op.Spec.Deadline; d != nil {
		out.Deadline = d.Duration
	}
	return out
}

// pruneOperations deletes the oldest finished operations beyond the limit.
func (r *PairReconciler) pruneOperations(ctx context.Context, v *visit) error {
	// A schedule must not push the record of a failover out: what it makes is counted apart.
	for _, scheduled := range []bool{false, true} {
		finished := slices.DeleteFunc(slices.Clone(v.operations), func(op v1alpha1.DatabasePairOperation) bool {
			// The present appointment's stays: its lack would look as if it had never been written.
			return !op.Status.Phase.Terminal() || status.ScheduledAt(&op).IsZero() == scheduled || op.Name == v.session.history.Recorded
		})
		if err := r.prune(ctx, finished, int(v.pair.Spec.OperationHistoryLimit)); err != nil {
			return err
		}
	}
	return nil
}

func (r *PairReconciler) prune(ctx context.Context, finished []v1alpha1.DatabasePairOperation, limit int) error {
	// The operations of the last hour are the flap budget's memory.
	for i := 0; i < len(finished)-limit; i++ {
		op := &finished[i]
		if at := op.Status.CompletionTime; at != nil && r.Now().Sub(at.Time) < time.Hour {
			continue
		}
		uid := op.UID
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, op, client.Preconditions{UID: &uid})); err != nil {
			return fmt.Errorf("delete operation %s: %w", op.Name, err)
		}
	}
	return nil
}

// indexPair is the index of operations by their pair.
const indexPair = "spec.pairRef.name"

func pairOfOperation(o client.Object) []string {
	return []string{o.(*v1alpha1.DatabasePairOperation).Spec.PairRef.Name}
}
