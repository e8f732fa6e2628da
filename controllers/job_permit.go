package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// Permitter has the agent of a member permit a repair. It blocks for at most some seconds.
type Permitter func(ctx context.Context, name types.NamespacedName, member pair.MemberName, c agentapi.PermitRepairCommand) error

const (
	// permitFor is how long a repair is permitted at once.
	permitFor = 10 * time.Minute
	// permitEvery is the time after which a permission is renewed; an agent that was
	// restarted has forgotten it.
	permitEvery = 20 * time.Second
	// permitTimeout bounds the request to one agent.
	permitTimeout = 5 * time.Second
)

// PermitRepair implements Permitter by the connections to the agents.
func (r *PairReconciler) PermitRepair(
	ctx context.Context, name types.NamespacedName, member pair.MemberName, c agentapi.PermitRepairCommand,
) error {
	pod := &corev1.Pod{}
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: name.Namespace, Name: string(member)}, pod); err != nil {
		return fmt.Errorf("read pod %s: %w", member, err)
	}
	if pod.Status.PodIP == "" {
		return fmt.Errorf("no address of pod %s", member)
	}
	agent := r.Agents.client(agentKey{pair: name, pod: pair.PodUID(pod.UID)}, member, pod.Status.PodIP)
	ctx, cancel := context.WithTimeout(ctx, permitTimeout)
	defer cancel()
	_, err := agent.PermitRepair(ctx, c)
	return err
}

// writes reports whether the operation is a repair that changes rows.
func writes(op *v1alpha1.DatabasePairOperation) bool {
	return op.Spec.Type == v1alpha1.OperationRepair && op.Spec.Repair != nil && !op.Spec.Repair.DryRun
}

// permit has both agents permit the operation to write its table, at the roles of the
// record. Only the operator may give that permission: the certificate of the Jobs is in
// reach of every pod of the namespace.
func (r *JobReconciler) permit(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation, rec authority.Record) error {
	if !writes(op) {
		return nil
	}
	schema, table, _ := strings.Cut(op.Spec.Repair.Table, ".")
	for _, member := range pair.Members(v.pair.Name) {
		err := r.Permit(ctx, v.name, member, agentapi.PermitRepairCommand{
			Command: agentapi.Command{
				PairUID:       pair.UID(v.pair.UID),
				Epoch:         rec.Epoch,
				LedgerVersion: rec.Ledger.Version,
				RequestID:     string(op.UID),
			},
			Operation: op.Name,
			Schema:    schema,
			Table:     table,
			For:       permitFor,
		})
		if errors.Is(err, agentclient.ErrNoSuchPath) {
			continue // an agent of an earlier version asks for no permission
		}
		if err != nil {
			return fmt.Errorf("operation %s: the agent of %s does not permit the repair: %w", op.Name, member, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.permits == nil {
		r.permits = map[types.UID]time.Time{}
	}
	r.permits[op.UID] = r.Now()
	return nil
}

// keepPermitting renews the permission of a repair whose Job runs. That an agent cannot be
// asked now ends nothing: the Job's own requests extend what the agents have.
func (r *JobReconciler) keepPermitting(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) error {
	r.mu.Lock()
	last := r.permits[op.UID]
	r.mu.Unlock()
	if !writes(op) || r.Now().Sub(last) < permitEvery {
		return nil
	}
	rec, err := r.roles(ctx, v)
	if errors.Is(err, authority.ErrNotAuthentic) {
		log(ctx, op).Info("the permission of a repair was not renewed", "reason", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	if int64(rec.Epoch) != op.Status.Epoch || string(rec.Holder.Member) != op.Status.From {
		return nil // the next look ends the operation
	}
	if err := r.permit(ctx, v, op, rec); err != nil {
		log(ctx, op).Info("the permission of a repair was not renewed", "reason", err.Error())
	}
	return nil
}
