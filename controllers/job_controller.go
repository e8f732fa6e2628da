package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// JobReconciler has Jobs do the operations that compare and repair, one at a time for each
// pair, and makes those that a schedule asks for. It is the one writer of their status. It
// has a queue of its own: nothing it does can hold up a failover.
type JobReconciler struct {
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Leases are read without a cache.
	Leases  kubernetes.Interface
	Applier *cluster.Applier
	Events  recorder.EventRecorder
	Now     clock
	// Permit has agents permit repairs that write.
	Permit Permitter
	// Image holds the Job's program.
	Image resources.Image
	// Off are the features that this operator does without.
	Off Off

	mu sync.Mutex
	// beats are the last signs of life of Jobs. They may be lost.
	beats map[types.UID]beat
	// permits are the times at which repairs were permitted last. They may be lost.
	permits map[types.UID]time.Time
	// certified are the times at which certificates of Jobs were seen to be in order. They
	// may be lost.
	certified map[types.UID]time.Time
}

// beat is a Job's count of reports, and since when it has stood there.
type beat struct {
	n     int64
	since time.Time
}

// jobVisit is one look at one pair's Jobs.
type jobVisit struct {
	name  types.NamespacedName
	names resources.Names
	pair  *v1alpha1.DatabasePair
	// mine are the unfinished operations that a Job does, in the order they are done.
	mine []*v1alpha1.DatabasePairOperation
	// all are the pair's operations.
	all []v1alpha1.DatabasePairOperation
}

const (
	// jobLook is the time between two looks at a Job that runs.
	jobLook = 3 * time.Second
	// jobIdleLook is the time between two looks when nothing calls for one.
	jobIdleLook = 10 * time.Minute
	// jobPatience is how long a Job may say nothing; it reports every few seconds.
	jobPatience = 5 * time.Minute
	// jobDeadline is that of an operation that names none.
	jobDeadline = 24 * time.Hour
)

// Setup registers the controller.
func (r *JobReconciler) Setup(mgr ctrl.Manager, concurrent int) error {
	if r.Applier == nil {
		r.Applier = &cluster.Applier{Client: r.Client, Live: r.Live}
	}
	ofJob := handler.EnqueueRequestsFromMapFunc(pairOfJob)
	b := ctrl.NewControllerManagedBy(mgr).
		Named("job").
		For(&v1alpha1.DatabasePair{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent, ReconciliationTimeout: visitTimeout}).
		Watches(&v1alpha1.DatabasePairOperation{}, handler.EnqueueRequestsFromMapFunc(pairOfRecord)).
		Watches(&corev1.ConfigMap{}, ofJob)
	if !r.Off.jobs() {
		b.Watches(&batchv1.Job{}, ofJob)
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("set up the controller of jobs: %w", err)
	}
	return nil
}

// pairOfJob finds the pair of a Job or its ConfigMap.
func pairOfJob(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[resources.LabelJobOf]
	ofArchive := o.GetName() == resources.Names{Pair: name}.Archive()
	if name == "" || ofArchive {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// Reconcile looks at the Jobs of one pair.
func (r *JobReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	v, err := r.visit(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	if v.pair == nil || v.pair.DeletionTimestamp != nil {
		return ctrl.Result{}, r.orphans(ctx, v)
	}
	next, err := r.schedule(ctx, v)
	if err != nil {
		return ctrl.Result{}, quiet(err)
	}
	if err := r.backUpAfterGap(ctx, v); err != nil {
		return ctrl.Result{}, quiet(err)
	}
	if len(v.mine) == 0 {
		return ctrl.Result{RequeueAfter: min(next, jobIdleLook)}, quiet(r.idle(ctx, v))
	}
	again, err := r.attend(ctx, v, v.mine[0])
	return ctrl.Result{RequeueAfter: min(next, again)}, quiet(err)
}

// visit reads what a look needs. The pair is nil when there is none.
func (r *JobReconciler) visit(ctx context.Context, name types.NamespacedName) (*jobVisit, error) {
	v := &jobVisit{name: name, names: resources.Names{Pair: name.Name, Namespace: name.Namespace}}
	p := &v1alpha1.DatabasePair{}
	switch err := r.Client.Get(ctx, name, p); {
	case err == nil:
		v.pair = p
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read pair %s: %w", name, err)
	}
	var list v1alpha1.DatabasePairOperationList
	if err := r.Client.List(ctx, &list, client.InNamespace(name.Namespace), client.MatchingFields{indexPair: name.Name}); err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	v.all = list.Items
	for i := range v.all {
		if op := &v.all[i]; op.Spec.Type.ByJob() && !op.Status.Phase.Terminal() && op.DeletionTimestamp == nil {
			v.mine = append(v.mine, op)
		}
	}
	// The one that runs comes first, then who asked first.
	slices.SortFunc(v.mine, func(a, b *v1alpha1.DatabasePairOperation) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return v, nil
}

func rank(op *v1alpha1.DatabasePairOperation) int {
	if op.Status.Phase == v1alpha1.OperationRunning {
		return 1
	}
	return 0
}

// orphans ends the operations of a pair that is gone.
func (r *JobReconciler) orphans(ctx context.Context, v *jobVisit) error {
	for _, op := range v.mine {
		if err := r.removeJob(ctx, v, op); err != nil {
			return err
		}
		end := ending{phase: v1alpha1.OperationFailed, message: "there is no pair " + v.name.Name + " in this namespace"}
		if err := r.finish(ctx, v, op, end); err != nil {
			return quiet(err)
		}
	}
	return nil
}

// idle takes the Jobs' right away while none runs.
func (r *JobReconciler) idle(ctx context.Context, v *jobVisit) error {
	if v.pair.Spec.Paused {
		return nil
	}
	return r.allow(ctx, v, "")
}

// attend brings one operation a step further and says when to look again.
func (r *JobReconciler) attend(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (time.Duration, error) {
	if why := r.Off.refuses(op.Spec.Type); why != "" {
		return lookAtOnce, r.refuse(ctx, v, op, why)
	}
	if over, end := r.overtaken(v, op); over {
		if err := r.removeJob(ctx, v, op); err != nil {
			return 0, err
		}
		return lookAtOnce, r.finish(ctx, v, op, end)
	}
	if op.Status.Phase == v1alpha1.OperationRunning {
		return r.follow(ctx, v, op)
	}
	if why := notNow(v, op); why != "" {
		return lookIdle, r.wait(ctx, op, why)
	}
	if waits, err := r.awaitsDestination(ctx, v, op); waits || err != nil {
		return lookIdle, err
	}
	return r.begin(ctx, v, op)
}

// event tells of something about the pair, if it still is.
func (r *JobReconciler) event(v *jobVisit, op *v1alpha1.DatabasePairOperation, kind, reason, note string) {
	if v.pair != nil {
		tellOf(r.Events, v.pair, op, kind, reason, note)
	}
}

func log(ctx context.Context, op *v1alpha1.DatabasePairOperation) interface {
	Info(string, ...any)
} {
	return logf.FromContext(ctx).WithValues("operation", op.Name, "type", op.Spec.Type)
}
