package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

const (
	firstBackup  = "20260102T030000Z-00000001"
	secondBackup = "20260102T040000Z-00000002"
)

// backupStage is a pair with backups on a volume, and the controller of their objects.
type backupStage struct {
	*testing.T
	c client.Client
	r *StoredBackupReconciler
	// now is the time at which operations end, clock that of the controller: the API server sets the time of a deletion.
	now    time.Time
	clock  time.Time
	events events
	uids   int
}

func newBackupStage(t *testing.T) *backupStage {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	s := &backupStage{
		T:     t,
		now:   time.Date(2026, 1, 2, 5, 0, 0, 0, time.UTC),
		clock: time.Now(),
	}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Name:              "shop",
		Namespace:         "ns",
		UID:               "pair-uid",
		CreationTimestamp: metav1.NewTime(s.now.Add(-24 * time.Hour)),
	}}
	toVolume(p)
	s.c = fake.NewClientBuilder().WithScheme(all).WithObjects(p, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}).
		WithStatusSubresource(&v1alpha1.DatabasePair{}, &v1alpha1.DatabasePairOperation{}, &v1alpha1.DatabasePairBackup{}).
		WithIndex(&v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation).
		WithInterceptorFuncs(interceptor.Funcs{Create: s.create}).Build()
	s.r = &StoredBackupReconciler{
		Client: s.c,
		Live:   s.c,
		Events: &s.events,
		Now:    func() time.Time { return s.clock },
	}
	return s
}

// create gives an object a UID and the time of its creation, as the API server does.
func (s *backupStage) create(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
	if o.GetUID() == "" {
		s.uids++
		o.SetUID(types.UID(fmt.Sprintf("uid-%d", s.uids)))
		o.SetCreationTimestamp(metav1.NewTime(s.now))
	}
	return c.Create(ctx, o, opts...)
}

func (s *backupStage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// look reconciles the pair once.
func (s *backupStage) look() {
	s.Helper()
	_, err := s.r.Reconcile(s.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}})
	s.must(err)
}

// ended makes an operation whose Job has found these backups, the newest first.
func (s *backupStage) ended(name string, taken *v1alpha1.BackupResult, ids ...string) *v1alpha1.DatabasePairOperation {
	s.Helper()
	s.now = s.now.Add(time.Hour)
	found := jobapi.Catalog{Store: "file:///backups/ns.shop/pair-uid", Total: len(ids)}
	for _, id := range ids {
		found.Backups = append(found.Backups, jobapi.CatalogBackup{StoredBackup: v1alpha1.StoredBackup{
			ID:       id,
			Finished: metav1.NewTime(s.now.Truncate(time.Second)),
			Size:     1 << 20,
		}})
	}
	text, err := json.Marshal(found)
	s.must(err)
	op := s.operation(name, v1alpha1.OperationBackup)
	s.must(s.c.Create(s.Context(), op))
	ended := metav1.NewMicroTime(s.now)
	op.Status.Phase = v1alpha1.OperationSucceeded
	op.Status.CompletionTime = &ended
	op.Status.Result = &v1alpha1.OperationResult{Backup: taken}
	s.must(s.c.Status().Update(s.Context(), op))
	m := resources.JobConfigMap(s.pair(), op)
	m.Data = map[string]string{jobapi.KeyCatalog: string(text)}
	s.must(s.c.Create(s.Context(), m))
	return op
}

func (s *backupStage) operation(name string, t v1alpha1.OperationType) *v1alpha1.DatabasePairOperation {
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         "ns",
			UID:               types.UID("uid-of-" + name),
			CreationTimestamp: metav1.NewTime(s.now),
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: "shop", UID: "pair-uid"},
			Type:    t,
		},
	}
}

func (s *backupStage) pair() *v1alpha1.DatabasePair {
	s.Helper()
	var p v1alpha1.DatabasePair
	s.must(s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop"}, &p))
	return &p
}

// ids are the backups that have an object.
func (s *backupStage) ids() string {
	s.Helper()
	var list v1alpha1.DatabasePairBackupList
	s.must(s.c.List(s.Context(), &list))
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Spec.BackupID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (s *backupStage) object(id string) *v1alpha1.DatabasePairBackup {
	s.Helper()
	var b v1alpha1.DatabasePairBackup
	s.must(s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop-" + strings.ToLower(id)}, &b))
	return &b
}

func TestTheBackupsThatAJobFoundAreObjects(t *testing.T) {
	s := newBackupStage(t)
	s.look()
	if got := s.ids(); got != "" {
		t.Fatalf("before the first backup there are %s", got)
	}
	s.ended("b1", &v1alpha1.BackupResult{ID: firstBackup, From: "shop-1", Verified: true}, firstBackup)
	s.look()
	b := s.object(firstBackup)
	if b.Status.From != "shop-1" || b.Status.Verified != v1alpha1.BackupReadBack || b.Status.Size.String() != "1Mi" {
		t.Errorf("status %+v", b.Status)
	}
	s.ended("b2", &v1alpha1.BackupResult{ID: secondBackup, From: "shop-0"}, secondBackup, firstBackup)
	s.look()
	if got := s.ids(); got != firstBackup+" "+secondBackup || s.object(secondBackup).Status.From != "shop-0" {
		t.Errorf("there are %s", got)
	}
	s.ended("b3", nil, secondBackup)
	s.look()
	if got := s.ids(); got != secondBackup {
		t.Errorf("after the retention there are %s", got)
	}
}

// An object that was deleted comes back as long as the backup is there.
func TestADeletedObjectOfABackupThatIsThereComesBack(t *testing.T) {
	s := newBackupStage(t)
	s.ended("b1", nil, firstBackup)
	s.look()
	s.must(s.c.Delete(t.Context(), s.object(firstBackup)))
	s.look()
	if got := s.ids(); got != firstBackup {
		t.Errorf("there are %s", got)
	}
}

func TestTheObjectsOfAPairThatIsGoneStay(t *testing.T) {
	s := newBackupStage(t)
	s.ended("b1", nil, firstBackup)
	s.look()
	s.must(s.c.Delete(t.Context(), s.pair()))
	s.look()
	if got := s.ids(); got != firstBackup {
		t.Errorf("there are %s", got)
	}
}

// Of a ConfigMap that someone else made under the Job's name, and of text that is none, nothing is believed.
func TestWithoutACatalogTheStatusCounts(t *testing.T) {
	s := newBackupStage(t)
	op := s.ended("b1", nil, firstBackup)
	var m corev1.ConfigMap
	s.must(s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: resources.NamesOf(s.pair()).JobName(op.UID)}, &m))
	m.OwnerReferences = nil
	s.must(s.c.Update(t.Context(), &m))
	s.look()
	if got := s.ids(); got != "" {
		t.Errorf("there are %s", got)
	}
	m.OwnerReferences = resources.JobConfigMap(s.pair(), op).OwnerReferences
	m.Data[jobapi.KeyCatalog] = "{"
	s.must(s.c.Update(t.Context(), &m))
	p := s.pair()
	p.Status.Backup = &v1alpha1.BackupStatus{
		LastSuccessTime: &metav1.Time{Time: s.now},
		Last: &v1alpha1.BackupResult{
			ID:          secondBackup,
			Location:    "file:///backups/ns.shop/pair-uid",
			Stored:      []v1alpha1.StoredBackup{{ID: secondBackup, Finished: metav1.NewTime(s.now)}},
			StoredTotal: 1,
		},
	}
	s.must(s.c.Status().Update(t.Context(), p))
	s.look()
	if got := s.ids(); got != secondBackup {
		t.Errorf("there are %s", got)
	}
}
