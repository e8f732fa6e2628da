//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
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
		{
			name:      "claims of both members are being deleted",
			want:      failsOver,
			inject:    deleteBothClaims,
			complaint: []string{"claims", "are being deleted", "kubectl delete pod", "kubectl dbpair failover"},
			long:      true,
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

// deleteBothClaims deletes the claims of both members behind their running pods. A person pastes what is printed: the passive is
// copied to a new volume, it takes over, and the former primary is copied to a new volume, too.
func deleteBothClaims(st *stage) (func(context.Context) error, error) {
	former := map[string]types.UID{}
	for _, member := range []string{st.primary, st.passive} {
		var claim corev1.PersistentVolumeClaim
		if err := cluster.Get(st.ctx, types.NamespacedName{Namespace: st.namespace, Name: "data-" + member}, &claim); err != nil {
			return nil, err
		}
		former[member] = claim.UID
		if err := cluster.Delete(st.ctx, &claim); err != nil {
			return nil, err
		}
	}
	notReady := harness.Want{
		Type:   v1alpha1.ConditionReady,
		Status: metav1.ConditionFalse,
		Reason: string(failover.RuleVolumeClaimDeleting),
	}
	if err := st.pair.Await(st.ctx, harness.Patience, notReady); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		keep := regexp.QuoteMeta("kubectl patch pv $(kubectl get pvc data-"+st.primary+" -n "+st.namespace+" -o jsonpath={.spec.volumeName})") +
			` -p '[^']*'`
		inSync := harness.Want{
			Type:    v1alpha1.ConditionReady,
			Status:  metav1.ConditionFalse,
			Reason:  string(failover.RuleVolumeClaimDeleting),
			Message: st.passive + " has every acknowledged write",
		}
		for _, step := range []func() error{
			func() error { return st.typesPrinted(ctx, keep) },
			func() error {
				return st.typesPrinted(ctx, regexp.QuoteMeta("kubectl delete pod "+st.passive+" -n "+st.namespace))
			},
			func() error { return st.pair.Await(ctx, harness.Patience, inSync) },
			func() error { return st.pasted(ctx, "failover") },
			func() error { return st.in(ctx).awaitFailover() },
			func() error { return st.newVolume(ctx, st.passive, former[st.passive]) },
			func() error { return st.releaseFormer(ctx, former[st.primary]) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// releaseFormer types what is printed about the former primary, until it has a new volume.
func (st *stage) releaseFormer(ctx context.Context, former types.UID) error {
	asked := regexp.QuoteMeta("kubectl delete pod " + st.primary + " -n " + st.namespace)
	return harness.Eventually(ctx, harness.Patience, "a new volume of "+st.primary, func(ctx context.Context) error {
		if err := st.newVolume(ctx, st.primary, former); err == nil {
			return nil
		}
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		for _, c := range object.Status.Conditions {
			if command := regexp.MustCompile(asked).FindString(c.Message); command != "" {
				if _, err := cluster.Shell(ctx, command); err != nil {
					return err
				}
			}
		}
		return harness.NotYet("%s", harness.Conditions(object))
	})
}

// newVolume: the member's claim is another one than it was.
func (st *stage) newVolume(ctx context.Context, member string, former types.UID) error {
	var claim corev1.PersistentVolumeClaim
	if err := cluster.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: "data-" + member}, &claim); err != nil {
		return err
	}
	if claim.UID == former {
		return fmt.Errorf("%s still has its former claim", member)
	}
	return nil
}
