package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
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
	// left is how many more writes are made before the operator is gone; negative for all.
	left int
}

var errDied = errors.New("the operator is gone")

func (t *rotating) dying() interceptor.Funcs {
	return interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if t.left == 0 {
				return errDied
			}
			t.left--
			return c.Apply(ctx, o, opts...)
		},
	}
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	out := &rotating{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), left: -1}
	out.pair = &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Name:        "shop",
		Namespace:   "ns",
		UID:         "u",
		Annotations: map[string]string{},
	}}
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(all).WithObjects(out.pair.DeepCopy()).Build(), out.dying())
	r := &PairReconciler{Client: c, Live: c, Events: &events{}, Now: func() time.Time { return out.now }}
	r.prepare(func(types.NamespacedName) {})
	out.r = r.children
	out.s = newSession("u", &lease.Store{}, out.now)
	return out
}

// visit is a reconcile of the pair's objects.
func (t *rotating) visit() *childrenVisit {
	return &childrenVisit{
		name:      types.NamespacedName{Namespace: "ns", Name: "shop"},
		names:     resources.NamesOf(t.pair),
		pair:      t.pair,
		memory:    &t.s.children,
		keyring:   &t.s.keyring,
		reports:   &t.s.reports,
		warned:    &t.s.warned,
		settled:   &t.s.settled,
		revisions: &t.s.revisions,
	}
}

// secrets makes the Secrets as one visit does, and returns those that matter.
func (t *rotating) secrets() (ca, leaf, internal map[string][]byte) {
	t.Helper()
	if err := t.make(); err != nil {
		t.Fatal(err)
	}
	return t.read("shop-ca"), t.read("shop-tls-0"), t.read("shop-internal")
}

func (t *rotating) make() error {
	v := t.visit()
	v.writes = true
	for _, p := range phases {
		if p.name != "authority" && p.name != "passwords" && p.name != "secrets" {
			continue
		}
		if err := p.run(t.r, t.Context(), v); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (t *rotating) read(name string) map[string][]byte {
	t.Helper()
	var s corev1.Secret
	if err := t.r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: name}, &s); err != nil {
		t.Fatal(err)
	}
	return s.Data
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

// formerKeys are the former passwords in a Secret, by account.
func formerKeys(data map[string][]byte, prefix string) map[string]string {
	out := map[string]string{}
	for _, name := range agentapi.FormerPasswords() {
		if password, there := data[prefix+agentapi.FormerPasswordFile(name)]; there {
			out[name] = string(password)
		}
	}
	return out
}

// report has the members say which passwords they work with, as the next look hears it.
func (t *rotating) report(members ...map[string][]byte) {
	t.s.revisions.members = [2]string{}
	for i, passwords := range members {
		text := map[string][]byte{appCopy: t.read("shop-app")[resources.KeyPassword]}
		for _, key := range resources.InternalKeys() {
			text[key] = passwords[key]
		}
		t.s.revisions.members[i] = revisionOf(text)
	}
}

func TestFormerPasswordsStayUntilBothMembersWorkWithTheNewOnes(t *testing.T) {
	s := newRotating(t)
	_, _, first := s.secrets()
	if kept := formerKeys(first, ""); len(kept) > 0 {
		t.Fatalf("former passwords before a rotation: %v", kept)
	}
	s.report(first, first)
	s.ask(v1alpha1.AnnotationRotatePasswords)
	want := map[string]string{"root": string(first["root"]), "replication": string(first["replication"])}
	var ca, second map[string][]byte
	for _, heard := range [][]map[string][]byte{{first, first}, {}, {first, nil}} {
		ca, _, second = s.secrets()
		for where, kept := range map[string]map[string]string{"internal": formerKeys(second, ""), "ca": formerKeys(ca, copyPrefix)} {
			if diff := cmp.Diff(want, kept); diff != "" {
				t.Errorf("former passwords in %s (-want +got):\n%s", where, diff)
			}
		}
		s.report(heard...)
	}
	s.report(second)
	if _, _, internal := s.secrets(); len(formerKeys(internal, "")) == 0 {
		t.Error("the former passwords are gone, and one member was not heard")
	}
	s.ask(v1alpha1.AnnotationRotatePasswords) // it waits for the end of the one under way
	if _, _, internal := s.secrets(); !bytes.Equal(internal["root"], second["root"]) {
		t.Error("passwords were made again, and a member may still have the ones before the former ones")
	}
	s.report(second, second)
	ca, _, internal := s.secrets()
	if len(formerKeys(internal, "")) > 0 || len(formerKeys(ca, copyPrefix)) > 0 || !bytes.Equal(internal["root"], second["root"]) {
		t.Error("the former passwords stay, and both members work with the new ones")
	}
	_, _, third := s.secrets()
	if bytes.Equal(third["root"], second["root"]) || formerKeys(third, "")["root"] != string(second["root"]) {
		t.Error("the rotation that waited was not made")
	}
}

// An operator that ends between any two of its writes leaves, for every password that a member
// may have read, a copy; and the next operator carries on.
func TestAnOperatorThatEndsAmidARotationLosesNoPassword(t *testing.T) {
	for died := 0; ; died++ {
		s := newRotating(t)
		_, _, first := s.secrets()
		s.ask(v1alpha1.AnnotationRotatePasswords)
		step := func(then func()) (whole bool) {
			s.left = died
			err := s.make()
			s.left = -1
			if err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			ca := s.read("shop-ca")
			internal := s.read("shop-internal")
			for _, name := range agentapi.FormerPasswords() {
				present := ca[copyPrefix+name]
				former := ca[copyPrefix+agentapi.FormerPasswordFile(name)]
				if live := internal[name]; !bytes.Equal(live, present) && !bytes.Equal(live, former) {
					t.Errorf("after %d writes there is no copy of %s", died, name)
				}
			}
			s.s = newSession("u", &lease.Store{}, s.now) // the next operator remembers nothing
			then()
			return err == nil
		}
		whole := step(func() {})
		_, _, second := s.secrets()
		if bytes.Equal(second["root"], first["root"]) || formerKeys(second, "")["root"] != string(first["root"]) {
			t.Errorf("after %d writes the next operator does not carry the rotation on", died)
		}
		s.report(second, second)
		whole = step(func() { s.report(second, second) }) && whole
		ca, _, last := s.secrets()
		if !bytes.Equal(last["root"], second["root"]) || len(formerKeys(last, ""))+len(formerKeys(ca, copyPrefix)) > 0 {
			t.Errorf("after %d writes the next operator does not end the rotation", died)
		}
		if whole {
			return
		}
	}
}

// A person with the verb override gives back what mysqld knows, as the runbook says.
func TestAPasswordInTheSecretOfTheAuthorityCounts(t *testing.T) {
	s := newRotating(t)
	s.secrets()
	var secret corev1.Secret
	if err := s.r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "shop-ca"}, &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["password.root"] = []byte("KnownToMysqld")
	if err := s.r.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if ca, _, internal := s.secrets(); string(internal["root"]) != "KnownToMysqld" || string(ca["password.root"]) != "KnownToMysqld" {
		t.Errorf("root's password is %q", internal["root"])
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
