//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

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
		{
			name:    "operator crashes at the turning points of a failover",
			want:    failsOver,
			inject:  crashing("WroteRevoke,BeforeDeletePod,WroteAppoint,AfterLabelPod", 3),
			crashes: true,
		},
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
		{
			name:   "applier error on the candidate after the revocation",
			want:   failsOver,
			inject: poisonCandidate,
			doubt:  failover.RuleCandidateStuck,
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
	if err := st.awaitRevocation(); err != nil {
		return nil, err
	}
	return nil, st.pair.Signal(st.ctx, st.passive, unix.SIGKILL, harness.RoleMysqld)
}

// awaitRevocation waits until the Lease has no holder.
func (st *stage) awaitRevocation() error {
	return st.awaitHolder("revocation", func(holder string) bool { return holder == "" })
}

// awaitHolder waits until the Lease has such a holder.
func (st *stage) awaitHolder(what string, fine func(holder string) bool) error {
	return harness.EventuallyEvery(st.ctx, 20*time.Millisecond, harness.Patience, what, func(ctx context.Context) error {
		var lease coordinationv1.Lease
		if err := cluster.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: st.pair.Name}, &lease); err != nil {
			return err
		}
		if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); !fine(holder) {
			return harness.NotYet("the holder is %q", holder)
		}
		return nil
	})
}

// poison is a table with a row on the passive that is none of the primary's.
const poison = "app.e2e_poison"

// receivePoison lets the passive receive a transaction that it cannot apply, which a lock of
// session id hides. key is its row.
func receivePoison(st *stage) (id, key string, err error) {
	const sleeper = "information_schema.processlist WHERE info LIKE 'SELECT SLEEP(300)%'"
	st.sql(st.pair, st.primary, "CREATE TABLE IF NOT EXISTS "+poison+" (id INT PRIMARY KEY)")
	if err := harness.Eventually(st.ctx, harness.Patience, "the table on the passive", func(ctx context.Context) error {
		_, err := st.pair.SQL(ctx, st.passive, "SELECT COUNT(*) FROM "+poison)
		return err
	}); err != nil {
		return "", "", err
	}
	key = fmt.Sprint(st.epoch)
	st.sql(st.pair, st.passive, "SET sql_log_bin=0; SET GLOBAL super_read_only=OFF; INSERT INTO "+poison+" VALUES ("+key+")")
	var ended atomic.Value
	if err := harness.Eventually(st.ctx, harness.Patience, "the lock on the passive", func(ctx context.Context) error {
		// The agent makes the member read-only again and cuts its sessions, perhaps this one.
		// A sleep whose query is killed only ends earlier.
		go func() {
			_, err := st.pair.SQL(context.WithoutCancel(st.ctx), st.passive, "LOCK TABLES "+poison+" READ; SELECT SLEEP(300); UNLOCK TABLES")
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
		return "", "", err
	}
	st.sql(st.pair, st.primary, "INSERT INTO "+poison+" VALUES ("+key+")")
	return id, key, nil
}

// poisonApplier kills the primary's node while the passive has received a transaction that it
// cannot apply. Nobody can take over then. Healing takes the cause away: the node comes back,
// and the candidate applies the rest; whichever is first.
func poisonApplier(st *stage) (func(context.Context) error, error) {
	id, key, err := receivePoison(st)
	if err != nil {
		return nil, err
	}
	restart, err := killNode(st)
	heal := func(ctx context.Context) error {
		if err := restart(ctx); err != nil {
			return err
		}
		_, err := st.pair.SQL(ctx, st.passive, "SET sql_log_bin=0; SET GLOBAL super_read_only=OFF; DELETE FROM "+poison+" WHERE id="+key+"; START REPLICA SQL_THREAD")
		return err
	}
	if err != nil {
		return heal, err
	}
	// With the primary gone the applier may go on, into the row that is there already.
	_, err = st.pair.SQL(st.ctx, st.passive, "KILL QUERY "+id)
	return heal, err
}

// poisonCandidate does the same and leaves the lock to the candidate, which ends it when it is
// to be promoted: what it cannot apply shows after the revocation. A person gives that up, and
// what the former primary has of it too.
func poisonCandidate(st *stage) (func(context.Context) error, error) {
	if _, _, err := receivePoison(st); err != nil {
		return nil, err
	}
	if err := st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 200); err != nil {
		return nil, err
	}
	restart, err := killNode(st)
	if err != nil {
		return restart, err
	}
	return func(ctx context.Context) error {
		err := st.giveUp(ctx, true)
		if err == nil {
			err = st.pasted(ctx, "force-promote", st.passive)
		}
		if err == nil {
			err = st.in(ctx).awaitFailover()
		}
		if err := errors.Join(err, restart(ctx)); err != nil {
			return err
		}
		return st.pasted(ctx, "reseed", st.primary)
	}, nil
}
