package controllers_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/signing"
)

// forged is a Lease by which shop-1 is the primary of the pair.
func (s *scene) forged(uid pair.UID, labels map[string]string) *coordinationv1.Lease {
	s.Helper()
	r := authority.Fresh(uid, 6*time.Second)
	r.Epoch = 2
	r.Holder = pair.Holder{Member: "shop-1", PodUID: "x"}
	r.Data = map[pair.MemberName]pair.DataID{"shop-1": "d1"}
	r.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: "shop-1"}
	r.Appointed = &authority.Appointed{Holder: r.Holder, Epoch: 2}
	l := &coordinationv1.Lease{ObjectMeta: s.meta("shop", labels)}
	s.must(lease.Render(r, l))
	return l
}

// TestALeaseThatWasThereFirstIsNoAuthority: anyone who may make Leases cannot name the primary
// of a pair that comes later.
func TestALeaseThatWasThereFirstIsNoAuthority(t *testing.T) {
	s := newScene(t)
	l := s.forged("any", nil)
	s.must(s.Create(s.ctx, l))
	p, err := s.pair("shop", plain)
	s.must(err)
	// The forger learns the UID, and goes on writing.
	again := s.forged(pair.UID(p.UID), nil)
	again.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(),
		Kind:       "DatabasePair",
		Name:       "shop",
		UID:        p.UID,
	}}
	again.ResourceVersion = l.ResourceVersion
	s.must(s.Update(s.ctx, again))
	s.eventually("the pair says whose name it is", func() error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "kubectl -n "+s.namespace+" delete lease shop") {
			return fmt.Errorf("Ready = %+v", c)
		}
		return nil
	})
	if p.Status.Primary != "" {
		t.Errorf("%s is the primary by a Lease that no operator made", p.Status.Primary)
	}
	var now coordinationv1.Lease
	s.must(s.Get(s.ctx, s.key("shop"), &now))
	if now.ResourceVersion != again.ResourceVersion {
		t.Errorf("the operator has written a Lease that it did not make: %v", now.ManagedFields)
	}
	s.must(s.Delete(s.ctx, &now))
	s.eventually("a Lease of the pair's own", func() error {
		if err := s.Get(s.ctx, s.key("shop"), &now); err != nil {
			return err
		}
		if c := metav1.GetControllerOf(&now); c == nil || c.UID != p.UID || now.Labels["dbpair.io/pair"] != "shop" {
			return fmt.Errorf("owner %v, labels %v", c, now.Labels)
		}
		return nil
	})
}

// trusted are the keys that the members of a pair trust.
func (s *scene) trusted(name string) authority.Verify {
	s.Helper()
	var secret corev1.Secret
	s.must(s.Get(s.ctx, s.key(resources.Names{Pair: name, Namespace: s.namespace}.TLS(0)), &secret))
	keys, err := signing.Trust(secret.Data[resources.KeyCA])
	s.must(err)
	return keys.Verify
}

// signedLease waits until the Lease is one that agents believe.
func (s *scene) signedLease(name string) *coordinationv1.Lease {
	s.Helper()
	s.surrounded(name)
	l := &coordinationv1.Lease{}
	s.eventually("a Lease that agents believe", func() error {
		if err := s.Get(s.ctx, s.key(name), l); err != nil {
			return err
		}
		r, err := lease.Parse(l)
		if err != nil {
			return err
		}
		return s.trusted(name).Authentic(r)
	})
	return l
}

func (s *scene) doubt(p *v1alpha1.DatabasePair, reason, says string) {
	s.Helper()
	s.eventually("the doubt "+reason, func() error {
		s.must(s.Get(s.ctx, s.key(p.Name), p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionInDoubt)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason != reason || !strings.Contains(c.Message, says) {
			return fmt.Errorf("InDoubt = %+v", c)
		}
		return nil
	})
}

// TestWhatOthersWriteIntoTheLeaseIsDoubt: neither a changed Lease nor one without its
// signature is believed, and neither is written over.
func TestWhatOthersWriteIntoTheLeaseIsDoubt(t *testing.T) {
	for name, change := range map[string]func(l *coordinationv1.Lease, p *v1alpha1.DatabasePair){
		"another Lease under the signature": func(l *coordinationv1.Lease, p *v1alpha1.DatabasePair) {
			signature := l.Annotations[lease.AnnotationSignature]
			forged := authority.Fresh(pair.UID(p.UID), 6*time.Second)
			forged.Epoch = 2
			forged.Holder = pair.Holder{Member: "shop-1", PodUID: "x"}
			forged.Data = map[pair.MemberName]pair.DataID{"shop-1": "d1"}
			forged.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: "shop-1"}
			forged.Appointed = &authority.Appointed{Holder: forged.Holder, Epoch: 2}
			if err := lease.Render(forged, l); err != nil {
				t.Error(err)
			}
			l.Annotations[lease.AnnotationSignature] = signature
		},
		"the signature taken away": func(l *coordinationv1.Lease, _ *v1alpha1.DatabasePair) {
			delete(l.Annotations, lease.AnnotationSignature)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			p, err := s.pair("shop", plain)
			s.must(err)
			s.eventually("the change", func() error {
				l := s.signedLease("shop")
				change(l, p)
				return s.Update(s.ctx, l)
			})
			s.doubt(p, "AuthorityChangedByOthers", "modified externally")
			if p.Status.Primary != "" {
				t.Errorf("%s is the primary by someone else's Lease", p.Status.Primary)
			}
			var l coordinationv1.Lease
			s.must(s.Get(s.ctx, s.key("shop"), &l))
			r, err := lease.Parse(&l)
			if err != nil || s.trusted("shop").Authentic(r) == nil {
				t.Errorf("the operator has signed what it did not write: %v", err)
			}
		})
	}
}

// TestAPairOfAnOperatorThatDidNotSignIsSigned: its Lease is taken as it is, once.
func TestAPairOfAnOperatorThatDidNotSignIsSigned(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\npaused: true")
	s.must(err)
	ca, err := pki.NewAuthority("shop", time.Now())
	s.must(err)
	key, err := ca.KeyPEM()
	s.must(err)
	secret := &corev1.Secret{
		ObjectMeta: s.meta("shop-ca", resources.Labels("shop")),
		Data:       map[string][]byte{resources.KeyCA: ca.CertPEM, resources.KeyCAKey: key},
	}
	s.must(s.Create(s.ctx, secret))
	r := authority.Fresh(pair.UID(p.UID), 6*time.Second)
	r.Epoch = 3
	r.LastHolder = &authority.LastHolder{Holder: pair.Holder{Member: "shop-0", PodUID: "x"}, DataID: "d0", Epoch: 2}
	r.Ledger = authority.Ledger{Version: 4, State: authority.Solo, First: "shop-0"}
	r.Data = map[pair.MemberName]pair.DataID{"shop-0": "d0"}
	l := &coordinationv1.Lease{ObjectMeta: s.meta("shop", resources.Labels("shop"))}
	l.OwnerReferences = []metav1.OwnerReference{resources.OwnerReference(p)}
	s.must(lease.Render(r, l))
	s.must(s.Create(s.ctx, l))
	s.eventually("the pair goes on", func() error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		p.Spec.Paused = false
		return s.Update(s.ctx, p)
	})
	got, err := lease.Parse(s.signedLease("shop"))
	s.must(err)
	if got.Epoch != 3 || got.Ledger.Version != 4 || got.LastHolder == nil {
		t.Errorf("the authority became %+v", got)
	}
	s.eventually("the note that it is signed", func() error {
		s.must(s.Get(s.ctx, s.key("shop-ca"), secret))
		if len(secret.Data[resources.KeyLeaseSigned]) == 0 {
			return fmt.Errorf("keys %v", slices.Collect(maps.Keys(secret.Data)))
		}
		return nil
	})
	l = s.signedLease("shop")
	delete(l.Annotations, lease.AnnotationSignature)
	s.must(s.Update(s.ctx, l))
	s.doubt(p, "AuthorityChangedByOthers", "it has no signature")
}
