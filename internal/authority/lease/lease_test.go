package lease_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

var _ execute.Authority = (*lease.Store)(nil)

func full() authority.Record {
	return authority.Record{
		PairUID: "u-1", Epoch: 7, Holder: pair.Holder{Member: "shop-1", PodUID: "p-1"}, LeaseDuration: 6 * time.Second,
		Ledger: authority.Ledger{Version: 9, State: authority.Both, Incarnations: map[pair.MemberName]pair.Incarnation{"shop-0": "i0", "shop-1": "i1"}},
		Data:   map[pair.MemberName]pair.DataID{"shop-0": "d0", "shop-1": "d1"},
		LastHolder: &authority.LastHolder{
			Holder: pair.Holder{Member: "shop-0", PodUID: "p-0"}, DataID: "d0", Epoch: 5, Ended: fencing.PodTerminated, EndedBy: "r9",
		},
		Appointed: &authority.Appointed{
			Holder: pair.Holder{Member: "shop-1", PodUID: "p-1"}, Epoch: 7,
			Proofs:    []authority.Used{{Subject: "shop-0/p-0", Kind: fencing.PodTerminated, Request: "r9"}},
			Operation: "shop-failover-6", Rule: "HolderExited",
		},
		Left:      &authority.Left{Member: "shop-0", DataID: "d0", Epoch: 5, Clean: true, Proof: fencing.Demoted},
		Intent:    &authority.Intent{Operation: "shop-f-6", Target: "shop-1", Rule: "HolderExited"},
		Seeding:   &authority.Seeding{Member: "shop-0", DataID: "d8"},
		Bootstrap: &authority.Bootstrap{Member: "shop-0", DataID: "d9"},
	}
}

func TestRecordSurvivesTheLease(t *testing.T) {
	fresh := authority.Fresh("u-1", 2500*time.Millisecond)
	if fresh.LeaseDuration != 3*time.Second {
		t.Errorf("T of a fresh record is %s, want it rounded up to whole seconds", fresh.LeaseDuration)
	}
	nobody := full()
	nobody.Holder = pair.Holder{}
	for name, want := range map[string]authority.Record{"full": full(), "fresh": fresh, "nobody": nobody} {
		var l coordinationv1.Lease
		l.Annotations = map[string]string{"kept": "yes"}
		if err := lease.Render(want, &l); err != nil {
			t.Fatal(err)
		}
		got, err := lease.Parse(&l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if l.Annotations["kept"] != "yes" {
			t.Errorf("%s: a foreign annotation was lost", name)
		}
	}
}

func TestParseRefusesWhatNoChangeMakes(t *testing.T) {
	for name, spoil := range map[string]func(*coordinationv1.Lease){
		"no ledger":                                func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationLedger) },
		"a ledger that is no JSON":                 func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLedger] = "both" },
		"an unknown ledger state":                  func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLedger] = `{"version":9,"state":"all"}` },
		"a solo ledger of nobody":                  func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLedger] = `{"version":9,"state":"solo"}` },
		"both without incarnations":                func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLedger] = `{"version":9,"state":"both"}` },
		"no pair":                                  func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationPairUID) },
		"no epoch":                                 func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = nil },
		"a negative epoch":                         func(l *coordinationv1.Lease) { n := int32(-1); l.Spec.LeaseTransitions = &n },
		"an epoch that leaves no room for another": func(l *coordinationv1.Lease) { n := int32(math.MaxInt32); l.Spec.LeaseTransitions = &n },
		"a ledger version out of range": func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationLedger] = `{"version":9223372036854775807,"state":"solo","first":"shop-1"}`
		},
		"a last holder's epoch out of range": func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationLastHolder] = `{"holder":"shop-0/p-0","epoch":9223372036854775807}`
		},
		"an appointment of nobody": func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationAppointed] = `{"holder":"shop-0","epoch":7}`
		},
		"a holder that is no pod": func(l *coordinationv1.Lease) { s := "shop-0"; l.Spec.HolderIdentity = &s },
		"a holder without data":   func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationData] = `{"shop-0":"d0"}` },
		"nobody, and no last holder": func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = nil
			delete(l.Annotations, lease.AnnotationLastHolder)
		},
		"a last holder that is no pod": func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLastHolder] = `{"holder":"x"}` },
	} {
		var l coordinationv1.Lease
		if err := lease.Render(full(), &l); err != nil {
			t.Fatal(err)
		}
		spoil(&l)
		if r, err := lease.Parse(&l); !errors.Is(err, lease.ErrMalformed) {
			t.Errorf("%s: parsed as %+v, %v", name, r, err)
		}
	}
}

// server is an API server that keeps one Lease and counts its versions.
type server struct {
	kept    *coordinationv1.Lease
	version int
	gets    int
}

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (s *server) Get(_ context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	s.gets++
	if s.kept == nil {
		return nil, apierrors.NewNotFound(leases, name)
	}
	return s.kept.DeepCopy(), nil
}

func (s *server) Create(_ context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	if s.kept != nil {
		return nil, apierrors.NewAlreadyExists(leases, l.Name)
	}
	return s.keep(l), nil
}

func (s *server) Update(_ context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if s.kept == nil || s.kept.ResourceVersion != l.ResourceVersion {
		return nil, apierrors.NewConflict(leases, l.Name, errors.New("changed"))
	}
	return s.keep(l), nil
}

func (s *server) keep(l *coordinationv1.Lease) *coordinationv1.Lease {
	s.version++
	s.kept = l.DeepCopy()
	s.kept.ResourceVersion = strconv.Itoa(s.version)
	return s.kept.DeepCopy()
}

func TestStoreWritesOnlyOverWhatWasRead(t *testing.T) {
	ctx := t.Context()
	api := &server{}
	one := &lease.Store{API: api, Name: "shop"}
	two := &lease.Store{API: api, Name: "shop"}
	if _, _, err := one.Read(ctx); !errors.Is(err, lease.ErrMissing) {
		t.Fatalf("read of no Lease: %v", err)
	}
	if _, err := one.Write(ctx, full(), "1"); !errors.Is(err, lease.ErrConflict) {
		t.Fatalf("write of a Lease that is gone: %v", err)
	}
	if _, err := one.Create(ctx, full()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Create(ctx, full()); !errors.Is(err, lease.ErrConflict) {
		t.Fatalf("second create: %v", err)
	}
	_, v1, _ := one.Read(ctx)
	_, v2, _ := two.Read(ctx)
	before := api.gets
	changed := full()
	changed.Epoch++
	if _, err := one.Write(ctx, changed, v1); err != nil {
		t.Fatal(err)
	}
	if api.gets != before {
		t.Error("a write over what was just read asked the server again")
	}
	if _, err := two.Write(ctx, full(), v2); !errors.Is(err, lease.ErrConflict) {
		t.Fatalf("write over a version that is gone: %v", err)
	}
	got, _, err := two.Read(ctx)
	if err != nil || got.Epoch != changed.Epoch {
		t.Fatalf("the Lease has epoch %d (%v), want the first writer's %d", got.Epoch, err, changed.Epoch)
	}
}
