//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
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
			name:   "root writes on the passive, and the primary does not receive it",
			want:   undisturbed,
			inject: divergeOnPassive,
			after:  (*stage).replayErrant,
		},
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

// divergeOnPassive writes on the passive as root, while the primary's channel to it is kept from
// running, so that only the passive has it. The pair says so within seconds, with the command that
// copies the passive again, and clients write on meanwhile.
func divergeOnPassive(st *stage) (func(context.Context) error, error) {
	stopped := make(chan error, 1)
	go func() {
		_, err := st.pair.SQL(st.ctx, st.primary, strings.Repeat("STOP REPLICA IO_THREAD; DO SLEEP(0.02); ", 200))
		stopped <- err
	}()
	const off = "SELECT 1 FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'OFF' LIMIT 1"
	err := st.pair.AwaitRow(st.ctx, st.primary, off)
	if err == nil {
		_, err = st.pair.SQL(st.ctx, st.passive, "SET GLOBAL super_read_only = OFF; CREATE TABLE app.errant (id INT PRIMARY KEY, v VARCHAR(9));"+
			"INSERT INTO app.errant VALUES (1, 'one'), (2, 'two')")
	}
	if err := errors.Join(err, <-stopped); err != nil {
		return nil, err
	}
	return nil, st.copyErrant()
}

// errantPatience is for how long nobody may know of transactions that the passive alone has, on a
// machine that is busy with other tests.
const errantPatience = 30 * time.Second

// copyErrant waits until the pair names what the passive alone has, and pastes the command that it
// prints.
func (st *stage) copyErrant() error {
	uuid, err := st.pair.SQL(st.ctx, st.passive, "SELECT @@server_uuid")
	if err != nil {
		return err
	}
	for _, want := range []string{st.passive + " has ", uuid, "kubectl dbpair reseed " + st.pair.Name + " " + st.passive + " -n " + st.namespace} {
		if err := st.pair.Await(st.ctx, errantPatience, harness.Want{
			Type:    v1alpha1.ConditionFailoverReady,
			Status:  metav1.ConditionFalse,
			Reason:  string(failover.RuleDiverged),
			Message: want,
		}); err != nil {
			return err
		}
	}
	st.awaitComplaint(st.pair, uuid, "transactions that")
	if err := st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 100); err != nil {
		return err
	}
	shown, err := cluster.Plugin(st.ctx, st.namespace, "divergence", st.pair.Name)
	if err != nil {
		return err
	}
	for _, want := range []string{"app.errant", "2 inserted", "Keep the data of " + st.primary} {
		if !strings.Contains(shown, want) {
			return fmt.Errorf("divergence shows no %q:\n%s", want, shown)
		}
	}
	return st.pasted(st.ctx, "reseed", st.passive)
}

// replayErrant: what was written on the passive alone is in its quarantine, and its rows are on
// both members once the extracted logs were replayed.
func (st *stage) replayErrant() error {
	if out, err := st.pair.SQL(st.ctx, st.passive, "SHOW TABLES IN app LIKE 'errant'"); err != nil || out != "" {
		return fmt.Errorf("the copy has the table %q (%w)", out, err)
	}
	if err := st.replay(st.passive, "app.errant", "app.errant: 2 inserted", "-- INSERT INTO `app`.`errant`"); err != nil {
		return err
	}
	return st.awaitOnBoth("SELECT GROUP_CONCAT(v ORDER BY id) FROM app.errant", "one,two")
}
