package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

func warningAbout(name string, uid types.UID, reason, message string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "ns"},
		InvolvedObject: corev1.ObjectReference{UID: uid},
		Type:           corev1.EventTypeWarning,
		Reason:         reason,
		Message:        message,
		LastTimestamp:  metav1.NewTime(at),
	}
}

func TestWhatTheClusterSaysAboutARefusedPodIsKept(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	quota := `create Pod q-0 in StatefulSet q failed error: pods "q-0" is forbidden: failed quota: team: must specify limits.cpu`
	events := fake.NewClientBuilder().
		WithIndex(&corev1.Event{}, eventField, func(o client.Object) []string {
			return []string{string(o.(*corev1.Event).InvolvedObject.UID)}
		}).
		WithObjects(
			warningAbout("old", "set", "FailedCreate", "create Pod q-0 in StatefulSet q failed error: no priority class", now.Add(-time.Minute)),
			warningAbout("new", "set", "FailedCreate", quota, now.Add(-time.Second)),
			warningAbout("other", "set-of-another", "FailedCreate", "q-0 of another pair", now),
			warningAbout("mount", "pod-1", "FailedMount", "secret q-internal not found", now.Add(-2*time.Second)),
			warningAbout("claim", "claim-1", "ProvisioningFailed", "storageclass is missing", now.Add(-time.Second)),
		).Build()
	for name, c := range map[string]struct {
		missingFor, pendingFor time.Duration
		want                   string
	}{
		"a pod that is not made":      {missingFor: eventsAfter, want: "FailedCreate: " + quota},
		"one that is just being made": {missingFor: eventsAfter - time.Second},
		"a pod that does not begin":   {pendingFor: eventsAfter, want: "ProvisioningFailed: storageclass is missing"},
		"one that is just beginning":  {pendingFor: eventsAfter - time.Second},
		"a member in order":           {},
	} {
		t.Run(name, func(t *testing.T) {
			r := &PairReconciler{Live: events, Now: func() time.Time { return now }}
			v := &visit{
				pair:    &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}},
				session: &session{podEvents: podEvents{warnings: [2]string{"FailedCreate: before"}}},
				view: view{
					statefulSet: "set",
					claims:      []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data-q-0", UID: "claim-1"}}},
				},
			}
			o := failover.Observation{Members: [2]failover.Member{{Name: "q-0"}, {Name: "q-1"}}}
			if c.missingFor > 0 {
				v.absences[0].since = now.Add(-c.missingFor)
			}
			if c.pendingFor > 0 {
				o.Members[0].Pod = failover.Pod{
					Reading:   failover.Read,
					UID:       "pod-1",
					NeverRan:  true,
					CreatedAt: now.Add(-c.pendingFor),
				}
			}
			if err := r.readEvents(t.Context(), v, o); err != nil {
				t.Fatal(err)
			}
			if got := v.session.podEvents.warnings[0]; got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
		})
	}
}
