package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// UserReconciler has the agent of the open member make the account of each DatabasePairUser what
// its spec says, and keeps the Secret of each. It is the one writer of their status. It has a
// queue of its own: nothing it does can hold up a failover.
type UserReconciler struct {
	Client client.Client
	// Live reads from the API server.
	Live    client.Reader
	Applier *cluster.Applier
	Events  recorder.EventRecorder
	Now     clock
	// Agents carry the commands.
	Agents UserAgents
}

// The reasons of the condition Ready of a user.
const (
	userReady        = "Reconciled"
	userNoPair       = "PairNotFound"
	userPaused       = "PairPaused"
	userConflict     = "Conflict"
	userTaken        = "UserTaken"
	userNoPassword   = "PasswordMissing"
	userNoSecret     = "SecretNotMade"
	userNoPrimary    = "NoPrimary"
	userNoPassive    = "NoPassiveService"
	userOldAgent     = "AgentTooOld"
	userNotReconcile = "NotReconciled"
)

const (
	// userFinalizer keeps a user that is deleted until its account is locked or dropped.
	userFinalizer = "dbpair.io/user"
	// userLook is the time between two looks at an account that is as it has to be.
	userLook = time.Minute
	// userSoon is the time after which something is tried again that did not work.
	userSoon = 5 * time.Second
)

// userVerdict is what became of a user at one look.
type userVerdict struct {
	reason  string
	message string
	until   *time.Time
	// changed: the account was not as it had to be.
	changed bool
}

// Reconcile looks at one user.
func (r *UserReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	u := &v1alpha1.DatabasePairUser{}
	if err := r.Client.Get(ctx, req.NamespacedName, u); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &v1alpha1.DatabasePair{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: u.Namespace, Name: u.Spec.PairRef.Name}, p)
	if apierrors.IsNotFound(err) {
		p = nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("read pair %s: %w", u.Spec.PairRef.Name, err)
	}
	if u.DeletionTimestamp != nil {
		return r.remove(ctx, u, p)
	}
	if !controllerutil.ContainsFinalizer(u, userFinalizer) {
		base := u.DeepCopy()
		controllerutil.AddFinalizer(u, userFinalizer)
		if err := r.Client.Patch(ctx, u, client.MergeFrom(base)); err != nil {
			return ctrl.Result{}, quiet(fmt.Errorf("add the finalizer to user %s: %w", req, err))
		}
	}
	verdict, err := r.keep(ctx, u, p)
	if err != nil {
		return ctrl.Result{}, quiet(err)
	}
	after := userSoon
	if verdict.reason == userReady {
		after = userLook
	}
	return ctrl.Result{RequeueAfter: after}, quiet(r.report(ctx, u, verdict))
}

// keep makes the account and the Secret of a user what they have to be.
func (r *UserReconciler) keep(ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair) (userVerdict, error) {
	if p == nil || p.DeletionTimestamp != nil {
		return userVerdict{reason: userNoPair, message: "there is no pair " + u.Spec.PairRef.Name + " in this namespace"}, nil
	}
	if p.Spec.Paused {
		return userVerdict{reason: userPaused, message: "the pair is paused: set spec.paused of " + p.Name + " to false"}, nil
	}
	if passive := p.Spec.Services.Passive.Enabled; u.Spec.Replication && passive != nil && !*passive {
		return userVerdict{
			reason: userNoPassive,
			message: fmt.Sprintf("spec.replication: pair %s has no Service for its passive, where binary logs are read: "+
				"set spec.services.passive.enabled of %s to true", p.Name, p.Name),
		}, nil
	}
	if u.Spec.User == resources.AppUserOf(p) {
		return userVerdict{
			reason:  userTaken,
			message: fmt.Sprintf("spec.user: %s is the application's account of pair %s; choose another name", u.Spec.User, p.Name),
		}, nil
	}
	other, err := r.olderOf(ctx, u)
	if err != nil {
		return userVerdict{}, err
	}
	if other != "" {
		return userVerdict{
			reason:  userConflict,
			message: fmt.Sprintf("spec.user: DatabasePairUser %s, which is older, has %s of this pair; choose another name", other, u.Spec.User),
		}, nil
	}
	password, refused, err := r.ensureSecret(ctx, u, p)
	if err != nil || refused.reason != "" {
		return refused, err
	}
	return r.ensureAccount(ctx, u, p, password)
}

// olderOf names the older user of the same pair with the same account; empty for none. The older
// one keeps it.
func (r *UserReconciler) olderOf(ctx context.Context, u *v1alpha1.DatabasePairUser) (string, error) {
	var all v1alpha1.DatabasePairUserList
	if err := r.Client.List(ctx, &all, client.InNamespace(u.Namespace)); err != nil {
		return "", fmt.Errorf("list users: %w", err)
	}
	for i := range all.Items {
		other := &all.Items[i]
		same := other.UID != u.UID && other.Spec.PairRef.Name == u.Spec.PairRef.Name && other.Spec.User == u.Spec.User
		if same && olderUser(other, u) {
			return other.Name, nil
		}
	}
	return "", nil
}

func olderUser(a, b *v1alpha1.DatabasePairUser) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

// ensureAccount has the open member's agent make the account what it has to be.
func (r *UserReconciler) ensureAccount(
	ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair, password string,
) (userVerdict, error) {
	command := agentapi.EnsureUserCommand{
		User:           u.Spec.User,
		Password:       password,
		Databases:      u.Spec.Databases,
		MaxConnections: int(u.Spec.MaxConnections),
		RequireTLS:     u.Spec.RequireTLS == nil || *u.Spec.RequireTLS,
		Grants:         userGrants(u),
		Replication:    u.Spec.Replication,
	}
	reply, err := r.Agents.EnsureUser(ctx, p, command)
	if err != nil {
		return refusedUser(u, err), nil
	}
	if len(reply.Changed) > 0 {
		r.event(u, normal, "AccountChanged", fmt.Sprintf("the account %s was made as the spec says: %q", u.Spec.User, reply.Changed))
	}
	return userVerdict{
		reason:  userReady,
		message: "the account " + u.Spec.User + " is as the spec says",
		until:   reply.FormerPasswordUntil,
		changed: len(reply.Changed) > 0,
	}, nil
}

// userGrants are those of the spec, or the default.
func userGrants(u *v1alpha1.DatabasePairUser) []string {
	switch {
	case u.Spec.Grants == nil && u.Spec.Replication:
		return []string{"SELECT"}
	case u.Spec.Grants == nil:
		return []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	}
	var grants []string
	for _, grant := range u.Spec.Grants {
		grants = append(grants, string(grant))
	}
	return grants
}

// refusedUser says what an agent's refusal means for a user. What was reconciled and cannot be
// looked at now still is.
func refusedUser(u *v1alpha1.DatabasePairUser, err error) userVerdict {
	var refusal *agentclient.Refusal
	if errors.As(err, &refusal) && refusal.Code == agentapi.ErrorUserTaken {
		return userVerdict{reason: userTaken, message: "spec.user: " + refusal.Message}
	}
	if errors.Is(err, agentclient.ErrNoSuchPath) {
		return userVerdict{
			reason:  userOldAgent,
			message: "the primary's agent is of an earlier version: kubectl dbpair upgrade-agent " + u.Spec.PairRef.Name,
		}
	}
	ready := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == u.Generation {
		return userVerdict{}
	}
	if errors.Is(err, errNoPrimary) {
		return userVerdict{reason: userNoPrimary, message: err.Error() + "; it is tried again until one does"}
	}
	return userVerdict{reason: userNotReconcile, message: err.Error() + "; it is tried again"}
}

// report writes the status, if it differs. A verdict without a reason leaves it as it is.
func (r *UserReconciler) report(ctx context.Context, u *v1alpha1.DatabasePairUser, verdict userVerdict) error {
	if verdict.reason == "" {
		return nil
	}
	base := u.DeepCopy()
	condition := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionFalse,
		ObservedGeneration: u.Generation,
		LastTransitionTime: metav1.NewTime(r.Now()),
		Reason:             verdict.reason,
		Message:            verdict.message,
	}
	if verdict.reason == userReady {
		condition.Status = metav1.ConditionTrue
		u.Status.FormerPasswordUntil = nil
		if verdict.until != nil {
			until := metav1.NewTime(*verdict.until)
			u.Status.FormerPasswordUntil = &until
		}
	}
	if verdict.changed || (verdict.reason == userReady && u.Status.ChangedAt == nil) {
		now := metav1.NewTime(r.Now())
		u.Status.ChangedAt = &now
	}
	meta.SetStatusCondition(&u.Status.Conditions, condition)
	u.Status.ObservedGeneration = u.Generation
	if equality.Semantic.DeepEqual(base.Status, u.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, u, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("write the status of user %s/%s: %w", u.Namespace, u.Name, err)
	}
	return nil
}

// event tells of something about a user.
func (r *UserReconciler) event(u *v1alpha1.DatabasePairUser, kind, reason, note string) {
	r.Events.Eventf(u, nil, kind, reason, reason, "%s", shortNote(note))
}

// Setup registers the controller.
func (r *UserReconciler) Setup(mgr ctrl.Manager, concurrent int) error {
	if r.Applier == nil {
		r.Applier = &cluster.Applier{Client: r.Client, Live: r.Live}
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("databasepairuser").
		For(&v1alpha1.DatabasePairUser{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: min(concurrent, 8), ReconciliationTimeout: visitTimeout}).
		Watches(&v1alpha1.DatabasePair{}, handler.EnqueueRequestsFromMapFunc(r.usersOfPair),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.usersOfSecret)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of users: %w", err)
	}
	return nil
}

func (r *UserReconciler) usersOfPair(ctx context.Context, o client.Object) []reconcile.Request {
	return r.usersOf(ctx, o.GetNamespace(), o.GetName())
}

// usersOfSecret finds the users to whom a Secret of a pair matters: its own, or all for the one
// of the application, which has the certificates.
func (r *UserReconciler) usersOfSecret(ctx context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[resources.LabelPair]
	if user := o.GetLabels()[resources.LabelUser]; user != "" {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: user}}}
	}
	if name == "" || o.GetName() != (resources.Names{Pair: name}).App() {
		return nil
	}
	return r.usersOf(ctx, o.GetNamespace(), name)
}

func (r *UserReconciler) usersOf(ctx context.Context, namespace, pairName string) []reconcile.Request {
	var all v1alpha1.DatabasePairUserList
	if err := r.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range all.Items {
		if all.Items[i].Spec.PairRef.Name == pairName {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return out
}
