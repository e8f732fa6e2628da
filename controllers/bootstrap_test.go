package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// beginner is a reconciler and one look at a new pair.
func beginner(t *testing.T) (*PairReconciler, *visit, client.Client) {
	t.Helper()
	c := fake.NewClientBuilder().Build()
	r := &PairReconciler{
		Client:  c,
		Live:    c,
		Now:     time.Now,
		Applier: &cluster.Applier{Client: c, Live: c},
		Agent:   resources.Image{Name: "dbpair:1"},
	}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns",
		Name:      "shop",
		UID:       "pair-uid",
	}}
	v := &visit{
		name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
		names:   resources.NamesOf(p),
		pair:    p,
		session: &session{},
		log:     logr.Discard(),
	}
	return r, v, c
}

// asks is the order that a look gives, and what it says is missing.
func asks(t *testing.T, r *PairReconciler, v *visit) (agentapi.InitializeCommand, error) {
	t.Helper()
	var c agentapi.InitializeCommand
	err := r.beginning(t.Context(), v, &c)
	return c, err
}

func TestADonorIsMadeFromItsSecretsAndWhatIsMissingIsSaid(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "old"}, Data: map[string][]byte{"password": []byte("p")}}
	r, v, c := beginner(t)
	if got, err := asks(t, r, v); got.Donor != nil || got.Dump != nil || err != nil {
		t.Fatalf("a pair that begins empty: %+v, %v", got, err)
	}
	v.pair.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Donor: &v1alpha1.DonorSource{
		Host:              "old.example.com",
		Port:              3306,
		User:              "donor",
		TLS:               v1alpha1.DonorTLSRequired,
		PasswordSecretRef: v1alpha1.KeyReference{Name: "old", Key: "password"},
		CASecretRef:       &v1alpha1.KeyReference{Name: "old", Key: "ca.crt"},
	}}
	missing := func(says string) {
		t.Helper()
		got, err := asks(t, r, v)
		if got.Donor != nil || !errors.Is(err, execute.ErrConflict) || !strings.Contains(v.session.bootstrap.fact, says) {
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
	got, err := asks(t, r, v)
	want := &agentapi.ForeignDonor{Host: "old.example.com", Port: 3306, User: "donor", Password: "p", CA: "pem"}
	if diff := cmp.Diff(want, got.Donor); diff != "" || err != nil || v.session.bootstrap.reason != "" {
		t.Errorf("%v, it says %q (-want +got):\n%s", err, v.session.bootstrap.fact, diff)
	}
}

// A dump has a Job that brings it, with a certificate of its own; both are made again when they are
// lost, and nothing is made of a claim that is not there or a member's.
func TestADumpGetsAJobThatBringsIt(t *testing.T) {
	r, v, c := beginner(t)
	v.pair.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Dump: &v1alpha1.DumpSource{
		ClaimName: "dumps",
		Path:      "app.sql.gz",
		Strip:     true,
	}}
	lacks := func(says string) {
		t.Helper()
		got, err := asks(t, r, v)
		if got.Dump != nil || !errors.Is(err, execute.ErrConflict) || !strings.Contains(v.session.bootstrap.fact, says) {
			t.Fatalf("%+v, %v; it says %q, want %q", got, err, v.session.bootstrap.fact, says)
		}
	}
	r.Off = Off{
		Checksum: true,
		Repair:   true,
		Backup:   true,
	}
	lacks("Jobs are turned off")
	r.Off = Off{}
	lacks("spec.bootstrap.dump.claimName: there is no PersistentVolumeClaim dumps")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "dumps", Labels: map[string]string{resources.LabelPair: "till"},
	}}
	authority, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	ca := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       "ns",
			Name:            v.names.CA(),
			Labels:          resources.Labels("shop"),
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(v.pair)},
		},
		Data: map[string][]byte{resources.KeyCA: authority.CertPEM, resources.KeyCAKey: key},
	}
	for _, o := range []client.Object{claim, ca} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	lacks("is the volume of a member")
	claim.Labels = nil
	if err := c.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := asks(t, r, v)
		want := &agentapi.Dump{
			Name:  "app.sql.gz of PersistentVolumeClaim dumps",
			Job:   "shop-dump",
			Strip: true,
		}
		if diff := cmp.Diff(want, got.Dump); diff != "" || err != nil || v.session.bootstrap.reason != "" {
			t.Fatalf("%v, it says %q (-want +got):\n%s", err, v.session.bootstrap.fact, diff)
		}
	}
	var job batchv1.Job
	var secret corev1.Secret
	name := types.NamespacedName{Namespace: "ns", Name: "shop-dump"}
	if err := errors.Join(c.Get(t.Context(), name, &job), c.Get(t.Context(), name, &secret)); err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	readOnly := slices.ContainsFunc(pod.Volumes, func(o corev1.Volume) bool {
		return o.PersistentVolumeClaim != nil && o.PersistentVolumeClaim.ClaimName == "dumps" && o.PersistentVolumeClaim.ReadOnly
	})
	if !readOnly || *pod.AutomountServiceAccountToken || pod.SecurityContext.FSGroup != nil || len(pod.Volumes) != 2 {
		t.Errorf("the pod has %+v", pod)
	}
	leaf := pki.Leaf{CertPEM: secret.Data[corev1.TLSCertKey], KeyPEM: secret.Data[corev1.TLSPrivateKeyKey]}
	if why := authority.Due(leaf, pki.Job(agentapi.DumpOperation), time.Now()); why != "" {
		t.Errorf("the certificate of the Job: %s", why)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	if err := c.Status().Update(t.Context(), &job); err != nil {
		t.Fatal(err)
	}
	lacks("has ended and is made again")
	if got, err := asks(t, r, v); got.Dump == nil {
		t.Errorf("it is not made again: %v, %q", err, v.session.bootstrap.fact)
	}
}
