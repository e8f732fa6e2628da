//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// TestHibernation: a pair under load is ended in order and woken, with the same primary and every
// acknowledged write on both members; and again with another operator in the middle, taken back at once.
func TestHibernation(t *testing.T) {
	t.Parallel()
	s := newScene(t, "hibernation")
	p := s.readyPair("shop")
	primary := s.primary(p)
	clients, err := p.StartClients(s.ctx)
	s.must(err)
	s.must(clients.Write(s.ctx, 4, 20*time.Millisecond))
	s.must(clients.AwaitAcks(s.ctx, harness.Patience, 100))

	t.Run("both members are ended, and what they need is kept", func(t *testing.T) {
		s := s.sub(t)
		s.hibernate(p, true)
		s.must(p.Await(s.ctx, harness.Patience, asleep()...))
		s.must(harness.Eventually(s.ctx, harness.Patience, "no pods", func(ctx context.Context) error { return noPods(ctx, p) }))
		for _, member := range p.Members() {
			var claim corev1.PersistentVolumeClaim
			s.must(p.Get(s.ctx, client.ObjectKey{Namespace: p.Namespace, Name: "data-" + member}, &claim))
		}
		s.must(p.Get(s.ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Names().Internal()}, &corev1.Secret{}))
		s.must(p.Get(s.ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Name}, &corev1.Service{}))
	})
	t.Run("what needs a mysqld is refused by name", func(t *testing.T) {
		s := s.sub(t)
		op := &v1alpha1.DatabasePairOperation{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "shop-while-it-hibernates"},
			Spec: v1alpha1.OperationSpec{
				PairRef: v1alpha1.PairReference{Name: p.Name},
				Type:    v1alpha1.OperationSwitchover,
				Reason:  "a test",
			},
		}
		s.must(cluster.Create(s.ctx, op))
		s.must(harness.Eventually(s.ctx, harness.Patience, "a refusal", func(ctx context.Context) error {
			if err := p.Get(ctx, client.ObjectKeyFromObject(op), op); err != nil {
				return err
			}
			if op.Status.Phase != v1alpha1.OperationFailed || !containsAll(op.Status.Message, []string{"spec.hibernate", "dbpair wake"}) {
				return harness.NotYet("phase %q: %s", op.Status.Phase, op.Status.Message)
			}
			return nil
		}))
	})
	t.Run("awake, the same member is the primary", func(t *testing.T) {
		s := s.sub(t)
		s.hibernate(p, false)
		s.must(p.AwaitReady(s.ctx))
		if now := s.primary(p); now != primary {
			t.Errorf("%s is the primary, %s was", now, primary)
		}
		s.must(clients.AwaitAcks(s.ctx, harness.Patience, 100))
	})
	t.Run("taken back in the middle, with another operator", func(t *testing.T) {
		s := s.sub(t)
		s.hibernate(p, true)
		s.must(p.Await(s.ctx, harness.Patience, asleep()...))
		pods, err := cluster.OperatorPods(s.ctx)
		s.must(err)
		for i := range pods {
			s.must(client.IgnoreNotFound(cluster.Delete(s.ctx, &pods[i])))
		}
		s.hibernate(p, false)
		s.must(p.AwaitReady(s.ctx))
		if now := s.primary(p); now != primary {
			t.Errorf("%s is the primary, %s was", now, primary)
		}
	})
	t.Run("no acknowledged write is lost", func(t *testing.T) {
		s := s.sub(t)
		report, err := clients.Stop(s.ctx)
		s.must(err)
		rows, err := clients.Rows(s.ctx)
		s.must(err)
		for _, lost := range history.Lost(report.Attempts, rows) {
			t.Errorf("an acknowledged write is lost: %+v", lost)
		}
	})
}

// hibernate sets spec.hibernate by the plugin.
func (s *scene) hibernate(p *harness.Pair, on bool) {
	s.Helper()
	verb := "wake"
	if on {
		verb = "hibernate"
	}
	_, err := cluster.Plugin(s.ctx, p.Namespace, verb, p.Name)
	s.must(err)
}

// asleep is what a pair that hibernates says. It is nobody's doubt, and waits for nobody.
func asleep() []harness.Want {
	var wants []harness.Want
	for _, kind := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionReady, v1alpha1.ConditionFailoverReady} {
		wants = append(wants, harness.Want{Type: kind, Status: metav1.ConditionFalse, Reason: string(failover.RuleHibernated)})
	}
	for _, kind := range []string{v1alpha1.ConditionInDoubt, v1alpha1.ConditionStalled} {
		wants = append(wants, harness.Want{Type: kind, Status: metav1.ConditionFalse})
	}
	return wants
}

func noPods(ctx context.Context, p *harness.Pair) error {
	for _, member := range p.Members() {
		if _, err := p.Pod(ctx, member); !apierrors.IsNotFound(err) {
			return harness.NotYet("pod %s is there (%v)", member, err)
		}
	}
	return nil
}
