package app

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// cacheOptions keeps out of memory what is not the operator's. Objects are selected by the
// label dbpair.io/pair, which the admission policies protect: by a common label such as
// app.kubernetes.io/managed-by, anybody who may write labels could hide a running pod from
// the operator, which would take it for gone.
func cacheOptions(namespaces []string) cache.Options {
	// What the operator applies keeps its managed fields: by them cluster.Applier knows that an object is as it has to be.
	ours := cache.ByObject{Label: having(resources.LabelPair)}
	pods := ours
	pods.Transform = cache.TransformStripManagedFields()
	contents := ours
	jobs := ours
	contents.Transform = cluster.Slim
	jobs.Label = having(resources.LabelJobOf)
	out := cache.Options{
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:                   pods,
			&corev1.Service{}:               ours,
			&corev1.Secret{}:                contents,
			&corev1.ConfigMap{}:             contents,
			&corev1.ServiceAccount{}:        ours,
			&corev1.PersistentVolumeClaim{}: ours,
			&appsv1.StatefulSet{}:           ours,
			&appsv1.Deployment{}:            ours,
			&policyv1.PodDisruptionBudget{}: ours,
			&networkingv1.NetworkPolicy{}:   ours,
			&rbacv1.Role{}:                  ours,
			&rbacv1.RoleBinding{}:           ours,
			&batchv1.Job{}:                  jobs,
			&corev1.Node{}:                  {Transform: slimNode},
		},
	}
	if len(namespaces) > 0 {
		out.DefaultNamespaces = map[string]cache.Config{}
		for _, n := range namespaces {
			out.DefaultNamespaces[n] = cache.Config{}
		}
	}
	return out
}

// having selects objects that have a label, whatever its value.
func having(label string) labels.Selector {
	exists, err := labels.NewRequirement(label, selection.Exists, nil)
	utilruntime.Must(err)
	return labels.NewSelector().Add(*exists)
}

// slimNode drops what no decision depends on; a node's images and addresses are most of
// it.
func slimNode(o any) (any, error) {
	if node, ok := o.(*corev1.Node); ok {
		node.ManagedFields = nil
		node.Status = corev1.NodeStatus{}
		node.Annotations = nil
	}
	return o, nil
}
