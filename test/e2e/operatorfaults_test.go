//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestOperatorFaults: what happens to the operator, alone and in the middle of a
// failover, and what it does about a candidate that fails it. Nothing else runs beside
// it.
func TestOperatorFaults(t *testing.T) {
	runFaults(t, "operator", []fault{
		{
			name:   "operator cut off the members",
			want:   undisturbed,
			inject: cutOperator,
			hold:   threeLeases,
			maxGap: leaseDuration,
		},
		{name: "operator and primary on the same lost node", want: failsOver, inject: killNodeWithLeader},
		{name: "operator crashes at the turning points of a failover", want: failsOver,
			inject: crashing("WroteRevoke,BeforeDeletePod,WroteAppoint,AfterLabelPod", 3), crashes: true},
		{
			name:    "operator crashes at every step of a failover",
			want:    failsOver,
			inject:  crashing("*", 10),
			crashes: true,
			long:    true,
		},
		{name: "candidate lost between revocation and promotion", want: staysPut, inject: loseCandidate},
		{
			name:   "applier error on the candidate",
			want:   either,
			inject: poisonApplier,
			doubt:  failover.RuleNoTrustedCopy,
			long:   true,
		},
	})
}

// cutOperator takes both members away from every replica of the operator, and nothing
// from anybody else. The rules stand on the replicas' own nodes, since a replica may have
// a member for a neighbor.
func cutOperator(st *stage) (func(context.Context) error, error) {
	var members []string
	for _, name := range st.pair.Members() {
		pod, err := st.pair.Pod(st.ctx, name)
		if err != nil {
			return nil, err
		}
		members = append(members, pod.Status.PodIP)
	}
	operators, err := cluster.OperatorPods(st.ctx)
	if err != nil {
		return nil, err
	}
	cut := &harness.Cut{}
	for _, pod := range operators {
		if err := cut.OnNode(st.ctx, cluster.Node(pod.Spec.NodeName), []string{pod.Status.PodIP}, members); err != nil {
			return cut.Heal, err
		}
	}
	return cut.Heal, nil
}

// killNodeWithLeader brings the operator's leader and the primary onto one node, and
// kills that.
func killNodeWithLeader(st *stage) (func(context.Context) error, error) {
	if err := cluster.LeadFrom(st.ctx, st.nodes[st.primary].Name); err != nil {
		return nil, err
	}
	return killNode(st)
}

// crashing has an operator that crashes at the failpoints see mysqld of the primary
// killed. It must have crashed so often before the failover is over.
func crashing(globs string, fewest int) injection {
	return func(st *stage) (func(context.Context) error, error) {
		// While the operator is away the primary must not be restarted where it is.
		if err := st.pair.PatchSpec(st.ctx, "failover: {restartInPlaceAfter: 5m}"); err != nil {
			return nil, err
		}
		st.withFailpoints(globs)
		check := func(context.Context) error {
			points := st.crashes()
			st.Logf("crashed at %d boundaries: %v", len(points), points)
			if len(points) < fewest {
				return fmt.Errorf("only %d crashes, want %d or more: the failpoints do not work", len(points), fewest)
			}
			return nil
		}
		return check, st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld)
	}
}

// loseCandidate kills mysqld of the passive right after the primary was revoked in its
// favor: an operator that crashes there leaves the time for it.
func loseCandidate(st *stage) (func(context.Context) error, error) {
	st.withFailpoints("WroteRevoke")
	if err := st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld); err != nil {
		return nil, err
	}
	err := harness.EventuallyEvery(st.ctx, 20*time.Millisecond, harness.Patience, "revocation", func(ctx context.Context) error {
		var lease coordinationv1.Lease
		if err := cluster.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: st.pair.Name}, &lease); err != nil {
			return err
		}
		if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
			return harness.NotYet("%s is the holder", *holder)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nil, st.pair.Signal(st.ctx, st.passive, unix.SIGKILL, harness.RoleMysqld)
}

// poisonApplier lets the passive receive a transaction that it cannot apply, and kills
// the primary's node while a lock hides that. Nobody can take
// over then. Healing takes the cause away: the node comes back, and the candidate applies
// the rest; whichever is first.
func poisonApplier(st *stage) (func(context.Context) error, error) {
	const (
		table   = "app.e2e_poison"
		sleeper = "information_schema.processlist WHERE info LIKE 'SELECT SLEEP(300)%'"
	)
	st.sql(st.pair, st.primary, "CREATE TABLE IF NOT EXISTS "+table+" (id INT PRIMARY KEY)")
	if err := harness.Eventually(st.ctx, harness.Patience, "the table on the passive", func(ctx context.Context) error {
		_, err := st.pair.SQL(ctx, st.passive, "SELECT COUNT(*) FROM "+table)
		return err
	}); err != nil {
		return nil, err
	}
	key := fmt.Sprint(st.epoch)
	st.sql(st.pair, st.passive, "SET sql_log_bin=0; SET GLOBAL super_read_only=OFF; INSERT INTO "+table+" VALUES ("+key+")")
	var (
		id    string
		ended atomic.Value
	)
	if err := harness.Eventually(st.ctx, harness.Patience, "the lock on the passive", func(ctx context.Context) error {
		// The agent makes the member read-only again and cuts its sessions, perhaps this one.
		// A sleep whose query is killed only ends earlier.
		go func() {
			_, err := st.pair.SQL(context.WithoutCancel(st.ctx), st.passive, "LOCK TABLES "+table+" READ; SELECT SLEEP(300); UNLOCK TABLES")
			ended.Store(fmt.Sprint(err))
		}()
		sleeps := func(ctx context.Context) error {
			out, err := st.pair.SQL(ctx, st.passive, "SELECT MIN(ID) FROM "+sleeper)
			if id = strings.TrimSpace(out); err == nil && id == "NULL" {
				err = harness.NotYet("nobody sleeps; the last session ended with %v", ended.Load())
			}
			return err
		}
		if err := harness.Eventually(ctx, 5*time.Second, "a session that sleeps", sleeps); err != nil {
			return err
		}
		return harness.Consistently(ctx, leaseDuration/2, "a session that sleeps on", sleeps)
	}); err != nil {
		return nil, err
	}
	st.sql(st.pair, st.primary, "INSERT INTO "+table+" VALUES ("+key+")")
	restart, err := killNode(st)
	heal := func(ctx context.Context) error {
		if err := restart(ctx); err != nil {
			return err
		}
		_, err := st.pair.SQL(ctx, st.passive, "SET sql_log_bin=0; SET GLOBAL super_read_only=OFF; DELETE FROM "+table+" WHERE id="+key+"; START REPLICA SQL_THREAD")
		return err
	}
	if err != nil {
		return heal, err
	}
	// With the primary gone the applier may go on, into the row that is there already.
	_, err = st.pair.SQL(st.ctx, st.passive, "KILL QUERY "+id)
	return heal, err
}
