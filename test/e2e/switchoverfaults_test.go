//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestSwitchoverSessions: what sessions of the primary are in the middle of when it is switched over.
func TestSwitchoverSessions(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	connections := func(*scene) string { return "mysql: {config: {max_connections: '2500'}}" }
	runFaults(t, "sessions", []fault{
		{
			name:   "200 idle sessions, and 50 connections that never log in",
			want:   failsOver,
			inject: switchOverWith(idle(200, 50)),
		},
		{
			name:   "2,000 idle sessions",
			want:   failsOver,
			inject: switchOverWith(idle(2000, 0)),
		},
		{
			name:   "LOCK TABLES",
			want:   failsOver,
			inject: switchOverWith(busyWith("LOCK TABLES app.e2e_held WRITE; " + sleeping)),
		},
		{
			name:   "a DDL statement that waits for a transaction",
			want:   failsOver,
			inject: switchOverBesideDDL,
		},
	}, connections)
}

// switchOverWith switches over, with a short drainTimeout, while sessions are in the middle of
// something. What begins that also returns what ends it.
func switchOverWith(begin injection) injection {
	return func(st *stage) (func(context.Context) error, error) {
		end, err := begin(st)
		if err != nil {
			return end, err
		}
		out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--drain-timeout", "2s", "--on-timeout", "Cut", "--wait")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return end, err
	}
}

func idle(sessions, mute int) injection {
	return func(st *stage) (func(context.Context) error, error) {
		return nil, st.run.Clients.Idle(st.ctx, sessions, mute)
	}
}

// sleeping is what a session that is busy with something does in the end.
const sleeping = "DO SLEEP(600)"

// transactionInFlight is a transaction of a session of root's on the primary that does not end by itself.
var transactionInFlight = busyWith("BEGIN; INSERT INTO app.e2e_held VALUES (1); " + sleeping + "; COMMIT")

// busyWith runs statements that sleep in the end in a session of root's on the primary. What it
// returns ends the session.
func busyWith(statements string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		if _, err := st.pair.SQL(st.ctx, st.primary, "CREATE TABLE IF NOT EXISTS app.e2e_held (id INT)"); err != nil {
			return nil, err
		}
		end := st.inBackground(statements, sleeping)
		return end, st.awaitSession(sleeping)
	}
}

// inBackground runs statements on the primary until what it returns is called, which ends the session
// that runs the last one. A member that is gone has no such session.
func (st *stage) inBackground(statements, last string) func(context.Context) error {
	ctx, cancel := context.WithCancel(st.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = st.pair.SQL(ctx, st.primary, statements)
	}()
	return func(ctx context.Context) error {
		cancel()
		<-done
		out, err := st.pair.SQL(ctx, st.primary, sessionsWith(last))
		if err != nil {
			return nil //nolint:nilerr // its mysqld is down, and the session with it
		}
		for _, id := range strings.Fields(out) {
			// The session may have ended in between.
			_, _ = st.pair.SQL(ctx, st.primary, "KILL "+id)
		}
		return nil
	}
}

func sessionsWith(statement string) string {
	return fmt.Sprintf("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO = '%s'", statement)
}

// awaitSession waits until a session of the primary runs a statement.
func (st *stage) awaitSession(statement string) error {
	return harness.Eventually(st.ctx, harness.Patience, "a session with "+statement, func(ctx context.Context) error {
		out, err := st.pair.SQL(ctx, st.primary, sessionsWith(statement))
		if err != nil || strings.TrimSpace(out) == "" {
			return harness.NotYet("sessions %q, %v", out, err)
		}
		return nil
	})
}

// switchOverBesideDDL asks for a switchover while an ALTER TABLE waits for the metadata lock of a transaction that
// does not end. The switchover waits for the ALTER, and goes on when the transaction has ended.
func switchOverBesideDDL(st *stage) (func(context.Context) error, error) {
	endTransaction, err := busyWith("BEGIN; SELECT * FROM app.e2e_held; " + sleeping)(st)
	if err != nil {
		return endTransaction, err
	}
	const ddl = "ALTER TABLE app.e2e_held ADD COLUMN more INT"
	endDDL := st.inBackground(ddl, ddl)
	end := func(ctx context.Context) error { return errors.Join(endTransaction(ctx), endDDL(ctx)) }
	if err := st.awaitPreflightNames(ddl); err != nil {
		return end, err
	}
	out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--drain-timeout", "2s", "--on-timeout", "Cut", "--deadline", "2m")
	if err != nil {
		return end, fmt.Errorf("%w: %s", err, out)
	}
	if err := st.awaitSwitchoverWaitsFor(ddl); err != nil {
		return end, err
	}
	if err := endTransaction(st.ctx); err != nil {
		return end, err
	}
	return end, st.awaitFinished(st.ctx)
}

// awaitPreflightNames waits until the switchover's preflight names a statement of the primary.
func (st *stage) awaitPreflightNames(statement string) error {
	return harness.Eventually(st.ctx, harness.Patience, "a preflight that names "+statement, func(ctx context.Context) error {
		out, err := cluster.Plugin(ctx, st.namespace, "switchover", st.pair.Name, "--dry-run")
		if !strings.Contains(out, statement) {
			return harness.NotYet("%v: %s", err, out)
		}
		return nil
	})
}

// awaitSwitchoverWaitsFor waits until an unfinished switchover says that it waits for a statement.
func (st *stage) awaitSwitchoverWaitsFor(statement string) error {
	return harness.Eventually(st.ctx, harness.Patience, "a switchover that waits for "+statement, func(ctx context.Context) error {
		operations, err := st.pair.Operations(ctx)
		if err != nil {
			return err
		}
		for _, o := range operations {
			switch {
			case o.Spec.Type != v1alpha1.OperationSwitchover || o.Status.Phase.Terminal():
			case strings.Contains(o.Status.Message, statement):
				return nil
			default:
				return harness.NotYet("operation %s is %s: %s", o.Name, o.Status.Phase, o.Status.Message)
			}
		}
		return harness.NotYet("no switchover is under way")
	})
}

// TestSwitchoverFaults: a member, its node or the operator is lost at each phase of a planned switchover. Nothing else runs
// beside it.
func TestSwitchoverFaults(t *testing.T) {
	harness.NeedsLong(t)
	runFaults(t, "midway", []fault{
		{
			name:    "operator crashes at every step",
			want:    either,
			inject:  crashingSwitchover,
			crashes: true,
		},
		{
			name:   "candidate's mysqld dies while a transaction is waited for",
			want:   either,
			inject: whileDraining(func(st *stage) (func(context.Context) error, error) { return nil, st.kill(st.passive) }),
		},
		{
			name:   "primary's mysqld dies while a transaction is waited for",
			want:   either,
			inject: whileDraining(func(st *stage) (func(context.Context) error, error) { return nil, st.kill(st.primary) }),
		},
		{
			name:   "candidate's node dies while a transaction is waited for",
			want:   either, // it goes on when the node is back before the deadline
			inject: whileDraining(func(st *stage) (func(context.Context) error, error) { return st.killNodeOf(st.passive) }),
		},
		{
			name:   "primary's node dies while a transaction is waited for",
			want:   failsOver,
			inject: whileDraining(func(st *stage) (func(context.Context) error, error) { return st.killNodeOf(st.primary) }),
		},
		{
			name:   "operator's node dies while a transaction is waited for",
			want:   either,
			inject: operatorsNodeDiesWhileDraining,
		},
		{
			name:    "operator's node dies after the primary was revoked",
			want:    either,
			inject:  operatorsNodeDies("WroteRevoke", func(_ *stage, holder string) bool { return holder == "" }),
			crashes: true,
		},
		{
			name:    "operator's node dies after the candidate was appointed",
			want:    failsOver,
			inject:  operatorsNodeDies("WroteAppoint", func(st *stage, holder string) bool { return strings.HasPrefix(holder, st.passive) }),
			crashes: true,
		},
		{
			name:    "candidate's mysqld dies after the primary was revoked",
			want:    either,
			inject:  afterRevocation(func(st *stage) error { return st.kill(st.passive) }),
			crashes: true,
		},
		{
			name:    "primary's mysqld dies after it was revoked",
			want:    either,
			inject:  afterRevocation(func(st *stage) error { return st.kill(st.primary) }),
			crashes: true,
		},
	})
}

func (st *stage) kill(member string) error {
	return st.pair.Signal(st.ctx, member, unix.SIGKILL, harness.RoleMysqld)
}

func (st *stage) killNodeOf(member string) (func(context.Context) error, error) {
	node := st.nodes[member]
	heal := func(ctx context.Context) error { return errors.Join(node.Start(ctx), node.AwaitReady(ctx)) }
	return heal, node.Kill(st.ctx)
}

// whileDraining begins a switchover that waits for a transaction, has something happen, and lets
// the transaction end. The switchover must then end by itself.
func whileDraining(happens injection) injection {
	return func(st *stage) (func(context.Context) error, error) {
		end, err := transactionInFlight(st)
		if err != nil {
			return end, err
		}
		if out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--drain-timeout", "30s", "--deadline", "60s"); err != nil {
			return end, fmt.Errorf("%w: %s", err, out)
		}
		if err := st.awaitOperation(st.ctx, "", v1alpha1.OperationRunning, v1alpha1.OperationSwitchover); err != nil {
			return end, err
		}
		heal, err := happens(st)
		return func(ctx context.Context) error {
			err := end(ctx)
			if heal != nil {
				err = errors.Join(err, heal(ctx))
			}
			return errors.Join(err, st.awaitFinished(ctx))
		}, err
	}
}

// leadElsewhere brings the operator's leader onto a node without a member, so that nothing else is lost with
// it, and returns that node.
func (st *stage) leadElsewhere() (*harness.Node, error) {
	workers, err := cluster.Workers(st.ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range workers {
		if name != st.nodes[st.primary].Name && name != st.nodes[st.passive].Name {
			return cluster.Node(name), cluster.LeadFrom(st.ctx, name)
		}
	}
	return nil, errors.New("every node has a member")
}

func operatorsNodeDiesWhileDraining(st *stage) (func(context.Context) error, error) {
	node, err := st.leadElsewhere()
	if err != nil {
		return nil, err
	}
	return whileDraining(func(st *stage) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return errors.Join(node.Start(ctx), node.AwaitReady(ctx)) }, node.Kill(st.ctx)
	})(st)
}

// operatorsNodeDies has the operator crash at a point of a switchover, from which on the Lease has this holder, and
// its node die before it can start again. The other replica goes on.
func operatorsNodeDies(point string, reached func(st *stage, holder string) bool) injection {
	return func(st *stage) (func(context.Context) error, error) {
		st.withFailpoints(point)
		if err := cluster.ScaleOperator(st.ctx, 2); err != nil {
			return nil, err
		}
		node, err := st.leadElsewhere()
		if err != nil {
			return nil, err
		}
		if out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--deadline", "60s"); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		if err := st.awaitHolder(point, func(holder string) bool { return reached(st, holder) }); err != nil {
			return nil, err
		}
		heal := func(ctx context.Context) error {
			return errors.Join(st.awaitFinished(ctx), node.Start(ctx), node.AwaitReady(ctx))
		}
		return heal, node.Kill(st.ctx)
	}
}

// afterRevocation crashes the operator where it has revoked the primary, which leaves the time for
// something to happen.
func afterRevocation(happens func(*stage) error) injection {
	return func(st *stage) (func(context.Context) error, error) {
		st.withFailpoints("WroteRevoke")
		if out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--deadline", "60s"); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		if err := st.awaitRevocation(); err != nil {
			return nil, err
		}
		return st.awaitFinished, happens(st)
	}
}

// crashingSwitchover switches over with an operator that crashes at every step.
func crashingSwitchover(st *stage) (func(context.Context) error, error) {
	st.withFailpoints("*")
	if out, err := cluster.Plugin(st.ctx, st.namespace, "switchover", st.pair.Name, "--deadline", "3m"); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	const fewest = 8
	return func(ctx context.Context) error {
		err := st.awaitFinished(ctx)
		points := st.crashes()
		st.Logf("crashed at %d boundaries: %v", len(points), points)
		if len(points) < fewest {
			err = errors.Join(err, fmt.Errorf("only %d crashes, want %d or more: the failpoints do not work", len(points), fewest))
		}
		return err
	}, nil
}
