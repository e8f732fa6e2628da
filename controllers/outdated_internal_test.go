package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestAPendingRestartNamesTheFields(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.PodTemplateSpec)
		want   string
	}{
		"an image":  {func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "mysql:9.8" }, "spec.mysql.image"},
		"an agent":  {func(t *corev1.PodTemplateSpec) { t.Spec.InitContainers[0].Image = "dbpair:2" }, "agent image"},
		"a setting": {func(t *corev1.PodTemplateSpec) { t.Annotations[resources.AnnotationSettings] = "b" }, "spec.mysql.config"},
		"a component": {
			func(t *corev1.PodTemplateSpec) { t.Annotations[resources.AnnotationLibraries] = "b" },
			"spec.mysql.components or spec.mysql.plugins",
		},
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
			if got := outdated(pod, set, settingsOf(pod, set, nil)); got != c.want {
				t.Errorf("outdated by %q, want %q", got, c.want)
			}
		})
	}
}

// A pod is as good as new when its mysqld has taken over what was changed.
func TestSettingsThatARunningMysqldHasNeedNoRestart(t *testing.T) {
	for name, c := range map[string]struct {
		state  *agentapi.RunningSettings
		want   string
		unread bool
	}{
		"an agent that says nothing":   {nil, "spec.mysql.config", false},
		"not read yet":                 {&agentapi.RunningSettings{Sum: "a"}, "", true},
		"all taken over":               {&agentapi.RunningSettings{Sum: "b"}, "", false},
		"one waits for the next start": {&agentapi.RunningSettings{Sum: "b", Waits: []string{"innodb_ft_cache_size"}}, "spec.mysql.config (innodb_ft_cache_size)", false},
	} {
		t.Run(name, func(t *testing.T) {
			set := &appsv1.StatefulSet{Status: appsv1.StatefulSetStatus{UpdateRevision: "new"}}
			set.Spec.Template.Annotations = map[string]string{resources.AnnotationSettings: "b"}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p-1", Annotations: map[string]string{resources.AnnotationSettings: "a"}}}
			settings := settingsOf(pod, set, c.state)
			if got := outdated(pod, set, settings); got != c.want || settings.unread != c.unread {
				t.Errorf("outdated by %q, unread %v, want %q and %v", got, settings.unread, c.want, c.unread)
			}
			set.Spec.Template.Spec.PriorityClassName = "high"
			if got := outdated(pod, set, settings); !strings.Contains(got, "priorityClassName") {
				t.Errorf("with another field it is outdated by %q", got)
			}
		})
	}
}

func TestWhatAMysqldHasTakenOverIsRememberedOfItsPodOnly(t *testing.T) {
	var taken takenOver
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p-1"}}
	if got := taken.remember(pod, nil); got != nil {
		t.Errorf("of a pod that was never heard: %+v", got)
	}
	said := &agentapi.State{PodUID: "p-1", Settings: &agentapi.RunningSettings{Sum: "b"}}
	if got := taken.remember(pod, said); got == nil || got.Sum != "b" {
		t.Errorf("of one that was heard: %+v", got)
	}
	if got := taken.remember(pod, &agentapi.State{PodUID: "p-1"}); got == nil || got.Sum != "b" {
		t.Errorf("after a restart of its agent: %+v", got)
	}
	if got := taken.remember(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p-2"}}, said); got != nil {
		t.Errorf("of the next pod, by what was said of the former one: %+v", got)
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
