//go:build e2e

package e2e

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestByHand: the operator may not fail over, or not without the loss of data, and a person
// pastes the command that the status prints.
func TestByHand(t *testing.T) {
	runFaults(t, "byhand", []fault{
		{
			name:      "node killed while failovers are made by hand",
			want:      failsOver,
			inject:    killWithoutFailover,
			complaint: []string{string(failover.RuleFailoverDue), "kubectl dbpair failover"},
			long:      true,
		},
		{
			name:   "node killed after the last failover of this hour",
			want:   staysPut,
			inject: killAfterTheLast,
			doubt:  failover.RuleFlapBudgetSpent,
			long:   true,
		},
		{
			name:   "claim of the primary is being deleted, primary alone",
			want:   failsOver,
			inject: deleteClaimOfSolo,
			doubt:  failover.RuleVolumeClaimDeleting,
			long:   true,
		},
	})
}

// killWithoutFailover kills the primary's node in the mode Manual.
func killWithoutFailover(st *stage) (func(context.Context) error, error) {
	if err := st.pair.PatchSpec(st.ctx, "failover: {mode: Manual}"); err != nil {
		return nil, err
	}
	restart, err := killNode(st)
	if err != nil {
		return restart, err
	}
	return func(ctx context.Context) error {
		err := st.pasted(ctx, "failover")
		if err == nil {
			err = st.in(ctx).awaitFailover()
		}
		return errors.Join(err, restart(ctx), st.pair.PatchSpec(ctx, "failover: {mode: Automatic}"))
	}, nil
}

// killAfterTheLast lets the pair fail over once, allows no more of that, and kills the node of
// the new primary. The command leads back to the former one.
func killAfterTheLast(st *stage) (func(context.Context) error, error) {
	if err := st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld); err != nil {
		return nil, err
	}
	if err := st.awaitFailover(); err != nil {
		return nil, err
	}
	if err := st.pair.AwaitReady(st.ctx); err != nil {
		return nil, err
	}
	if err := st.pair.PatchSpec(st.ctx, "failover: {maxPerHour: 1}"); err != nil {
		return nil, err
	}
	spent := harness.Want{
		Type:   v1alpha1.ConditionFailoverReady,
		Status: metav1.ConditionFalse,
		Reason: string(failover.RuleFlapBudgetSpent),
	}
	if err := st.pair.Await(st.ctx, harness.Patience, spent); err != nil {
		return nil, err
	}
	after, err := st.reversed()
	if err != nil {
		return nil, err
	}
	restart, err := killNode(after)
	if err != nil {
		return restart, err
	}
	return func(ctx context.Context) error {
		err := st.pasted(ctx, "failover")
		if err == nil {
			err = after.in(ctx).awaitFailover()
		}
		return errors.Join(err, restart(ctx), st.pair.PatchSpec(ctx, faultSpec))
	}, nil
}

// reversed is the stage as it is after a failover.
func (st *stage) reversed() (*stage, error) {
	object, err := st.pair.Object(st.ctx)
	if err != nil {
		return nil, err
	}
	next := *st
	next.primary, next.passive = st.passive, st.primary
	next.epoch = object.Status.Epoch
	return &next, nil
}

// deleteClaimOfSolo has the primary go on alone, and then takes its volume claim and its pod
// away: the claim would go with the pod, which is kept. A person gives up what it alone has,
// and lets the pod go by the command that is printed for that.
func deleteClaimOfSolo(st *stage) (func(context.Context) error, error) {
	heal, err := goAlone(st)
	if err != nil {
		return heal, err
	}
	if err := st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 200); err != nil {
		return heal, err
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: st.namespace, Name: name} }
	err = errors.Join(
		cluster.Delete(st.ctx, &corev1.PersistentVolumeClaim{ObjectMeta: named("data-" + st.primary)}),
		cluster.Delete(st.ctx, &corev1.Pod{ObjectMeta: named(st.primary)}))
	return func(ctx context.Context) error {
		err := st.giveUp(ctx, true)
		if err == nil {
			err = st.pasted(ctx, "force-promote", st.passive)
		}
		if err == nil {
			err = st.in(ctx).awaitFailover()
		}
		if err == nil {
			err = st.letPodGo(ctx)
		}
		return errors.Join(err, heal(ctx))
	}, err
}

// letPodGo runs the command by which the pod of the former primary, which is kept for its
// volume, may end.
func (st *stage) letPodGo(ctx context.Context) error {
	return st.typesPrinted(ctx, regexp.QuoteMeta("kubectl patch pod "+st.primary+" -n "+st.namespace)+` --type=merge -p '[^']*'`)
}

// typesPrinted runs the command of this pattern as a shell does, once a condition prints it.
func (st *stage) typesPrinted(ctx context.Context, pattern string) error {
	printed := regexp.MustCompile(pattern)
	command := ""
	if err := harness.Eventually(ctx, harness.Patience, "the command "+pattern, func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		for _, c := range object.Status.Conditions {
			if command = printed.FindString(c.Message); command != "" {
				return nil
			}
		}
		return harness.NotYet("no condition prints it: %s", harness.Conditions(object))
	}); err != nil {
		return err
	}
	_, err := cluster.Shell(ctx, command)
	return err
}

// TestABeginningThatIsStuck: the node of the member that begins is lost before the pair ever
// opened. The command that is printed has it begin on the other.
func TestABeginningThatIsStuck(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "stuck")
	st := &stage{scene: s, pair: s.pair("shop", faultSpec)}
	s.must(harness.EventuallyEvery(s.ctx, 50*time.Millisecond, harness.Patience, "the member that begins", func(ctx context.Context) error {
		var l coordinationv1.Lease
		if err := cluster.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "shop"}, &l); err != nil {
			return harness.NotYet("%v", err)
		}
		record, err := lease.Parse(&l)
		if err != nil || record.Bootstrap == nil {
			return harness.NotYet("no member begins (%v)", err)
		}
		st.primary = string(record.Bootstrap.Member)
		return nil
	}))
	st.passive = st.pair.Peer(st.primary)
	pod, err := st.pair.Pod(s.ctx, st.primary)
	s.must(err)
	st.nodes = map[string]*harness.Node{st.primary: cluster.Node(pod.Spec.NodeName)}
	restart, err := killNode(st)
	s.onEnd(func() {
		if err := restart(context.WithoutCancel(s.ctx)); err != nil {
			t.Error(err)
		}
	})
	s.must(err)
	s.must(st.pair.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionInDoubt,
		Status: metav1.ConditionTrue,
		Reason: string(failover.RuleBootstrapStalled),
	}))
	s.must(st.pasted(s.ctx, "force-promote", st.passive))
	s.must(st.pair.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionAvailable)...))
	if now := s.primary(st.pair); now != st.passive {
		t.Errorf("the primary is %s, want %s", now, st.passive)
	}
}
