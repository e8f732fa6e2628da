package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
)

var ofPods = schema.GroupResource{Resource: "pods"}

// answered is an error of the API server's with this code and message.
func answered(code int32, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Message: message}}
}

func TestWhatARefusalIs(t *testing.T) {
	const denial = `admission webhook "a.test" denied the request: no`
	ending := apierrors.NewForbidden(ofPods, "shop-0", errors.New("namespace is being terminated"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, c := range map[string]struct {
		err  error
		want writeOutcome
		says string
	}{
		"a success":                      {nil, writeDone, ""},
		"a right that is missing":        {apierrors.NewForbidden(ofPods, "shop-0", errors.New("no rights")), writeRefused, "no rights"},
		"a quota":                        {apierrors.NewForbidden(ofPods, "shop-0", errors.New("exceeded quota: small")), writeRefused, "exceeded quota: small"},
		"an object that is not valid":    {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "shop-0", field.ErrorList{}), writeRefused, "is invalid"},
		"a policy":                       {answered(422, "ValidatingAdmissionPolicy 'a' with binding 'a' denied request: no"), writeRefused, "denied request: no"},
		"a webhook":                      {answered(403, denial), writeRefused, denial},
		"a webhook that calls it other":  {answered(409, denial), writeRefused, denial},
		"a webhook that says not found":  {answered(404, denial), writeRefused, denial},
		"a webhook that does not answer": {apierrors.NewInternalError(errors.New(`failed calling webhook "a.test": connection refused`)), writeRefused, "failed calling webhook"},
		"wrapped, as steps return it":    {fmt.Errorf("patch pod: %w", answered(403, denial)), writeRefused, denial},
		"one of several":                 {errors.Join(errors.New("x"), answered(403, denial)), writeRefused, denial},
		"a conflict":                     {apierrors.NewConflict(ofPods, "shop-0", errors.New("changed")), writeUnknown, ""},
		"a timeout of the API server":    {apierrors.NewTimeoutError("too slow", 1), writeUnknown, ""},
		"a server timeout":               {apierrors.NewServerTimeout(ofPods, "patch", 1), writeUnknown, ""},
		"too many requests":              {apierrors.NewTooManyRequests("later", 1), writeUnknown, ""},
		"an API server that is away":     {apierrors.NewServiceUnavailable("etcd"), writeUnknown, ""},
		"another internal error":         {apierrors.NewInternalError(errors.New("etcd")), writeUnknown, ""},
		"an end of the context":          {context.DeadlineExceeded, writeUnknown, ""},
		"an object that is gone":         {apierrors.NewNotFound(ofPods, "shop-0"), writeDone, ""},
		"an object that is there":        {apierrors.NewAlreadyExists(ofPods, "shop-0"), writeDone, ""},
		"a namespace that ends":          {ending, writeDone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			says, got := judgeWrite(c.err)
			if got != c.want || !strings.Contains(says, c.says) || (says == "") != (c.says == "") {
				t.Errorf("%s, %q; want %s, %q", got, says, c.want, c.says)
			}
		})
	}
}

// refusing is a client behind which every write is refused for as long as denies is set, and a
// session that notes that.
type refusing struct {
	*testing.T
	r      *PairReconciler
	v      *visit
	ctx    context.Context
	now    time.Time
	denies error
	events events
}

func newRefusing(t *testing.T, objects ...client.Object) *refusing {
	t.Helper()
	all := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		t.Fatal(err)
	}
	s := &refusing{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), denies: answered(403, "no")}
	c := fake.NewClientBuilder().WithScheme(all).WithObjects(objects...).WithStatusSubresource(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				return s.or(func() error { return c.Create(ctx, o, opts...) })
			},
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				return s.or(func() error { return c.Update(ctx, o, opts...) })
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				return s.or(func() error { return c.Patch(ctx, o, p, opts...) })
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				return s.or(func() error { return c.Delete(ctx, o, opts...) })
			},
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				return s.or(func() error { return c.Apply(ctx, o, opts...) })
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				return s.or(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
			},
		}).Build()
	s.r = &PairReconciler{
		Client: c,
		Live:   c,
		Events: &s.events,
		Now:    func() time.Time { return s.now },
	}
	s.r.prepare(func(types.NamespacedName) {})
	s.v = &visit{
		name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
		pair:    &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}},
		session: newSession("u", &lease.Store{}, s.now),
	}
	s.ctx = noting(t.Context(), s.v.session.writes)
	return s
}

func (s *refusing) or(write func() error) error {
	if s.denies != nil {
		return s.denies
	}
	return write()
}

// named are the refused writes a second after now.
func (s *refusing) named() []string {
	s.now = s.now.Add(time.Second)
	var out []string
	for _, w := range s.v.session.writes.repeated(s.now) {
		out = append(out, w.Write.String()+": "+w.Says)
	}
	return out
}

func TestEachKindOfWriteIsNoted(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "ns", Name: "shop-0"}
	pod := func() *corev1.Pod { return &corev1.Pod{ObjectMeta: *meta.DeepCopy()} }
	label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	for name, write := range map[string]func(context.Context, client.Client) error{
		"create Pod shop-1": func(ctx context.Context, c client.Client) error {
			return c.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop-1"}})
		},
		"update Pod shop-0": func(ctx context.Context, c client.Client) error {
			return c.Update(ctx, pod())
		},
		"patch Pod shop-0": func(ctx context.Context, c client.Client) error {
			return c.Patch(ctx, pod(), label)
		},
		"delete Pod shop-0": func(ctx context.Context, c client.Client) error {
			return c.Delete(ctx, pod())
		},
		"apply ConfigMap shop": func(ctx context.Context, c client.Client) error {
			return c.Apply(ctx, corev1ac.ConfigMap("shop", "ns"), client.FieldOwner("a"))
		},
		"patch the status of Pod shop-0": func(ctx context.Context, c client.Client) error {
			return c.Status().Patch(ctx, pod(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"message":"x"}}`)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRefusing(t, pod())
			for range 2 {
				if err := write(s.ctx, s.r.Client); !errors.Is(err, s.denies) {
					t.Fatalf("the error became %v", err)
				}
			}
			if diff := cmp.Diff([]string{name + ": no"}, s.named()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			s.denies = nil
			if err := write(s.ctx, s.r.Client); err != nil {
				t.Fatal(err)
			}
			if got := s.named(); got != nil {
				t.Errorf("after a success: %q", got)
			}
		})
	}
}

// someLeases is lease.API with one answer for all writes.
type someLeases struct {
	lease.API
	err error
}

func (l someLeases) Create(context.Context, *coordinationv1.Lease, metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return nil, l.err
}

func (l someLeases) Update(context.Context, *coordinationv1.Lease, metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return nil, l.err
}

func TestWritesOfTheLeaseAreNoted(t *testing.T) {
	s := newRefusing(t)
	leases := notingLeases{API: someLeases{err: s.denies}, now: s.r.Now}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	for range 2 {
		_, created := leases.Create(s.ctx, l, metav1.CreateOptions{})
		_, updated := leases.Update(s.ctx, l, metav1.UpdateOptions{})
		if !errors.Is(created, s.denies) || !errors.Is(updated, s.denies) {
			t.Fatalf("%v, %v", created, updated)
		}
	}
	if diff := cmp.Diff([]string{"create Lease shop: no", "update Lease shop: no"}, s.named()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAWriteOutsideAVisitIsNotNoted(t *testing.T) {
	s := newRefusing(t)
	for range 2 {
		if err := s.r.Client.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}); err == nil {
			t.Fatal("not refused")
		}
	}
	if got := s.named(); got != nil {
		t.Errorf("noted %q", got)
	}
}

func TestARefusalThatLastsIsOneEvent(t *testing.T) {
	s := newRefusing(t)
	refuse := func() {
		for range 2 {
			_ = s.r.Client.Create(s.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop-0"}})
		}
		s.now = s.now.Add(time.Second)
	}
	tell := func(want int) {
		t.Helper()
		s.r.tellRefused(s.v, s.v.session.writes.repeated(s.now))
		if len(s.events.list) != want {
			t.Fatalf("events %q, want %d", s.events.list, want)
		}
	}
	tell(0)
	refuse()
	tell(1)
	refuse()
	tell(1)
	if want := "Warning WriteRefused: the API server has refused to create Pod shop-0 since 2026-01-02T03:04:05Z: no"; s.events.list[0] != want {
		t.Errorf("event %q, want %q", s.events.list[0], want)
	}
	s.v.session.writes.saw(s.now, failover.Write{Verb: "create", Kind: "Pod", Name: "shop-0"}, nil)
	tell(1)
	refuse()
	tell(2)
}
