package lease_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/internal/authority/lease"
)

var (
	labels = map[string]string{"dbpair.io/pair": "shop", "app.kubernetes.io/name": "dbpair"}
	owner  = metav1.OwnerReference{Kind: "DatabasePair", Name: "shop", UID: "u-1", Controller: ptr.To(true)}
)

func owning(api lease.API) *lease.Store {
	return &lease.Store{
		API:     api,
		Name:    "shop",
		Labels:  labels,
		Owners:  []metav1.OwnerReference{owner},
		Guarded: "dbpair.io/pair",
	}
}

// A Lease that admission does not guard can have been written by anybody, at any time.
func TestALeaseWithoutTheLabelIsForeign(t *testing.T) {
	for name, have := range map[string]map[string]string{
		"no label":                 nil,
		"other labels":             {"app.kubernetes.io/name": "dbpair"},
		"the label of another one": {"dbpair.io/pair": "web"},
	} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: have, OwnerReferences: []metav1.OwnerReference{owner}}}
		if err := lease.Render(full(), l); err != nil {
			t.Fatal(err)
		}
		api := &server{}
		before := api.keep(l)
		store := owning(api)
		r, version, err := store.Read(t.Context())
		if !errors.Is(err, lease.ErrForeign) || r.PairUID != "" {
			t.Errorf("%s: read as %+v, %v", name, r, err)
		}
		if _, err := store.Write(t.Context(), full(), version); !errors.Is(err, lease.ErrForeign) {
			t.Errorf("%s: written: %v", name, err)
		}
		if diff := cmp.Diff(before, api.kept); diff != "" {
			t.Errorf("%s: the Lease was changed (-before +after):\n%s", name, diff)
		}
	}
}

// A Lease of a former pair, or from a backup, is no authority before a person had it
// adopted; what is then written is this pair's.
func TestALeaseOfAnotherPairIsClaimedWhenItIsWritten(t *testing.T) {
	former := metav1.OwnerReference{Kind: "DatabasePair", Name: "shop", UID: "u-0", Controller: ptr.To(true)}
	other := metav1.OwnerReference{Kind: "ConfigMap", Name: "x", UID: "u-9"}
	for name, have := range map[string][]metav1.OwnerReference{
		"no owner": nil, "a former pair": {former}, "a former pair and another object": {other, former},
	} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: "shop", Labels: map[string]string{"dbpair.io/pair": "shop"}, OwnerReferences: have,
		}}
		if err := lease.Render(full(), l); err != nil {
			t.Fatal(err)
		}
		api := &server{}
		api.keep(l)
		store := owning(api)
		_, version, err := store.Read(t.Context())
		if !errors.Is(err, lease.ErrMalformed) {
			t.Fatalf("%s: read without a doubt: %v", name, err)
		}
		if _, err := store.Write(t.Context(), full(), version); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Read(t.Context()); err != nil {
			t.Errorf("%s: after a write: %v", name, err)
		}
		if diff := cmp.Diff(labels, api.kept.Labels); diff != "" {
			t.Errorf("%s: labels (-want +got):\n%s", name, diff)
		}
		if c := metav1.GetControllerOf(api.kept); c == nil || c.UID != "u-1" {
			t.Errorf("%s: the controller is %v", name, c)
		}
	}
}
