package harness

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LabelE2E marks what the tests made.
const LabelE2E = "e2e.dbpair.io/case"

// NewNamespace makes a namespace with a name of its own in which the restricted Pod
// Security Standard is enforced, as a careful admin would have it.
func (c *Cluster) NewNamespace(ctx context.Context, prefix string) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-" + prefix + "-",
		Labels: map[string]string{
			LabelE2E:                             prefix,
			"pod-security.kubernetes.io/enforce": "restricted",
		},
	}}
	if err := c.Create(ctx, ns); err != nil {
		return "", fmt.Errorf("create namespace: %w", err)
	}
	return ns.Name, nil
}

// DeleteNamespace removes a namespace and waits until it is gone, so that what a test
// leaves behind does not slow the next one.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := client.IgnoreNotFound(c.Delete(ctx, ns)); err != nil {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return Eventually(ctx, 90*time.Second, "deletion of namespace "+name, func(ctx context.Context) error {
		err := c.Get(ctx, types.NamespacedName{Name: name}, ns)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return NotYet("still there: %v", ns.Status.Conditions)
	})
}
