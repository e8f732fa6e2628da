//go:build e2e

package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestClaimFaults: the cluster takes away what a pair needs. The pair says so, and goes on
// as far as that allows.
func TestClaimFaults(t *testing.T) {
	t.Parallel()
	runFaults(t, "claims", []fault{
		{
			name:      "claim of the passive is being deleted",
			want:      undisturbed,
			inject:    deleteClaim,
			complaint: []string{"claim", "deleted"},
		},
	})
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
