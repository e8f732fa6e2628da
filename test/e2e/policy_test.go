//go:build e2e

package e2e

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/pair"
)

// TestAdmissionPolicy: a user with the built-in role edit may do his work in the
// namespace, but not rewrite what decides who may accept writes.
func TestAdmissionPolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t, "policy")
	p := s.readyPair("shop")
	const user = "mallory"
	s.must(cluster.Create(s.ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "edit"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	editor, err := cluster.As(user)
	s.must(err)
	key := func(name string) types.NamespacedName {
		return types.NamespacedName{Namespace: s.namespace, Name: name}
	}

	// patched reads an object as the admin, changes it, and writes it as the editor.
	patched := func(object client.Object, name string, change func()) error {
		s.must(cluster.Get(s.ctx, key(name), object))
		before, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatal("not an object")
		}
		change()
		return editor.Patch(s.ctx, object, client.MergeFrom(before))
	}
	lease := &coordinationv1.Lease{}
	service := &corev1.Service{}
	pod := &corev1.Pod{}
	primary := s.primary(p)
	refused := map[string]func() error{
		"the Lease's holder": func() error {
			return patched(lease, "shop", func() { lease.Spec.HolderIdentity = ptr.To("shop-1/x") })
		},
		"the Lease's ledger": func() error {
			return patched(lease, "shop", func() { lease.Annotations["dbpair.io/ledger"] = "{}" })
		},
		"the Service's selector": func() error {
			return patched(service, "shop", func() { service.Spec.Selector = map[string]string{"app": "mine"} })
		},
		"the Service's port": func() error {
			return patched(service, "shop", func() { service.Spec.Ports[0].Port = 3307 })
		},
		"a member's labels": func() error {
			return patched(pod, p.Peer(primary), func() { pod.Labels[pair.LabelEpochPrefix+"1"] = "open" })
		},
		"a member's finalizers": func() error {
			return patched(pod, primary, func() { pod.Finalizers = nil })
		},
		"deletion of the Lease": func() error {
			s.must(cluster.Get(s.ctx, key("shop"), lease))
			return editor.Delete(s.ctx, lease)
		},
	}
	for what, attempt := range refused {
		err := attempt()
		if err == nil {
			t.Errorf("%s: a user with the role edit could write it", what)
			continue
		}
		if !containsAll(err.Error(), []string{"dbpair"}) {
			t.Errorf("%s: refused, but not with a message of ours: %v", what, err)
		}
	}
	allowed := map[string]func() error{
		"a Lease of his own": func() error {
			return editor.Create(s.ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "mine"}})
		},
		"a Service of his own": func() error {
			return editor.Create(s.ctx, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "mine"},
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": "mine"}},
			})
		},
		"an annotation of a member's pod": func() error {
			return patched(pod, primary, func() { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "mine", "yes") })
		},
		"the pair's own spec": func() error {
			as := editor.Pair(s.namespace, "shop")
			return as.PatchSpec(s.ctx, "operationHistoryLimit: 30")
		},
	}
	for what, attempt := range allowed {
		if err := attempt(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.must(p.AwaitReady(s.ctx))
}
