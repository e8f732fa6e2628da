package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/execute"
)

func TestADonorIsMadeFromItsSecretsAndWhatIsMissingIsSaid(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "old"}, Data: map[string][]byte{"password": []byte("p")}}
	c := fake.NewClientBuilder().Build()
	r := &PairReconciler{Live: c}
	p := &v1alpha1.DatabasePair{}
	v := &visit{name: types.NamespacedName{Namespace: "ns", Name: "shop"}, pair: p, session: &session{}}
	if got, err := r.foreignDonor(t.Context(), v); got != nil || err != nil {
		t.Fatalf("a pair that begins empty: %+v, %v", got, err)
	}
	p.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Donor: &v1alpha1.DonorSource{
		Host:              "old.example.com",
		Port:              3306,
		User:              "donor",
		TLS:               v1alpha1.DonorTLSRequired,
		PasswordSecretRef: v1alpha1.KeyReference{Name: "old", Key: "password"},
		CASecretRef:       &v1alpha1.KeyReference{Name: "old", Key: "ca.crt"},
	}}
	missing := func(says string) {
		t.Helper()
		got, err := r.foreignDonor(t.Context(), v)
		if got != nil || !errors.Is(err, execute.ErrConflict) || !strings.Contains(v.session.bootstrap.fact, says) {
			t.Fatalf("%+v, %v; it says %q, want %q", got, err, v.session.bootstrap.fact, says)
		}
	}
	missing("spec.bootstrap.donor.passwordSecretRef: there is no Secret old")
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	missing("spec.bootstrap.donor.caSecretRef: Secret old has no key ca.crt")
	secret.Data["ca.crt"] = []byte("pem")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	got, err := r.foreignDonor(t.Context(), v)
	want := &agentapi.ForeignDonor{Host: "old.example.com", Port: 3306, User: "donor", Password: "p", CA: "pem"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || v.session.bootstrap.reason != "" {
		t.Errorf("%v, it says %q (-want +got):\n%s", err, v.session.bootstrap.fact, diff)
	}
}
