package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// ContainerMysqld is the container of a member's pod in which agent and mysqld run, and
// ContainerInstall the init container that brings the agent in.
const (
	ContainerMysqld  = "mysqld"
	ContainerInstall = "agent-install"
)

// memberUID is the user and group that agent and mysqld run as.
const memberUID = 999

// gracePeriod is how long a pod that is deleted may take: the agent ends by itself as
// soon as the authority names another, a crash recovery or a slow disk may take longer.
const gracePeriod = 5 * time.Minute

func podTemplate(p *v1alpha1.DatabasePair, agent Image, claims Claims) *corev1ac.PodTemplateSpecApplyConfiguration {
	labels := maps.Clone(p.Spec.PodTemplate.Metadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, Labels(p.Name))
	annotations := map[string]string{
		"kubectl.kubernetes.io/default-container": ContainerMysqld,
		AnnotationSettings:                        settingsSum(p),
	}
	if sum := librariesSum(p); sum != "" {
		annotations[AnnotationLibraries] = sum
	}
	maps.Copy(annotations, p.Spec.PodTemplate.Metadata.Annotations)

	user := &p.Spec.PodTemplate.Spec
	spec := corev1ac.PodSpec().
		WithServiceAccountName(NamesOf(p).Agent()).
		WithAutomountServiceAccountToken(true).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(int64(gracePeriod / time.Second)).
		WithSecurityContext(podSecurity(p)).
		WithInitContainers(installContainer(p, agent)).
		WithContainers(mysqldContainer(p, claims)).
		WithVolumes(volumes(p)...)
	if p.Spec.Monitoring.MysqldExporter.Enabled {
		spec.WithContainers(exporterContainer(p, agent)).WithVolumes(exporterVolume(p))
	}
	if hasPacketRule(p) {
		spec.WithContainers(packetRuleContainer(agent)).WithVolumes(packetRuleVolume())
	}
	if a := affinity(p); a != nil {
		spec.WithAffinity(a)
	}
	if len(user.NodeSelector) > 0 {
		spec.WithNodeSelector(user.NodeSelector)
	}
	for i := range user.Tolerations {
		spec.WithTolerations(toleration(&user.Tolerations[i]))
	}
	for _, s := range user.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(s.Name))
	}
	if user.PriorityClassName != "" {
		spec.WithPriorityClassName(user.PriorityClassName)
	}
	return corev1ac.PodTemplateSpec().WithLabels(labels).WithAnnotations(annotations).WithSpec(spec)
}

// settingsSum names the mysqld settings, so that a change of them shows as a pending
// restart: mysqld reads them only when it starts.
func settingsSum(p *v1alpha1.DatabasePair) string { return agentapi.SettingsSum(p.Spec.MySQL.Config) }

// librariesSum names the components and plugins like settingsSum; empty for none.
func librariesSum(p *v1alpha1.DatabasePair) string {
	c := AgentConfig(p)
	if len(c.Components)+len(c.Plugins) == 0 {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q\n%q\n", c.Components, c.Plugins))
	return hex.EncodeToString(sum[:])[:16]
}

func podSecurity(p *v1alpha1.DatabasePair) *corev1ac.PodSecurityContextApplyConfiguration {
	keepalive := p.Spec.Network.Keepalive
	sysctl := func(name string, value int64) *corev1ac.SysctlApplyConfiguration {
		return corev1ac.Sysctl().WithName("net.ipv4." + name).WithValue(strconv.FormatInt(value, 10))
	}
	return corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(memberUID).
		WithRunAsGroup(memberUID).
		WithFSGroup(memberUID).
		WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)).
		WithSysctls(
			sysctl("tcp_keepalive_time", int64(keepalive.Idle.Seconds())),
			sysctl("tcp_keepalive_intvl", int64(keepalive.Interval.Seconds())),
			sysctl("tcp_keepalive_probes", int64(keepalive.Probes)),
		)
}

func containerSecurity() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithRunAsNonRoot(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

// installContainer runs before mysqld, and never beside it, so that the resources of mysqld
// are there for it: with the same it costs the pod nothing, and passes every quota and limit
// range that mysqld's container passes.
func installContainer(p *v1alpha1.DatabasePair, agent Image) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(ContainerInstall).
		WithImage(agent.Name).
		WithImagePullPolicy(agent.PullPolicy).
		WithCommand("/agent", "install", binDir).
		WithSecurityContext(containerSecurity()).
		WithResources(resourcesOf(p)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mount(volumeBin, binDir, false))
}

// resourcesOf are the user's; without any, enough for the scheduler to know that a
// mysqld is no featherweight.
func resourcesOf(p *v1alpha1.DatabasePair) *corev1ac.ResourceRequirementsApplyConfiguration {
	out := corev1ac.ResourceRequirements()
	r := p.Spec.PodTemplate.Spec.Resources
	if len(r.Requests) == 0 && len(r.Limits) == 0 {
		return out.WithRequests(corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("768Mi"),
		})
	}
	if len(r.Requests) > 0 {
		out.WithRequests(r.Requests)
	}
	if len(r.Limits) > 0 {
		out.WithLimits(r.Limits)
	}
	return out
}

// affinity keeps the members apart as far as the spec asks for it.
func affinity(p *v1alpha1.DatabasePair) *corev1ac.AffinityApplyConfiguration {
	anti := corev1ac.PodAntiAffinity()
	any := false
	add := func(how v1alpha1.AntiAffinity, topology string, weight int32) {
		term := corev1ac.PodAffinityTerm().
			WithTopologyKey(topology).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name)))
		switch how {
		case v1alpha1.AntiAffinityRequired:
			anti.WithRequiredDuringSchedulingIgnoredDuringExecution(term)
		case v1alpha1.AntiAffinityPreferred:
			anti.WithPreferredDuringSchedulingIgnoredDuringExecution(
				corev1ac.WeightedPodAffinityTerm().WithWeight(weight).WithPodAffinityTerm(term))
		case v1alpha1.AntiAffinityNone:
			return
		}
		any = true
	}
	add(p.Spec.Placement.HostAntiAffinity, corev1.LabelHostname, 100)
	add(p.Spec.Placement.ZoneAntiAffinity, corev1.LabelTopologyZone, 50)
	if !any {
		return nil
	}
	return corev1ac.Affinity().WithPodAntiAffinity(anti)
}

func toleration(t *corev1.Toleration) *corev1ac.TolerationApplyConfiguration {
	out := corev1ac.Toleration()
	if t.Key != "" {
		out.WithKey(t.Key)
	}
	if t.Operator != "" {
		out.WithOperator(t.Operator)
	}
	if t.Value != "" {
		out.WithValue(t.Value)
	}
	if t.Effect != "" {
		out.WithEffect(t.Effect)
	}
	if t.TolerationSeconds != nil {
		out.WithTolerationSeconds(*t.TolerationSeconds)
	}
	return out
}

// PodRevision is the template revision that a pod was made from. It differs from the
// StatefulSet's update revision while a restart of the pod is pending.
func PodRevision(pod metav1.Object) string {
	return pod.GetLabels()["controller-revision-hash"]
}
