package resources

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/router"
)

const (
	// LabelRouterOf names the pair that a router's pods serve. They carry no LabelPair: they are no
	// members, and nothing may take them for one.
	LabelRouterOf = "dbpair.io/router-of"
	// nameRouter is the value of LabelName of a router's pods.
	nameRouter = "dbpair-router"

	routerDir        = "/etc/dbpair/router"
	routerConfigFile = "haproxy.cfg"
)

// Ports of a router's pod.
const (
	PortRouterWrite  = 3306
	PortRouterRead   = 3307
	PortRouterHealth = 8404
)

const (
	portNameReadWrite = "read-write"
	portNameReadOnly  = "read-only"
	portNameHealth    = "health"
)

func routerSelector(pairName string) map[string]string {
	return map[string]string{LabelRouterOf: pairName, LabelName: nameRouter}
}

// RouterConfig is what HAProxy's configuration says for a pair.
func RouterConfig(p *v1alpha1.DatabasePair) router.Config {
	n := NamesOf(p)
	keepalive := p.Spec.Network.Keepalive
	c := router.Config{
		Pair:      p.Name,
		Namespace: p.Namespace,
		Bind:      "${POD_IP}",
		Ports: router.Ports{
			ReadWrite: PortRouterWrite,
			ReadOnly:  PortRouterRead,
			Health:    PortRouterHealth,
		},
		Service:        p.Name + ":" + strconv.Itoa(pair.PortMySQL),
		CAFile:         routerDir + "/" + KeyCA,
		MaxConnections: int(p.Spec.Router.MaxConnections),
		Keepalive: router.Keepalive{
			Idle:     keepalive.Idle.Duration,
			Interval: keepalive.Interval.Duration,
			Probes:   int(keepalive.Probes),
		},
		FallbackToPrimary: p.Spec.Services.Passive.FallbackToPrimary,
	}
	for i := range c.Members {
		o := pair.Ordinal(i)
		c.Members[i] = router.Member{
			Name:        string(o.Member(p.Name)),
			Host:        n.RouterMember(o),
			MySQL:       pair.PortMySQL,
			Role:        pair.PortRole,
			Certificate: n.Host(o),
		}
	}
	return c
}

// RouterConfigMap has HAProxy's configuration and the certificates that it verifies the members with.
func RouterConfigMap(p *v1alpha1.DatabasePair, caPEM []byte) (*corev1ac.ConfigMapApplyConfiguration, error) {
	text, err := router.Render(RouterConfig(p))
	if err != nil {
		return nil, err
	}
	return corev1ac.ConfigMap(NamesOf(p).Router(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithData(map[string]string{routerConfigFile: text, KeyCA: string(caPEM)}), nil
}

// RouterService leads clients to the router's pods.
func RouterService(p *v1alpha1.DatabasePair) *corev1ac.ServiceApplyConfiguration {
	svc := corev1ac.Service(NamesOf(p).Router(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceType(p.Spec.Router.Service.Type)).
			WithSelector(routerSelector(p.Name)).
			WithPorts(
				servicePort(portNameReadWrite, PortRouterWrite),
				servicePort(portNameReadOnly, PortRouterRead),
			))
	if a := p.Spec.Router.Service.Annotations; len(a) > 0 {
		svc.WithAnnotations(a)
	}
	return svc
}

// RouterMemberService gives the router an address of one member that stays. Whether clients may be
// led there is what the member's agent says.
func RouterMemberService(p *v1alpha1.DatabasePair, o pair.Ordinal) *corev1ac.ServiceApplyConfiguration {
	selector := memberSelector(p.Name)
	selector[appsv1.StatefulSetPodNameLabel] = string(o.Member(p.Name))
	return corev1ac.Service(NamesOf(p).RouterMember(o), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithPublishNotReadyAddresses(true).
			WithSelector(selector).
			WithPorts(
				servicePort(portNameMySQL, pair.PortMySQL),
				corev1ac.ServicePort().
					WithName("role").
					WithProtocol(corev1.ProtocolTCP).
					WithPort(pair.PortRole).
					WithTargetPort(intstr.FromInt32(pair.PortRole)),
			))
}

// RouterDisruptionBudget lets one of the router's pods be evicted at a time.
func RouterDisruptionBudget(p *v1alpha1.DatabasePair) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(NamesOf(p).Router(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(routerSelector(p.Name))))
}

// RouterNetworkPolicy limits who may connect to the router as NetworkPolicy does for the members.
func RouterNetworkPolicy(p *v1alpha1.DatabasePair) *networkingv1ac.NetworkPolicyApplyConfiguration {
	clients := networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(policyPort(portNameReadWrite), policyPort(portNameReadOnly))
	for i := range p.Spec.Network.AllowFrom {
		clients.WithFrom(policyPeer(&p.Spec.Network.AllowFrom[i]))
	}
	rules := []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration{clients}
	if from := p.Spec.Network.MetricsFrom; len(from) > 0 {
		metrics := networkingv1ac.NetworkPolicyIngressRule().WithPorts(policyPort(portNameHealth))
		for i := range from {
			metrics.WithFrom(policyPeer(&from[i]))
		}
		rules = append(rules, metrics)
	}
	return networkingv1ac.NetworkPolicy(NamesOf(p).Router(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(routerSelector(p.Name))).
			WithIngress(rules...))
}

// routers are the router's pods, as a source of a NetworkPolicy.
func routers(p *v1alpha1.DatabasePair) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(routerSelector(p.Name)))
}

// routerLabels are those of a router's pods: the user's of the members' pods, and its own.
func routerLabels(p *v1alpha1.DatabasePair) map[string]string {
	labels := maps.Clone(p.Spec.PodTemplate.Metadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, routerSelector(p.Name))
	labels[LabelInstance] = p.Name
	labels[LabelManagedBy] = Product
	return labels
}
