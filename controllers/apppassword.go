package controllers

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// reasonAppPassword is the reason of the event about a password that cannot be used.
const reasonAppPassword = "ApplicationPasswordRefused"

// appPassword is the password of the application's account: what its owner gives, and while
// that cannot be used, which is reported, the last one, or a new one. live is the one in the
// Secret <pair>-app.
func (r *childrenReconciler) appPassword(ctx context.Context, v *childrenVisit, live []byte) ([]byte, error) {
	given := live
	field := "Secret " + v.names.App() + ", key password"
	ref := v.pair.Spec.Application.PasswordSecretRef
	if ref != nil {
		field = "spec.application.passwordSecretRef"
		var why string
		var err error
		if given, why, err = userSecret(ctx, r.Live, v.name.Namespace, *ref); err != nil {
			return nil, err
		}
		if why != "" {
			r.warnOnce(v, v.pair, reasonAppPassword, field+": "+why)
		}
	}
	if len(given) > 0 {
		why := unusableForApp(given)
		if why == "" {
			return given, nil
		}
		r.warnOnce(v, v.pair, reasonAppPassword, field+": "+why+"; the last one is still valid")
	}
	for _, last := range [][]byte{v.copies[appCopy], live} {
		if len(last) > 0 && unusableForApp(last) == "" {
			return last, nil
		}
	}
	return newPassword()
}

// userSecret reads one key of a user's Secret, which no cache has; why says what is missing.
func userSecret(
	ctx context.Context, live client.Reader, namespace string, ref v1alpha1.KeyReference,
) (value []byte, why string, err error) {
	var secret corev1.Secret
	err = live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Sprintf("there is no Secret %s in this namespace: make it", ref.Name), nil
	case err != nil:
		return nil, "", fmt.Errorf("read Secret %s: %w", ref.Name, err)
	case len(secret.Data[ref.Key]) == 0:
		return nil, fmt.Sprintf("Secret %s has no key %s: add it", ref.Name, ref.Key), nil
	}
	return secret.Data[ref.Key], "", nil
}

// maxAppPassword is in bytes; mysqld takes 256 with the zero at the end.
const maxAppPassword = 255

// unusableForApp says why a password cannot be the application's: one that no file of options
// and no connection string could hold, or that mysqld does not take. It is empty for one that
// can.
func unusableForApp(password []byte) string {
	if len(password) > maxAppPassword {
		return fmt.Sprintf("the password has %d bytes, at most %d are possible", len(password), maxAppPassword)
	}
	if !utf8.Valid(password) {
		return "the password is not UTF-8"
	}
	for _, c := range string(password) {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return fmt.Sprintf("the password has the control character %U, such as the line break at the end of a file: remove it", c)
		}
	}
	return ""
}
