package harness

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
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

// DeleteNamespace removes the pairs of a namespace, waits for the end of their pods, so
// that what a test leaves behind does not slow the next one, and removes the namespace
// without waiting for it.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	if err := c.DeleteAllOf(ctx, &v1alpha1.DatabasePair{}, client.InNamespace(name)); err != nil {
		return fmt.Errorf("delete the pairs of %s: %w", name, err)
	}
	members := client.MatchingLabels{resources.LabelName: resources.Product}
	waited := Eventually(ctx, Patience, "end of the pods in "+name, func(ctx context.Context) error {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(name), members); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return NotYet("%d are left", len(pods.Items))
		}
		return nil
	})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return errors.Join(waited, client.IgnoreNotFound(c.Delete(ctx, ns)))
}
