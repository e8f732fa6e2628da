//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

const (
	// operatorAccount is the user as which the chart's operator writes.
	operatorAccount = "system:serviceaccount:" + harness.OperatorNamespace + ":dbpair-manager"
	// denial is what the policy says; the status has to quote it.
	denial = "the e2e policy lets the operator change no pod"
)

// TestWritesRefused: the API server refuses a write that a failover needs. The status says
// which and why, and when the cause is gone the failover ends by itself.
func TestWritesRefused(t *testing.T) {
	t.Parallel()
	runFaults(t, "refused", []fault{{
		name:      "pod patches refused during a failover",
		want:      failsOver,
		inject:    refusePodPatches,
		complaint: []string{"WriteRefused", "patch Pod", denial},
	}})
}

// refusePodPatches has a policy refuse the operator's writes of pods in the pair's namespace,
// and kills mysqld of the primary.
func refusePodPatches(st *stage) (func(context.Context) error, error) {
	name := "e2e-" + st.namespace
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionregistrationv1.Fail),
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
						Rule: admissionregistrationv1.Rule{
							APIGroups:   []string{""},
							APIVersions: []string{"v1"},
							Resources:   []string{"pods"},
						},
					},
				}},
			},
			Validations: []admissionregistrationv1.Validation{{
				Expression: fmt.Sprintf("request.userInfo.username != %q", operatorAccount),
				Message:    denial,
			}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        name,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: st.namespace}},
			},
		},
	}
	remove := func(ctx context.Context) error {
		for _, o := range []client.Object{binding, policy} {
			if err := client.IgnoreNotFound(cluster.Delete(ctx, o)); err != nil {
				return fmt.Errorf("delete %T %s: %w", o, o.GetName(), err)
			}
		}
		return nil
	}
	for _, o := range []client.Object{policy, binding} {
		if err := cluster.Create(st.ctx, o); err != nil {
			return remove, fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	if err := awaitDenial(st); err != nil {
		return remove, err
	}
	return remove, st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld)
}

// awaitDenial waits until the API server acts on the policy.
func awaitDenial(st *stage) error {
	operator, err := cluster.As(operatorAccount)
	if err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"e2e":"probe"}}}`))
	return harness.Eventually(st.ctx, harness.Patience, "denial of the operator's patches", func(ctx context.Context) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.passive}}
		err := operator.Patch(ctx, pod, patch, client.DryRunAll)
		if err == nil || !containsAll(err.Error(), []string{denial}) {
			return harness.NotYet("a patch of pod %s ended with %v", st.passive, err)
		}
		return nil
	})
}
