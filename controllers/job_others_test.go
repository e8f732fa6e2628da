package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// A Job waits for the pods of another one, and not for those that run for as long as the pair does.
func TestAJobWaitsForThePodsOfOtherJobsOnly(t *testing.T) {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns",
		Name:      "shop",
	}}
	for name, tc := range map[string]struct {
		labels map[string]string
		phase  corev1.PodPhase
		want   bool
	}{
		"a Job's pod":          {resources.JobLabels("shop"), corev1.PodRunning, true},
		"one that has ended":   {resources.JobLabels("shop"), corev1.PodSucceeded, false},
		"one of another pair":  {resources.JobLabels("other"), corev1.PodRunning, false},
		"the archiver's":       {resources.ArchiveSelector("shop"), corev1.PodRunning, false},
		"one that is not made": {resources.JobLabels("shop"), corev1.PodPending, true},
	} {
		t.Run(name, func(t *testing.T) {
			objects := fake.NewClientBuilder().WithObjects(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "ns",
					Name:      "a",
					Labels:    tc.labels,
				},
				Status: corev1.PodStatus{Phase: tc.phase},
			}).Build()
			r := &JobReconciler{
				Client: objects,
				Live:   objects,
			}
			v := &jobVisit{
				name:  types.NamespacedName{Namespace: "ns", Name: "shop"},
				names: resources.NamesOf(p),
				pair:  p,
			}
			op := &v1alpha1.DatabasePairOperation{ObjectMeta: metav1.ObjectMeta{UID: "uid-op"}}
			if got, err := r.otherJob(t.Context(), v, op); err != nil || got != tc.want {
				t.Errorf("it waits %t, %v", got, err)
			}
		})
	}
}
