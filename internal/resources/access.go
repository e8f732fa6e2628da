package resources

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// AgentServiceAccount is the identity of the members' pods.
func AgentServiceAccount(p *v1alpha1.DatabasePair) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(NamesOf(p).Agent(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithAutomountServiceAccountToken(false)
}

// AgentRole lets the agents read the one Lease that says who may be open.
func AgentRole(p *v1alpha1.DatabasePair) *rbacv1ac.RoleApplyConfiguration {
	return rbacv1ac.Role(NamesOf(p).Agent(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithRules(rbacv1ac.PolicyRule().
			WithAPIGroups(coordinationv1.GroupName).
			WithResources("leases").
			WithResourceNames(p.Name).
			WithVerbs("get"))
}

// AgentRoleBinding binds the two.
func AgentRoleBinding(p *v1alpha1.DatabasePair) *rbacv1ac.RoleBindingApplyConfiguration {
	name := NamesOf(p).Agent()
	return rbacv1ac.RoleBinding(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(name)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).WithName(name).WithNamespace(p.Namespace))
}
