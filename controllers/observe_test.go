package controllers

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestPodProblemsSayWhatToDo(t *testing.T) {
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name:  resources.ContainerMysqld,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Reason: "Error", Message: "agent: no peer\n",
			}},
		}}}
	}
	unschedulable := corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type:    corev1.PodScheduled,
		Status:  corev1.ConditionFalse,
		Reason:  corev1.PodReasonUnschedulable,
		Message: "0/3 nodes are available",
	}}}
	unbound := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-shop-0"}}
	unbound.Status.Phase = corev1.ClaimPending
	bound := unbound
	bound.Status.Phase = corev1.ClaimBound
	for name, tc := range map[string]struct {
		status corev1.PodStatus
		claim  corev1.PersistentVolumeClaim
		want   []string
	}{
		"a pod that runs":              {corev1.PodStatus{Phase: corev1.PodRunning}, bound, nil},
		"a container that is made now": {waiting("ContainerCreating", ""), bound, nil},
		"no node":                      {unschedulable, bound, []string{"Unschedulable", "0/3 nodes"}},
		"no volume":                    {unschedulable, unbound, []string{"data-shop-0 is not bound", "spec.storage.storageClassName"}},
		"no image":                     {waiting("ImagePullBackOff", "no such image"), bound, []string{"ImagePullBackOff", "no such image", resources.ContainerMysqld}},
		"a crash loop":                 {waiting("CrashLoopBackOff", "back-off"), bound, []string{"exit code 1", "agent: no peer"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := podProblem(&corev1.Pod{Status: tc.status}, []corev1.PersistentVolumeClaim{tc.claim})
			if (got == "") != (tc.want == nil) {
				t.Fatalf("problem = %q", got)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("problem = %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestAPodThatNeverRan(t *testing.T) {
	with := func(phase corev1.PodPhase, c corev1.ContainerStatus) corev1.PodStatus {
		c.Name = resources.ContainerMysqld
		return corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{c}}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	for name, tc := range map[string]struct {
		status corev1.PodStatus
		want   bool
	}{
		"no node takes it":            {corev1.PodStatus{Phase: corev1.PodPending}, true},
		"its image is not there":      {with(corev1.PodPending, corev1.ContainerStatus{State: waiting}), true},
		"it runs":                     {with(corev1.PodRunning, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}), false},
		"it ran and waits to restart": {with(corev1.PodPending, corev1.ContainerStatus{State: waiting, LastTerminationState: ended, RestartCount: 1}), false},
		"it has ended":                {with(corev1.PodFailed, corev1.ContainerStatus{State: ended}), false},
		"its node does not answer":    {corev1.PodStatus{Phase: corev1.PodUnknown}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := neverRan(&corev1.Pod{Status: tc.status}); got != tc.want {
				t.Errorf("never ran: %v", got)
			}
		})
	}
}

func TestOutdatedNamesWhatWaitsForARestart(t *testing.T) {
	set := &appsv1.StatefulSet{}
	set.Status.UpdateRevision = "shop-2"
	set.Spec.Template.Annotations = map[string]string{resources.AnnotationSettings: "b"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: resources.ContainerMysqld, Image: "mysql:9.8"}}
	set.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: resources.ContainerInstall, Image: "dbpair:2"}}
	pod := func(revision, image, agent, settings string) *corev1.Pod {
		p := &corev1.Pod{}
		p.Labels = map[string]string{"controller-revision-hash": revision}
		p.Annotations = map[string]string{resources.AnnotationSettings: settings}
		p.Spec.Containers = []corev1.Container{{Name: resources.ContainerMysqld, Image: image}}
		p.Spec.InitContainers = []corev1.Container{{Name: resources.ContainerInstall, Image: agent}}
		return p
	}
	for want, p := range map[string]*corev1.Pod{
		"":                                    pod("shop-2", "mysql:9.8", "dbpair:2", "b"),
		"spec.mysql.image":                    pod("shop-1", "mysql:9.7", "dbpair:2", "b"),
		"agent image":                         pod("shop-1", "mysql:9.8", "dbpair:1", "b"),
		"spec.mysql.image, spec.mysql.config": pod("shop-1", "mysql:9.7", "dbpair:2", "a"),
		"pod template":                        pod("shop-1", "mysql:9.8", "dbpair:2", "b"),
	} {
		if got := outdated(p, set, settingsOf(p, set, nil)); got != want {
			t.Errorf("outdated = %q, want %q", got, want)
		}
	}
	set.Generation = 3
	set.Status.ObservedGeneration = 2
	if got := outdated(pod("shop-1", "x", "y", "z"), set, liveSettings{}); got != "" {
		t.Errorf("%q is outdated though the StatefulSet has not been looked at", got)
	}
}

func TestRefusalsAreAskedAgainEverMoreSlowly(t *testing.T) {
	s := &repetition{}
	last := time.Duration(0)
	for range 8 {
		got := s.refusedAgain(failover.Seed{}.Name())
		if got <= last {
			t.Errorf("%s after %s", got, last)
		}
		last = got
	}
	if got := s.refusedAgain(failover.Seed{}.Name()); got != last || got > 10*time.Second {
		t.Errorf("the wait grows to %s", got)
	}
	if got := s.refusedAgain(failover.Fence{}.Name()); got >= last {
		t.Errorf("another step waits %s for the refusals of the first", got)
	}
}

func TestConfirmationsAreReadExactly(t *testing.T) {
	for confirm, want := range map[string]failover.Operation{
		"":                         {Confirmed: -1},
		"shop/12":                  {Confirmed: 12, ConfirmedPair: "shop"},
		"shop/":                    {Confirmed: -1},
		"shop/12/13":               {Confirmed: -1},
		"shop/9999999999999999999": {Confirmed: -1},
	} {
		op := &v1alpha1.DatabasePairOperation{Spec: v1alpha1.OperationSpec{Confirm: confirm}}
		got := operationOf(op)
		if got.Confirmed != want.Confirmed || got.ConfirmedPair != want.ConfirmedPair {
			t.Errorf("%q is read as %s/%d", confirm, got.ConfirmedPair, got.Confirmed)
		}
	}
}

func TestVolumesThatDoNotFollowTheSpecYetAreNamed(t *testing.T) {
	set := &appsv1.StatefulSet{}
	set.UID = "now"
	claim := func(name, owner string) corev1.PersistentVolumeClaim {
		c := corev1.PersistentVolumeClaim{}
		c.Name = name
		if owner != "" {
			c.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: "shop", UID: types.UID(owner)}}
		}
		return c
	}
	leaving := claim("data-shop-1", "")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, tc := range map[string]struct {
		policy v1alpha1.RetentionAction
		claims []corev1.PersistentVolumeClaim
		want   string
	}{
		"kept, as asked":                    {v1alpha1.RetainVolumes, []corev1.PersistentVolumeClaim{claim("data-shop-0", ""), claim("data-shop-1", "")}, ""},
		"removed, as asked":                 {v1alpha1.DeleteVolumes, []corev1.PersistentVolumeClaim{claim("data-shop-0", "now"), claim("data-shop-1", "now")}, ""},
		"there are none":                    {v1alpha1.DeleteVolumes, nil, ""},
		"one would still be kept":           {v1alpha1.DeleteVolumes, []corev1.PersistentVolumeClaim{claim("data-shop-0", "now"), claim("data-shop-1", "")}, "data-shop-1 would still be kept"},
		"owned by an earlier StatefulSet":   {v1alpha1.DeleteVolumes, []corev1.PersistentVolumeClaim{claim("data-shop-0", "before")}, "data-shop-0 would still be kept"},
		"both would still be removed":       {v1alpha1.RetainVolumes, []corev1.PersistentVolumeClaim{claim("data-shop-0", "now"), claim("data-shop-1", "now")}, "data-shop-0, data-shop-1 would still be removed"},
		"deleted by someone: nothing to do": {v1alpha1.DeleteVolumes, []corev1.PersistentVolumeClaim{leaving}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.DatabasePair{}
			p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted = tc.policy
			got := unsettledVolumes(p, set, tc.claims)
			if (tc.want == "") != (got == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("unsettled = %q, want %q", got, tc.want)
			}
		})
	}
}

// TestARecordWithoutAStatusIsNone: an operator can end between making the object of an
// operation and writing what happened.
func TestARecordWithoutAStatusIsNone(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	began := metav1.NewMicroTime(start)
	for name, c := range map[string]struct {
		status v1alpha1.OperationStatus
		want   int
	}{
		"only made":             {v1alpha1.OperationStatus{}, 0},
		"made, and says so":     {v1alpha1.OperationStatus{StartTime: &began, Phase: v1alpha1.OperationRunning}, 1},
		"finished, and says so": {v1alpha1.OperationStatus{StartTime: &began, Phase: v1alpha1.OperationSucceeded}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			op := v1alpha1.DatabasePairOperation{ObjectMeta: metav1.ObjectMeta{Name: "shop-failover-2"}, Status: c.status}
			r := &PairReconciler{Now: func() time.Time { return start }}
			kept := r.kept(&visit{pair: &v1alpha1.DatabasePair{}}, []v1alpha1.DatabasePairOperation{op})
			if len(kept.Begun) != c.want {
				t.Errorf("begun are %v, want %d", kept.Begun, c.want)
			}
		})
	}
}

func TestAReportIsPutOffInAHurryButNotForLong(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &reportTimes{}
	for _, look := range []struct {
		after time.Duration
		hurry bool
		want  bool
	}{
		{0, false, true},
		{time.Minute, true, false},
		{time.Minute + requeueSoon/2, true, false},
		{time.Minute + requeueSoon, true, true},
		{time.Minute + requeueSoon, true, false},
		{time.Minute + requeueSoon + time.Millisecond, false, true},
		{2 * time.Minute, true, false},
	} {
		if got := s.due(look.hurry, start.Add(look.after)); got != look.want {
			t.Errorf("after %s, in a hurry %v: due = %v, want %v", look.after, look.hurry, got, look.want)
		}
	}
}
