package controllers

import (
	"errors"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// reseedScene is a pair with backups, of which an operation copies one.
type reseedScene struct {
	*vaultScene
	o failover.Observation
}

func newReseedScene(t *testing.T) *reseedScene {
	t.Helper()
	s := &reseedScene{vaultScene: newVaultScene(t)}
	p := s.v.pair
	p.Spec.Bootstrap = nil
	p.Spec.Backup = &v1alpha1.BackupSpec{
		Destination: v1alpha1.BackupDestination{Volume: &v1alpha1.VolumeDestination{ClaimName: "backups"}},
		Encryption: &v1alpha1.BackupEncryption{
			Recipients:        []string{"age1x"},
			IdentitySecretRef: &v1alpha1.KeyReference{Name: "age", Key: "identity"},
		},
	}
	s.asks("op-1")
	s.o.Authority.Reading = failover.Read
	s.o.Authority.Record.Epoch = 3
	s.o.Authority.Record.Holder = pair.Holder{Member: "shop2-0", PodUID: "pod-0"}
	s.o.Authority.Record.Data = map[pair.MemberName]pair.DataID{"shop2-0": "a", "shop2-1": "b"}
	s.o.Members[0] = failover.Member{
		Name:  "shop2-0",
		Reach: failover.Answered,
		State: &agentapi.State{Server: &agentapi.Server{}},
	}
	s.purged("")
	return s
}

// asks makes the operation the pair's only one.
func (s *reseedScene) asks(name string) {
	op := v1alpha1.DatabasePairOperation{ObjectMeta: metav1.ObjectMeta{
		Namespace:         "ns",
		Name:              name,
		CreationTimestamp: metav1.NewTime(s.now),
	}}
	op.Spec.Type = v1alpha1.OperationReseed
	op.Spec.Target = "shop2-1"
	op.Spec.From = v1alpha1.ReseedFromBackup
	op.Spec.PairRef.Name = s.v.name.Name
	s.v.operations = []v1alpha1.DatabasePairOperation{op}
}

func (s *reseedScene) purged(gtids string) { s.o.Members[0].State.Server.PurgedGTIDs = gtids }

// made makes what the spec names.
func (s *reseedScene) made() {
	s.Helper()
	s.must(s.client.Create(s.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "backups"}}))
	s.must(s.client.Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "age"},
		Data:       map[string][]byte{"identity": []byte("AGE-SECRET-KEY-1")},
	}))
}

// looks brings the vault a step further, and returns what the next decision needs.
func (s *reseedScene) looks() failover.ServedBackup {
	s.Helper()
	s.must(s.r.serveReseed(s.Context(), s.v, s.o, failover.Plan{}))
	operations := []failover.Operation{operationOf(&s.v.operations[0])}
	s.v.session.serveds(operations)
	if operations[0].Backup == nil {
		s.Fatal("the operation copies no backup")
	}
	return *operations[0].Backup
}

var ready = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}

// A vault serves the newest backup of the pair's own as long as the operation lasts.
func TestABackupIsServedForAReseed(t *testing.T) {
	s := newReseedScene(t)
	s.made()
	const server = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	s.purged(server + ":1-5")
	if _, err := s.r.reseedDonor(t.Context(), s.v); !errors.Is(err, execute.ErrConflict) {
		t.Errorf("before there is a vault: %v", err)
	}
	if b := s.looks(); b.Served || b.Failed || !strings.Contains(b.Fact, "is made") {
		t.Errorf("first %+v", b)
	}
	request := s.request()
	for _, want := range []string{
		`"store":"file:///backups/ns.shop2"`, `"uid":"uid-2"`, `"backupID":"Latest"`, `"identity":true`,
		`"reseed":{"operation":"op-1","purged":"` + server + `:1-5"}`,
	} {
		if !strings.Contains(request, want) {
			t.Errorf("the request lacks %s: %s", want, request)
		}
	}
	s.pod("shop2-vault-1", ready)
	if b := s.looks(); b != (failover.ServedBackup{Served: true}) {
		t.Errorf("it is served: %+v", b)
	}
	donor, err := s.r.reseedDonor(t.Context(), s.v)
	s.must(err)
	if donor.Host != "shop2-vault.ns.svc" || donor.Password == "" || donor.CA == "" || !donor.Backup || donor.Replay != 0 {
		t.Errorf("donor %+v", donor)
	}
	if s.v.session.bootstrap.reason != "" {
		t.Errorf("the condition Bootstrapped says %+v", s.v.session.bootstrap)
	}
	s.must(s.r.removeVault(t.Context(), s.v, s.o))
	if !s.there(&batchv1.Job{}) {
		t.Fatal("the Job is removed while the operation goes on")
	}

	// The primary purges more before anything was given up: the backup is compared again.
	s.purged(server + ":1-9")
	if b := s.looks(); b.Served {
		t.Errorf("after a purge: %+v", b)
	}
	if s.there(&batchv1.Job{}) {
		t.Fatal("the Job of the outdated request is there")
	}
	s.looks()
	if !strings.Contains(s.request(), `:1-9"}`) {
		t.Errorf("the next request is %s", s.request())
	}
	// After that the copy itself shows it.
	s.o.Authority.Record.Seeding = &authority.Seeding{Member: "shop2-1", DataID: "c"}
	s.purged(server + ":1-10")
	s.looks()
	if !s.there(&batchv1.Job{}) {
		t.Error("the Job is removed while the member copies")
	}

	s.v.operations[0].Status.Phase = v1alpha1.OperationSucceeded
	s.must(s.r.removeVault(t.Context(), s.v, s.o))
	if s.there(&batchv1.Job{}) || s.there(&corev1.Service{}) || s.there(&corev1.Secret{}) {
		t.Error("something of the vault is left")
	}
}

// Why no backup can be served is final for an operation, and not for the next one.
func TestABackupThatCannotBeServedEndsItsReseed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*reseedScene)
		says   string
	}{
		"no backups":          {func(s *reseedScene) { s.v.pair.Spec.Backup = nil }, "the pair has no spec.backup"},
		"the feature is off":  {func(s *reseedScene) { s.r.Off = Off{Backup: true} }, "features.backup"},
		"no claim":            {func(*reseedScene) {}, "spec.backup.destination.volume.claimName: there is no PersistentVolumeClaim backups"},
		"an identity without": {func(s *reseedScene) { s.made(); s.takes("age") }, "spec.backup.encryption.identitySecretRef: there is no Secret age"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newReseedScene(t)
			tc.change(s)
			if b := s.looks(); !b.Failed || !strings.Contains(b.Fact, tc.says) {
				t.Errorf("%+v, want %q", b, tc.says)
			}
			if s.there(&batchv1.Job{}) {
				t.Error("a Job was made")
			}
		})
	}
	s := newReseedScene(t)
	s.made()
	s.looks()
	s.pod("shop2-vault-1", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Message:    `{"reason": "BackupTooOld", "message": "the newest backup ended before"}`,
			FinishedAt: metav1.NewTime(s.now),
		}},
	}}})
	want := failover.ServedBackup{Failed: true, Fact: string(jobapi.BackupTooOld) + ": the newest backup ended before"}
	for range 2 {
		if b := s.looks(); b != want {
			t.Errorf("%+v, want %+v", b, want)
		}
	}
	s.asks("op-2")
	if b := s.looks(); b.Failed || s.there(&batchv1.Job{}) {
		t.Errorf("for the next operation: %+v", b)
	}
	s.looks()
	if !strings.Contains(s.request(), `"operation":"op-2"`) {
		t.Errorf("the request of the next one is %s", s.request())
	}
}

// takes removes a Secret.
func (s *reseedScene) takes(name string) {
	s.Helper()
	var secret corev1.Secret
	s.must(s.client.Get(s.Context(), client.ObjectKey{Namespace: "ns", Name: name}, &secret))
	s.must(s.client.Delete(s.Context(), &secret))
}
