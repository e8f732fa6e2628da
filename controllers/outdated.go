package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// fieldSettings is the field that a running mysqld may have taken over without a restart.
const fieldSettings = "spec.mysql.config"

// liveSettings is what became of changed settings in a pod that was made with others.
type liveSettings struct {
	// changed: the template has other settings than those that the pod was made with.
	changed bool
	// unsaid: the pod's agent says nothing of them. unread: it was not given them yet.
	unsaid, unread bool
	// waits are those that its mysqld reads when it starts only; none when it has taken over all.
	waits []string
}

// takenOver is what the mysqld of a pod had of the user's settings when its agent was last heard.
type takenOver struct {
	pod   types.UID
	state agentapi.RunningSettings
}

// remember returns what the agent of a pod says of its mysqld's settings, or said last: an agent that was restarted
// says nothing before its mysqld answers.
func (t *takenOver) remember(pod *corev1.Pod, state *agentapi.State) *agentapi.RunningSettings {
	if state != nil && state.Settings != nil && string(state.PodUID) == string(pod.UID) {
		t.pod = pod.UID
		t.state = *state.Settings
	}
	if t.pod != pod.UID {
		return nil
	}
	return &t.state
}

// settingsOf compares the settings that a pod was made with, those of the template, and what the pod's agent says of
// them. Of an agent that says nothing everything waits for a restart.
func settingsOf(pod *corev1.Pod, set *appsv1.StatefulSet, running *agentapi.RunningSettings) liveSettings {
	wanted := set.Spec.Template.Annotations[resources.AnnotationSettings]
	s := liveSettings{changed: pod.Annotations[resources.AnnotationSettings] != wanted}
	switch {
	case !s.changed:
	case running == nil:
		s.unsaid = true
	case running.Sum != wanted:
		s.unread = true
	default:
		s.waits = running.Waits
	}
	return s
}

// outdated names the fields of the spec by which a pod differs from the template it would be
// made from now; empty when it does not. Admission adds to pods, so a field differs when the
// pod lacks what the template says. Settings that its mysqld has taken over are no difference, and
// those that its agent has not read yet are none so far.
func outdated(pod *corev1.Pod, set *appsv1.StatefulSet, settings liveSettings) string {
	if set.Status.UpdateRevision == "" || set.Status.ObservedGeneration < set.Generation ||
		resources.PodRevision(pod) == set.Status.UpdateRevision {
		return ""
	}
	var what []string
	live := settings.changed && !settings.unsaid && len(settings.waits) == 0
	for _, field := range templateFields {
		switch {
		case !field.differs(pod, &set.Spec.Template), field.name == fieldSettings && live:
		case field.name == fieldSettings && len(settings.waits) > 0:
			what = append(what, fmt.Sprintf("%s (%s)", field.name, strings.Join(settings.waits, ", ")))
		default:
			what = append(what, field.name)
		}
	}
	if len(what) == 0 && live {
		return ""
	}
	if len(what) == 0 {
		return "pod template"
	}
	return strings.Join(what, ", ")
}

// templateFields are what a spec says about its pods. The agent's image stands for itself:
// it follows the operator, not the spec.
var templateFields = []struct {
	name    string
	differs func(*corev1.Pod, *corev1.PodTemplateSpec) bool
}{
	{"spec.mysql.image", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return imageOf(pod.Spec.Containers) != imageOf(t.Spec.Containers)
	}},
	{failover.OutdatedAgent, func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return imageOf(pod.Spec.InitContainers) != imageOf(t.Spec.InitContainers)
	}},
	{fieldSettings, func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return pod.Annotations[resources.AnnotationSettings] != t.Annotations[resources.AnnotationSettings]
	}},
	{"spec.mysql.components or spec.mysql.plugins", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return pod.Annotations[resources.AnnotationLibraries] != t.Annotations[resources.AnnotationLibraries]
	}},
	{"spec.podTemplate.spec.resources", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		now, _ := containerOf(t.Spec.Containers, resources.ContainerMysqld)
		then, _ := containerOf(pod.Spec.Containers, resources.ContainerMysqld)
		return lacksQuantity(then.Resources.Requests, now.Resources.Requests) ||
			lacksQuantity(then.Resources.Limits, now.Resources.Limits)
	}},
	{"spec.monitoring.mysqldExporter", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		// Its image is the agent's.
		now, wanted := containerOf(t.Spec.Containers, resources.ContainerExporter)
		then, has := containerOf(pod.Spec.Containers, resources.ContainerExporter)
		return wanted != has || lacksQuantity(then.Resources.Requests, now.Resources.Requests) ||
			lacksQuantity(then.Resources.Limits, now.Resources.Limits)
	}},
	{"spec.podTemplate.spec.nodeSelector", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return lacksEntry(pod.Spec.NodeSelector, t.Spec.NodeSelector)
	}},
	{"spec.podTemplate.spec.tolerations", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return slices.ContainsFunc(t.Spec.Tolerations, func(wanted corev1.Toleration) bool {
			return !slices.ContainsFunc(pod.Spec.Tolerations, func(has corev1.Toleration) bool {
				return equality.Semantic.DeepEqual(has, wanted)
			})
		})
	}},
	{"spec.podTemplate.spec.priorityClassName", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return t.Spec.PriorityClassName != "" && pod.Spec.PriorityClassName != t.Spec.PriorityClassName
	}},
	{"spec.podTemplate.spec.imagePullSecrets", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return slices.ContainsFunc(t.Spec.ImagePullSecrets, func(wanted corev1.LocalObjectReference) bool {
			return !slices.Contains(pod.Spec.ImagePullSecrets, wanted)
		})
	}},
	{"spec.podTemplate.metadata.labels", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return lacksEntry(pod.Labels, t.Labels)
	}},
	{"spec.podTemplate.metadata.annotations", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		wanted := maps.Clone(t.Annotations)
		delete(wanted, resources.AnnotationSettings)
		delete(wanted, resources.AnnotationLibraries)
		return lacksEntry(pod.Annotations, wanted)
	}},
	{"spec.placement", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return !equality.Semantic.DeepEqual(pod.Spec.Affinity, t.Spec.Affinity)
	}},
	{"spec.network.keepalive", func(pod *corev1.Pod, t *corev1.PodTemplateSpec) bool {
		return !equality.Semantic.DeepEqual(sysctlsOf(&pod.Spec), sysctlsOf(&t.Spec))
	}},
}

// unprocessed says why it is not known yet which pods differ from this generation of the
// spec; empty when it is. The cache can be older than what was applied, and the controller of
// StatefulSets takes a moment to make a revision of it.
func unprocessed(p *v1alpha1.DatabasePair, set *appsv1.StatefulSet) string {
	switch {
	case set.Annotations[resources.AnnotationGeneration] != strconv.FormatInt(p.Generation, 10):
		return fmt.Sprintf("StatefulSet %s does not have generation %d of the spec yet", p.Name, p.Generation)
	case set.Status.ObservedGeneration < set.Generation, set.Status.UpdateRevision == "":
		return fmt.Sprintf("kube-controller-manager has not processed StatefulSet %s for generation %d of the spec yet", p.Name, p.Generation)
	}
	return ""
}

// containerOf is false when none has the name.
func containerOf(containers []corev1.Container, name string) (corev1.Container, bool) {
	for i := range containers {
		if containers[i].Name == name {
			return containers[i], true
		}
	}
	return corev1.Container{}, false
}

func sysctlsOf(spec *corev1.PodSpec) []corev1.Sysctl {
	if spec.SecurityContext == nil {
		return nil
	}
	return spec.SecurityContext.Sysctls
}

func lacksQuantity(has, wanted corev1.ResourceList) bool {
	for name, quantity := range wanted {
		if q, ok := has[name]; !ok || q.Cmp(quantity) != 0 {
			return true
		}
	}
	return false
}

func lacksEntry(has, wanted map[string]string) bool {
	for key, value := range wanted {
		if v, ok := has[key]; !ok || v != value {
			return true
		}
	}
	return false
}
