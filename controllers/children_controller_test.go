package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fakekube "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// twoQueues are the reconcilers of roles and of objects, over one pair and a clock that stands
// still. The test calls them by hand.
type twoQueues struct {
	*testing.T
	c     client.Client
	pairs *PairReconciler
	now   time.Time
	// woken counts how often the roles' queue was woken since the last look.
	woken int
	// apply answers instead of the API server where it is set.
	apply func(context.Context) error
}

func newTwoQueues(t *testing.T, epoch int64) *twoQueues {
	t.Helper()
	all := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		t.Fatal(err)
	}
	s := &twoQueues{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace:  "ns",
		Name:       "shop",
		UID:        "u",
		Generation: 1,
	}}
	p.Status.Epoch = epoch
	s.c = fake.NewClientBuilder().WithScheme(all).
		WithObjects(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}, p).
		WithStatusSubresource(p).
		WithReturnManagedFields().
		WithIndex(&v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation).
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				kind, ok := o.(interface{ GetKind() *string })
				switch {
				case !ok:
				case *kind.GetKind() == "NetworkPolicy":
					return nil // the fake has no schema of it
				case *kind.GetKind() == "ConfigMap" && s.apply != nil:
					return s.apply(ctx)
				}
				return c.Apply(ctx, o, opts...)
			},
		}).Build()
	s.restart()
	return s
}

// restart begins another process of the operator.
func (s *twoQueues) restart() {
	s.pairs = &PairReconciler{
		Client: s.c,
		Live:   s.c,
		Leases: fakekube.NewClientset(),
		Events: silentEvents{},
		Now:    func() time.Time { return s.now },
	}
	s.pairs.prepare(func(types.NamespacedName) { s.woken++ })
	s.Cleanup(s.pairs.Agents.watcher.Close)
}

func (s *twoQueues) request() ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}}
}

// roles reconciles the roles once, and returns how many conditions the pair has then.
func (s *twoQueues) roles() int {
	s.Helper()
	if _, err := s.pairs.Reconcile(s.Context(), s.request()); err != nil {
		s.Fatal(err)
	}
	var p v1alpha1.DatabasePair
	if err := s.c.Get(s.Context(), s.request().NamespacedName, &p); err != nil {
		s.Fatal(err)
	}
	return len(p.Status.Conditions)
}

// children reconciles the objects once, and returns how often that woke the roles' queue.
func (s *twoQueues) children() int {
	s.Helper()
	s.woken = 0
	if _, err := s.pairs.children.Reconcile(s.Context(), s.request()); err != nil {
		s.Fatal(err)
	}
	return s.woken
}

// silentEvents raise no events.
type silentEvents struct{}

// Eventf implements recorder.EventRecorder.
func (silentEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// AnnotatedEventf implements recorder.EventRecorder.
func (silentEvents) AnnotatedEventf(runtime.Object, runtime.Object, map[string]string, string, string, string, string, ...any) {
}

// The Lease of a pair whose name is taken, or whose certificates are not made, would be in the way.
func TestTheRolesOfANewPairWaitForItsObjects(t *testing.T) {
	s := newTwoQueues(t, 0)
	if n := s.roles(); n != 0 {
		t.Errorf("%d conditions before the objects were tried", n)
	}
	if s.children() == 0 {
		t.Error("the first report does not wake the roles' queue")
	}
	var set appsv1.StatefulSet
	if err := s.c.Get(t.Context(), s.request().NamespacedName, &set); err != nil {
		t.Error(err)
	}
	if n := s.roles(); n == 0 {
		t.Error("no conditions after the first report")
	}
}

// A failover must not wait for an object that a webhook holds up, not even in an operator that
// has just started.
func TestTheRolesDoNotWaitForAnObjectThatHangs(t *testing.T) {
	s := newTwoQueues(t, 1)
	s.children()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: resources.Names{Pair: "shop"}.Config()}}
	if err := s.c.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.restart()
	hangs, ended := make(chan struct{}), make(chan struct{})
	s.apply = func(ctx context.Context) error {
		close(hangs)
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(ended)
		_, _ = s.pairs.children.Reconcile(ctx, s.request())
	}()
	<-hangs
	if n := s.roles(); n == 0 {
		t.Error("the roles wait for the ConfigMap")
	}
	cancel()
	<-ended
}

func TestTheRolesAreWokenByNewsOfTheObjectsOnly(t *testing.T) {
	s := newTwoQueues(t, 0)
	s.children()
	for _, c := range []struct {
		what  string
		after time.Duration
		err   error
		want  bool
	}{
		{"nothing changed", lookIdle, nil, false},
		{"an object is refused", lookIdle, errors.New("denied"), true},
		{"it was tried a moment ago", 0, errors.New("denied"), false},
		{"it is still refused, which counts by how long it lasts", lookIdle, errors.New("denied"), true},
		{"it was accepted", lookIdle, nil, true},
		{"nothing changed again", lookIdle, nil, false},
	} {
		s.now = s.now.Add(c.after)
		s.apply = nil
		if c.err != nil {
			config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: resources.Names{Pair: "shop"}.Config()}}
			if err := client.IgnoreNotFound(s.c.Delete(t.Context(), config)); err != nil {
				t.Fatal(err)
			}
			s.apply = func(context.Context) error { return c.err }
		}
		if got := s.children() > 0; got != c.want {
			t.Errorf("%s: woken %v, want %v", c.what, got, c.want)
		}
	}
}
