//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// TestForcedPromotion: the primary went on alone and is lost with its node. The ledger
// forbids the other member, which lacks what was acknowledged meanwhile; only a person may
// give that up, and exactly that is lost.
func TestForcedPromotion(t *testing.T) {
	runFaults(t, "forced", []fault{
		{
			name:   "solo primary lost with its node",
			inject: loseSoloNode,
			want:   failsOver,
			doubt:  failover.RuleNoTrustedCopy,
		},
		{
			name:   "solo primary lost with its node, and its writes saved",
			inject: loseSoloNodeAndSave,
			want:   failsOver,
			doubt:  failover.RuleNoTrustedCopy,
			after:  (*stage).replayFork,
			long:   true,
		},
	})
}

// TestConfirmedDeath: in Async the end of an authority that ran out is no proof, and a
// node that is gone gives no other. A person who has made sure says so.
func TestConfirmedDeath(t *testing.T) {
	runFaults(t, "confirmed", []fault{
		{
			name:   "node gone for good",
			inject: loseNodeForGood,
			want:   failsOver,
			doubt:  failover.RuleAwaitingProof,
		},
	}, func(*scene) string { return "durability: {mode: Async}" })
}

// loseSoloNode cuts the passive off until the primary goes on alone, and then kills the
// primary's node before the passive could receive what was written since.
func loseSoloNode(st *stage) (func(context.Context) error, error) {
	return loseSolo(st, func() error { return nil }, st.copyAgain)
}

// loseSoloNodeAndSave has the same happen, and the member is copied again by the verb, which saves
// what only the former primary has.
func loseSoloNodeAndSave(st *stage) (func(context.Context) error, error) {
	fork := func() error {
		_, err := st.pair.SQL(st.ctx, st.primary,
			"CREATE TABLE app.fork (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO app.fork VALUES (1, 'one'), (2, 'two')")
		return err
	}
	return loseSolo(st, fork, st.copyAndSave)
}

// loseSolo has the solo primary write something before its node is killed, and its member come back
// in the given way.
func loseSolo(st *stage, write func() error, comeBack func(context.Context) error) (func(context.Context) error, error) {
	heal, err := goAlone(st)
	if err != nil {
		return heal, err
	}
	if err := st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 200); err != nil {
		return heal, err
	}
	if err := write(); err != nil {
		return heal, err
	}
	restart, err := killNode(st)
	if err := errors.Join(err, heal(st.ctx)); err != nil {
		return restart, err
	}
	return func(ctx context.Context) error {
		err := st.giveUp(ctx, true)
		if err == nil {
			err = st.force(ctx, "force-promote", st.passive, v1alpha1.OperationForcePromote)
		}
		return errors.Join(err, st.restarted(ctx, restart, comeBack))
	}, nil
}

// loseNodeForGood kills the primary's node.
func loseNodeForGood(st *stage) (func(context.Context) error, error) {
	restart, err := killNode(st)
	if err != nil {
		return restart, err
	}
	return func(ctx context.Context) error {
		err := st.giveUp(ctx, false)
		if err == nil {
			err = st.force(ctx, "confirm-dead", st.primary, v1alpha1.OperationConfirmDead)
		}
		if err == nil {
			err = st.provenBy(ctx, fencing.HumanAck)
		}
		return errors.Join(err, st.restarted(ctx, restart, st.copyAgain))
	}, nil
}

// giveUp notes which acknowledged writes the passive lacks, now that nobody writes: those,
// and no others, may be lost. some: there must be such.
func (st *stage) giveUp(ctx context.Context, some bool) error {
	out, err := st.pair.SQL(ctx, st.passive, "SELECT w, s FROM app.e2e_writes")
	if err != nil {
		return err
	}
	there := map[history.Key]bool{}
	for line := range strings.Lines(out) {
		var k history.Key
		if _, err := fmt.Sscan(line, &k.Writer, &k.Seq); err != nil {
			return fmt.Errorf("row %q of %s: %w", line, st.passive, err)
		}
		there[k] = true
	}
	until := harness.Now()
	st.run.GivenUp = func(a history.Attempt) bool { return a.Done < until && !there[a.Key] }
	st.run.MustLose = some
	return nil
}

// force refuses to be confirmed by what another epoch says, by the plugin's word and by the
// operator's, and then does what the verb says.
func (st *stage) force(ctx context.Context, verb, target string, kind v1alpha1.OperationType) error {
	before, err := st.pair.Object(ctx)
	if err != nil {
		return err
	}
	wrong := fmt.Sprintf("%s/%d", st.pair.Name, before.Status.Epoch+7)
	if out, err := cluster.Plugin(ctx, st.namespace, verb, st.pair.Name, target, "--confirm", wrong); err == nil {
		return fmt.Errorf("%s was confirmed by %s: %s", verb, wrong, out)
	}
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.pair.Name + "-wrong-" + verb},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: st.pair.Name},
			Type:    kind,
			Target:  target,
			Reason:  "a test",
			Confirm: wrong,
		},
	}
	if err := cluster.Create(ctx, op); err != nil {
		return err
	}
	if err := st.awaitOperation(ctx, op.Name, v1alpha1.OperationFailed, kind); err != nil {
		return err
	}
	if now, err := st.pair.Object(ctx); err != nil {
		return err
	} else if now.Status.Epoch != before.Status.Epoch {
		return fmt.Errorf("an operation with a wrong confirmation moved the epoch from %d to %d", before.Status.Epoch, now.Status.Epoch)
	}
	if err := st.pasted(ctx, verb, target); err != nil {
		return err
	}
	if err := st.in(ctx).awaitFailover(); err != nil {
		return err
	}
	return st.awaitOperation(ctx, "", v1alpha1.OperationSucceeded, kind)
}

// in is the stage with another context.
func (st *stage) in(ctx context.Context) *stage {
	next := *st
	scene := *st.scene
	scene.ctx = ctx
	next.scene = &scene
	return &next
}

// awaitOperation waits until the operation of this name, or any of this type, has this phase.
func (st *stage) awaitOperation(ctx context.Context, name string, phase v1alpha1.OperationPhase, kind v1alpha1.OperationType) error {
	return harness.Eventually(ctx, harness.Patience, fmt.Sprintf("%s %s", kind, phase), func(ctx context.Context) error {
		operations, err := st.pair.Operations(ctx)
		if err != nil {
			return err
		}
		for _, o := range operations {
			if o.Spec.Type == kind && o.Status.Phase == phase && (name == "" || name == o.Name) {
				return nil
			}
		}
		return harness.NotYet("none among %d operations", len(operations))
	})
}

// provenBy: the record of the failover names this proof.
func (st *stage) provenBy(ctx context.Context, kind fencing.Kind) error {
	return harness.Eventually(ctx, harness.Patience, "a failover proven by "+string(kind), func(ctx context.Context) error {
		operations, err := st.pair.Operations(ctx)
		if err != nil {
			return err
		}
		for _, o := range operations {
			if o.Spec.Type == v1alpha1.OperationFailover && o.Status.Proof == string(kind) && o.Status.To == st.passive {
				return nil
			}
		}
		return harness.NotYet("none among %d operations", len(operations))
	})
}

// restarted boots the node. What its member holds is kept until a person gives it up, as
// docs/operations.md says, and the member is copied again.
func (st *stage) restarted(ctx context.Context, restart, comeBack func(context.Context) error) error {
	if err := restart(ctx); err != nil {
		return err
	}
	what := "the data of " + st.primary + " to be kept, or to hold nothing that the new primary lacks"
	held := harness.Eventually(ctx, harness.Patience, what, func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		for _, c := range object.Status.Conditions {
			if strings.Contains(c.Message, st.primary) && strings.Contains(c.Message, "data is kept as it is") {
				return nil
			}
		}
		// One that lacked nothing when its node was lost just follows. Then no write may be missing.
		follows := meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady)
		if follows && !st.run.MustLose {
			st.run.GivenUp = nil
			return nil
		}
		return harness.NotYet("%s", harness.Conditions(object))
	})
	return errors.Join(held, comeBack(ctx))
}

// copyAndSave shows what either side has since the fork and the two ways out, takes the one that
// keeps the new primary's data, and finds the former primary's writes in its quarantine.
func (st *stage) copyAndSave(ctx context.Context) error {
	shown, err := cluster.Plugin(ctx, st.namespace, "divergence", st.pair.Name)
	if err != nil {
		return err
	}
	for _, want := range []string{
		st.passive + " (Primary, Open)", st.primary + " (Passive, ", "app.e2e_writes", " inserted",
		"Keep the data of " + st.passive + ":\n", "Keep the data of " + st.primary, "transactions that only " + st.primary + " has",
	} {
		if !strings.Contains(shown, want) {
			return fmt.Errorf("divergence shows no %q:\n%s", want, shown)
		}
	}
	return st.confirmed(ctx, "reseed", st.primary, "--wait")
}

// replayFork: a table that only the former primary had is in its quarantine, and on both members
// once it was replayed. The writes of the clients are left there.
func (st *stage) replayFork() error {
	if out, err := st.pair.SQL(st.ctx, st.passive, "SHOW TABLES IN app LIKE 'fork'"); err != nil || out != "" {
		return fmt.Errorf("the new primary has the table %q (%w)", out, err)
	}
	if err := st.replay(st.primary, "app.fork", "app.e2e_writes", "app.fork: 2 inserted"); err != nil {
		return err
	}
	return st.awaitOnBoth("SELECT GROUP_CONCAT(v ORDER BY id) FROM app.fork", "one,two")
}

// copyAgain gives up what the former primary holds.
func (st *stage) copyAgain(ctx context.Context) error {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: st.namespace, Name: name} }
	return errors.Join(
		client.IgnoreNotFound(cluster.Delete(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: named("data-" + st.primary)})),
		client.IgnoreNotFound(cluster.Delete(ctx, &corev1.Pod{ObjectMeta: named(st.primary)})))
}
