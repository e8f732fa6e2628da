package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pair"
)

// forged is a Lease by which shop-1 is the primary of the pair.
func (s *scene) forged(uid pair.UID, labels map[string]string) *coordinationv1.Lease {
	s.Helper()
	r := authority.Fresh(uid, 6*time.Second)
	r.Epoch, r.Holder = 2, pair.Holder{Member: "shop-1", PodUID: "x"}
	r.Data = map[pair.MemberName]pair.DataID{"shop-1": "d1"}
	r.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: "shop-1"}
	r.Appointed = &authority.Appointed{Holder: r.Holder, Epoch: 2}
	l := &coordinationv1.Lease{ObjectMeta: s.meta("shop", labels)}
	s.must(lease.Render(r, l))
	return l
}

// TestALeaseThatWasThereFirstIsNoAuthority: whoever may make Leases cannot name the primary
// of a pair that comes later.
func TestALeaseThatWasThereFirstIsNoAuthority(t *testing.T) {
	s := newScene(t)
	l := s.forged("any", nil)
	s.must(s.Create(s.ctx, l))
	p, err := s.pair("shop", plain)
	s.must(err)
	// The forger learns the UID, and goes on writing.
	again := s.forged(pair.UID(p.UID), nil)
	again.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DatabasePair", Name: "shop", UID: p.UID}}
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
