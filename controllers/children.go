package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// phase is one part of what surrounds a pair.
type phase struct {
	name string
	run  func(*childrenReconciler, context.Context, *childrenVisit) error
}

// phases are done in this order; each is idempotent and writes nothing when all is well.
var phases = []phase{
	{"names", (*childrenReconciler).refuseCollisions},
	{"authority", (*childrenReconciler).ensureCA},
	{"passwords", (*childrenReconciler).ensurePasswords},
	{"secrets", (*childrenReconciler).ensureSecrets},
	{"access", (*childrenReconciler).ensureAccess},
	{"pods", (*childrenReconciler).observePods},
	{"settings", (*childrenReconciler).judgeSettings},
	{"configuration", (*childrenReconciler).ensureConfiguration},
	{"services", (*childrenReconciler).ensureServices},
	{"network", (*childrenReconciler).ensureNetwork},
	{"members", (*childrenReconciler).ensureMembers},
	{"archive", (*childrenReconciler).ensureArchive},
	{"volumes", (*childrenReconciler).ensureVolumes},
	{"router", (*childrenReconciler).ensureRouter},
}

// childrenMemory is what is remembered of the objects around one pair between two reconciles.
type childrenMemory struct {
	// judged is about the newest generation whose settings were compared to the members'.
	judged judged
	// trial is under way about a newer generation; nil for none.
	trial *trial
	// notGrown says which volume cannot get the size of the spec, and why; empty when all can.
	notGrown string
	// growing is since when a claim's volume is seen to be smaller than was asked for.
	growing map[string]time.Time
	// absences are about the members that have no pod.
	absences [2]absence
	// wokenAt is when the StatefulSet was last touched for a missing pod.
	wokenAt time.Time

	attempts attempts
	// generation is the one that was tried last, at a time.
	generation int64
	at         time.Time
}

// childrenReconciler keeps the objects around pairs, from Secrets to the StatefulSet. It decides
// nothing about roles: where the client Service leads and which pod goes is not its business.
type childrenReconciler struct {
	Client client.Client
	// Live reads from the API server.
	Live    client.Reader
	Applier *cluster.Applier
	Events  recorder.EventRecorder
	Now     clock
	// Agent is the image of the agent.
	Agent resources.Image
	// Namespace of the operator.
	Namespace string
	// Key is the operator's; nil for one that lasts as long as this process.
	Key *pki.Key
	// Allowed limits what pairs may ask for.
	Allowed Allowed
	// Off are the features that this operator does without.
	Off      Off
	agents   *agents
	sessions *sessions
	// notify has the roles' reconcile look at a pair. It may block for a moment.
	notify func(types.NamespacedName)
}

// childrenVisit is one reconcile of the objects around one pair.
type childrenVisit struct {
	name  types.NamespacedName
	names resources.Names
	pair  *v1alpha1.DatabasePair
	log   logr.Logger

	memory  *childrenMemory
	reports *reports
	keyring *keyring
	warned  *warnings
	// settled is since when the pair has been in order.
	settled *settledSpell
	// refused notes the writes that the API server refuses.
	refused *refusals
	// held: the Lease that was read last names a primary.
	held bool
	// revisions are those of the passwords that the members work with.
	revisions *revisions

	// pods of the members, nil for none.
	pods   [2]*corev1.Pod
	copies map[string][]byte
	// router is what is known of the router's pods.
	router status.RouterPods
	// writes: the Secrets are written at this visit, so that a rotation can go on.
	writes   bool
	material material
}

// keep makes the objects around a pair what they have to be, and reports how that ended. It is
// idempotent, and blocks for as long as the API server takes.
func (r *childrenReconciler) keep(ctx context.Context, v *childrenVisit) childrenReport {
	err := r.keepAll(ctx, v)
	return childrenReport{
		generation: v.pair.Generation,
		err:        err,
		refused:    r.refusal(v),
		trying:     v.memory.trying(v.pair.Generation),
		notGrown:   v.memory.notGrown,
		router:     v.router,
	}
}

func (r *childrenReconciler) keepAll(ctx context.Context, v *childrenVisit) error {
	if v.pair.Spec.Paused {
		return r.trustOnly(ctx, v)
	}
	err := r.ensureChildren(ctx, v)
	if err == nil || apierrors.IsConflict(err) || errors.Is(err, cluster.ErrPairGone) || errors.Is(err, errFormerPods) {
		return err
	}
	v.log.Error(err, "an object of the pair was not made")
	// tellRefused reports a refusal when it turns out to last.
	if _, outcome := judgeWrite(err); outcome != writeRefused {
		r.warnOnce(v, v.pair, reasonOf(err), err.Error())
	}
	return err
}

// trustOnly lets a paused pair's agents be watched without writing anything.
func (r *childrenReconciler) trustOnly(ctx context.Context, v *childrenVisit) error {
	if err := r.ensureCA(ctx, v); err != nil || !v.material.kept {
		return err
	}
	_, err := v.keyring.trust(v.material.authority, v.material.bundle, r.Key, r.Now())
	return err
}

func reasonOf(err error) string {
	if errors.Is(err, cluster.ErrForeign) {
		return RuleNameConflict
	}
	return "ObjectNotMade"
}

// ensureChildren does all phases. An error of one says which.
func (r *childrenReconciler) ensureChildren(ctx context.Context, v *childrenVisit) error {
	v.writes = true
	for _, p := range phases {
		if err := p.run(r, ctx, v); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// refuseCollisions lets the older of two pairs whose derived names meet go on.
func (r *childrenReconciler) refuseCollisions(ctx context.Context, v *childrenVisit) error {
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

func (r *childrenReconciler) ensureAccess(ctx context.Context, v *childrenVisit) error {
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

func (r *childrenReconciler) ensureServices(ctx context.Context, v *childrenVisit) error {
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
func (r *childrenReconciler) ensureClientService(ctx context.Context, v *childrenVisit) error {
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

func (r *childrenReconciler) ensureNetwork(ctx context.Context, v *childrenVisit) error {
	if b := v.pair.Spec.Bootstrap; v.pair.Spec.Backup != nil || (b != nil && b.Backup != nil) {
		if err := r.ensure(ctx, v, resources.VaultNetworkPolicy(v.pair), &networkingv1.NetworkPolicy{}); err != nil {
			return err
		}
	}
	return r.ensure(ctx, v, resources.NetworkPolicy(v.pair, r.Namespace), &networkingv1.NetworkPolicy{})
}

// ensure applies one child and tells of a repair.
func (r *childrenReconciler) ensure(ctx context.Context, v *childrenVisit, wish cluster.Configuration, live object) error {
	return objectWriter{applier: r.Applier, events: r.Events}.ensure(ctx, v.pair, wish, live)
}

// tell raises an event about an object of the pair, nil for the pair as a whole.
func (r *childrenReconciler) tell(v *childrenVisit, related runtime.Object, kind, reason, note string) {
	tellOf(r.Events, v.pair, related, kind, reason, note)
}

// warnOnce raises a warning once for as long as it lasts and its text is the same.
func (r *childrenReconciler) warnOnce(v *childrenVisit, related client.Object, reason, note string) {
	if v.warned.isNews(related.GetName()+"/"+reason, note) {
		r.tell(v, related, warning, reason, note)
	}
}
