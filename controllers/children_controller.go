package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// Reconcile makes the objects around one pair what they have to be, and hands a report to the
// roles' queue. It never returns an error of an object: that is in the report, and the next
// attempt has a pace of its own.
func (r *childrenReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.DatabasePair{}
	if err := r.Client.Get(ctx, req.NamespacedName, p); apierrors.IsNotFound(err) {
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("read pair %s: %w", req, err)
	}
	ending, err := namespaceEnding(ctx, r.Client, p.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if ending || p.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	v := r.visit(ctx, p)
	if wait := v.memory.wait(p.Generation, r.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	report := r.attempt(ctx, v)
	if v.reports.put(report) {
		r.notify(v.name)
	}
	return ctrl.Result{RequeueAfter: v.next(report)}, nil
}

func (r *childrenReconciler) visit(ctx context.Context, p *v1alpha1.DatabasePair) *childrenVisit {
	s := r.sessions.of(p)
	return &childrenVisit{
		name:      client.ObjectKeyFromObject(p),
		names:     resources.NamesOf(p),
		pair:      p,
		log:       logf.FromContext(ctx),
		memory:    &s.children,
		reports:   &s.reports,
		keyring:   &s.keyring,
		warned:    &s.warned,
		settled:   &s.settled,
		refused:   s.writes,
		held:      s.held.Load(),
		revisions: &s.revisions,
	}
}

// attempt keeps the objects once, bounded by bookkeepingTimeout.
func (r *childrenReconciler) attempt(ctx context.Context, v *childrenVisit) childrenReport {
	v.memory.generation = v.pair.Generation
	v.memory.at = r.Now()
	var report childrenReport
	_ = v.memory.attempts.try(noting(ctx, v.refused), r.Now, func(ctx context.Context) error {
		report = r.keep(ctx, v)
		return report.err
	})
	return report
}

// wait is how long to wait for the next attempt, zero when it is due: one that failed is made
// again ever more rarely, and a generation that was tried already at most every requeueSoon.
func (s *childrenMemory) wait(generation int64, now time.Time) time.Duration {
	wait := s.attempts.next.Sub(now)
	if s.generation == generation {
		wait = max(wait, s.at.Add(requeueSoon).Sub(now))
	}
	return max(wait, 0)
}

// next is when the objects are looked at again if nothing calls for it before.
func (v *childrenVisit) next(report childrenReport) time.Duration {
	switch {
	case report.err != nil, report.trying, report.router.Problem != "", v.writes && v.keyring.unsignedCounts():
		return requeueSoon
	case v.memory.absences[0].absent(), v.memory.absences[1].absent():
		return lookForPod
	}
	return lookIdle
}

// observePods finds the members' pods, and since when those that are missing are. A pod whose
// label was removed is not in the cache, but is there.
func (r *childrenReconciler) observePods(ctx context.Context, v *childrenVisit) error {
	for i, o := range ordinals {
		name := types.NamespacedName{Namespace: v.name.Namespace, Name: string(o.Member(v.pair.Name))}
		pod := &corev1.Pod{}
		err := cluster.Read(ctx, r.Client, r.Live, name, pod)
		if apierrors.IsNotFound(err) {
			v.memory.absences[i] = v.memory.absences[i].confirm(r.Now())
			continue
		}
		if err != nil {
			return fmt.Errorf("read pod %s: %w", name, err)
		}
		v.memory.absences[i] = absence{}
		if pod.Labels[resources.LabelPair] == v.pair.Name {
			v.pods[i] = pod
		}
	}
	return nil
}

// childrenReport is what became of the objects around a pair, for the reconcile of its roles.
type childrenReport struct {
	// generation of the spec that was carried out, or tried to be.
	generation int64
	// err is why an object is not as it has to be; nil when all are.
	err error
	// refused names the fields of the spec that are not carried out, with the reason and the
	// fix; empty for none.
	refused string
	// trying: the settings of the spec wait for a member that tries them.
	trying bool
	// notGrown says which volume cannot get the size of the spec, and why; empty when all can.
	notGrown string
	// router is what is known of the router's pods.
	router status.RouterPods
}

// reports keep the last report about one pair. Safe for concurrent use; the zero value has none.
type reports struct {
	mu   sync.Mutex
	last *childrenReport
}

// put keeps a report, and tells whether the roles' reconcile is to see it: it differs from the
// last one, or an object is not as it has to be, which comes to count by how long it lasts.
func (r *reports) put(next childrenReport) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.last
	r.last = &next
	return before == nil || next.err != nil || *before != next
}

// newest is the last report; nil before the first one.
func (r *reports) newest() *childrenReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// setup registers the controller. What the roles alone follow does not wake it.
func (r *childrenReconciler) setup(mgr ctrl.Manager, concurrent int) error {
	byLabel := handler.EnqueueRequestsFromMapFunc(pairOfLabel)
	asked := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	come := predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("databasepair-children").
		For(&v1alpha1.DatabasePair{}, builder.WithPredicates(asked)).
		WithOptions(visitOptions(concurrent)).
		Watches(&corev1.Pod{}, byLabel, builder.WithPredicates(come))
	for _, o := range []client.Object{
		&corev1.Service{},
		&corev1.Secret{},
		&corev1.ConfigMap{},
		&corev1.ServiceAccount{},
		&corev1.PersistentVolumeClaim{},
		&appsv1.StatefulSet{},
		&appsv1.Deployment{},
		&policyv1.PodDisruptionBudget{},
		&networkingv1.NetworkPolicy{},
		&rbacv1.Role{},
		&rbacv1.RoleBinding{},
	} {
		b.Watches(o, byLabel)
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("set up the controller of the pairs' objects: %w", err)
	}
	return nil
}
