package controllers

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// ensureSecret keeps the Secret of a user, and returns the password in it; or why there is none.
func (r *UserReconciler) ensureSecret(
	ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair,
) (password string, refused userVerdict, err error) {
	var app, live corev1.Secret
	names := resources.NamesOf(p)
	if _, err := r.Applier.Find(ctx, p, types.NamespacedName{Namespace: p.Namespace, Name: names.App()}, &app); err != nil {
		return "", refused, err
	}
	if len(app.Data[resources.KeyCA]) == 0 {
		return "", userVerdict{reason: userNoSecret, message: "the pair has no certificate authority yet"}, nil
	}
	name := types.NamespacedName{Namespace: u.Namespace, Name: resources.UserSecretName(u)}
	if _, err := r.Applier.Find(ctx, p, name, &live); err != nil {
		refused, err = refusedSecret(err)
		return "", refused, err
	}
	given, why, err := r.password(ctx, u, live.Data[resources.KeyPassword])
	if err != nil {
		return "", refused, err
	}
	if why != "" {
		return "", userVerdict{reason: userNoPassword, message: why}, nil
	}
	wish, err := resources.UserSecret(p, u, string(given), app.Data[resources.KeyCA])
	if err != nil {
		return "", refused, err
	}
	if _, err := r.Applier.Ensure(ctx, p, wish, &corev1.Secret{}); err != nil {
		refused, err = refusedSecret(err)
		return "", refused, err
	}
	u.Status.SecretName = name.Name
	return string(given), refused, nil
}

// refusedSecret is the verdict on a user whose Secret cannot be kept, for what a person has to see:
// another try of the same would not help. Other errors are returned.
func refusedSecret(err error) (userVerdict, error) {
	lasting := errors.Is(err, cluster.ErrForeign) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err)
	if !lasting {
		return userVerdict{}, err
	}
	return userVerdict{
		reason:  userNoSecret,
		message: err.Error(),
	}, nil
}

// password is what the user's owner gives, or else the one in the Secret, or a new one; why says
// what is wrong with the one that the owner gives.
func (r *UserReconciler) password(ctx context.Context, u *v1alpha1.DatabasePairUser, live []byte) (given []byte, why string, err error) {
	ref := u.Spec.PasswordSecretRef
	field := "the key password of Secret " + resources.UserSecretName(u)
	given = live
	if ref != nil {
		field = "spec.passwordSecretRef"
		named := namedObjects{live: r.Live, namespace: u.Namespace}
		if given, why, err = named.value(ctx, *ref, field); err != nil || why != "" {
			return nil, why, err
		}
	}
	if len(given) == 0 {
		given, err = newPassword()
		return given, "", err
	}
	if why = unusableForApp(given); why != "" {
		return nil, field + ": " + why, nil
	}
	return given, "", nil
}

// remove has the account of a deleted user locked or dropped, and lets the object go then, or when
// there is no account of it.
func (r *UserReconciler) remove(ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(u, userFinalizer) {
		return ctrl.Result{}, nil
	}
	if p != nil && p.DeletionTimestamp == nil {
		other, err := r.olderOf(ctx, u)
		if err != nil {
			return ctrl.Result{}, err
		}
		if other == "" && u.Spec.User != resources.AppUserOf(p) {
			done, err := r.removeAccount(ctx, u, p)
			if err != nil || !done {
				return ctrl.Result{RequeueAfter: userSoon}, quiet(err)
			}
		}
		if err := r.deleteSecret(ctx, u, p); err != nil {
			return ctrl.Result{}, quiet(err)
		}
	}
	base := u.DeepCopy()
	controllerutil.RemoveFinalizer(u, userFinalizer)
	if err := r.Client.Patch(ctx, u, client.MergeFrom(base)); err != nil {
		return ctrl.Result{}, quiet(client.IgnoreNotFound(err))
	}
	return ctrl.Result{}, nil
}

// removeAccount reports whether the account is locked or dropped, or was never made here.
func (r *UserReconciler) removeAccount(ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair) (bool, error) {
	if u.Status.ChangedAt == nil {
		return true, nil
	}
	_, err := r.Agents.RemoveUser(ctx, p, agentapi.RemoveUserCommand{
		User: u.Spec.User,
		Drop: u.Spec.DeletionPolicy == v1alpha1.DropUser,
	})
	if err == nil {
		return true, nil
	}
	will := "locked"
	if u.Spec.DeletionPolicy == v1alpha1.DropUser {
		will = "dropped"
	}
	verdict := userVerdict{
		reason:  userNotReconcile,
		message: fmt.Sprintf("the account %s is not %s yet: %v; it is tried again", u.Spec.User, will, err),
	}
	if errors.Is(err, errNoPrimary) {
		verdict.reason = userNoPrimary
	}
	return false, r.report(ctx, u, verdict)
}

// deleteSecret deletes the Secret that was made for the user.
func (r *UserReconciler) deleteSecret(ctx context.Context, u *v1alpha1.DatabasePairUser, p *v1alpha1.DatabasePair) error {
	var s corev1.Secret
	found, err := r.Applier.Find(ctx, p, types.NamespacedName{Namespace: u.Namespace, Name: resources.UserSecretName(u)}, &s)
	if errors.Is(err, cluster.ErrForeign) {
		return nil // someone else's Secret stays
	}
	if err != nil || !found || s.Labels[resources.LabelUser] != u.Name {
		return err
	}
	uid := s.UID
	err = r.Client.Delete(ctx, &s, client.Preconditions(metav1.Preconditions{UID: &uid}))
	if apierrors.IsForbidden(err) {
		// An operator without the features that need Jobs has no such right.
		r.event(u, warning, "SecretNotDeleted", "Secret "+s.Name+" is left: "+err.Error())
		return nil
	}
	return client.IgnoreNotFound(err)
}
