package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// TestADeletedUserStaysUntilItsSecretIsGone: an API server that does not answer is no reason to
// forget a Secret with a password.
func TestADeletedUserStaysUntilItsSecretIsGone(t *testing.T) {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns",
		Name:      "shop",
		UID:       "u",
	}}
	u := &v1alpha1.DatabasePairUser{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         "ns",
			Name:              "reporter",
			UID:               "reporter-uid",
			Finalizers:        []string{userFinalizer},
			DeletionTimestamp: &metav1.Time{Time: time.Now()},
		},
		Spec: v1alpha1.UserSpec{
			PairRef: v1alpha1.UserPairReference{Name: "shop"},
			User:    "reporter",
		},
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace:       "ns",
		Name:            resources.UserSecretName(u),
		Labels:          map[string]string{resources.LabelUser: u.Name},
		OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
	}}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	answers := false
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(p, u, secret).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if _, isSecret := o.(*corev1.Secret); isSecret && !answers {
					return errors.New("the API server does not answer")
				}
				return c.Get(ctx, key, o, opts...)
			},
		}).Build()
	r := &UserReconciler{
		Client:  c,
		Live:    c,
		Applier: &cluster.Applier{Client: c, Live: c},
		Now:     time.Now,
	}
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(u)}
	if _, err := r.Reconcile(t.Context(), request); err == nil {
		t.Error("a Secret that could not be read is no error")
	}
	if err := c.Get(t.Context(), request.NamespacedName, u); err != nil || !controllerutil.ContainsFinalizer(u, userFinalizer) {
		t.Fatalf("the user is let go while its Secret may be there: %v", err)
	}
	answers = true
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the Secret is still there: %v", err)
	}
	if err := c.Get(t.Context(), request.NamespacedName, u); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the user is still there: %v", err)
	}
}

func TestTheGrantsOfAUser(t *testing.T) {
	for name, c := range map[string]struct {
		spec v1alpha1.UserSpec
		want []string
	}{
		"by default":             {v1alpha1.UserSpec{}, []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
		"of a reader by default": {v1alpha1.UserSpec{Replication: true}, []string{"SELECT"}},
		"none":                   {v1alpha1.UserSpec{Grants: []v1alpha1.UserGrant{}}, nil},
		"what the spec says":     {v1alpha1.UserSpec{Grants: []v1alpha1.UserGrant{"TRIGGER"}}, []string{"TRIGGER"}},
	} {
		if got := userGrants(&v1alpha1.DatabasePairUser{Spec: c.spec}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAReaderNeedsAPassiveToReadFrom: without the Service there is no way to the port for readers.
func TestAReaderNeedsAPassiveToReadFrom(t *testing.T) {
	off := false
	p := &v1alpha1.DatabasePair{}
	p.Name = "shop"
	p.Spec.Services.Passive.Enabled = &off
	u := &v1alpha1.DatabasePairUser{Spec: v1alpha1.UserSpec{User: "cdc", Replication: true}}
	verdict, err := (&UserReconciler{}).keep(t.Context(), u, p)
	if err != nil || verdict.reason != userNoPassive || !strings.Contains(verdict.message, "spec.services.passive.enabled") {
		t.Errorf("got %+v, %v", verdict, err)
	}
}
