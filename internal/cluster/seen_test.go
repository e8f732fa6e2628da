package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/resources"
)

func TestContainersThatEndedBeforeADeletionAreRemembered(t *testing.T) {
	state := func(id string, runs, deleting bool) *corev1.Pod {
		pod := member()
		c := corev1.ContainerStatus{Name: resources.ContainerMysqld, ContainerID: id}
		if runs {
			c.State.Running = &corev1.ContainerStateRunning{}
		} else {
			c.State.Terminated = &corev1.ContainerStateTerminated{ContainerID: id}
		}
		if deleting {
			now := metav1.Now()
			pod.DeletionTimestamp = &now
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", ContainerID: "s"}, c}
		return pod
	}
	var seen Seen
	for _, step := range []struct {
		pod  *corev1.Pod
		want Seen
	}{
		{member(), Seen{}},
		{state("c1", true, false), Seen{Running: "c1"}},
		{state("c1", false, false), Seen{Running: "c1", EndedEarly: "c1"}},
		{state("c2", true, true), Seen{Running: "c2", EndedEarly: "c1"}},
		{state("c2", false, true), Seen{Running: "c2", EndedEarly: "c1"}},
	} {
		seen = seen.Update(step.pod)
		if diff := cmp.Diff(step.want, seen); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if f := PodFacts(state("c1", false, true), seen); f.EndedEarly != "c1" || f.LastRunning != "c2" {
		t.Errorf("facts %+v", f)
	}
}
