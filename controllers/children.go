package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// phase is one part of what surrounds a pair.
type phase struct {
	name string
	run  func(*PairReconciler, context.Context, *visit) error
}

// phases are done in this order; each is idempotent and writes nothing when all is well.
var phases = []phase{
	{"names", (*PairReconciler).refuseCollisions},
	{"authority", (*PairReconciler).ensureCA},
	{"passwords", (*PairReconciler).ensurePasswords},
	{"secrets", (*PairReconciler).ensureSecrets},
	{"access", (*PairReconciler).ensureAccess},
	{"settings", (*PairReconciler).judgeSettings},
	{"configuration", (*PairReconciler).ensureConfiguration},
	{"services", (*PairReconciler).ensureServices},
	{"network", (*PairReconciler).ensureNetwork},
	{"members", (*PairReconciler).ensureMembers},
	{"volumes", (*PairReconciler).ensureVolumes},
}

// childrenMemory is what is remembered of the objects around one pair.
type childrenMemory struct {
	attempts attempts
	// tried: the first attempt was made, after which the objects follow the steps.
	tried bool
	// generation is the one whose objects were made, at a time; overdue is when a reconcile
	// first left them out since, zero for never.
	generation int64
	at         time.Time
	overdue    time.Time
	err        error
	// judged is about the newest generation whose settings were compared to the members'.
	judged judged
	// trial is under way about a newer generation; nil for none.
	trial *trial
	// notGrown says which volume cannot get the size of the spec, and why; empty when all can.
	notGrown string
	// wokenAt is when the StatefulSet was last touched for a missing pod.
	wokenAt time.Time
}

// ensureChildren does all phases. An error of one says which.
func (r *PairReconciler) ensureChildren(ctx context.Context, v *visit) error {
	v.writes = true
	for _, p := range phases {
		if err := p.run(r, ctx, v); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// refuseCollisions lets the older of two pairs whose derived names meet go on.
func (r *PairReconciler) refuseCollisions(ctx context.Context, v *visit) error {
	var all v1alpha1.DatabasePairList
	if err := r.Client.List(ctx, &all, client.InNamespace(v.pair.Namespace)); err != nil {
		return fmt.Errorf("list pairs: %w", err)
	}
	for i := range all.Items {
		other := &all.Items[i]
		if other.UID == v.pair.UID || !older(other, v.pair) {
			continue
		}
		if shared := resources.Collision(v.pair.Name, other.Name); shared != "" {
			return fmt.Errorf("%s would be an object of this pair and of the older pair %s; give this pair another name: %w",
				shared, other.Name, cluster.ErrForeign)
		}
	}
	return nil
}

func older(a, b *v1alpha1.DatabasePair) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

func (r *PairReconciler) ensureAccess(ctx context.Context, v *visit) error {
	// A binding can be made only to a Role that is there. What the Role of the Jobs allows
	// is written by their controller.
	found, err := r.Applier.Find(ctx, v.pair, types.NamespacedName{Namespace: v.pair.Namespace, Name: v.names.Job()}, &rbacv1.Role{})
	if err == nil && !found {
		err = r.ensure(ctx, v, resources.JobRole(v.pair, ""), &rbacv1.Role{})
	}
	return errors.Join(
		err,
		r.ensure(ctx, v, resources.AgentServiceAccount(v.pair), &corev1.ServiceAccount{}),
		r.ensure(ctx, v, resources.AgentRole(v.pair), &rbacv1.Role{}),
		r.ensure(ctx, v, resources.AgentRoleBinding(v.pair), &rbacv1.RoleBinding{}),
		r.ensure(ctx, v, resources.JobServiceAccount(v.pair), &corev1.ServiceAccount{}),
		r.ensure(ctx, v, resources.JobRoleBinding(v.pair), &rbacv1.RoleBinding{}),
	)
}

func (r *PairReconciler) ensureServices(ctx context.Context, v *visit) error {
	if err := r.ensureClientService(ctx, v); err != nil {
		return err
	}
	if err := r.ensure(ctx, v, resources.PodsService(v.pair), &corev1.Service{}); err != nil {
		return err
	}
	if on := v.pair.Spec.Services.Passive.Enabled; on != nil && !*on {
		return r.Applier.Remove(ctx, v.pair, types.NamespacedName{Namespace: v.pair.Namespace, Name: v.names.Passive()}, &corev1.Service{})
	}
	return r.ensure(ctx, v, resources.PassiveService(v.pair), &corev1.Service{})
}

// ensureClientService makes the read-write Service, at first with the door of member 0
// behind it. Where it leads afterwards is a step of a plan and nothing else.
func (r *PairReconciler) ensureClientService(ctx context.Context, v *visit) error {
	found, err := r.Applier.Find(ctx, v.pair, v.name, &corev1.Service{})
	if err != nil {
		return err
	}
	if !found {
		made := resources.NewClientService(v.pair, resources.Route{
			Member: ordinals[0].Member(v.pair.Name), Mode: resources.RouteDoor,
		})
		err := r.Client.Create(ctx, made, client.FieldOwner(cluster.RouteManager))
		if apierrors.IsAlreadyExists(err) {
			// The cache did not know it yet; the next look does.
			return nil
		}
		if err != nil {
			return fmt.Errorf("create Service %s: %w", v.name, err)
		}
	}
	return r.ensure(ctx, v, resources.ClientService(v.pair), &corev1.Service{})
}

func (r *PairReconciler) ensureNetwork(ctx context.Context, v *visit) error {
	return r.ensure(ctx, v, resources.NetworkPolicy(v.pair, r.Namespace), &networkingv1.NetworkPolicy{})
}

// ensureBudget lets a member be evicted only while the pair could do without it. It is
// written before a step that makes the state worse.
func (r *PairReconciler) ensureBudget(ctx context.Context, v *visit, ready bool) error {
	return r.ensure(ctx, v, resources.DisruptionBudget(v.pair, ready), &policyv1.PodDisruptionBudget{})
}
