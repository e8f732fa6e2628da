package controllers

import (
	"encoding/json"
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
	"github.com/dbpair/dbpair/internal/status"
)

// drilledNightly is a pair whose encrypted backups are restored at three in the night.
func drilledNightly(p *v1alpha1.DatabasePair) {
	toVolume(p)
	p.Spec.Backup.Binlog.Enabled = true
	p.Spec.Backup.Drill = &v1alpha1.RestoreDrillSpec{
		Schedule:         "0 3 * * *",
		TimeZone:         "Etc/UTC",
		StartingDeadline: metav1.Duration{Duration: time.Hour},
	}
	p.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{
		IdentitySecretRef: &v1alpha1.KeyReference{Name: "key", Key: "identity.txt"},
	}
}

// scheduledDrill is the name of the one that is due.
const scheduledDrill = "shop-restore-drill-202601020300"

func (s *jobStage) identity() {
	s.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "key", Namespace: "ns"},
		Data:       map[string][]byte{"identity.txt": []byte("AGE-SECRET-KEY-1")},
	}
	if err := s.c.Create(s.Context(), secret); err != nil {
		s.Fatal(err)
	}
}

// known is what the pair's status has of an operation.
func (s *jobStage) known(op *v1alpha1.DatabasePairOperation) *v1alpha1.RestoreDrillStatus {
	s.Helper()
	var p v1alpha1.DatabasePair
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: "shop"}, &p); err != nil {
		s.Fatal(err)
	}
	return status.BackedUp(&p, []v1alpha1.DatabasePairOperation{*op}).Status.RestoreDrill
}

func TestARestoreDrillIsDoneByAJobOnItsSchedule(t *testing.T) {
	s := newJobStage(t, drilledNightly)
	s.look()
	op := s.operation(scheduledDrill)
	if op.Spec.Type != v1alpha1.OperationRestoreDrill || op.Spec.Reason != "by spec.backup.drill.schedule" || !byOperator(op) {
		t.Errorf("made %+v", op.Spec)
	}
	s.asMadeByTheServer(scheduledDrill)
	s.look()
	s.is(scheduledDrill, v1alpha1.OperationPending, "there is no PersistentVolumeClaim backups")
	s.claim(nil)
	s.look()
	s.is(scheduledDrill, v1alpha1.OperationPending, "spec.backup.encryption.identitySecretRef: there is no Secret key")
	s.identity()
	// It touches no member: a pair that is not available is restored all the same.
	s.roles(func(st *v1alpha1.DatabasePairStatus) { st.Conditions = nil })
	s.look()
	s.is(scheduledDrill, v1alpha1.OperationRunning, "")
	var request jobapi.Request
	if err := json.Unmarshal([]byte(s.requestOf(scheduledDrill)), &request); err != nil {
		t.Fatal(err)
	}
	want := &jobapi.RestoreDrillRequest{
		Store:    "file:///backups/ns.shop/pair-uid",
		Identity: true,
		Replay:   true,
	}
	if diff := cmp.Diff(want, request.RestoreDrill); diff != "" || request.Kind != jobapi.RestoreDrill || request.Backup != nil {
		t.Errorf("request %+v (-want +got):\n%s", request, diff)
	}
	var job batchv1.Job
	if err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf(scheduledDrill)}, &job); err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	if len(pod.Containers) != 2 || !slices.Contains(pod.Containers[1].Command, "restore-drill") || len(pod.InitContainers) != 1 {
		t.Errorf("pod %+v", pod)
	}
	if len(s.permitted) > 0 || s.allowed() != s.jobOf(scheduledDrill) {
		t.Errorf("permitted %v, allowed %q", s.permitted, s.allowed())
	}
	// A failover ends a backup, and not a drill.
	s.roles(func(st *v1alpha1.DatabasePairStatus) {
		st.Epoch++
		st.Primary = "shop-1"
	})
	s.look()
	s.is(scheduledDrill, v1alpha1.OperationRunning, "")
	s.now = s.now.Add(time.Minute)
	s.answer(scheduledDrill, jobapi.KeyResult, jobapi.Result{
		Outcome: jobapi.Done,
		Message: "backup id was restored",
		OperationResult: v1alpha1.OperationResult{
			Duration: &metav1.Duration{Duration: 30 * time.Second},
			RestoreDrill: &v1alpha1.RestoreDrillResult{
				Backup:      "id",
				Proven:      true,
				GTIDs:       strings.Repeat("g", 3000),
				Tables:      40,
				RestoreTime: &metav1.Duration{Duration: 20*time.Second + 123456},
				Until:       &metav1.Time{},
			},
		},
	})
	s.look()
	op = s.is(scheduledDrill, v1alpha1.OperationSucceeded, "backup id was restored")
	got := op.Status.Result.RestoreDrill
	if got == nil || got.Backup != "id" || !got.Proven || got.Tables != 40 || len(got.GTIDs) != 2048 || got.Until != nil ||
		got.RestoreTime.Duration != 20*time.Second {
		t.Fatalf("result %+v", got)
	}
	if k := s.known(op); k.LastSuccess != scheduledDrill || k.LastFailure != "" || k.Last.Backup != "id" || !k.LastScheduleTime.Time.Equal(status.ScheduledAt(op)) {
		t.Errorf("status %+v", k)
	}
	s.look()
	if jobs := s.jobs(); len(jobs) > 1 {
		t.Errorf("it was begun again: %v", jobs)
	}
}

func TestARestoreDrillThatFailsSaysWhere(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("d1", v1alpha1.OperationRestoreDrill, nil)
	s.look()
	s.is("d1", v1alpha1.OperationRunning, "")
	s.answer("d1", jobapi.KeyResult, jobapi.Result{
		Outcome: jobapi.Failed,
		Message: "step Copy: object x is damaged",
		OperationResult: v1alpha1.OperationResult{
			RestoreDrill: &v1alpha1.RestoreDrillResult{Backup: "id", FailedStep: "Copy"},
		},
	})
	s.look()
	op := s.is("d1", v1alpha1.OperationFailed, "object x is damaged")
	if k := s.known(op); k.LastSuccess != "" || k.LastFailure != "step Copy: object x is damaged" || op.Status.Result.RestoreDrill.FailedStep != "Copy" {
		t.Errorf("status %+v", k)
	}
}

// A drill can take hours, and a backup is left out when it cannot begin in time.
func TestARestoreDrillMakesWayForABackup(t *testing.T) {
	s := newJobStage(t, toVolume)
	s.claim(nil)
	s.ask("d1", v1alpha1.OperationRestoreDrill, nil)
	s.look()
	s.is("d1", v1alpha1.OperationRunning, "")
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	s.is("d1", v1alpha1.OperationRunning, "")
	s.ask("b1", v1alpha1.OperationBackup, nil)
	s.look()
	op := s.is("d1", v1alpha1.OperationAbandoned, "made way for b1 (Backup)")
	if k := s.known(op); k.LastOperation != "" || k.LastFailure != "" {
		t.Errorf("status %+v", k)
	}
}

func TestWhatARestoreDrillWaitsForAndWhatEndsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		pair  func(*v1alpha1.DatabasePair)
		off   bool
		phase v1alpha1.OperationPhase
		says  string
	}{
		"no spec":    {nil, false, v1alpha1.OperationFailed, "the pair has no spec.backup"},
		"turned off": {toVolume, true, v1alpha1.OperationFailed, "features.backup=true"},
		"a pause":    {func(p *v1alpha1.DatabasePair) { toVolume(p); p.Spec.Paused = true }, false, v1alpha1.OperationPending, "the pair is paused"},
		"nothing":    {toVolume, false, v1alpha1.OperationRunning, ""},
		"a suspension": {func(p *v1alpha1.DatabasePair) {
			drilledNightly(p)
			p.Spec.Backup.Encryption = nil
			p.Spec.Backup.Drill.Suspend = true
		}, false, v1alpha1.OperationRunning, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, tc.pair)
			s.r.Off.Backup = tc.off
			s.claim(nil)
			s.ask("d1", v1alpha1.OperationRestoreDrill, nil)
			s.look()
			s.is("d1", tc.phase, tc.says)
			var list v1alpha1.DatabasePairOperationList
			if err := s.c.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
				t.Errorf("%d operations, %v", len(list.Items), err)
			}
		})
	}
}

func TestARestoreDrillIsTooOldAfterTwoPeriods(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	p := &v1alpha1.DatabasePair{}
	r := &PairReconciler{}
	is := func(what string, age time.Duration, says string) {
		t.Helper()
		if got, why := r.restoreDrillSchedule(p, now); got != age || !strings.Contains(why, says) || (says == "") != (why == "") {
			t.Errorf("%s: %s, %q", what, got, why)
		}
	}
	is("no backups", 0, "")
	drilledNightly(p)
	is("nightly", 48*time.Hour, "")
	p.Spec.Backup.Drill.TimeZone = "Nowhere"
	is("a zone that is none", 0, "spec.backup.drill: ")
	p.Spec.Backup.Drill.Suspend = true
	is("suspended", 0, "")
	r.Off.Backup = true
	is("turned off", 0, "features.backup=true")
}
