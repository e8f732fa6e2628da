package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestAPendingRestartNamesTheFields(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.PodTemplateSpec)
		want   string
	}{
		"an image":     {func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "mysql:9.8" }, "spec.mysql.image"},
		"an agent":     {func(t *corev1.PodTemplateSpec) { t.Spec.InitContainers[0].Image = "dbpair:2" }, "agent image"},
		"a setting":    {func(t *corev1.PodTemplateSpec) { t.Annotations[resources.AnnotationSettings] = "b" }, "spec.mysql.config"},
		"a node label": {func(t *corev1.PodTemplateSpec) { t.Spec.NodeSelector = map[string]string{"disk": "fast"} }, "spec.podTemplate.spec.nodeSelector"},
		"more memory": {func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		}, "spec.podTemplate.spec.resources"},
		"an exporter": {func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: resources.ContainerExporter, Image: "dbpair:1"})
		}, "spec.monitoring.mysqldExporter"},
		"two at once": {func(t *corev1.PodTemplateSpec) {
			t.Spec.PriorityClassName = "high"
			t.Labels = map[string]string{"team": "a"}
		}, "spec.podTemplate.spec.priorityClassName, spec.podTemplate.metadata.labels"},
		"something else": {func(t *corev1.PodTemplateSpec) { t.Spec.EnableServiceLinks = new(bool) }, "pod template"},
	} {
		t.Run(name, func(t *testing.T) {
			set := &appsv1.StatefulSet{Status: appsv1.StatefulSetStatus{UpdateRevision: "new"}}
			set.Spec.Template = corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{resources.AnnotationSettings: "a"}},
				Spec: corev1.PodSpec{
					InitContainers: []corev1.Container{{Name: resources.ContainerInstall, Image: "dbpair:1"}},
					Containers:     []corev1.Container{{Name: resources.ContainerMysqld, Image: "mysql:9.7"}},
				},
			}
			pod := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
			// What admission and the scheduler add is no difference.
			pod.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeNotReady}}
			c.change(&set.Spec.Template)
			if got := outdated(pod, set); got != c.want {
				t.Errorf("outdated by %q, want %q", got, c.want)
			}
		})
	}
}

// Ready must not be said of a generation whose revision is not known: a pod would look
// current.
func TestAGenerationIsUnprocessedUntilItsRevisionIsKnown(t *testing.T) {
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Generation: 7}}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	if got := unprocessed(p, set); !strings.Contains(got, "does not have generation 7") {
		t.Errorf("before the apply: %q", got)
	}
	set.Annotations = map[string]string{resources.AnnotationGeneration: "7"}
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdateRevision: "old"}
	if got := unprocessed(p, set); !strings.Contains(got, "has not processed") {
		t.Errorf("before the revision: %q", got)
	}
	set.Status.ObservedGeneration = 3
	if got := unprocessed(p, set); got != "" {
		t.Errorf("after it: %q", got)
	}
}
