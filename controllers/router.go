package controllers

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// ensureRouter makes the router, or removes it. What keeps it from being made is said in a condition
// of its own, and keeps nothing else from being done: the pair needs no router.
func (r *childrenReconciler) ensureRouter(ctx context.Context, v *childrenVisit) error {
	if !v.pair.Spec.Router.Enabled {
		return r.removeRouter(ctx, v)
	}
	if r.refuses(v) {
		return nil
	}
	err := r.makeRouter(ctx, v)
	if err == nil || apierrors.IsConflict(err) || errors.Is(err, cluster.ErrPairGone) {
		return err
	}
	v.log.Error(err, "an object of the router was not made")
	v.router = status.RouterPods{Known: true, Problem: err.Error()}
	r.warnOnce(v, v.pair, reasonOf(err), err.Error())
	return nil
}

func (r *childrenReconciler) makeRouter(ctx context.Context, v *childrenVisit) error {
	p := v.pair
	config, err := resources.RouterConfigMap(p, v.material.bundle)
	if err != nil {
		return err
	}
	for _, o := range ordinals {
		if err := r.ensure(ctx, v, resources.RouterMemberService(p, o), &corev1.Service{}); err != nil {
			return err
		}
	}
	var pods appsv1.Deployment
	err = errors.Join(
		r.ensure(ctx, v, config, &corev1.ConfigMap{}),
		r.ensure(ctx, v, resources.RouterService(p), &corev1.Service{}),
		r.ensure(ctx, v, resources.RouterNetworkPolicy(p), &networkingv1.NetworkPolicy{}),
		r.ensure(ctx, v, resources.RouterDisruptionBudget(p), &policyv1.PodDisruptionBudget{}),
		r.ensure(ctx, v, resources.RouterDeployment(p, config), &pods),
	)
	if err != nil {
		return err
	}
	v.router = routerPods(&pods)
	return nil
}

// routerPods is what a Deployment's controller says of its pods. Of one that it has not looked at
// since its last change it is not known which pods are of that change.
func routerPods(d *appsv1.Deployment) status.RouterPods {
	out := status.RouterPods{
		Known:  true,
		Wanted: resources.RouterReplicas,
	}
	if d.Status.ObservedGeneration >= d.Generation {
		out.Ready = int(min(d.Status.ReadyReplicas, resources.RouterReplicas))
		out.Outdated = int(max(d.Status.Replicas-d.Status.UpdatedReplicas, 0))
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			out.Problem = c.Message
		}
	}
	return out
}

// removeRouter removes every object of a router; the Deployment comes first, so that its pods end
// while their configuration is there.
func (r *childrenReconciler) removeRouter(ctx context.Context, v *childrenVisit) error {
	v.router = status.RouterPods{}
	for _, one := range []struct {
		name string
		kind client.Object
	}{
		{v.names.Router(), &appsv1.Deployment{}},
		{v.names.Router(), &corev1.Service{}},
		{v.names.Router(), &policyv1.PodDisruptionBudget{}},
		{v.names.Router(), &networkingv1.NetworkPolicy{}},
		{v.names.Router(), &corev1.ConfigMap{}},
		{v.names.RouterMember(0), &corev1.Service{}},
		{v.names.RouterMember(1), &corev1.Service{}},
	} {
		name := types.NamespacedName{Namespace: v.pair.Namespace, Name: one.name}
		if err := r.Applier.Remove(ctx, v.pair, name, one.kind); err != nil {
			return fmt.Errorf("remove %s %s of the router: %w", kindOf(one.kind), name, err)
		}
	}
	return nil
}
