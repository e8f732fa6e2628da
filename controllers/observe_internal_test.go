package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fakekube "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// observing is a pair that is observed by a reconciler whose writes are counted.
type observing struct {
	r      *PairReconciler
	v      *visit
	now    time.Time
	writes int
}

func newObserving(t *testing.T, objects ...client.Object) *observing {
	t.Helper()
	all := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		t.Fatal(err)
	}
	s := &observing{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns",
		Name:      "shop",
		UID:       "u",
	}}
	c := fake.NewClientBuilder().WithScheme(all).WithObjects(append(objects, p)...).
		WithIndex(&v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				s.writes++
				return c.Create(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				s.writes++
				return c.Patch(ctx, o, p, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				s.writes++
				return c.Apply(ctx, o, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				s.writes++
				return c.Delete(ctx, o, opts...)
			},
		}).Build()
	leases := fakekube.NewClientset()
	s.r = &PairReconciler{
		Client: c,
		Live:   c,
		Leases: leases,
		Events: &events{},
		Now:    func() time.Time { return s.now },
	}
	s.r.prepare(func(types.NamespacedName) {})
	s.v = &visit{
		name:    client.ObjectKeyFromObject(p),
		names:   resources.NamesOf(p),
		pair:    p,
		session: newSession(p.UID, leaseStore(leases, p), s.now),
	}
	return s
}

// An observation that fails half way must leave nothing behind, and one that succeeds must not
// count twice when it is made twice.
func TestAnObservationChangesNothingBeforeItIsRemembered(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns",
			Name:      "shop-0",
			UID:       "pod-0",
			Labels:    resources.Labels("shop"),
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name:        resources.ContainerMysqld,
			ContainerID: "c-1",
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}},
	}
	s := newObserving(t, pod)
	before := s.v.session.history
	o, seen, err := s.r.observe(t.Context(), s.v)
	if err != nil {
		t.Fatal(err)
	}
	if s.writes != 0 {
		t.Errorf("%d writes", s.writes)
	}
	if s.v.session.containers.know("pod-0") || s.v.session.absences != [2]absence{} || s.v.session.history.Epoch != before.Epoch {
		t.Error("the session has changed")
	}
	if o.Members[0].Pod.Reading != failover.Read || o.Members[1].Pod.Reading != failover.Missing {
		t.Fatalf("pods were read as %s and %s", o.Members[0].Pod.Reading, o.Members[1].Pod.Reading)
	}
	s.v.session.remember(o, seen)
	if !s.v.session.containers.know("pod-0") || s.v.session.containers.of("pod-0").Running != "c-1" {
		t.Error("the container of shop-0 is not remembered")
	}
	since := s.now
	s.now = s.now.Add(time.Minute)
	if o, seen, err = s.r.observe(t.Context(), s.v); err != nil {
		t.Fatal(err)
	}
	s.v.session.remember(o, seen)
	if got := s.v.session.absences[1]; !got.since.Equal(since) || !got.confirmed.Equal(s.now) {
		t.Errorf("shop-1 is absent since %s, confirmed at %s", got.since, got.confirmed)
	}
}
