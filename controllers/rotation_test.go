package controllers

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// rotating is a pair whose Secrets are kept, and a clock that stands still.
type rotating struct {
	*testing.T
	r    *childrenReconciler
	pair *v1alpha1.DatabasePair
	s    *session
	now  time.Time
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	out := &rotating{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	out.pair = &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Name:        "shop",
		Namespace:   "ns",
		UID:         "u",
		Annotations: map[string]string{},
	}}
	c := fake.NewClientBuilder().WithScheme(all).WithObjects(out.pair.DeepCopy()).Build()
	r := &PairReconciler{Client: c, Live: c, Events: &events{}, Now: func() time.Time { return out.now }}
	r.prepare(func(types.NamespacedName) {})
	out.r = r.children
	out.s = newSession("u", &lease.Store{}, out.now)
	return out
}

// visit is a reconcile of the pair's objects.
func (t *rotating) visit() *childrenVisit {
	return &childrenVisit{
		name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
		names:   resources.NamesOf(t.pair),
		pair:    t.pair,
		memory:  &t.s.children,
		keyring: &t.s.keyring,
		reports: &t.s.reports,
		warned:  &t.s.warned,
		settled: &t.s.settled,
	}
}

// secrets makes the Secrets as one visit does, and returns those that matter.
func (t *rotating) secrets() (ca, leaf, internal map[string][]byte) {
	t.Helper()
	v := t.visit()
	v.writes = true
	for _, p := range phases {
		if p.name != "authority" && p.name != "passwords" && p.name != "secrets" {
			continue
		}
		if err := p.run(t.r, t.Context(), v); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
	read := func(name string) map[string][]byte {
		var s corev1.Secret
		if err := t.r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: name}, &s); err != nil {
			t.Fatal(err)
		}
		return s.Data
	}
	return read(v.names.CA()), read(v.names.TLS(0)), read(v.names.Internal())
}

func (t *rotating) ask(annotation string) {
	t.now = t.now.Add(time.Minute)
	t.pair.Annotations[annotation] = t.now.Format(time.RFC3339)
}

// Between any two of the phases everybody trusts what everybody else presents.
func TestACertificateAuthorityIsRotatedInPhases(t *testing.T) {
	s := newRotating(t)
	ca, leaf, _ := s.secrets()
	former, err := pki.ParseAuthority(ca[resources.KeyCA], ca[resources.KeyCAKey])
	if err != nil {
		t.Fatal(err)
	}
	certificate := leaf[corev1.TLSCertKey]
	s.ask(v1alpha1.AnnotationRotateCA)
	ca, leaf, _ = s.secrets()
	if n := strings.Count(string(leaf[resources.KeyCA]), "BEGIN"); n != 2 || !bytes.Equal(leaf[corev1.TLSCertKey], certificate) {
		t.Fatalf("published: %d authorities, certificate changed: %v", n, !bytes.Equal(leaf[corev1.TLSCertKey], certificate))
	}
	next := ca[keyNextCA]
	s.now = s.now.Add(caPublished / 2)
	if ca, _, _ = s.secrets(); !bytes.Equal(ca[keyNextCA], next) {
		t.Error("another authority was published before the last one signed")
	}
	s.now = s.now.Add(caPublished)
	ca, leaf, _ = s.secrets()
	switch {
	case !bytes.HasPrefix(ca[resources.KeyCA], next) || len(ca[keyNextCA]) > 0:
		t.Error("the published authority does not sign")
	case bytes.Equal(leaf[corev1.TLSCertKey], certificate):
		t.Error("the member's certificate is the former one")
	case !bytes.Contains(leaf[resources.KeyCA], former.CertPEM):
		t.Error("the former authority is not trusted any more, though members have not read this yet")
	}
	s.now = s.now.Add(2 * caKept)
	if _, leaf, _ = s.secrets(); !bytes.Contains(leaf[resources.KeyCA], former.CertPEM) {
		t.Error("the former authority was given up while the pair was not in order: its Lease may be signed by it")
	}
	s.s.settled.since = s.now.Add(-settledLimit)
	if ca, leaf, _ = s.secrets(); bytes.Contains(leaf[resources.KeyCA], former.CertPEM) || bytes.Contains(ca[resources.KeyCA], former.CertPEM) {
		t.Error("the former authority is trusted forever")
	}
	if !bytes.Equal(ca[resources.KeyCA], next) {
		t.Error("the authority was rotated again")
	}
}

// Anyone who may write a member's Secret must not add an authority to those that are trusted.
func TestAnAuthorityInAMembersSecretIsNotTrusted(t *testing.T) {
	s := newRotating(t)
	s.secrets()
	foreign, err := pki.NewAuthority("shop", s.now)
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: "ns", Name: "shop-tls-0"}
	if err := s.r.Client.Get(t.Context(), key, &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data[resources.KeyCA] = append(secret.Data[resources.KeyCA], foreign.CertPEM...)
	if err := s.r.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if ca, leaf, _ := s.secrets(); bytes.Contains(leaf[resources.KeyCA], foreign.CertPEM) || bytes.Contains(ca[resources.KeyCA], foreign.CertPEM) {
		t.Error("the foreign authority is trusted")
	}
}

func TestPasswordsAndCertificatesAreRotatedOnce(t *testing.T) {
	s := newRotating(t)
	_, leaf, internal := s.secrets()
	password := internal["root"]
	certificate := leaf[corev1.TLSCertKey]
	s.ask(v1alpha1.AnnotationRotatePasswords)
	_, leaf, internal = s.secrets()
	if bytes.Equal(internal["root"], password) || !bytes.Equal(leaf[corev1.TLSCertKey], certificate) {
		t.Error("the password was not rotated, or more than that")
	}
	s.ask(v1alpha1.AnnotationRotateCertificates)
	password = internal["root"]
	_, leaf, internal = s.secrets()
	if !bytes.Equal(internal["root"], password) || bytes.Equal(leaf[corev1.TLSCertKey], certificate) {
		t.Error("the certificate was not rotated, or more than that")
	}
	certificate = leaf[corev1.TLSCertKey]
	s.now = s.now.Add(time.Hour)
	if _, leaf, internal = s.secrets(); !bytes.Equal(internal["root"], password) || !bytes.Equal(leaf[corev1.TLSCertKey], certificate) {
		t.Error("it was done twice")
	}
}
