package resources

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

// Names of the container ports.
const (
	portNameMySQL   = "mysql"
	portNameAdmin   = "admin"
	portNameDoor    = "door"
	portNameAgent   = "agent"
	portNameMetrics = "metrics"
	portNameProbe   = "probe"
	portNameBinlog  = "binlog"
	// portNameMysqldMetrics is the port of the exporter of mysqld's counters.
	portNameMysqldMetrics = "mysqld-metrics"
)

// ClientService is the read-write Service without what Route decides: its selector and
// its ports belong to anyone who executes the routing step.
func ClientService(p *v1alpha1.DatabasePair) *corev1ac.ServiceApplyConfiguration {
	spec := corev1ac.ServiceSpec().
		WithType(corev1.ServiceType(p.Spec.Services.Primary.Type)).
		WithSessionAffinity(corev1.ServiceAffinityNone).
		WithPublishNotReadyAddresses(true)
	if policy := p.Spec.Services.Primary.ExternalTrafficPolicy; policy != "" {
		spec.WithExternalTrafficPolicy(corev1.ServiceExternalTrafficPolicy(policy))
	}
	svc := corev1ac.Service(p.Name, p.Namespace).
		WithLabels(clientServiceLabels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(withFamilies(spec, p))
	if a := p.Spec.Services.Primary.Annotations; len(a) > 0 {
		svc.WithAnnotations(a)
	}
	return svc
}

// withFamilies sets which families of addresses a Service has, if the spec says it.
func withFamilies(spec *corev1ac.ServiceSpecApplyConfiguration, p *v1alpha1.DatabasePair) *corev1ac.ServiceSpecApplyConfiguration {
	if policy := p.Spec.Services.IPFamilyPolicy; policy != "" {
		spec.WithIPFamilyPolicy(corev1.IPFamilyPolicy(policy))
	}
	return spec
}

// NewClientService is the read-write Service as it is first created, with a route. What the cluster may refuse is left to
// ClientService.
func NewClientService(p *v1alpha1.DatabasePair, r Route) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            p.Name,
			Namespace:       p.Namespace,
			Labels:          clientServiceLabels(p.Name),
			Annotations:     maps.Clone(p.Spec.Services.Primary.Annotations),
			OwnerReferences: []metav1.OwnerReference{OwnerReference(p)},
		},
		Spec: corev1.ServiceSpec{
			Type:                     corev1.ServiceType(p.Spec.Services.Primary.Type),
			SessionAffinity:          corev1.ServiceAffinityNone,
			PublishNotReadyAddresses: true,
		},
	}
	SetRoute(svc, r)
	return svc
}

func clientServiceLabels(pairName string) map[string]string {
	labels := Labels(pairName)
	labels[LabelSkipMirror] = "true"
	return labels
}

// Detach takes the selector off the Service. The cluster leaves its endpoints as they are
// until SetRoute.
func Detach(svc *corev1.Service, from pair.PodUID) {
	svc.Spec.Selector = nil
	if svc.Annotations == nil {
		svc.Annotations = map[string]string{}
	}
	svc.Annotations[AnnotationDetached] = string(from)
}

// DetachedFrom is the pod that a detached Service's endpoints lead to; empty for a
// Service that has a selector, or that someone else took it from.
func DetachedFrom(svc *corev1.Service) pair.PodUID {
	if len(svc.Spec.Selector) > 0 {
		return ""
	}
	return pair.PodUID(svc.Annotations[AnnotationDetached])
}

// SetRoute replaces the Service's whole selector and ports. A node port that the cluster
// has given out is kept.
func SetRoute(svc *corev1.Service, r Route) {
	port := corev1.ServicePort{
		Name:       portNameMySQL,
		Protocol:   corev1.ProtocolTCP,
		Port:       pair.PortMySQL,
		TargetPort: intstr.FromString(r.Port()),
	}
	for _, old := range svc.Spec.Ports {
		if old.Port == pair.PortMySQL {
			port.NodePort = old.NodePort
		}
	}
	svc.Spec.Ports = []corev1.ServicePort{port}
	svc.Spec.Selector = routeSelector(svc.Name, r)
	delete(svc.Annotations, AnnotationDetached)
}

func routeSelector(pairName string, r Route) map[string]string {
	selector := memberSelector(pairName)
	selector[appsv1.StatefulSetPodNameLabel] = string(r.Member)
	if r.Mode == RouteOpen {
		selector[r.Key()] = string(r.Mode)
	}
	return selector
}

// RouteOf reads a Service's route back. It is false for a Service whose selector or
// ports are not exactly what SetRoute writes.
func RouteOf(svc *corev1.Service) (Route, bool) {
	r := Route{Member: pair.MemberName(svc.Spec.Selector[appsv1.StatefulSetPodNameLabel]), Mode: RouteDoor}
	for k, v := range svc.Spec.Selector {
		if open, ok := ParseRouteLabel(k, v); ok {
			r.Epoch = open.Epoch
			r.Mode = open.Mode
		}
	}
	want := svc.DeepCopy()
	SetRoute(want, r)
	same := r.Member != "" && maps.Equal(want.Spec.Selector, svc.Spec.Selector) && len(svc.Spec.Ports) == 1 &&
		svc.Spec.Ports[0].Port == want.Spec.Ports[0].Port &&
		svc.Spec.Ports[0].TargetPort == want.Spec.Ports[0].TargetPort
	return r, same
}

// PassiveService leads readers to whichever pods carry LabelReadable, those of the binary logs by a
// port of their own. That port has a number, not a name: pods that run have no other one of its name.
func PassiveService(p *v1alpha1.DatabasePair) *corev1ac.ServiceApplyConfiguration {
	selector := memberSelector(p.Name)
	selector[pair.LabelReadable] = "true"
	return corev1ac.Service(NamesOf(p).Passive(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(withFamilies(corev1ac.ServiceSpec(), p).
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(selector).
			WithPorts(
				servicePort(portNameMySQL, pair.PortMySQL),
				servicePort(portNameBinlog, pair.PortBinlogService).WithTargetPort(intstr.FromInt32(pair.PortBinlog)),
			))
}

// PodsService gives each member's pod its address as soon as it has an IP.
func PodsService(p *v1alpha1.DatabasePair) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(NamesOf(p).Pods(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithClusterIP(corev1.ClusterIPNone).
			WithPublishNotReadyAddresses(true).
			WithSelector(memberSelector(p.Name)).
			WithPorts(
				servicePort(portNameMySQL, pair.PortMySQL),
				servicePort(portNameAdmin, pair.PortAdmin),
				servicePort(portNameAgent, pair.PortAgent),
				servicePort(portNameMetrics, pair.PortMetrics),
			))
}

func servicePort(name string, port int32) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().
		WithName(name).
		WithProtocol(corev1.ProtocolTCP).
		WithPort(port).
		WithTargetPort(intstr.FromString(name))
}
