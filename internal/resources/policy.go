package resources

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

// labelNamespaceName is put on every namespace by the API server.
const labelNamespaceName = "kubernetes.io/metadata.name"

// The operator's own pods have these labels, by the chart and by config/manager.
const (
	labelComponent   = "app.kubernetes.io/component"
	componentManager = "manager"
)

// DisruptionBudget lets one member be evicted while an eviction of the primary would be
// answered by a failover, and none otherwise. A pod that is not ready anyway may always go: it protects nothing.
func DisruptionBudget(p *v1alpha1.DatabasePair, evictable bool) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	allowed := intstr.FromInt32(0)
	if evictable {
		allowed = intstr.FromInt32(1)
	}
	return policyv1ac.PodDisruptionBudget(p.Name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(allowed).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name))))
}

// NetworkPolicy limits who may connect to the members. It says nothing about what they
// may connect to: an agent that cannot reach the API server could not read its authority.
func NetworkPolicy(p *v1alpha1.DatabasePair, operatorNamespace string) *networkingv1ac.NetworkPolicyApplyConfiguration {
	members := func() *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
		return networkingv1ac.NetworkPolicyPeer().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name)))
	}
	operator := networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{labelNamespaceName: operatorNamespace})).
		WithPodSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{LabelName: Product, labelComponent: componentManager}))
	clients := networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(policyPort(portNameMySQL), policyPort(portNameDoor), policyPortNumber(pair.PortBinlog))
	if allow := p.Spec.Network.AllowFrom; len(allow) > 0 {
		clients.WithFrom(members())
		if p.Spec.Router.Enabled {
			clients.WithFrom(routers(p))
		}
		for i := range allow {
			clients.WithFrom(policyPeer(&allow[i]))
		}
	}
	rules := []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration{
		clients,
		networkingv1ac.NetworkPolicyIngressRule().
			WithPorts(policyPort(portNameAdmin), policyPort(portNameAgent), policyPort(portNameMetrics)).
			WithFrom(members(), operator),
		// Jobs that compare and repair.
		networkingv1ac.NetworkPolicyIngressRule().
			WithPorts(policyPort(portNameAdmin), policyPort(portNameAgent)).
			WithFrom(networkingv1ac.NetworkPolicyPeer().
				WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(JobSelector(p.Name)))),
	}
	if ArchiveWanted(p) {
		rules = append(rules, archivePeer(p.Name))
	}
	if p.Spec.Router.Enabled {
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().
			WithPorts(policyPortNumber(pair.PortRole)).
			WithFrom(routers(p)))
	}
	if from := p.Spec.Network.MetricsFrom; len(from) > 0 {
		metrics := networkingv1ac.NetworkPolicyIngressRule().WithPorts(policyPort(portNameMetrics))
		if p.Spec.Monitoring.MysqldExporter.Enabled {
			metrics.WithPorts(policyPort(portNameMysqldMetrics))
		}
		for i := range from {
			metrics.WithFrom(policyPeer(&from[i]))
		}
		rules = append(rules, metrics)
	}
	return networkingv1ac.NetworkPolicy(p.Name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name))).
			WithIngress(rules...))
}

func policyPort(name string) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().
		WithProtocol(corev1.ProtocolTCP).
		WithPort(intstr.FromString(name))
}

// policyPortNumber is a port that the members' containers do not name: a name more would make their
// pods again.
func policyPortNumber(port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().
		WithProtocol(corev1.ProtocolTCP).
		WithPort(intstr.FromInt32(port))
}

func policyPeer(p *v1alpha1.NetworkPeer) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	peer := networkingv1ac.NetworkPolicyPeer()
	if p.CIDR != "" {
		return peer.WithIPBlock(networkingv1ac.IPBlock().WithCIDR(p.CIDR))
	}
	if p.PodSelector != nil {
		peer.WithPodSelector(labelSelector(p.PodSelector))
	}
	if p.NamespaceSelector != nil {
		peer.WithNamespaceSelector(labelSelector(p.NamespaceSelector))
	}
	return peer
}
