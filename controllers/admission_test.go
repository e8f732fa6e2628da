package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// editor may do what the built-in role edit allows. No controller aggregates that role
// here, so the roles it is made from are bound.
func (s *scene) editor() client.Client {
	s.Helper()
	for _, role := range []string{"system:aggregate-to-edit", "system:aggregate-to-view"} {
		s.must(s.Create(s.ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "edit-", Namespace: s.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "mallory"}},
		}))
	}
	c, err := client.New(env.as("mallory"), client.Options{Scheme: app.Scheme()})
	s.must(err)
	s.inForce(c)
	return c
}

// inForce waits for the roles, and for the policies that were made before all tests: the
// API server learns of either from watches of its own.
func (s *scene) inForce(c client.Client) {
	s.Helper()
	s.eventually("the roles are in force", func() error {
		return errors.Join(
			c.List(s.ctx, &corev1.PodList{}, client.InNamespace(s.namespace)),
			c.Create(s.ctx, &coordinationv1.Lease{ObjectMeta: s.meta("his", nil)}, client.DryRunAll),
		)
	})
	for _, o := range []client.Object{
		&coordinationv1.Lease{ObjectMeta: s.meta("his", resources.Labels("his"))}, member(s.namespace, "his"),
		&corev1.Service{ObjectMeta: s.meta("his", resources.Labels("his")), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
	} {
		s.eventually(fmt.Sprintf("the policy about a %T is in force", o), func() error {
			err := c.Create(s.ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
			if err == nil {
				return errors.New("not refused")
			}
			if !strings.Contains(err.Error(), "dbpair") {
				return err
			}
			return nil
		})
	}
}

func TestEditorsDoNotDecideWhoMayAcceptWrites(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	lease, service := &coordinationv1.Lease{}, &corev1.Service{}
	s.eventually("the Lease", func() error { return s.Get(s.ctx, s.key("shop"), lease) })
	s.eventually("the Service", func() error { return s.Get(s.ctx, s.key("shop"), service) })
	pod, leaving := member(s.namespace, "shop-0"), member(s.namespace, "shop-1")
	s.must(s.Create(s.ctx, pod))
	s.must(s.Create(s.ctx, leaving)) // the operator lets it go at once when it is deleted
	editor := s.editor()
	patch := func(o client.Object, change func()) error {
		s.must(s.Get(s.ctx, client.ObjectKeyFromObject(o), o))
		base := o.DeepCopyObject().(client.Object)
		change()
		return editor.Patch(s.ctx, o, client.MergeFrom(base))
	}
	labelled := map[string]string{resources.LabelPair: "shop"}
	for name, tc := range map[string]struct {
		do   func() error
		says string
	}{
		"write the holder":             {func() error { return patch(lease, func() { lease.Spec.HolderIdentity = ptr.To("shop-1/x") }) }, "kubectl dbpair"},
		"write the ledger":             {func() error { return patch(lease, func() { lease.Annotations["dbpair.io/ledger"] = "{}" }) }, "kubectl dbpair"},
		"take the label off the Lease": {func() error { return patch(lease, func() { lease.Labels = nil }) }, "kubectl dbpair"},
		"delete the Lease":             {func() error { return editor.Delete(s.ctx, lease) }, "delete the DatabasePair"},
		"make a Lease of the pair": {func() error {
			return editor.Create(s.ctx, &coordinationv1.Lease{ObjectMeta: s.meta("other", labelled)})
		}, "kubectl dbpair"},
		"lead the Service elsewhere": {func() error { return patch(service, func() { service.Spec.Selector = map[string]string{"app": "x"} }) }, "operator only"},
		"change the Service's port":  {func() error { return patch(service, func() { service.Spec.Ports[0].Port = 3307 }) }, "operator only"},
		"take the Service's label":   {func() error { return patch(service, func() { delete(service.Labels, resources.LabelPair) }) }, "operator only"},
		"delete the Service":         {func() error { return editor.Delete(s.ctx, service) }, "delete the DatabasePair"},
		"label a member":             {func() error { return patch(pod, func() { pod.Labels["epoch.dbpair.io/9"] = "open" }) }, "kubectl dbpair failover"},
		"take a member out":          {func() error { return patch(pod, func() { delete(pod.Labels, resources.LabelName) }) }, "kubectl dbpair failover"},
		"take the finalizer off":     {func() error { return patch(pod, func() { pod.Finalizers = nil }) }, "confirm-dead"},
		"make a false member":        {func() error { return editor.Create(s.ctx, member(s.namespace, "false")) }, "leave the label off"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.do()
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "dbpair") {
				t.Errorf("got %v, want a refusal with %q", err, tc.says)
			}
		})
	}
	for name, do := range map[string]func() error{
		"a Lease of his own": func() error { return editor.Create(s.ctx, &coordinationv1.Lease{ObjectMeta: s.meta("mine", nil)}) },
		"an annotation of a Service": func() error {
			return patch(service, func() { metav1.SetMetaDataAnnotation(&service.ObjectMeta, "a", "b") })
		},
		"a label of his on a member":  func() error { return patch(pod, func() { pod.Labels["team"] = "web" }) },
		"deletion of a member's pod":  func() error { return editor.Delete(s.ctx, leaving) },
		"a change of the StatefulSet": func() error { return s.scaled(editor) },
	} {
		t.Run("allowed: "+name, func(t *testing.T) {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
	}
}

func (s *scene) scaled(c client.Client) error {
	set := &appsv1.StatefulSet{}
	s.must(s.Get(s.ctx, s.key("shop"), set))
	base := set.DeepCopy()
	metav1.SetMetaDataAnnotation(&set.ObjectMeta, "a", "b")
	return c.Patch(s.ctx, set, client.MergeFrom(base))
}

func (s *scene) meta(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.namespace, Labels: labels}
}

func member(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace, Labels: resources.Labels("shop"), Finalizers: []string{failover.FenceFinalizer},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "mysqld", Image: "none"}}},
	}
}
