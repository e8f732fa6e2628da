package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// vaultScene is a pair that begins with a backup, without members.
type vaultScene struct {
	*testing.T
	client client.Client
	r      *PairReconciler
	v      *visit
	now    time.Time
}

func newVaultScene(t *testing.T) *vaultScene {
	t.Helper()
	s := &vaultScene{T: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns",
		Name:      "shop2",
		UID:       "uid-2",
	}}
	p.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{
		Destination: v1alpha1.BackupDestination{Volume: &v1alpha1.VolumeDestination{ClaimName: "backups"}},
		Pair:        v1alpha1.BackedUpPair{Namespace: "old", Name: "shop"},
		BackupID:    v1alpha1.LatestBackup,
		Target:      &v1alpha1.RestoreTarget{Time: "2026-01-02T03:04:05+02:00"},
	}}
	ca, err := pki.NewAuthority(p.Name, s.now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	names := resources.NamesOf(p)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: names.CA(), OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Data: map[string][]byte{resources.KeyCA: ca.Bundle(nil, s.now), resources.KeyCAKey: key},
	}
	s.client = fake.NewClientBuilder().WithObjects(secret).Build()
	s.r = &PairReconciler{
		Client:  s.client,
		Live:    s.client,
		Applier: &cluster.Applier{Client: s.client, Live: s.client},
		Now:     func() time.Time { return s.now },
	}
	s.v = &visit{
		name:    types.NamespacedName{Namespace: "ns", Name: p.Name},
		names:   names,
		pair:    p,
		session: &session{},
		log:     logr.Discard(),
	}
	return s
}

// waits insists that the copy waits for something, and that the status says what.
func (s *vaultScene) waits(reason, says string) {
	s.Helper()
	donor, err := s.r.foreignDonor(s.Context(), s.v)
	got := s.v.session.bootstrap
	if donor != nil || !errors.Is(err, execute.ErrConflict) || got.reason != reason || !strings.Contains(got.fact, says) {
		s.Fatalf("%+v, %v; it waits for %+v, want %s: %s", donor, err, got, reason, says)
	}
}

func (s *vaultScene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// pod makes the pod of the vault's Job, as the controller of Jobs does.
func (s *vaultScene) pod(name string, status corev1.PodStatus) {
	s.Helper()
	var job batchv1.Job
	s.must(s.client.Get(s.Context(), s.v.vaultName(), &job))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       "ns",
			Name:            name,
			Labels:          job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
	}
	s.must(s.client.Create(s.Context(), pod))
	pod.Status = status
	s.must(s.client.Status().Update(s.Context(), pod))
}

// request is what the vault's Job is asked for.
func (s *vaultScene) request() string {
	s.Helper()
	var job batchv1.Job
	s.must(s.client.Get(s.Context(), s.v.vaultName(), &job))
	for _, env := range job.Spec.Template.Spec.Containers[0].Env {
		if env.Name == jobapi.EnvVault {
			return env.Value
		}
	}
	s.Fatal("the Job has no request")
	return ""
}

// fails ends the vault's Job.
func (s *vaultScene) fails() {
	s.Helper()
	var job batchv1.Job
	s.must(s.client.Get(s.Context(), s.v.vaultName(), &job))
	job.Status.Conditions = []batchv1.JobCondition{{
		Type:               batchv1.JobFailed,
		Status:             corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(s.now),
	}}
	s.must(s.client.Status().Update(s.Context(), &job))
}

func (s *vaultScene) there(o client.Object) bool {
	s.Helper()
	err := s.client.Get(s.Context(), s.v.vaultName(), o)
	if err != nil && !apierrors.IsNotFound(err) {
		s.Fatal(err)
	}
	return err == nil
}

func TestAVaultIsMadeServesAndIsRemoved(t *testing.T) {
	s := newVaultScene(t)
	s.waits(status.ReasonSecretMissing, "spec.bootstrap.backup.destination.volume.claimName: there is no PersistentVolumeClaim backups")
	s.must(s.client.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "backups"}}))
	s.waits(status.ReasonVaultStarting, "is made")
	s.waits(status.ReasonVaultStarting, "has no pod yet")
	s.pod("shop2-vault-1", corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
	}})
	donor, err := s.r.foreignDonor(t.Context(), s.v)
	s.must(err)
	if donor.Host != "shop2-vault.ns.svc" || donor.Port != jobapi.PortVault || donor.Password == "" || donor.CA == "" || !donor.Backup ||
		donor.Replay != jobapi.PortReplay {
		t.Errorf("donor %+v", donor)
	}
	if s.v.session.bootstrap.reason != "" {
		t.Errorf("it still waits for %+v", s.v.session.bootstrap)
	}
	request := s.request()
	if !strings.Contains(request, `"store":"file:///backups/old.shop"`) || !strings.Contains(request, `"pair":"old/shop"`) ||
		!strings.Contains(request, `"target":{"time":"2026-01-02T03:04:05+02:00"}`) {
		t.Errorf("request %s", request)
	}

	// Without a target the copy is all.
	s.v.pair.Spec.Bootstrap.Backup.Target = nil
	donor, err = s.r.foreignDonor(t.Context(), s.v)
	s.must(err)
	if alone := vaultRequest(s.v.pair); donor.Replay != 0 || alone.Replay || alone.Target != (jobapi.VaultTarget{}) {
		t.Errorf("without a target: donor %+v, request %+v", donor, alone)
	}
	s.v.pair.Spec.Bootstrap.Backup.Target = &v1alpha1.RestoreTarget{Time: v1alpha1.LatestMoment}
	if end := vaultRequest(s.v.pair); !end.Replay || end.Target != (jobapi.VaultTarget{}) {
		t.Errorf("the end of the archive: request %+v", end)
	}

	// Nothing is removed before the copy is the pair's data.
	o := failover.Observation{}
	o.Authority.Reading = failover.Read
	o.Authority.Record.Bootstrap = &authority.Bootstrap{Member: "shop2-0", DataID: "d"}
	s.must(s.r.removeVault(t.Context(), s.v, o))
	if !s.there(&batchv1.Job{}) {
		t.Fatal("the Job is gone while a member copies")
	}
	o.Authority.Record.Bootstrap = nil
	o.Authority.Record.Data = map[pair.MemberName]pair.DataID{"shop2-0": "d"}
	s.must(s.r.removeVault(t.Context(), s.v, o))
	if s.there(&batchv1.Job{}) || s.there(&corev1.Service{}) || s.there(&corev1.Secret{}) {
		t.Error("something of the vault is left")
	}
}

func TestAVaultThatEndsSaysWhyAndIsMadeAgain(t *testing.T) {
	s := newVaultScene(t)
	s.must(s.client.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "backups"}}))
	s.waits(status.ReasonVaultStarting, "is made")
	s.pod("shop2-vault-1", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Message: `{"reason": "BackupNotFound", "message": "there is no backup"}`,
		}},
	}}})
	s.fails()
	s.waits(string(jobapi.BackupNotFound), "there is no backup; it is tried again")
	if !s.there(&batchv1.Job{}) {
		t.Fatal("it is not left in peace for a moment")
	}
	s.now = s.now.Add(vaultPause)
	s.waits(string(jobapi.BackupNotFound), "there is no backup")
	if s.there(&batchv1.Job{}) {
		t.Fatal("it is not made again")
	}
	// The reason stays until the next one serves.
	s.waits(string(jobapi.BackupNotFound), "there is no backup")
	if !s.there(&batchv1.Job{}) {
		t.Fatal("there is no other Job")
	}
	for name, tc := range map[string]struct {
		message string
		want    jobapi.VaultReport
	}{
		"no report":         {"panic: x", jobapi.VaultReport{Reason: jobapi.VaultFailed, Message: "panic: x"}},
		"an unknown reason": {`{"reason": "x", "message": "y"}`, jobapi.VaultReport{Reason: jobapi.VaultFailed, Message: "y"}},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: tc.message}},
		}}}}
		if got := reportOf(pod); got != tc.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	s.r.Off = Off{Backup: true}
	s.waits(status.ReasonBackupsOff, "features.backup")
}

// TestADamagedBackupIsReadWholeBeforeItIsServedAgain: else the condition would say that a member
// copies, and that the backup is damaged, in turns for as long as it is.
func TestADamagedBackupIsReadWholeBeforeItIsServedAgain(t *testing.T) {
	s := newVaultScene(t)
	s.must(s.client.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "backups"}}))
	s.waits(status.ReasonVaultStarting, "is made")
	if request := s.request(); strings.Contains(request, "verify") {
		t.Errorf("the first request is %s", request)
	}
	ended := corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Message:    `{"reason": "BackupDamaged", "message": "object s2/000003.dbb is damaged"}`,
			FinishedAt: metav1.NewTime(s.now),
		}},
	}}}
	s.pod("shop2-vault-1", ended)
	// The Job does not know yet that its pod has ended.
	s.waits(string(jobapi.BackupDamaged), "object s2/000003.dbb is damaged; it is tried again")
	s.fails()
	s.waits(string(jobapi.BackupDamaged), "object s2/000003.dbb is damaged; it is tried again")
	s.now = s.now.Add(vaultPauseDamaged)
	s.waits(string(jobapi.BackupDamaged), "object s2/000003.dbb")
	s.waits(string(jobapi.BackupDamaged), "object s2/000003.dbb") // another Job is made
	if request := s.request(); !strings.Contains(request, `"verify":true`) {
		t.Errorf("the next request is %s", request)
	}
	s.pod("shop2-vault-2", corev1.PodStatus{})
	s.waits(string(jobapi.BackupDamaged), "object s2/000003.dbb") // while it reads
}
