package controllers

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

func hasFinalizer(pod *corev1.Pod) bool {
	return slices.Contains(pod.Finalizers, pair.FinalizerFence)
}

func imageOf(containers []corev1.Container) string {
	for i := range containers {
		if containers[i].Name == resources.ContainerMysqld || containers[i].Name == resources.ContainerInstall {
			return containers[i].Image
		}
	}
	return ""
}

// podProblem says why a pod does not run and what to do; empty when it does or when it
// is only beginning to.
func podProblem(pod *corev1.Pod, claims []corev1.PersistentVolumeClaim) string {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
			continue
		}
		for i := range claims {
			if claims[i].Name != "" && claims[i].Status.Phase == corev1.ClaimPending {
				return fmt.Sprintf("Unschedulable: %s (volume claim %[2]s is not bound; see kubectl describe pvc %[2]s and %[3]s)",
					c.Message, claims[i].Name, classField(&claims[i], pod.Name))
			}
		}
		return "Unschedulable: " + c.Message
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := c.State.Waiting; w != nil && slices.Contains(stuck, w.Reason) {
			return fmt.Sprintf("%s: container %s: %s%s", w.Reason, c.Name, w.Message, hint(&c))
		}
	}
	return ""
}

// classField is the field of the spec with the storage class of a member's claim.
func classField(claim *corev1.PersistentVolumeClaim, member string) string {
	if claim.Name == pair.BinlogClaim(pair.MemberName(member)) {
		return "spec.storage.binlog.storageClassName"
	}
	return "spec.storage.storageClassName"
}

// neverRan: the pod is still pending, and no mysqld container was started in it.
func neverRan(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		started := c.RestartCount > 0 || c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil
		if c.Name == resources.ContainerMysqld && started {
			return false
		}
	}
	return pod.Status.Phase == corev1.PodPending
}

// stuck are the reasons of a waiting container that do not pass by themselves.
var stuck = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff",
}

// hint adds how the container ended last, which is why it is in a crash loop.
func hint(c *corev1.ContainerStatus) string {
	t := c.LastTerminationState.Terminated
	if t == nil {
		return ""
	}
	message := strings.TrimSpace(t.Message)
	if len(message) > 300 {
		message = "…" + message[len(message)-300:]
	}
	return fmt.Sprintf(" (last ended with exit code %d, %s: %s)", t.ExitCode, t.Reason, message)
}
