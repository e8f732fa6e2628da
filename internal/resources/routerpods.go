package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/router"
)

const (
	// RouterReplicas is how many pods a router has.
	RouterReplicas = 2
	// ContainerRouter is the container of a router's pod.
	ContainerRouter = "haproxy"
	// AnnotationRouterConfig of a router's pod names the configuration and the certificates that it was
	// made with: HAProxy reads them at its start.
	AnnotationRouterConfig = "dbpair.io/router-config"

	// routerUID is the user of a router's pod. HAProxy needs no particular one.
	routerUID = 65532
	// routerBegins is when a router's pod takes clients at the earliest. Before HAProxy has asked a
	// member for the first time, which takes less than three seconds, it counts it as up.
	routerBegins = 4 * time.Second
	// routerEnds is how much longer than HAProxy a pod may take to end.
	routerEnds = 10 * time.Second
)

// RouterDeployment runs the router's pods, each on a node of its own where there are two. They are
// replaced one after the other.
func RouterDeployment(p *v1alpha1.DatabasePair, config *corev1ac.ConfigMapApplyConfiguration) *appsv1ac.DeploymentApplyConfiguration {
	annotations := map[string]string{AnnotationRouterConfig: sumOf(config.Data)}
	maps.Copy(annotations, p.Spec.PodTemplate.Metadata.Annotations)
	return appsv1ac.Deployment(NamesOf(p).Router(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(RouterReplicas).
			WithRevisionHistoryLimit(2).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxUnavailable(intstr.FromInt32(0)).
					WithMaxSurge(intstr.FromInt32(1)))).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(routerSelector(p.Name))).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(routerLabels(p)).
				WithAnnotations(annotations).
				WithSpec(routerPod(p))))
}

// sumOf names the contents of a ConfigMap.
func sumOf(data map[string]string) string {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		_, _ = sum.Write([]byte(key + "\x00" + data[key] + "\x00"))
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func routerPod(p *v1alpha1.DatabasePair) *corev1ac.PodSpecApplyConfiguration {
	user := &p.Spec.PodTemplate.Spec
	spec := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(int64((router.StopAfter+routerEnds)/time.Second)).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(routerUID).
			WithRunAsGroup(routerUID).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(routerContainer(p)).
		WithVolumes(corev1ac.Volume().
			WithName(volumeConfig).
			WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(NamesOf(p).Router()))).
		WithTopologySpreadConstraints(apart(p, corev1.LabelHostname), apart(p, corev1.LabelTopologyZone))
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
	return spec
}

// apart spreads the pods of one ReplicaSet. It is no demand: two pods on one node serve better than one.
func apart(p *v1alpha1.DatabasePair, topology string) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithMaxSkew(1).
		WithTopologyKey(topology).
		WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(routerSelector(p.Name))).
		WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)
}

func routerContainer(p *v1alpha1.DatabasePair) *corev1ac.ContainerApplyConfiguration {
	health := intstr.FromString(portNameHealth)
	return corev1ac.Container().
		WithName(ContainerRouter).
		WithImage(p.Spec.Router.Image).
		WithImagePullPolicy(corev1.PullPolicy(p.Spec.Router.ImagePullPolicy)).
		WithCommand("haproxy", "-db", "-f", routerDir+"/"+routerConfigFile).
		WithEnv(fieldEnv(agentapi.EnvPodIP, "status.podIP")).
		WithPorts(
			containerPort(portNameReadWrite, PortRouterWrite),
			containerPort(portNameReadOnly, PortRouterRead),
			containerPort(portNameHealth, PortRouterHealth),
		).
		WithSecurityContext(containerSecurity()).
		WithResources(routerResources(p)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		// A HAProxy with as many clients as it takes answers no probe, and is no reason to cut them.
		WithLivenessProbe(corev1ac.Probe().
			WithTCPSocket(corev1ac.TCPSocketAction().WithPort(health)).
			WithPeriodSeconds(5).
			WithTimeoutSeconds(2).
			WithFailureThreshold(6)).
		WithReadinessProbe(corev1ac.Probe().
			WithHTTPGet(corev1ac.HTTPGetAction().
				WithPath("/healthz").
				WithPort(health).
				WithScheme(corev1.URISchemeHTTP)).
			WithInitialDelaySeconds(int32(routerBegins / time.Second)).
			WithPeriodSeconds(2).
			WithTimeoutSeconds(2)).
		WithVolumeMounts(mount(volumeConfig, routerDir, true))
}

func routerResources(p *v1alpha1.DatabasePair) *corev1ac.ResourceRequirementsApplyConfiguration {
	return resourcesOr(p.Spec.Router.Resources, corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("50m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	})
}
