//go:build e2e

package e2e

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestClusterRefuses: the cluster refuses or undoes what a pair needs. The pair says what
// is refused, and goes on as far as that allows.
func TestClusterRefuses(t *testing.T) {
	t.Parallel()
	runFaults(t, "refused", []fault{
		{name: "patches of pods are refused during a failover", want: either, inject: refusePodPatches, complaint: []string{refusal}},
		{name: "claim of the passive is being deleted", want: undisturbed, inject: deleteClaim, complaint: []string{"claim", "deleted"}},
	})
}

const refusal = "no pod may be patched during this test"

// refusePodPatches has the API server refuse every patch of the pair's pods, as a webhook
// of a security product might, and kills mysqld of the primary.
func refusePodPatches(st *stage) (func(context.Context) error, error) {
	name := st.namespace + "-refuses"
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: refusal}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: st.namespace},
			}},
		},
	}
	heal := func(ctx context.Context) error {
		return errors.Join(client.IgnoreNotFound(cluster.Delete(ctx, binding)), client.IgnoreNotFound(cluster.Delete(ctx, policy)))
	}
	if err := errors.Join(cluster.Create(st.ctx, policy), cluster.Create(st.ctx, binding)); err != nil {
		return heal, err
	}
	err := harness.Eventually(st.ctx, harness.Patience, "the policy to be in force", func(ctx context.Context) error {
		pod, err := st.pair.Pod(ctx, st.passive)
		if err != nil {
			return err
		}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"e2e":"tried"}}}`))
		if err := cluster.Patch(ctx, pod, patch); err == nil {
			return harness.NotYet("a patch was accepted")
		}
		return nil
	})
	if err != nil {
		return heal, err
	}
	return heal, st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld)
}

// deleteClaim deletes the passive's claim behind its running pod: the cluster keeps it until
// the pod ends, and then takes the volume away. Nothing brings such a claim back; in the end
// its pod goes too, and the member is copied again.
func deleteClaim(st *stage) (func(context.Context) error, error) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "data-" + st.passive}}
	if err := cluster.Delete(st.ctx, claim); err != nil {
		return nil, err
	}
	notReady := harness.Want{Type: "FailoverReady", Status: metav1.ConditionFalse}
	if err := st.pair.Await(st.ctx, harness.Patience, notReady); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.passive}}
		return client.IgnoreNotFound(cluster.Delete(ctx, pod))
	}, nil
}
