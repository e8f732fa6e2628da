package cluster

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// extract is the part of an object that FieldManager owns.
func extract(o client.Object) (runtime.ApplyConfiguration, error) {
	switch live := o.(type) {
	case *corev1.Service:
		return corev1ac.ExtractService(live, FieldManager)
	case *corev1.Secret:
		return corev1ac.ExtractSecret(live, FieldManager)
	case *corev1.ConfigMap:
		return corev1ac.ExtractConfigMap(live, FieldManager)
	case *corev1.ServiceAccount:
		return corev1ac.ExtractServiceAccount(live, FieldManager)
	case *rbacv1.Role:
		return rbacv1ac.ExtractRole(live, FieldManager)
	case *rbacv1.RoleBinding:
		return rbacv1ac.ExtractRoleBinding(live, FieldManager)
	case *policyv1.PodDisruptionBudget:
		return policyv1ac.ExtractPodDisruptionBudget(live, FieldManager)
	case *networkingv1.NetworkPolicy:
		return networkingv1ac.ExtractNetworkPolicy(live, FieldManager)
	case *appsv1.Deployment:
		return appsv1ac.ExtractDeployment(live, FieldManager)
	case *appsv1.StatefulSet:
		return appsv1ac.ExtractStatefulSet(live, FieldManager)
	}
	return nil, fmt.Errorf("no extraction for %T", o)
}
