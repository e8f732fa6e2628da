package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.DatabasePairOperation{}).Build()
}

var shop0 = fencing.Subject{Member: "shop-0", PodUID: "u1"}

func member(finalizers ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-0", Namespace: "db", UID: "u1", Finalizers: finalizers}}
}

func podsOf(c client.Client) Pods {
	return Pods{Client: c, Live: c, Namespace: "db", StatefulSet: "shop", Seen: func(pair.PodUID) Seen { return Seen{} }}
}

func readPod(t *testing.T, c client.Client) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "db", Name: "shop-0"}, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestTheStatefulSetIsScaledDownByItsVersion(t *testing.T) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db"}, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To(int32(2))}}
	c := newClient(t, set)
	pods := podsOf(c)
	if err := pods.ScaleDown(t.Context(), "another"); !errors.Is(err, execute.ErrConflict) {
		t.Errorf("at another version: %v", err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil || *set.Spec.Replicas != 2 {
		t.Fatalf("%d replicas, %v", *set.Spec.Replicas, err)
	}
	if err := pods.ScaleDown(t.Context(), set.ResourceVersion); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil || *set.Spec.Replicas != 0 {
		t.Errorf("%d replicas, %v", *set.Spec.Replicas, err)
	}
}

func TestPodsAreChangedByTheirUID(t *testing.T) {
	c := newClient(t, member("other/one"))
	pods := podsOf(c)
	for range 2 { // everything is idempotent
		if err := pods.AddFinalizer(t.Context(), shop0); err != nil {
			t.Fatal(err)
		}
		if err := pods.Label(t.Context(), shop0, map[string]string{"a": "b"}, []string{"c"}); err != nil {
			t.Fatal(err)
		}
	}
	pod := readPod(t, c)
	if !slices.Equal(pod.Finalizers, []string{"other/one", pair.FinalizerFence}) || pod.Labels["a"] != "b" {
		t.Errorf("finalizers %v, labels %v", pod.Finalizers, pod.Labels)
	}
	version := pod.ResourceVersion
	if err := pods.Label(t.Context(), shop0, map[string]string{"a": "b"}, nil); err != nil {
		t.Fatal(err)
	}
	if now := readPod(t, c).ResourceVersion; now != version {
		t.Error("a label that was there already was written")
	}
	stranger := fencing.Subject{Member: "shop-0", PodUID: "u2"}
	for name, do := range map[string]func() error{
		"AddFinalizer":    func() error { return pods.AddFinalizer(t.Context(), stranger) },
		"RemoveFinalizer": func() error { return pods.RemoveFinalizer(t.Context(), stranger) },
		"Label":           func() error { return pods.Label(t.Context(), stranger, map[string]string{"x": "y"}, nil) },
	} {
		if err := do(); !errors.Is(err, execute.ErrConflict) {
			t.Errorf("%s of another pod: %v", name, err)
		}
	}
	if err := pods.RemoveFinalizer(t.Context(), shop0); err != nil {
		t.Fatal(err)
	}
	if got := readPod(t, c).Finalizers; !slices.Equal(got, []string{"other/one"}) {
		t.Errorf("finalizers %v", got)
	}
	if err := pods.RemoveFinalizer(t.Context(), fencing.Subject{Member: "shop-9", PodUID: "u9"}); err != nil {
		t.Errorf("a pod that is gone: %v", err)
	}
}

// lagging is a cache that shows what it was given a few reads late.
type lagging struct {
	client.Client
	stale *corev1.Pod
	left  int
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if pod, ok := into.(*corev1.Pod); ok && l.left > 0 {
		l.left--
		l.stale.DeepCopyInto(pod)
		return nil
	}
	return l.Client.Get(ctx, key, into, opts...)
}

// TestALabelIsSeenBeforeAnythingFollows: a Service that selects by a label which the
// watches have not shown yet loses its endpoint for a second.
func TestALabelIsSeenBeforeAnythingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the wait has an end, which a busy machine would come to
		c := newClient(t, member())
		cache := &lagging{Client: c, stale: readPod(t, c), left: 5}
		pods := podsOf(cache)
		pods.Live = c
		if err := pods.Label(t.Context(), shop0, map[string]string{"a": "b"}, nil); err != nil {
			t.Fatal(err)
		}
		if cache.left > 0 || readPod(t, cache).Labels["a"] != "b" {
			t.Error("Label returned though the cache does not show the label")
		}
	})
}

func TestServiceIsPointedOnlyFromWhatWasObserved(t *testing.T) {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db", UID: "p1"}}
	c := newClient(t, resources.NewClientService(p, resources.Route{Member: "shop-0", Mode: resources.RouteDoor}))
	name := types.NamespacedName{Namespace: "db", Name: "shop"}
	s := Services{Client: c, Name: name}
	read := func() failover.Service {
		svc := &corev1.Service{}
		if err := c.Get(t.Context(), name, svc); err != nil {
			t.Fatal(err)
		}
		return ObserveService(svc)
	}
	before := read()
	step := failover.PointService{Version: before.Version, Epoch: 3, Leads: failover.LeadsOpen, Member: "shop-1"}
	if err := s.Point(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	want := failover.Service{
		Reading: failover.Read, Version: read().Version, Epoch: 3, Leads: failover.LeadsOpen, Member: "shop-1", PortLeads: failover.LeadsOpen,
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	step.Leads = failover.LeadsDoor
	if err := s.Point(t.Context(), step); !errors.Is(err, execute.ErrConflict) {
		t.Errorf("pointed from a version that is gone: %v", err)
	}
	svc := &corev1.Service{}
	if err := c.Get(t.Context(), name, svc); err != nil {
		t.Fatal(err)
	}
	svc.Spec.Selector["app"] = "mine"
	if got := ObserveService(svc); got.Epoch != -1 {
		t.Errorf("a selector written by hand is observed as %+v", got)
	}
}

// A detached Service says whose endpoints it has, until it is led again; one that someone
// else took the selector from says nothing.
func TestServiceIsDetachedAndLedAgain(t *testing.T) {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db", UID: "p1"}}
	c := newClient(t, resources.NewClientService(p, resources.Route{Member: "shop-0", Epoch: 2, Mode: resources.RouteOpen}))
	name := types.NamespacedName{Namespace: "db", Name: "shop"}
	s := Services{Client: c, Name: name}
	read := func() *corev1.Service {
		svc := &corev1.Service{}
		if err := c.Get(t.Context(), name, svc); err != nil {
			t.Fatal(err)
		}
		return svc
	}
	step := failover.DetachService{Version: read().ResourceVersion, From: shop0}
	if err := s.Detach(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if err := s.Detach(t.Context(), step); !errors.Is(err, execute.ErrConflict) {
		t.Errorf("detached from a version that is gone: %v", err)
	}
	svc := read()
	if len(svc.Spec.Selector) != 0 || len(svc.Spec.Ports) != 1 {
		t.Errorf("selector %v, ports %v", svc.Spec.Selector, svc.Spec.Ports)
	}
	want := failover.Service{Reading: failover.Read, Version: svc.ResourceVersion, Epoch: -1, Detached: shop0.PodUID}
	if diff := cmp.Diff(want, ObserveService(svc)); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	delete(svc.Annotations, resources.AnnotationDetached)
	if got := ObserveService(svc); got.Detached != "" {
		t.Errorf("a Service that someone took the selector from is observed as %+v", got)
	}
	if err := s.Point(t.Context(), failover.PointService{
		Version: read().ResourceVersion,
		Epoch:   3,
		Leads:   failover.LeadsOpen,
		Member:  "shop-1",
	}); err != nil {
		t.Fatal(err)
	}
	svc = read()
	want = failover.Service{
		Reading: failover.Read, Version: svc.ResourceVersion, Epoch: 3, Leads: failover.LeadsOpen, PortLeads: failover.LeadsOpen, Member: "shop-1",
	}
	if diff := cmp.Diff(want, ObserveService(svc)); diff != "" {
		t.Errorf("led again (-want +got):\n%s", diff)
	}
	if _, there := svc.Annotations[resources.AnnotationDetached]; there {
		t.Error("the annotation stayed")
	}
	if svc.Labels[resources.LabelSkipMirror] != "true" {
		t.Error("without its label the cluster copies the endpoints while the Service is detached")
	}
}

func TestPodFactsSayNothingThatTheKubeletDidNot(t *testing.T) {
	asked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	deleting := func(pod *corev1.Pod) {
		pod.DeletionTimestamp = ptr.To(metav1.NewTime(asked.Add(30 * time.Second)))
		pod.DeletionGracePeriodSeconds = ptr.To[int64](30)
	}
	terminated := func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: resources.ContainerMysqld, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ContainerID: "c1", Reason: "Completed", FinishedAt: metav1.NewTime(asked.Add(time.Second)),
			}}},
		}
	}
	failed := func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }
	collected := func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
	}
	byKubelet := func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet}}
	}
	for name, tc := range map[string]struct {
		change []func(*corev1.Pod)
		want   fencing.PodFacts
	}{
		"a pod that runs": {nil, fencing.PodFacts{UID: "u1"}},
		"deleted and ended": {
			[]func(*corev1.Pod){deleting, terminated},
			fencing.PodFacts{
				UID:           "u1",
				Deleting:      true,
				DeletionAsked: asked,
				Terminated:    true,
				ContainerID:   "c1",
				Reason:        "Completed",
				FinishedAt:    asked.Add(time.Second),
			},
		},
		"ended by the kubelet": {[]func(*corev1.Pod){failed}, fencing.PodFacts{UID: "u1", KubeletEnded: true}},
		"ended by the kubelet on its own, as when its node shuts down": {[]func(*corev1.Pod){failed, byKubelet}, fencing.PodFacts{UID: "u1", KubeletEnded: true}},
		"called failed by a pod collector":                             {[]func(*corev1.Pod){failed, collected}, fencing.PodFacts{UID: "u1"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := member()
			for _, f := range tc.change {
				f(pod)
			}
			if diff := cmp.Diff(tc.want, PodFacts(pod, Seen{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRecorderKeepsOneRecordAndNeverChangesAFinishedOne(t *testing.T) {
	c := newClient(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var mu sync.Mutex
	finished := 0
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db", UID: "p1"}}
	later := &Later{}
	r := LaterRecorder{Later: later, Log: logr.Discard(), Recorder: Recorder{
		Client: c, Live: c, Pair: p, Now: func() time.Time { return now },
		Finished: func(v1alpha1.DatabasePairOperation) { mu.Lock(); finished++; mu.Unlock() },
	}}
	note := failover.OperationNote{
		Name:  "shop-failover-2",
		Verb:  failover.VerbFailover,
		Rule:  "HolderExited",
		Phase: pair.OperationRunning,
		Epoch: 2,
		From:  "shop-0",
	}
	done := note
	done.Phase = pair.OperationSucceeded
	done.To = "shop-1"
	done.Proof = fencing.Demoted
	note.GTIDs.Former, done.GTIDs.Former, done.GTIDs.Promoted = "a:1-9", "a:1-12", strings.Repeat("a", 3000)
	done.WriteGap = 1234567 * time.Microsecond
	done.Discarded = &agentapi.Discarded{
		GTIDs:        strings.Repeat("a", 3000),
		Transactions: 3,
		Directory:    "/quarantine/x",
		Files:        make([]string, 100),
		Problem:      strings.Repeat("ü", 2000),
		List: []agentapi.QuarantineTransaction{{
			GTID:       "a:1",
			At:         now,
			Tables:     make([]agentapi.QuarantineTable, 20),
			Statements: []string{strings.Repeat("ü", 300), "another"},
		}},
	}
	done.Discarded.List[0].Tables[0] = agentapi.QuarantineTable{
		Schema:   "app",
		Table:    "t",
		Inserted: 2,
		Updated:  1,
	}
	for _, n := range []failover.OperationNote{note, note, done, note} {
		if err := r.Operation(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if err := r.Timeline(t.Context(), n.Name, execute.TimelineEntry{Step: "Revoke", At: now, Took: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	later.Wait(context.Background())
	op := &v1alpha1.DatabasePairOperation{}
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "db", Name: note.Name}, op); err != nil {
		t.Fatal(err)
	}
	if g := op.Status.GTIDs; g == nil || g.Former != "a:1-9" || len(g.Promoted) != gtidLimit || op.Status.WriteGap.Duration != 1235*time.Millisecond {
		t.Errorf("GTIDs %+v, gap %v", g, op.Status.WriteGap)
	}
	d := op.Status.Discarded
	if d == nil || len(d.GTIDs) != gtidLimit || d.Transactions != 3 || d.Directory != "/quarantine/x" || len(d.Files) != mostFiles {
		t.Errorf("discarded %+v", d)
	}
	if len(d.List) != 1 || d.NotListed != 2 || len([]rune(d.Problem)) != problemLimit {
		t.Fatalf("discarded %+v", d)
	}
	one := d.List[0]
	rows := v1alpha1.DiscardedRows{
		Table:    "app.t",
		Inserted: 2,
		Updated:  1,
	}
	if one.GTID != "a:1" || len(one.Tables) != agentapi.MostGivenUpTables || one.Tables[0] != rows || len([]rune(one.Statement)) != statementLimit {
		t.Errorf("listed %+v", one)
	}
	if op.Status.Phase != v1alpha1.OperationSucceeded || op.Status.Proof != "Demoted" || op.Status.From != "shop-0" || len(op.Status.Timeline) != 1 {
		t.Errorf("status = %+v", op.Status)
	}
	if VerbOf(op.Spec.Type) != failover.VerbFailover || op.Labels[LabelByOperator] != "true" {
		t.Errorf("spec = %+v, labels %v", op.Spec, op.Labels)
	}
	mu.Lock()
	defer mu.Unlock()
	if finished != 1 {
		t.Errorf("told %d times that it ended", finished)
	}
}
