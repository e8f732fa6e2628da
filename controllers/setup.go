package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// Setup registers two controllers, of the roles and of the objects around pairs, each with a queue
// of its own. Within a queue the reconciles of one pair never run beside each other; those of
// concurrent pairs do.
func (r *PairReconciler) Setup(ctx context.Context, mgr ctrl.Manager, concurrent int) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation); err != nil {
		return fmt.Errorf("index operations: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, indexNode, nodeOfPod); err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	heard := make(chan event.TypedGenericEvent[types.NamespacedName], heardBuffer)
	r.prepare(func(name types.NamespacedName) {
		select {
		case heard <- event.TypedGenericEvent[types.NamespacedName]{Object: name}:
		case <-ctx.Done():
		}
	})
	// The watches of agents end with the manager; another one may follow in this process.
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		r.Agents.watcher.Close()
		return nil
	})); err != nil {
		return fmt.Errorf("set up the end of the watches of agents: %w", err)
	}
	byLabel := handler.EnqueueRequestsFromMapFunc(pairOfLabel)
	b := ctrl.NewControllerManagedBy(mgr).
		Named("databasepair").
		For(&v1alpha1.DatabasePair{}).
		WithOptions(visitOptions(concurrent)).
		Watches(&v1alpha1.DatabasePairOperation{}, handler.EnqueueRequestsFromMapFunc(pairOfRecord)).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.pairsOfNode), builder.WithPredicates(nodeMatters())).
		WatchesRawSource(source.TypedChannel(heard, handler.TypedFuncs[types.NamespacedName, reconcile.Request]{
			GenericFunc: enqueueHeard,
		}))
	for _, o := range []client.Object{
		&corev1.Pod{},
		&corev1.Service{},
		&corev1.PersistentVolumeClaim{},
		&appsv1.StatefulSet{},
		&policyv1.PodDisruptionBudget{},
	} {
		b.Watches(o, byLabel)
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("set up the controller of pairs: %w", err)
	}
	return r.children.setup(mgr, concurrent)
}

// DefaultConcurrent is how many pairs are worked on at once. A node that dies takes the
// primaries of many pairs with it, and each of their agents holds one up for as long as it is
// waited for; a reconcile that waits costs little.
const DefaultConcurrent = 64

// visitOptions are those of the controller of pairs.
func visitOptions(concurrent int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrent,
		ReconciliationTimeout:   visitTimeout,
		// An error must not put off a failover for minutes.
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 5*time.Second),
	}
}

// enqueueHeard has the pair looked at that the event is about.
func enqueueHeard(
	_ context.Context,
	e event.TypedGenericEvent[types.NamespacedName],
	q workqueue.TypedRateLimitingInterface[reconcile.Request],
) {
	q.Add(reconcile.Request{NamespacedName: e.Object})
}

// visitTimeout ends a look that hangs, so that the next one is made over connections
// that live.
const visitTimeout = 20 * time.Second

// heardBuffer is how many reports of agents may wait to be queued.
const heardBuffer = 1024

// prepare makes what a reconciler needs beside its exported fields.
func (r *PairReconciler) prepare(notify func(types.NamespacedName)) {
	r.Client = notingClient{Client: r.Client, now: r.Now}
	r.sessions = &sessions{begin: r.newSession}
	r.turns = newTurns(r.MaxParallelRollouts, r.Now)
	r.Agents = newAgents(r.sessions, r.Now, notify)
	if r.Applier == nil {
		r.Applier = &cluster.Applier{Client: r.Client, Live: r.Live}
	}
	r.children = &childrenReconciler{
		Client:    r.Client,
		Live:      r.Live,
		Applier:   r.Applier,
		Events:    r.Events,
		Now:       r.Now,
		Agent:     r.Agent,
		Namespace: r.Namespace,
		Key:       r.Key,
		Allowed:   r.Allowed,
		Off:       r.Off,
		agents:    r.Agents,
		sessions:  r.sessions,
		notify:    notify,
	}
}

// pairOfLabel finds the pair of an object by its label, and thus also of one whose owner
// is gone. What belongs to a Job concerns the controller of Jobs.
func pairOfLabel(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[resources.LabelPair]
	if name == "" || o.GetLabels()[resources.LabelJobOf] != "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

func pairOfRecord(_ context.Context, o client.Object) []reconcile.Request {
	op, ok := o.(*v1alpha1.DatabasePairOperation)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: op.Namespace, Name: op.Spec.PairRef.Name}}}
}

// pairsOfNode finds the pairs with a member on a node.
func (r *PairReconciler) pairsOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.MatchingFields{indexNode: o.GetName()}); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range pods.Items {
		out = append(out, pairOfLabel(ctx, &pods.Items[i])...)
	}
	return out
}

// indexNode is the index of pods by their node.
const indexNode = "spec.nodeName"

func nodeOfPod(o client.Object) []string {
	if pod, ok := o.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}
	}
	return nil
}

// nodeMatters lets only those changes of nodes through that a decision depends on; nodes
// report themselves every few seconds.
func nodeMatters() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok1 := e.ObjectOld.(*corev1.Node)
			after, ok2 := e.ObjectNew.(*corev1.Node)
			return ok1 && ok2 && cluster.OutOfService(before) != cluster.OutOfService(after)
		},
	}
}
