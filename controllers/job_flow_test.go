package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// events keeps the events.
type events struct{ list []string }

func (e *events) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	e.list = append(e.list, kind+" "+reason+": "+fmt.Sprintf(note, args...))
}

func (e *events) AnnotatedEventf(about, related runtime.Object, _ map[string]string, kind, reason, action, note string, args ...any) {
	e.Eventf(about, related, kind, reason, action, note, args...)
}

// jobStage is a pair in order, the controller of Jobs, and a clock that stands still.
type jobStage struct {
	*testing.T
	r      *JobReconciler
	c      client.Client
	now    time.Time
	events events
	// ca signs the Lease of the pair with this UID.
	ca  *pki.Authority
	uid pair.UID
	// permitted are the permissions given to agents, which refuse with this error.
	permitted []string
	refuses   error
}

func newJobStage(t *testing.T, change func(*v1alpha1.DatabasePair)) *jobStage {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	s := &jobStage{T: t, now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), uid: "pair-uid"}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Name:              "shop",
		Namespace:         "ns",
		UID:               "pair-uid",
		CreationTimestamp: metav1.NewTime(s.now.Add(-time.Minute)),
	}}
	p.Spec.Checksum = v1alpha1.ChecksumSpec{
		TimeZone:         "Etc/UTC",
		StartingDeadline: metav1.Duration{Duration: time.Hour},
		Parallelism:      2,
		MaxLockTime:      metav1.Duration{Duration: 250 * time.Millisecond},
		MaxLag:           metav1.Duration{Duration: time.Second},
		Include:          []v1alpha1.TablePattern{"app.*"},
		BusyShare:        25,
	}
	p.Status = v1alpha1.DatabasePairStatus{Primary: "shop-0", Epoch: 4}
	for _, kind := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionReplicating, v1alpha1.ConditionFailoverReady} {
		p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{Type: kind, Status: "True"})
	}
	if change != nil {
		change(p)
	}
	s.c = fake.NewClientBuilder().WithScheme(all).WithObjects(p, s.authority()).
		WithStatusSubresource(&v1alpha1.DatabasePair{}, &v1alpha1.DatabasePairOperation{}).
		WithIndex(&v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation).Build()
	s.r = &JobReconciler{
		Client:  s.c,
		Live:    s.c,
		Leases:  clientset.NewClientset(s.lease(4, "shop-0")),
		Events:  &s.events,
		Now:     func() time.Time { return s.now },
		Applier: &cluster.Applier{Client: s.c, Live: s.c},
		Image:   resources.Image{Name: "image:1"},
		Permit: func(_ context.Context, _ types.NamespacedName, member pair.MemberName, c agentapi.PermitRepairCommand) error {
			s.permitted = append(s.permitted, string(member)+" "+c.Operation+" "+c.Schema+"."+c.Table)
			return s.refuses
		},
	}
	return s
}

// authority makes the Secret of the pair's certificate authority.
func (s *jobStage) authority() *corev1.Secret {
	s.Helper()
	ca, err := pki.NewAuthority("shop", s.now)
	if err != nil {
		s.Fatal(err)
	}
	key, err := ca.KeyPEM()
	if err != nil {
		s.Fatal(err)
	}
	s.ca = ca
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-ca", Namespace: "ns", Labels: resources.Labels("shop")},
		Data: map[string][]byte{
			resources.KeyCA:          ca.CertPEM,
			resources.KeyCAKey:       key,
			resources.KeyLeaseSigned: []byte("v1"),
		},
	}
}

func (s *jobStage) lease(epoch pair.Epoch, holder pair.MemberName) *coordinationv1.Lease {
	s.Helper()
	rec := authority.Fresh(s.uid, 6*time.Second)
	rec.Epoch = epoch
	rec.Holder = pair.Holder{Member: holder, PodUID: "pod"}
	rec.Data = map[pair.MemberName]pair.DataID{"shop-0": "d0", "shop-1": "d1"}
	rec.Ledger = authority.Ledger{Version: 9, State: authority.Solo, First: holder}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:            "shop",
		Namespace:       "ns",
		Labels:          resources.Labels("shop"),
		OwnerReferences: []metav1.OwnerReference{{UID: "pair-uid"}},
	}}
	if err := lease.Render(rec, l); err != nil {
		s.Fatal(err)
	}
	if err := lease.Sign(rec, l, s.ca.Sign); err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *jobStage) look() time.Duration {
	s.Helper()
	got, err := s.r.Reconcile(s.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}})
	if err != nil {
		s.Fatal(err)
	}
	return got.RequeueAfter
}

func (s *jobStage) ask(name string, kind v1alpha1.OperationType, change func(*v1alpha1.DatabasePairOperation)) {
	s.Helper()
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         "ns",
			UID:               types.UID("uid-" + name),
			CreationTimestamp: metav1.NewTime(s.now),
		},
		Spec: v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{Name: "shop"}, Type: kind},
	}
	if change != nil {
		change(op)
	}
	if err := s.c.Create(s.Context(), op); err != nil {
		s.Fatal(err)
	}
}

func (s *jobStage) operation(name string) *v1alpha1.DatabasePairOperation {
	s.Helper()
	op := &v1alpha1.DatabasePairOperation{}
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: name}, op); err != nil {
		s.Fatal(err)
	}
	return op
}

func (s *jobStage) is(name string, phase v1alpha1.OperationPhase, says string) *v1alpha1.DatabasePairOperation {
	s.Helper()
	op := s.operation(name)
	if op.Status.Phase != phase || !strings.Contains(op.Status.Message, says) {
		s.Errorf("%s is %s and says %q, want %s with %q", name, op.Status.Phase, op.Status.Message, phase, says)
	}
	if phase.Terminal() && op.Status.CompletionTime == nil {
		s.Errorf("%s ended without a time", name)
	}
	return op
}

// jobs are the names of the Jobs that are there.
func (s *jobStage) jobs() []string {
	s.Helper()
	var list batchv1.JobList
	if err := s.c.List(s.Context(), &list); err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, job := range list.Items {
		names = append(names, job.Name)
	}
	return names
}

func (s *jobStage) jobOf(name string) string {
	return resources.Names{Pair: "shop", Namespace: "ns"}.JobName(types.UID("uid-" + name))
}

// requestOf is the request in the template of an operation's Job.
func (s *jobStage) requestOf(name string) string {
	s.Helper()
	var job batchv1.Job
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf(name)}, &job); err != nil {
		s.Fatal(err)
	}
	return resources.JobRequest(&job)
}

// answer writes into the Job's ConfigMap as the Job does.
func (s *jobStage) answer(name, key string, value any) {
	s.Helper()
	var m corev1.ConfigMap
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf(name)}, &m); err != nil {
		s.Fatal(err)
	}
	if result, ok := value.(jobapi.Result); ok && result.Asked == (jobapi.Asked{}) {
		result.Asked = askedBy(s.operation(name))
		value = result
	}
	text, err := json.Marshal(value)
	if err != nil {
		s.Fatal(err)
	}
	if m.Data == nil {
		m.Data = map[string]string{}
	}
	m.Data[key] = string(text)
	if err := s.c.Update(s.Context(), &m); err != nil {
		s.Fatal(err)
	}
}

// roles changes the pair's status.
func (s *jobStage) roles(change func(*v1alpha1.DatabasePairStatus)) {
	s.Helper()
	var p v1alpha1.DatabasePair
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop"}, &p); err != nil {
		s.Fatal(err)
	}
	change(&p.Status)
	if err := s.c.Status().Update(s.Context(), &p); err != nil {
		s.Fatal(err)
	}
}

// allowed is the ConfigMap that Jobs may reach now.
func (s *jobStage) allowed() string {
	s.Helper()
	var role rbacv1.Role
	err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop-job"}, &role)
	if apierrors.IsNotFound(err) || (err == nil && len(role.Rules) == 0) {
		return ""
	}
	if err != nil || len(role.Rules) != 1 || len(role.Rules[0].ResourceNames) != 1 {
		s.Fatalf("role %+v, %v", role, err)
	}
	return role.Rules[0].ResourceNames[0]
}

func TestAChecksumIsDoneByAJob(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.ask("c2", v1alpha1.OperationChecksum, func(op *v1alpha1.DatabasePairOperation) {
		op.CreationTimestamp = metav1.NewTime(s.now.Add(time.Second))
		op.Spec.Checksum = &v1alpha1.ChecksumParameters{Table: "app.t", WithValues: true}
	})
	s.look()
	op := s.is("c1", v1alpha1.OperationRunning, "")
	if op.Status.Epoch != 4 || op.Status.From != "shop-0" || op.Status.StartTime == nil || op.Status.Rule != ruleRequested {
		t.Errorf("begun as %+v", op.Status)
	}
	if got := s.jobs(); len(got) != 1 || got[0] != s.jobOf("c1") || s.allowed() != s.jobOf("c1") {
		t.Fatalf("jobs %v, allowed %q", got, s.allowed())
	}
	var request jobapi.Request
	if err := json.Unmarshal([]byte(s.requestOf("c1")), &request); err != nil {
		t.Fatal(err)
	}
	if request.Primary != "shop-0" || request.Passive != "shop-1" || request.Epoch != 4 || request.Ledger != 9 || request.Table != nil ||
		len(request.Include) != 1 || request.BusyShare != 25 || request.Domain != "shop-pods.ns.svc" {
		t.Errorf("request %+v", request)
	}
	s.answer("c1", jobapi.KeyProgress, jobapi.Progress{OperationProgress: v1alpha1.OperationProgress{
		Attempts:      1,
		Table:         "app.t",
		TablesDone:    1,
		TablesTotal:   4,
		Rows:          10,
		RowsPerSecond: 5,
		Remaining:     &metav1.Duration{Duration: time.Minute},
	}})
	s.look()
	if p := s.operation("c1").Status.Progress; p == nil || p.Table != "app.t" || p.TablesTotal != 4 || p.Remaining.Duration != time.Minute {
		t.Errorf("progress %+v", p)
	}
	if got := s.jobs(); len(got) != 1 {
		t.Errorf("two at once: %v", got)
	}
	s.now = s.now.Add(time.Minute)
	s.answer("c1", jobapi.KeyResult, jobapi.Result{
		Outcome: jobapi.Done,
		Message: "2 rows differ",
		OperationResult: v1alpha1.OperationResult{
			Tables:        4,
			Rows:          40,
			RowsPerSecond: 1 << 40,
			Duration:      &metav1.Duration{Duration: 20 * time.Second},
			LongestLock:   &metav1.Duration{Duration: time.Millisecond},
			DifferingRows: 2,
			Differing:     []v1alpha1.TableDrift{{Table: "app.t", Rows: 2}},
			Report:        "another-config-map",
		},
	})
	s.look()
	op = s.is("c1", v1alpha1.OperationSucceeded, "2 rows differ")
	if got := op.Status.Result; got == nil || got.DifferingRows != 2 || got.RowsPerSecond != 2 || got.Report != s.jobOf("c1") || got.Differing[0].Table != "app.t" {
		t.Errorf("result %+v", got)
	}
	if told := strings.Join(s.events.list, "\n"); !strings.Contains(told, "Warning Drift: c1: 2 rows differ") {
		t.Errorf("told %s", told)
	}

	// The Job has ended; only then comes the next one.
	s.look()
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("jobs %v: one that is still there is ended before the next begins", got)
	}
	s.look()
	if got := s.jobs(); len(got) != 1 || got[0] != s.jobOf("c2") || s.allowed() != s.jobOf("c2") {
		t.Errorf("jobs %v, allowed %q", got, s.allowed())
	}
	s.answer("c2", jobapi.KeyResult, jobapi.Result{Outcome: jobapi.Failed, Message: "no such table app.t"})
	s.look()
	if op := s.is("c2", v1alpha1.OperationFailed, "no such table"); op.Status.Result != nil {
		t.Errorf("a result without rows: %+v", op.Status.Result)
	}
	s.look()
	if got := s.allowed(); got != "" {
		t.Errorf("while no Job runs %s is allowed", got)
	}
}

func TestAChangeOfRolesEndsAJob(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*jobStage)
		says   string
	}{
		"another epoch": {func(s *jobStage) {
			s.roles(func(p *v1alpha1.DatabasePairStatus) {
				p.Epoch = 6
				p.Primary = "shop-1"
			})
		}, "epoch 4 with primary shop-0 became epoch 6"},
		"a failover under way": {func(s *jobStage) {
			s.ask("f", v1alpha1.OperationFailover, nil)
			op := s.operation("f")
			op.Status.Phase = v1alpha1.OperationRunning
			if err := s.c.Status().Update(s.Context(), op); err != nil {
				s.Fatal(err)
			}
		}, "made way for f (Failover)"},
		"the Job says so": {func(s *jobStage) {
			s.answer("c", jobapi.KeyResult, jobapi.Result{Outcome: jobapi.RolesChanged, Message: "shop-0 is read-only"})
		}, "shop-0 is read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, nil)
			s.ask("c", v1alpha1.OperationChecksum, nil)
			s.look()
			c.change(s)
			s.look()
			s.is("c", v1alpha1.OperationAbandoned, c.says)
			if got := s.jobs(); len(got) != 0 && name != "the Job says so" {
				t.Errorf("jobs %v", got)
			}
		})
	}
}

// The pair's own controller ends Jobs as soon as it has written a new epoch; the status
// that this one sees is older.
func TestAJobIsNotMadeAgainWhileTheRolesMove(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c", v1alpha1.OperationChecksum, nil)
	s.look()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: s.jobOf("c")}}
	if err := s.c.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	s.r.Leases = clientset.NewClientset(s.lease(5, "shop-1"))
	s.look()
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("jobs %v at an epoch that is over", got)
	}
	s.is("c", v1alpha1.OperationRunning, "")
	// At the same epoch someone has deleted it: it goes on.
	s.r.Leases = clientset.NewClientset(s.lease(4, "shop-0"))
	s.look()
	if got := s.jobs(); len(got) != 1 {
		t.Errorf("jobs %v, want the lost one again", got)
	}
}

// A stopped process holds snapshots on both members for as long as it is there.
func TestAJobThatStandsStillIsMadeAgain(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c", v1alpha1.OperationChecksum, nil)
	s.look()
	for n := range 3 {
		s.answer("c", jobapi.KeyProgress, jobapi.Progress{Beat: int64(n)})
		s.look()
		s.now = s.now.Add(jobPatience)
		s.look()
		if got := s.jobs(); len(got) != 1 {
			t.Fatalf("jobs %v of one that stirs", got)
		}
	}
	s.now = s.now.Add(time.Second)
	s.look()
	if got := s.jobs(); len(got) != 0 {
		t.Fatalf("jobs %v of one that stands still", got)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", Labels: resources.JobLabels("shop")}}
	if err := s.c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	s.look()
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("jobs %v while a pod of the last one is there", got)
	}
	pod.Status.Phase = corev1.PodFailed
	if err := s.c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	s.look()
	if got := s.jobs(); len(got) != 1 {
		t.Errorf("jobs %v, want it again", got)
	}
}

func TestWhatAnOperationWaitsFor(t *testing.T) {
	lacks := func(kind string) func(*v1alpha1.DatabasePair) {
		return func(p *v1alpha1.DatabasePair) {
			for i := range p.Status.Conditions {
				if c := &p.Status.Conditions[i]; c.Type == kind {
					c.Status = "False"
					c.Message = "because"
				}
			}
		}
	}
	repair := func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Type = v1alpha1.OperationRepair
		op.Spec.Confirm = "shop/4"
		op.Spec.Repair = &v1alpha1.RepairParameters{Table: "app.t"}
	}
	for name, c := range map[string]struct {
		pair  func(*v1alpha1.DatabasePair)
		op    func(*v1alpha1.DatabasePairOperation)
		phase v1alpha1.OperationPhase
		says  string
	}{
		"nothing":                         {nil, nil, v1alpha1.OperationRunning, ""},
		"a primary":                       {lacks(v1alpha1.ConditionAvailable), nil, v1alpha1.OperationPending, "until the pair is Available: because"},
		"replication":                     {lacks(v1alpha1.ConditionReplicating), nil, v1alpha1.OperationPending, "until the pair is Replicating"},
		"a comparison needs no readiness": {lacks(v1alpha1.ConditionFailoverReady), nil, v1alpha1.OperationRunning, ""},
		"a repair does":                   {lacks(v1alpha1.ConditionFailoverReady), repair, v1alpha1.OperationPending, "until the pair is FailoverReady"},
		"a repair":                        {nil, repair, v1alpha1.OperationRunning, ""},
		"a pause":                         {func(p *v1alpha1.DatabasePair) { p.Spec.Paused = true }, nil, v1alpha1.OperationPending, "paused"},
		"a confirmation of another epoch": {nil, func(op *v1alpha1.DatabasePairOperation) {
			repair(op)
			op.Spec.Confirm = "shop/3"
		}, v1alpha1.OperationFailed, "its confirmation shop/3 is not shop/4"},
		"longer than its deadline": {lacks(v1alpha1.ConditionAvailable), func(op *v1alpha1.DatabasePairOperation) {
			op.CreationTimestamp = metav1.NewTime(op.CreationTimestamp.Add(-25 * time.Hour))
		}, v1alpha1.OperationFailed, "not done after 24h0m0s"},
		"a schedule's time that is over": {lacks(v1alpha1.ConditionAvailable), func(op *v1alpha1.DatabasePairOperation) {
			op.Annotations = map[string]string{status.AnnotationScheduledAt: "2026-01-02T01:59:59Z"}
		}, v1alpha1.OperationAbandoned, "could not begin within 1h0m0s"},
		"a deadline that passes while it runs": {nil, func(op *v1alpha1.DatabasePairOperation) {
			op.Spec.Deadline = &metav1.Duration{Duration: time.Minute}
			op.CreationTimestamp = metav1.NewTime(op.CreationTimestamp.Add(-2 * time.Minute))
		}, v1alpha1.OperationFailed, "not done after 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, c.pair)
			s.ask("o", v1alpha1.OperationChecksum, c.op)
			s.look()
			s.is("o", c.phase, c.says)
			if got := len(s.jobs()); (got == 1) != (c.phase == v1alpha1.OperationRunning) {
				t.Errorf("%d jobs", got)
			}
		})
	}
}

func TestAFailedJobIsTheOperationsEnd(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c", v1alpha1.OperationChecksum, nil)
	s.look()
	s.answer("c", jobapi.KeyProgress, jobapi.Progress{OperationProgress: v1alpha1.OperationProgress{Note: "session with a member lost"}})
	var job batchv1.Job
	if err := s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf("c")}, &job); err != nil {
		t.Fatal(err)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Message: "backoff limit"}}
	if err := s.c.Status().Update(t.Context(), &job); err != nil {
		t.Fatal(err)
	}
	s.look()
	s.is("c", v1alpha1.OperationFailed, "failed: backoff limit: session with a member lost")
}

func TestTheScheduleMakesOperations(t *testing.T) {
	hourly := func(p *v1alpha1.DatabasePair) {
		p.Spec.Checksum.Schedule = "0 * * * *"
		p.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 2, 10, 0, 0, time.UTC))
	}
	names := func(s *jobStage) string {
		var list v1alpha1.DatabasePairOperationList
		if err := s.c.List(context.Background(), &list); err != nil {
			s.Fatal(err)
		}
		var out []string
		for _, op := range list.Items {
			out = append(out, op.Name)
		}
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct {
		pair  func(*v1alpha1.DatabasePair)
		after time.Duration // of 03:00
		want  string
	}{
		"in time":            {hourly, 0, "shop-checksum-202601020300"},
		"late":               {hourly, 20 * time.Minute, "shop-checksum-202601020300"},
		"before":             {hourly, -time.Second, ""},
		"a day late: newest": {hourly, 24*time.Hour + 20*time.Minute, "shop-checksum-202601030300"},
		"suspended": {func(p *v1alpha1.DatabasePair) {
			hourly(p)
			p.Spec.Checksum.Suspend = true
		}, 0, ""},
		"paused": {func(p *v1alpha1.DatabasePair) {
			hourly(p)
			p.Spec.Paused = true
		}, 0, ""},
		"done before": {func(p *v1alpha1.DatabasePair) {
			hourly(p)
			at := metav1.NewTime(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))
			p.Status.Checksum = &v1alpha1.ChecksumStatus{LastScheduleTime: &at}
		}, 20 * time.Minute, ""},
		"no schedule":  {nil, 0, ""},
		"a wrong zone": {func(p *v1alpha1.DatabasePair) { hourly(p); p.Spec.Checksum.TimeZone = "Mars/Olympus" }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, c.pair)
			s.now = s.now.Add(c.after)
			next := s.look()
			s.look()
			if got := names(s); got != c.want {
				t.Errorf("operations %q, want %q", got, c.want)
			}
			if next <= 0 || next > time.Hour {
				t.Errorf("looks again after %s", next)
			}
		})
	}
	s := newJobStage(t, hourly)
	s.look()
	s.now = s.now.Add(time.Hour)
	s.look()
	if got := names(s); got != "shop-checksum-202601020300" {
		t.Errorf("while the last one runs there are %q", got)
	}
	s.look()
	op := s.operation("shop-checksum-202601020300")
	if op.Status.Rule != ruleScheduled || metav1.GetControllerOf(op) == nil {
		t.Errorf("made as %+v", op)
	}
}

func TestOperationsOfAPairThatIsGone(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c", v1alpha1.OperationChecksum, nil)
	if err := s.c.Delete(t.Context(), &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
	s.look()
	s.is("c", v1alpha1.OperationFailed, "no pair shop")
}

func TestStaleAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		spec v1alpha1.ChecksumSpec
		want time.Duration
		says string
	}{
		"daily":       {v1alpha1.ChecksumSpec{Schedule: "0 2 * * *", TimeZone: "Etc/UTC"}, 48 * time.Hour, ""},
		"on demand":   {v1alpha1.ChecksumSpec{TimeZone: "Etc/UTC"}, 31 * 24 * time.Hour, ""},
		"a wrong one": {v1alpha1.ChecksumSpec{Schedule: "61 2 * * *", TimeZone: "Etc/UTC"}, 31 * 24 * time.Hour, "61 2 * * *"},
	} {
		p := &v1alpha1.DatabasePair{}
		p.Spec.Checksum = c.spec
		if got, problem := staleAfter(p, now); got != c.want || !strings.Contains(problem, c.says) || (c.says == "") != (problem == "") {
			t.Errorf("%s: %s, %q", name, got, problem)
		}
	}
}

// TestAResultIsBelievedForWhatWasAskedOnly: who may write ConfigMaps cannot turn a
// comparison of one table into a verdict about another.
func TestAResultIsBelievedForWhatWasAskedOnly(t *testing.T) {
	asked := jobapi.Asked{
		Operation: "r1",
		Kind:      jobapi.Repair,
		Table:     "app.people",
		DryRun:    true,
	}
	for name, c := range map[string]struct {
		asked jobapi.Asked
		phase v1alpha1.OperationPhase
		says  string
	}{
		"what was asked": {asked, v1alpha1.OperationSucceeded, "all is well"},
		"another table": {
			jobapi.Asked{
				Operation: "r1",
				Kind:      jobapi.Repair,
				Table:     "app.other",
				DryRun:    true,
			}, v1alpha1.OperationFailed,
			"it is about a Repair without writing of app.other for operation r1, asked for was a Repair without writing of app.people",
		},
		"one that wrote": {jobapi.Asked{Operation: "r1", Kind: jobapi.Repair, Table: "app.people"}, v1alpha1.OperationFailed, "is not believed"},
		"another operation": {jobapi.Asked{
			Operation: "r0",
			Kind:      jobapi.Repair,
			Table:     "app.people",
			DryRun:    true,
		}, v1alpha1.OperationFailed, "is not believed"},
		"another kind": {jobapi.Asked{Operation: "r1", Kind: jobapi.Checksum, Table: "app.people"}, v1alpha1.OperationFailed, "is not believed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, nil)
			s.ask("r1", v1alpha1.OperationRepair, func(op *v1alpha1.DatabasePairOperation) {
				op.Spec.Repair = &v1alpha1.RepairParameters{Table: "app.people", DryRun: true}
			})
			s.look()
			s.answer("r1", jobapi.KeyResult, jobapi.Result{
				Outcome:         jobapi.Done,
				Message:         "all is well",
				Asked:           c.asked,
				OperationResult: v1alpha1.OperationResult{RepairedRows: 1},
			})
			s.look()
			op := s.is("r1", c.phase, c.says)
			if c.phase == v1alpha1.OperationFailed && op.Status.Result != nil {
				t.Errorf("the result was taken: %+v", op.Status.Result)
			}
		})
	}
}

// TestAJobOfAnotherUserIsNotFollowed: a Job that someone made under the name does not
// answer for the operation.
func TestAJobOfAnotherUserIsNotFollowed(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	var job batchv1.Job
	if err := s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf("c1")}, &job); err != nil {
		t.Fatal(err)
	}
	forged := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name:            job.Name,
		Namespace:       job.Namespace,
		Labels:          job.Labels,
		OwnerReferences: job.OwnerReferences,
	}, Spec: *job.Spec.DeepCopy()}
	env := forged.Spec.Template.Spec.Containers[0].Env
	for i := range env {
		if env[i].Name == jobapi.EnvRequest {
			env[i].Value = strings.Replace(env[i].Value, `"kind":"Checksum"`, `"kind":"Repair"`, 1)
		}
	}
	if err := s.c.Delete(t.Context(), &job); err != nil {
		t.Fatal(err)
	}
	if err := s.c.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	s.look()
	s.is("c1", v1alpha1.OperationFailed, "was not made by the operator for this operation")
}
