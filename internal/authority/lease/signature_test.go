package lease_test

import (
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/signing"
)

// keyring signs with one certificate authority and trusts a bundle.
type keyring struct {
	*pki.Authority
	trusted *signing.Trusted
	unable  error
}

func (k keyring) Verify(message, signature []byte) (bool, error) {
	return k.trusted.Verify(message, signature), k.unable
}

func newCA(t *testing.T) *pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func keysOf(t *testing.T, signer *pki.Authority, also ...*pki.Authority) keyring {
	t.Helper()
	bundle := signer.CertPEM
	for _, ca := range also {
		bundle = append(append([]byte{}, bundle...), ca.CertPEM...)
	}
	trusted, err := signing.Trust(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return keyring{Authority: signer, trusted: trusted}
}

func signingStore(api lease.API, keys lease.Keyring) *lease.Store {
	s := owning(api)
	s.Keyring = keys
	return s
}

// Whatever is changed in a signed Lease, it is no authority any more.
func TestEveryPartOfTheLeaseIsSigned(t *testing.T) {
	for name, change := range map[string]func(*coordinationv1.Lease){
		"holder": func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("shop-0/p-0") },
		"nobody": func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil },
		"epoch":  func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](9) },
		"T":      func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](60) },
		"ledger version": func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationLedger] = `{"version":10,"state":"solo","first":"shop-1"}`
		},
		"ledger's members": func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationLedger] = `{"version":9,"state":"solo","first":"shop-1"}`
		},
		"data":                            func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationData] = `{"shop-0":"x","shop-1":"d1"}` },
		"last holder":                     func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationLastHolder) },
		"appointment":                     func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationAppointed) },
		"left":                            func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationLeft) },
		"intent":                          func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationIntent) },
		"bootstrap":                       func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationBootstrap) },
		"pair":                            func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationPairUID] = `"u-2"` },
		"a part that a later version has": func(l *coordinationv1.Lease) { l.Annotations["dbpair.io/later"] = "1" },
		"signature":                       func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationSignature] = "v1:eA==" },
		"no signature":                    func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationSignature) },
		"a signature of another form":     func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationSignature] = "v2:eA==" },
	} {
		api := &server{}
		store := signingStore(api, keysOf(t, newCA(t)))
		if _, err := store.Create(t.Context(), full()); err != nil {
			t.Fatal(err)
		}
		r, _, err := store.Read(t.Context())
		if err != nil || r.Signed.Epoch != 7 || r.Signed.Signature == "" {
			t.Fatalf("what was signed is read as %+v, %v", r.Signed, err)
		}
		l := api.kept.DeepCopy()
		change(l)
		api.keep(l)
		if r, version, err := store.Read(t.Context()); !errors.Is(err, authority.ErrNotAuthentic) || r.PairUID != "" || version == "" {
			t.Errorf("%s changed: read as %+v at %q: %v", name, r, version, err)
		}
	}
}

func TestWhoSignedTheLeaseCounts(t *testing.T) {
	mine := newCA(t)
	other := newCA(t)
	for name, c := range map[string]struct {
		signer, reader lease.Keyring
		fine           bool
	}{
		"the same":                           {keysOf(t, mine), keysOf(t, mine), true},
		"one that another signed":            {keysOf(t, other), keysOf(t, mine), false},
		"one that a former CA signed":        {keysOf(t, mine), keysOf(t, other, mine), true},
		"one that a new CA signed":           {keysOf(t, other), keysOf(t, mine, other), true},
		"one that was signed before signing": {nil, keysOf(t, mine), false},
	} {
		api := &server{}
		writer := signingStore(api, c.signer)
		if c.signer == nil {
			writer.Keyring = nil
		}
		if _, err := writer.Create(t.Context(), full()); err != nil {
			t.Fatal(err)
		}
		_, _, err := signingStore(api, c.reader).Read(t.Context())
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Not to know yet is neither a valid signature nor a forged one.
func TestAKeyThatIsNotThereYetIsNoForgery(t *testing.T) {
	api := &server{}
	late := errors.New("not yet")
	keys := keysOf(t, newCA(t))
	if _, err := signingStore(api, keys).Create(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	keys.unable = late
	if _, _, err := signingStore(api, keys).Read(t.Context()); !errors.Is(err, late) || errors.Is(err, authority.ErrNotAuthentic) {
		t.Errorf("read: %v", err)
	}
}

// A pair whose operators did not sign goes on until the first write, and not longer.
func TestALeaseWithoutASignatureCountsOnlyWhenThatIsAccepted(t *testing.T) {
	api := &server{}
	old := owning(api)
	if _, err := old.Create(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	accept := true
	store := signingStore(api, keysOf(t, newCA(t)))
	store.AcceptUnsigned = func() bool { return accept }
	r, version, err := store.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), r, version); err != nil {
		t.Fatal(err)
	}
	accept = false
	if r, _, err = store.Read(t.Context()); err != nil || r.Signed.Signature == "" {
		t.Fatalf("after it was signed: %+v, %v", r.Signed, err)
	}
	forged := api.kept.DeepCopy()
	forged.Spec.LeaseTransitions = ptr.To[int32](8)
	api.keep(forged)
	accept = true
	if _, _, err := store.Read(t.Context()); !errors.Is(err, authority.ErrNotAuthentic) {
		t.Errorf("one with a signature that does not fit: %v", err)
	}
	unlabeled := api.kept.DeepCopy()
	unlabeled.Labels = nil
	delete(unlabeled.Annotations, lease.AnnotationSignature)
	api.keep(unlabeled)
	if _, _, err := store.Read(t.Context()); !errors.Is(err, lease.ErrForeign) {
		t.Errorf("one without signature and label: %v", err)
	}
}

// A signature shows whose a Lease is when its labels or owner were lost; they are put back.
func TestASignedLeaseGetsItsLabelsBack(t *testing.T) {
	api := &server{}
	store := signingStore(api, keysOf(t, newCA(t)))
	if _, err := store.Create(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	l := api.kept.DeepCopy()
	l.Labels = nil
	l.OwnerReferences = nil
	api.keep(l)
	r, version, err := store.Read(t.Context())
	if err != nil || !store.Unclaimed() {
		t.Fatalf("read: %v, unclaimed %t", err, store.Unclaimed())
	}
	if _, err := store.Write(t.Context(), r, version); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Read(t.Context()); err != nil || store.Unclaimed() || api.kept.Labels["dbpair.io/pair"] != "shop" || metav1.GetControllerOf(api.kept) == nil {
		t.Errorf("after a write: %v, unclaimed %t, labels %v, owner %v", err, store.Unclaimed(), api.kept.Labels, api.kept.OwnerReferences)
	}
}
