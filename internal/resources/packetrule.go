package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// ContainerPacketRule is the container of a member's pod that has the kernel refuse clients.
const ContainerPacketRule = "packet-rule"

// volumePacketRule has the socket by which its container asks the agent, and nothing else.
const (
	volumePacketRule = "packet-rule"
	packetRuleLimit  = "1Mi"
)

func hasPacketRule(p *v1alpha1.DatabasePair) bool {
	return p.Spec.Services.Primary.RejectNewClients == v1alpha1.RejectNewClientsPacketReset
}

// packetRuleContainer is the only one with a capability, and sees neither data nor passwords. A capability that is added is
// effective for root alone. Requests and limits are the same, so that the pod's quality of service stays that of mysqld.
func packetRuleContainer(agent Image) *corev1ac.ContainerApplyConfiguration {
	need := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("50m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
	return corev1ac.Container().
		WithName(ContainerPacketRule).
		WithImage(agent.Name).
		WithImagePullPolicy(agent.PullPolicy).
		WithCommand("/agent", "packet-rule").
		WithEnv(fieldEnv(agentapi.EnvPodIPs, "status.podIPs")).
		WithSecurityContext(containerSecurity().
			WithRunAsNonRoot(false).
			WithRunAsUser(0).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL").WithAdd("NET_ADMIN"))).
		WithResources(corev1ac.ResourceRequirements().WithRequests(need).WithLimits(need)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mount(volumePacketRule, agentapi.PacketRuleDir, true))
}

func packetRuleVolume() *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(volumePacketRule).WithEmptyDir(corev1ac.EmptyDirVolumeSource().
		WithSizeLimit(resource.MustParse(packetRuleLimit)))
}
