package cluster

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// TestWhatAPairOwnedIsNotPutBackWhenItIsGone: the garbage collector removes what a deleted
// pair owned, and a cache may learn of that before it learns of the pair.
func TestWhatAPairOwnedIsNotPutBackWhenItIsGone(t *testing.T) {
	pairOf := func(uid types.UID, deleting bool) *v1alpha1.DatabasePair {
		p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db", UID: uid}}
		if deleting {
			p.DeletionTimestamp = &metav1.Time{Time: metav1.Now().Time}
			p.Finalizers = []string{"example.com/else"}
		}
		return p
	}
	for name, c := range map[string]struct {
		now  []client.Object
		gone bool
	}{
		"the pair is there":             {[]client.Object{pairOf("p1", false)}, false},
		"the pair is gone":              {nil, true},
		"it is being deleted":           {[]client.Object{pairOf("p1", true)}, true},
		"another has taken up the name": {[]client.Object{pairOf("p2", false)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cache := newClient(t, pairOf("p1", false))
			a := &Applier{Client: cache, Live: newClient(t, c.now...)}
			wish := func() Configuration {
				return corev1ac.ConfigMap("shop-config", "db").WithData(map[string]string{"a": "1"})
			}
			if did, err := a.Ensure(t.Context(), pairOf("p1", false), wish(), &corev1.ConfigMap{}); err != nil || did != Created {
				t.Fatalf("first: %s, %v", did, err)
			}
			made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop-config", Namespace: "db"}}
			if err := cache.Delete(t.Context(), made); err != nil {
				t.Fatal(err)
			}
			did, err := a.Ensure(t.Context(), pairOf("p1", false), wish(), &corev1.ConfigMap{})
			found := cache.Get(t.Context(), client.ObjectKeyFromObject(made), &corev1.ConfigMap{})
			switch {
			case !c.gone && (err != nil || did != Repaired || found != nil):
				t.Errorf("%s, %v; then read: %v; want it put back", did, err, found)
			case c.gone && (!errors.Is(err, ErrPairGone) || !apierrors.IsNotFound(found)):
				t.Errorf("%s, %v; then read: %v; want %v and nothing put back", did, err, found, ErrPairGone)
			}
		})
	}
}
