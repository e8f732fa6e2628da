package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// ContainerExporter is the container with mysqld_exporter in a member's pod.
const ContainerExporter = "mysqld-exporter"

// volumeMonitor has the password of the monitor account, and no other.
const volumeMonitor = "monitor"

// exporterContainer reads mysqld's counters over the admin port. It sees neither the data nor the sockets of mysqld.
func exporterContainer(p *v1alpha1.DatabasePair, agent Image) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(ContainerExporter).
		WithImage(agent.Name).
		WithImagePullPolicy(agent.PullPolicy).
		WithCommand("/agent", "exporter").
		WithEnv(fieldEnv(agentapi.EnvPodIP, "status.podIP")).
		WithPorts(containerPort(portNameMysqldMetrics, pair.PortMysqldMetrics)).
		WithSecurityContext(containerSecurity()).
		WithResources(exporterResources(p)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mount(volumeMonitor, agentapi.MonitorDir, true))
}

func exporterResources(p *v1alpha1.DatabasePair) *corev1ac.ResourceRequirementsApplyConfiguration {
	return resourcesOr(p.Spec.Monitoring.MysqldExporter.Resources, corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("20m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
	})
}

// resourcesOr are the resources that a spec asks for, or others where it asks for none.
func resourcesOr(wanted, others corev1.ResourceRequirements) *corev1ac.ResourceRequirementsApplyConfiguration {
	r := wanted
	if len(r.Requests) == 0 && len(r.Limits) == 0 {
		r = others
	}
	out := corev1ac.ResourceRequirements()
	if len(r.Requests) > 0 {
		out.WithRequests(r.Requests)
	}
	if len(r.Limits) > 0 {
		out.WithLimits(r.Limits)
	}
	return out
}

func exporterVolume(p *v1alpha1.DatabasePair) *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(volumeMonitor).WithSecret(corev1ac.SecretVolumeSource().
		WithSecretName(NamesOf(p).Internal()).
		WithItems(corev1ac.KeyToPath().WithKey(agentapi.PasswordFileMonitor).WithPath(agentapi.PasswordFileMonitor)).
		WithDefaultMode(0o440))
}
