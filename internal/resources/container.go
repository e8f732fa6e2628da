package resources

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// The volumes of a member's pod.
const (
	volumeData     = "data"
	volumeBinlog   = "binlog"
	volumeBin      = "bin"
	volumeRun      = "run"
	volumeTmp      = "tmp"
	volumeConfig   = "config"
	volumeInternal = "internal"
	volumeTLS      = "tls-" // followed by the ordinal

	binDir = agentapi.BinDir
	tmpDir = "/tmp"
)

// What the volumes on the node may take. A pod that exceeds one is evicted by the kubelet.
// mysqld's temporary files are on the data volume; here are the agent's program, the sockets
// with the option file, and what is left in /tmp by those who exec into the pod.
const (
	binLimit = "256Mi"
	runLimit = "16Mi"
	tmpLimit = "128Mi"
)

func mysqldContainer(p *v1alpha1.DatabasePair, claims Claims) *corev1ac.ContainerApplyConfiguration {
	c := mysqldContainerAlone(p)
	// What the pod has follows from the claims that the StatefulSet has, which never change.
	if claims.Binlog != nil {
		c.WithEnv(corev1ac.EnvVar().WithName(agentapi.EnvBinlogDir).WithValue(agentapi.BinlogDir)).
			WithVolumeMounts(mount(volumeBinlog, agentapi.BinlogDir, false))
	}
	if hasPacketRule(p) {
		c.WithArgs("--packet-rule-dir=" + agentapi.PacketRuleDir).
			WithVolumeMounts(mount(volumePacketRule, agentapi.PacketRuleDir, false))
	}
	return c
}

// mysqldContainerAlone is that of a member without a packet rule and with one volume.
func mysqldContainerAlone(p *v1alpha1.DatabasePair) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(ContainerMysqld).
		WithImage(p.Spec.MySQL.Image).
		WithImagePullPolicy(corev1.PullPolicy(p.Spec.MySQL.ImagePullPolicy)).
		WithCommand(binDir+"/agent", "run").
		WithEnv(
			fieldEnv(agentapi.EnvPodName, "metadata.name"),
			fieldEnv(agentapi.EnvPodNamespace, "metadata.namespace"),
			fieldEnv(agentapi.EnvPodUID, "metadata.uid"),
			fieldEnv(agentapi.EnvPodIP, "status.podIP"),
			fieldEnv(agentapi.EnvNodeName, "spec.nodeName"),
			corev1ac.EnvVar().WithName(agentapi.EnvPairName).WithValue(p.Name),
			corev1ac.EnvVar().WithName(agentapi.EnvPairUID).WithValue(string(p.UID)),
			corev1ac.EnvVar().WithName(agentapi.EnvGracePeriod).WithValue(strconv.Itoa(int(gracePeriod/time.Second))),
		).
		WithPorts(
			containerPort(portNameMySQL, pair.PortMySQL),
			containerPort(portNameAdmin, pair.PortAdmin),
			containerPort(portNameDoor, pair.PortDoor),
			containerPort(portNameAgent, pair.PortAgent),
			containerPort(portNameMetrics, pair.PortMetrics),
			containerPort(portNameProbe, pair.PortProbe),
		).
		WithSecurityContext(containerSecurity()).
		WithResources(resourcesOf(p)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		// A mysqld that recovers from a crash or copies a volume answers nothing for as
		// long as that takes. So start and liveness ask for the agent alone; only
		// readiness, which ends nothing, asks for mysqld.
		WithStartupProbe(probe("/healthz").WithPeriodSeconds(1).WithTimeoutSeconds(1).WithFailureThreshold(120)).
		WithLivenessProbe(probe("/healthz").WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2).WithTimeoutSeconds(1).WithFailureThreshold(2)).
		WithVolumeMounts(
			mount(volumeData, agentapi.DataDir, false),
			mount(volumeRun, agentapi.RunDir, false),
			mount(volumeTmp, tmpDir, false),
			mount(volumeBin, binDir, true),
			mount(volumeConfig, agentapi.ConfigDir, true),
			mount(volumeInternal, agentapi.InternalDir, true),
			mount(volumeTLS+"0", agentapi.TLSDirBase+"0", true),
			mount(volumeTLS+"1", agentapi.TLSDirBase+"1", true),
		)
}

func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().
		WithPath(path).
		WithPort(intstr.FromString(portNameProbe)).
		WithScheme(corev1.URISchemeHTTP))
}

func containerPort(name string, port int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().
		WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

func fieldEnv(name, path string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().
		WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)))
}

func mount(name, path string, readOnly bool) *corev1ac.VolumeMountApplyConfiguration {
	m := corev1ac.VolumeMount().WithName(name).WithMountPath(path)
	if readOnly {
		m.WithReadOnly(true)
	}
	return m
}

// projection mounts keys of a Secret as files of the same names.
func projection(secret string, keys []string) *corev1ac.SecretProjectionApplyConfiguration {
	out := corev1ac.SecretProjection().WithName(secret)
	for _, key := range keys {
		out.WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(key))
	}
	return out
}

func volumes(p *v1alpha1.DatabasePair) []*corev1ac.VolumeApplyConfiguration {
	names := NamesOf(p)
	emptyDir := func(name, limit string) *corev1ac.VolumeApplyConfiguration {
		return corev1ac.Volume().WithName(name).WithEmptyDir(corev1ac.EmptyDirVolumeSource().
			WithSizeLimit(resource.MustParse(limit)))
	}
	tls := func(o pair.Ordinal, name string) *corev1ac.VolumeApplyConfiguration {
		return corev1ac.Volume().WithName(name).WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(names.TLS(o)).WithDefaultMode(0o440))
	}
	passwords := projection(names.Internal(), InternalKeys())
	former := projection(names.Internal(), FormerKeys()).WithOptional(true)
	app := corev1ac.SecretProjection().WithName(names.App()).
		WithItems(corev1ac.KeyToPath().WithKey(keyPassword).WithPath(agentapi.PasswordFileApp))
	return []*corev1ac.VolumeApplyConfiguration{
		emptyDir(volumeBin, binLimit), emptyDir(volumeRun, runLimit), emptyDir(volumeTmp, tmpLimit),
		corev1ac.Volume().WithName(volumeConfig).WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(names.Config()).WithDefaultMode(0o444)),
		corev1ac.Volume().WithName(volumeInternal).WithProjected(corev1ac.ProjectedVolumeSource().
			WithDefaultMode(0o440).
			WithSources(
				corev1ac.VolumeProjection().WithSecret(passwords),
				corev1ac.VolumeProjection().WithSecret(former),
				corev1ac.VolumeProjection().WithSecret(app),
			)),
		tls(0, volumeTLS+"0"), tls(1, volumeTLS+"1"),
	}
}
