package controllers

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// toVolume is a pair with backups on the claim "backups".
func toVolume(p *v1alpha1.DatabasePair) {
	p.Spec.Backup = &v1alpha1.BackupSpec{
		Destination:      v1alpha1.BackupDestination{Volume: &v1alpha1.VolumeDestination{ClaimName: "backups"}},
		TimeZone:         "Etc/UTC",
		StartingDeadline: metav1.Duration{Duration: time.Hour},
		Retention:        v1alpha1.BackupRetention{KeepFor: metav1.Duration{Duration: 48 * time.Hour}, KeepLast: 3},
	}
}

// toBucket is a pair with backups in a bucket, with the Secret "keys".
func toBucket(p *v1alpha1.DatabasePair) {
	toVolume(p)
	p.Spec.Backup.Destination = v1alpha1.BackupDestination{S3: &v1alpha1.S3Destination{
		Bucket:      "b",
		Region:      "eu-central-1",
		Credentials: &v1alpha1.SecretReference{Name: "keys"},
	}}
}

// claim makes the claim of toVolume.
func (s *jobStage) claim(labels map[string]string) {
	s.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "backups", Namespace: "ns", Labels: labels}}
	if err := s.c.Create(s.Context(), claim); err != nil {
		s.Fatal(err)
	}
}

func TestABackupIsTakenByAJob(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.is("b1", v1alpha1.OperationRunning, "")
	var request jobapi.Request
	if err := json.Unmarshal([]byte(s.requestOf("b1")), &request); err != nil {
		t.Fatal(err)
	}
	want := &jobapi.BackupRequest{
		Store:    "file:///backups/ns.shop/pair-uid",
		Verify:   true,
		KeepFor:  48 * time.Hour,
		KeepLast: 3,
	}
	if diff := cmp.Diff(want, request.Backup); diff != "" || request.Kind != jobapi.Backup || request.Passive != "shop-1" {
		t.Errorf("request %+v (-want +got):\n%s", request, diff)
	}
	var job batchv1.Job
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf("b1")}, &job); err != nil {
		t.Fatal(err)
	}
	if command := job.Spec.Template.Spec.Containers[0].Command; !slices.Equal(command, []string{"/backup", "run"}) {
		t.Errorf("command %q", command)
	}
	if len(s.permitted) > 0 || s.allowed() != s.jobOf("b1") {
		t.Errorf("permitted %v, allowed %q", s.permitted, s.allowed())
	}
	s.answer("b1", jobapi.KeyProgress, jobapi.Progress{OperationProgress: v1alpha1.OperationProgress{
		Attempts: 1,
		Bytes:    4096,
		Note:     "copies shop-1",
	}})
	s.look()
	if p := s.operation("b1").Status.Progress; p == nil || p.Bytes != 4096 || p.Note != "copies shop-1" {
		t.Errorf("progress %+v", p)
	}
	s.now = s.now.Add(time.Minute)
	s.answer("b1", jobapi.KeyResult, jobapi.Result{
		Outcome: jobapi.Done,
		Message: "backup id",
		OperationResult: v1alpha1.OperationResult{
			Duration: &metav1.Duration{Duration: 30 * time.Second},
			Backup: &v1alpha1.BackupResult{
				ID:          "id",
				Location:    want.Store,
				From:        "shop-1",
				GTIDs:       strings.Repeat("g", 3000),
				Size:        100,
				StoredSize:  50,
				Objects:     4,
				Verified:    true,
				Stored:      []v1alpha1.StoredBackup{{ID: "id", Finished: metav1.NewTime(s.now), Size: 100}},
				StoredTotal: 1,
			},
		},
	})
	s.look()
	op := s.is("b1", v1alpha1.OperationSucceeded, "backup id")
	got := op.Status.Result
	if got == nil || got.Backup == nil || got.Backup.ID != "id" || !got.Backup.Verified || got.Backup.Stored[0].Size != 100 || len(got.Backup.GTIDs) != 2048 {
		t.Fatalf("result %+v", got)
	}
	var p v1alpha1.DatabasePair
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop"}, &p); err != nil {
		t.Fatal(err)
	}
	known := status.BackedUp(&p, []v1alpha1.DatabasePairOperation{*op})
	if !known.Wanted || known.Status.LastSuccess != "b1" || known.Status.Last.StoredSize != 50 || known.Status.LastFailure != "" {
		t.Errorf("status %+v", known.Status)
	}
}

// A backup that is asked for while the passive is copied again is taken of the copy.
func TestABackupWaitsForAReseed(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("r", v1alpha1.OperationReseed, nil)
	phase := func(phase v1alpha1.OperationPhase) {
		op := s.operation("r")
		op.Status.Phase = phase
		if err := s.c.Status().Update(s.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	phase(v1alpha1.OperationRunning)
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.is("b1", v1alpha1.OperationPending, "waits for r (Reseed)")
	if jobs := s.jobs(); len(jobs) > 0 {
		t.Errorf("Jobs %v", jobs)
	}
	phase(v1alpha1.OperationSucceeded)
	s.look()
	s.is("b1", v1alpha1.OperationRunning, "")
}

func TestWhatABackupWaitsForAndWhatEndsIt(t *testing.T) {
	keys := func(data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys", Namespace: "ns"}, Data: data}
	}
	for name, tc := range map[string]struct {
		pair  func(*v1alpha1.DatabasePair)
		keys  *corev1.Secret
		phase v1alpha1.OperationPhase
		says  string
	}{
		"no spec":   {nil, nil, v1alpha1.OperationFailed, "the pair has no spec.backup"},
		"no claim":  {toVolume, nil, v1alpha1.OperationPending, "volume.claimName: there is no PersistentVolumeClaim backups"},
		"no Secret": {toBucket, nil, v1alpha1.OperationPending, "spec.backup.destination.s3.credentials: there is no Secret keys"},
		"half a Secret": {
			toBucket, keys(map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("a")}),
			v1alpha1.OperationPending, "Secret keys has no key AWS_SECRET_ACCESS_KEY: add it",
		},
		"a whole Secret": {
			toBucket, keys(map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("a"), "AWS_SECRET_ACCESS_KEY": []byte("b")}),
			v1alpha1.OperationRunning, "",
		},
		"no CA": {func(p *v1alpha1.DatabasePair) {
			toBucket(p)
			p.Spec.Backup.Destination.S3.Credentials = nil
			p.Spec.Backup.Destination.S3.CABundle = &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}
		}, nil, v1alpha1.OperationPending, "spec.backup.destination.s3.caBundle: there is no ConfigMap ca"},
		"no key of Google": {func(p *v1alpha1.DatabasePair) {
			toVolume(p)
			p.Spec.Backup.Destination = v1alpha1.BackupDestination{GCS: &v1alpha1.GCSDestination{
				Bucket:      "b",
				Credentials: &v1alpha1.KeyReference{Name: "keys", Key: "key.json"},
			}}
		}, keys(nil), v1alpha1.OperationPending, "spec.backup.destination.gcs.credentials: Secret keys has no key key.json: add it"},
		"no key of Azure": {func(p *v1alpha1.DatabasePair) {
			toVolume(p)
			p.Spec.Backup.Destination = v1alpha1.BackupDestination{Azure: &v1alpha1.AzureDestination{
				Account:     "a",
				Container:   "c",
				Credentials: &v1alpha1.SecretReference{Name: "keys"},
			}}
		}, keys(nil), v1alpha1.OperationPending, "spec.backup.destination.azure.credentials: Secret keys has no key AZURE_STORAGE_KEY: add it"},
		"the identity of a ServiceAccount": {func(p *v1alpha1.DatabasePair) {
			toVolume(p)
			p.Spec.Backup.Destination = v1alpha1.BackupDestination{GCS: &v1alpha1.GCSDestination{Bucket: "b"}}
		}, nil, v1alpha1.OperationRunning, ""},
		"no ServiceAccount": {func(p *v1alpha1.DatabasePair) {
			toBucket(p)
			p.Spec.Backup.Destination.S3.Credentials = nil
			p.Spec.Backup.Destination.ServiceAccountName = "backups"
		}, nil, v1alpha1.OperationPending, "spec.backup.destination.serviceAccountName: there is no ServiceAccount backups in this namespace: make it"},
		"the volume of a member": {func(p *v1alpha1.DatabasePair) {
			toVolume(p)
			p.Spec.Backup.Destination.Volume.ClaimName = "data-shop-1"
		}, nil, v1alpha1.OperationFailed, "is the volume of a member"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, tc.pair)
			if tc.keys != nil {
				if err := s.c.Create(t.Context(), tc.keys); err != nil {
					t.Fatal(err)
				}
			}
			s.ask("b1", v1alpha1.OperationBackup, nil)
			s.look()
			s.is("b1", tc.phase, tc.says)
			if jobs := s.jobs(); (len(jobs) > 0) != (tc.phase == v1alpha1.OperationRunning) {
				t.Errorf("Jobs %v", jobs)
			}
		})
	}
}

// The pod of a backup runs as the ServiceAccount that the store knows, and that one may report.
func TestABackupRunsAsTheServiceAccountOfItsStore(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		toBucket(p)
		p.Spec.Backup.Destination.S3.Credentials = nil
		p.Spec.Backup.Destination.ServiceAccountName = "backups"
	})
	if err := s.c.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "backups", Namespace: "ns"}}); err != nil {
		t.Fatal(err)
	}
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.is("b1", v1alpha1.OperationRunning, "")
	key := types.NamespacedName{Namespace: "ns", Name: s.jobOf("b1")}
	var job batchv1.Job
	var m corev1.ConfigMap
	if err := errors.Join(s.c.Get(t.Context(), key, &job), s.c.Get(t.Context(), key, &m)); err != nil {
		t.Fatal(err)
	}
	if got := job.Spec.Template.Spec.ServiceAccountName; got != "backups" || m.Annotations[resources.AnnotationReporter] != "backups" {
		t.Errorf("it runs as %s, and %s reports", got, m.Annotations[resources.AnnotationReporter])
	}
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	checksum := resources.JobConfigMap(&v1alpha1.DatabasePair{Spec: v1alpha1.DatabasePairSpec{Backup: &v1alpha1.BackupSpec{
		Destination: v1alpha1.BackupDestination{ServiceAccountName: "backups"},
	}}}, s.operation("c1"))
	if checksum.Annotations[resources.AnnotationReporter] != "" {
		t.Error("the ServiceAccount of a store may write the result of a comparison")
	}
}

func TestTheVolumeOfAnotherPairIsNoDestination(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(resources.Labels("till"))
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.is("b1", v1alpha1.OperationPending, "is the volume of a member")
}

func TestBackupsHaveAScheduleOfTheirOwn(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		toVolume(p)
		p.Spec.Backup.Schedule = "0 3 * * *"
		p.Spec.Checksum.Schedule = "0 3 * * *"
	})
	s.look()
	for _, name := range []string{"shop-backup-202601020300", "shop-checksum-202601020300"} {
		if op := s.operation(name); !status.ScheduledAt(op).Equal(s.now) {
			t.Errorf("%s is of %s", name, status.ScheduledAt(op))
		}
	}
	if op := s.operation("shop-backup-202601020300"); op.Spec.Type != v1alpha1.OperationBackup || op.Spec.Reason != "by spec.backup.schedule" {
		t.Errorf("made %+v", op.Spec)
	}
}

// asMadeByTheServer gives an operation that the operator made what the API server would.
func (s *jobStage) asMadeByTheServer(name string) {
	s.Helper()
	made := s.operation(name)
	if err := s.c.Delete(s.Context(), made); err != nil {
		s.Fatal(err)
	}
	s.ask(name, made.Spec.Type, func(op *v1alpha1.DatabasePairOperation) {
		op.Spec = made.Spec
		op.Labels = made.Labels
		op.Annotations = made.Annotations
	})
}

// A gap of the archive is followed by one backup, and by no other when that one fails.
func TestAGapOfTheArchiveIsFollowedByABackup(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		toVolume(p)
		p.Spec.Backup.Binlog.Enabled = true
	})
	s.claim(nil)
	s.look()
	var none v1alpha1.DatabasePairOperationList
	if err := s.c.List(t.Context(), &none); err != nil || len(none.Items) > 0 {
		t.Fatalf("operations %v, %v", none.Items, err)
	}
	s.roles(func(st *v1alpha1.DatabasePairStatus) {
		st.Archive = &v1alpha1.ArchiveStatus{Gap: &v1alpha1.ArchiveGap{GTIDs: "g", Found: metav1.NewTime(s.now)}}
	})
	const name = "shop-gap-20260102030000"
	s.look()
	s.asMadeByTheServer(name)
	s.look()
	op := s.is(name, v1alpha1.OperationRunning, "")
	if op.Status.Rule != "AnchorAfterGap" || !byOperator(op) || op.Spec.Type != v1alpha1.OperationBackup || op.Spec.PairRef.UID != "pair-uid" {
		t.Errorf("made %+v with rule %s", op.Spec, op.Status.Rule)
	}
	s.answer(name, jobapi.KeyResult, jobapi.Result{Outcome: jobapi.Failed, Message: "Denied"})
	s.look()
	s.is(name, v1alpha1.OperationFailed, "Denied")
	s.look()
	var list v1alpha1.DatabasePairOperationList
	if err := s.c.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
		t.Errorf("operations %v, %v", list.Items, err)
	}
}

func TestABackupThatComesTooLateIsLeftOut(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		toVolume(p)
		p.Spec.Backup.StartingDeadline = metav1.Duration{Duration: 10 * time.Minute}
	})
	s.ask("b1", v1alpha1.OperationBackup, func(op *v1alpha1.DatabasePairOperation) {
		op.Annotations = map[string]string{status.AnnotationScheduledAt: s.now.Format(time.RFC3339)}
	})
	s.look()
	s.is("b1", v1alpha1.OperationPending, "there is no PersistentVolumeClaim backups")
	s.now = s.now.Add(11 * time.Minute)
	s.look()
	s.is("b1", v1alpha1.OperationAbandoned, "it could not begin within 10m0s (spec.backup.startingDeadline)")
}

func TestBackupsThatAreTurnedOffAreRefused(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.r.Off = Off{Backup: true}
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.is("b1", v1alpha1.OperationFailed, "set features.backup=true")
}

func TestABackupEndsWhenTheRolesMove(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	s.roles(func(st *v1alpha1.DatabasePairStatus) { st.Epoch, st.Primary = 5, "shop-1" })
	s.look()
	s.is("b1", v1alpha1.OperationAbandoned, "the roles changed")
	if jobs := s.jobs(); len(jobs) > 0 {
		t.Errorf("Jobs %v", jobs)
	}
}

// An expiry asks no member for anything, so that it does not wait for the pair to be Available.
func TestAnExpiryIsDoneByAJobOfTheStore(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		toVolume(p)
		p.Status.Conditions = nil
	})
	s.claim(nil)
	for id, pinned := range map[string]bool{"20260102T030000Z-00000001": true, "20260102T040000Z-00000002": false} {
		object := &v1alpha1.DatabasePairBackup{
			ObjectMeta: metav1.ObjectMeta{Name: "shop-" + strings.ToLower(id), Namespace: "ns"},
			Spec: v1alpha1.StoredBackupSpec{
				PairRef:  v1alpha1.BackupPairReference{Name: "shop", UID: "pair-uid"},
				BackupID: id,
				Pinned:   &pinned,
			},
		}
		if err := s.c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	const id = "20260102T030405Z-0a1b2c3d"
	s.ask("e1", v1alpha1.OperationExpire, func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Expire = &v1alpha1.ExpireParameters{BackupID: id, Force: true}
	})
	s.look()
	s.is("e1", v1alpha1.OperationRunning, "")
	var request jobapi.Request
	if err := json.Unmarshal([]byte(s.requestOf("e1")), &request); err != nil {
		t.Fatal(err)
	}
	want := &jobapi.BackupRequest{
		Store:    "file:///backups/ns.shop/pair-uid",
		Verify:   true,
		KeepFor:  48 * time.Hour,
		KeepLast: 3,
		Pins:     []string{"20260102T030000Z-00000001"},
		Unpins:   []string{"20260102T040000Z-00000002"},
		Remove:   id,
		Force:    true,
	}
	if diff := cmp.Diff(want, request.Backup); diff != "" || request.Kind != jobapi.Expire {
		t.Errorf("kind %s (-want +got):\n%s", request.Kind, diff)
	}
	s.answer("e1", jobapi.KeyResult, jobapi.Result{
		Outcome: jobapi.Done,
		Message: "removed",
		OperationResult: v1alpha1.OperationResult{
			Expire: &v1alpha1.ExpireResult{Removed: []string{id, strings.Repeat("x", 100)}, StoredTotal: 2},
		},
	})
	s.look()
	op := s.is("e1", v1alpha1.OperationSucceeded, "removed")
	if got := op.Status.Result; got == nil || got.Expire == nil || got.Expire.StoredTotal != 2 || len(got.Expire.Removed[1]) > 64 || got.Backup != nil {
		t.Errorf("result %+v", got)
	}
}

func TestABackupCanBePinnedAsItIsTaken(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("b1", v1alpha1.OperationBackup, func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Backup = &v1alpha1.BackupParameters{Pin: true}
	})
	s.look()
	if request := s.requestOf("b1"); !strings.Contains(request, `"pin":true`) {
		t.Errorf("request %s", request)
	}
}
