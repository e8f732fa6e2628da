package controllers

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

type wallClock struct{ now clock }

func (c wallClock) Now() time.Time { return c.now() }

// runner puts the effects of this visit's pair together.
func (r *PairReconciler) runner(v *visit) *execute.Runner {
	asked := cluster.Agents{
		Client: func(s fencing.Subject) (*agentclient.Client, error) { return r.Agents.command(v.name, v.pods, s) },
		Silent: func(s fencing.Subject) bool {
			return r.Agents.facts(v.name, s.Member, s.PodUID).Reach == failover.TimedOut
		},
		Beginning: func(ctx context.Context, c *agentapi.InitializeCommand) error { return r.beginning(ctx, v, c) },
	}
	pods := cluster.Pods{
		Client:      r.Client,
		Live:        r.Live,
		Namespace:   v.pair.Namespace,
		StatefulSet: v.name.Name,
		Seen:        v.session.containers.of,
	}
	recorder := cluster.LaterRecorder{
		Recorder: cluster.Recorder{
			Client:   r.Client,
			Live:     r.Live,
			Pair:     v.pair,
			Now:      r.Now,
			Finished: func(op v1alpha1.DatabasePairOperation) { r.finished(v, op) },
		},
		Later: &v.session.records,
		Log:   v.log,
	}
	return &execute.Runner{
		Effects: execute.Effects{
			Authority: v.session.store,
			Fencers:   asked,
			Doors:     asked,
			Drainers:  asked,
			Copiers:   asked,
			Comparers: asked,
			Pods:      pods,
			Witnesses: pods,
			Services:  cluster.Services{Client: r.Client, Name: v.name},
			Recorder:  recorder,
			Backup:    func(ctx context.Context) (*agentapi.ForeignDonor, error) { return r.reseedDonor(ctx, v) },
			DonorHost: func(m pair.MemberName) string { return string(m) + "." + v.names.Domain() },
		},
		Clock:     wallClock{r.Now},
		Book:      v.session.book,
		NewID:     func() string { return string(uuid.NewUUID()) },
		Failpoint: r.Failpoint,
		Together:  sideBySide,
		Log:       v.log,
	}
}

// sideBySide runs independent steps at once: one that runs into its deadline must not
// hold up the others.
func sideBySide(steps []func() error) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, step := range steps {
		all.Go(func() { errs[i] = step() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// finished tells of an operation that has ended. It runs beside the reconcile.
func (r *PairReconciler) finished(v *visit, op v1alpha1.DatabasePairOperation) {
	kind := normal
	if op.Status.Phase != v1alpha1.OperationSucceeded {
		kind = warning
	}
	r.event(v.pair, &op, kind, string(op.Spec.Type)+string(op.Status.Phase), op.Name+": "+op.Status.Message)
	operationTotal.WithLabelValues(v.name.Namespace, v.name.Name, string(op.Spec.Type), string(op.Status.Phase), op.Status.Proof).Inc()
	countRoleChange(v.name, &op)
	if op.Status.StartTime == nil || op.Status.CompletionTime == nil {
		return
	}
	took := op.Status.CompletionTime.Sub(op.Status.StartTime.Time)
	v.log.Info("an operation ended", "operation", op.Name, "type", op.Spec.Type, "phase", op.Status.Phase,
		"rule", op.Status.Rule, "proof", op.Status.Proof, "from", op.Status.From, "to", op.Status.To,
		"duration", took, "writeGap", op.Status.WriteGap, "drain", op.Status.Drain, "held", op.Status.Held)
	if op.Spec.Type == v1alpha1.OperationFailover && op.Status.Phase == v1alpha1.OperationSucceeded {
		failoverSeconds.WithLabelValues(op.Status.Proof).Observe(took.Seconds())
	}
}

// lastFailover is the newest that moved the authority.
func lastFailover(v *visit) *v1alpha1.LastFailover {
	out := v.pair.Status.LastFailover
	for i := range v.operations {
		op := &v.operations[i]
		if op.Spec.Type != v1alpha1.OperationFailover || op.Status.Phase != v1alpha1.OperationSucceeded || op.Status.CompletionTime == nil {
			continue
		}
		at := metav1.NewTime(op.Status.CompletionTime.Truncate(time.Second))
		if out == nil || out.Time.Before(&at) {
			out = &v1alpha1.LastFailover{
				Operation: op.Name,
				Time:      at,
				Proof:     op.Status.Proof,
			}
		}
	}
	return out
}

func withoutFence(finalizers []string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == pair.FinalizerFence })
}

// kindOf is an object's kind, for messages.
func kindOf(o object) string {
	return reflect.TypeOf(o).Elem().Name()
}
