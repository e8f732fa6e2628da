//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestWritesOnThePassive: root writes there. The primary's channel to the passive takes that over, so
// that both members have it, and the pair says that someone could.
func TestWritesOnThePassive(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "passivewrites")
	p := s.readyPair("shop")
	primary := s.primary(p)
	s.sql(p, p.Peer(primary), "SET GLOBAL super_read_only = OFF; CREATE TABLE app.r (id INT PRIMARY KEY); INSERT INTO app.r VALUES (1), (2)")
	s.must(p.AwaitRow(s.ctx, primary, "SELECT 1 FROM app.r HAVING COUNT(*) = 2"))
	s.must(harness.Eventually(s.ctx, harness.Patience, "an event about it", func(ctx context.Context) error {
		events, err := p.Events(ctx, string(failover.RulePassiveFoundWritable))
		if err != nil || len(events) == 0 {
			return harness.NotYet("%d events (%v)", len(events), err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
}

// TestRejoin: a member loses its data, or gets data that is not the pair's, while clients write.
// It comes back as the documentation says, and no acknowledged write is lost on the way.
func TestRejoin(t *testing.T) {
	harness.NeedsLong(t)
	runFaults(t, "rejoin", []fault{
		{
			name:      "ibdata1 of the passive is overwritten",
			want:      undisturbed,
			inject:    overwriteSystemTablespace,
			complaint: []string{"mysqld"},
		},
		{
			name:   "claim and pod of the primary deleted",
			want:   failsOver,
			inject: deleteClaimAndPod,
		},
		{
			name:   "node of the primary gone for good with its volume",
			want:   failsOver,
			inject: loseNodeWithVolume,
		},
	})
}

// deletedBehindPod asks for the deletion of a member's claim, which the cluster keeps until the
// pod has ended.
func (st *stage) deletedBehindPod(ctx context.Context, member string) error {
	return cluster.Delete(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: st.named("data-" + member)})
}

func (st *stage) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: st.namespace, Name: name}
}

func (st *stage) podDeleted(ctx context.Context, member string) error {
	return client.IgnoreNotFound(cluster.Delete(ctx, &corev1.Pod{ObjectMeta: st.named(member)}))
}

// deleteClaimAndPod takes the primary's volume away with its pod: the passive takes over, and the
// former primary is copied to a new volume.
func deleteClaimAndPod(st *stage) (func(context.Context) error, error) {
	return nil, errors.Join(st.deletedBehindPod(st.ctx, st.primary), st.podDeleted(st.ctx, st.primary))
}

// loseNodeWithVolume kills the primary's node, whose volume no other node can use, and says that
// it is out of service. The member gets a new volume on a third node by one command.
func loseNodeWithVolume(st *stage) (func(context.Context) error, error) {
	restart, err := killNode(st)
	node := st.nodes[st.primary].Name
	heal := func(ctx context.Context) error {
		return errors.Join(taint(ctx, node, false), restart(ctx))
	}
	if err == nil {
		err = st.awaitFailover()
	}
	if err == nil {
		err = taint(st.ctx, node, true)
	}
	if err == nil {
		err = st.confirmed(st.ctx, "reseed", st.primary, "--new-volume")
	}
	if err == nil {
		err = st.pair.AwaitReady(st.ctx)
	}
	return heal, err
}

// confirmed refuses the confirmation of another epoch, and then takes the present one.
func (st *stage) confirmed(ctx context.Context, verb, member string, flags ...string) error {
	object, err := st.pair.Object(ctx)
	if err != nil {
		return err
	}
	args := append([]string{verb, st.pair.Name, member}, flags...)
	stale := fmt.Sprintf("%s/%d", st.pair.Name, object.Status.Epoch-1)
	out, err := cluster.Plugin(ctx, st.namespace, append(args, "--confirm", stale)...)
	if err == nil {
		return fmt.Errorf("%s was confirmed by %s: %s", verb, stale, out)
	}
	return st.verb(ctx, args...)
}

// overwriteSystemTablespace damages the passive's data files, on which no mysqld starts any more.
// What the member alone has cannot be compared, so the copy has to be confirmed.
func overwriteSystemTablespace(st *stage) (func(context.Context) error, error) {
	const script = `set -e; for f in /data/*/ibdata1; do dd if=/dev/urandom of="$f" bs=16384 count=64 conv=notrunc; done`
	_, err := cluster.Exec(st.ctx, st.namespace, st.passive, resources.ContainerMysqld, "sh", "-c", script)
	if err == nil {
		err = st.pair.Signal(st.ctx, st.passive, unix.SIGKILL, harness.RoleMysqld)
	}
	return func(ctx context.Context) error { return st.confirmed(ctx, "reseed", st.passive, "--wait") }, err
}
