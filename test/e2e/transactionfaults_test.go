//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestTransactionFaults: what is in flight when the primary is lost. No node is touched,
// so other cases may run beside it.
func TestTransactionFaults(t *testing.T) {
	t.Parallel()
	runFaults(t, "transactions", []fault{
		{name: "both mysqlds killed", want: either, inject: killBoth},
		{name: "mysqld ended by SIGTERM", want: either, inject: signal(unix.SIGTERM, harness.RoleMysqld)},
		{
			name:   "primary killed while it sends a large transaction",
			want:   failsOver,
			inject: killWhileSending,
			after:  sameLargeTable,
		},
		{
			name:   "readers on the passive stand in the way of an ALTER",
			want:   failsOver,
			inject: blockApplier,
			long:   true,
		},
		{name: "owned setting changed on the passive", want: undisturbed, inject: driftOn(func(st *stage) string { return st.passive })},
		{name: "owned setting changed on the primary", want: undisturbed, inject: driftOn(func(st *stage) string { return st.primary })},
	})
}

// killBoth ends both mysqlds at once: nobody is left who could take over at that moment.
func killBoth(st *stage) (func(context.Context) error, error) {
	for _, member := range []string{st.primary, st.passive} {
		if err := st.pair.Signal(st.ctx, member, unix.SIGKILL, harness.RoleMysqld); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

const largeTable = "app.e2e_large"

// killWhileSending kills mysqld of the primary while the passive has received the
// beginning of a transaction of 200 MB and not its end.
func killWhileSending(st *stage) (func(context.Context) error, error) {
	st.sql(st.pair, st.primary, "CREATE TABLE IF NOT EXISTS "+largeTable+" (id INT AUTO_INCREMENT PRIMARY KEY, v LONGTEXT)")
	ended := make(chan error, 1)
	go func() {
		_, err := st.pair.SQL(context.WithoutCancel(st.ctx), st.primary, "INSERT INTO "+largeTable+
			" (v) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT REPEAT('x', 200000) FROM n")
		ended <- err
	}()
	// A small transaction is queued for an instant only; this one for long enough to be met twice.
	queuing := "SELECT QUEUEING_TRANSACTION FROM performance_schema.replication_connection_status WHERE QUEUEING_TRANSACTION <> ''" +
		" AND QUEUEING_TRANSACTION_START_QUEUE_TIMESTAMP < NOW(6) - INTERVAL 30000 MICROSECOND"
	if err := st.pair.AwaitRow(st.ctx, st.passive, queuing); err != nil {
		return nil, fmt.Errorf("the passive was never seen in the middle of the large transaction: %w", err)
	}
	if err := st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld); err != nil {
		return nil, err
	}
	if err := <-ended; err == nil {
		return nil, fmt.Errorf("the large transaction was acknowledged before mysqld of %s was killed: nothing was tried", st.primary)
	}
	return nil, nil
}

// sameLargeTable: the half that was received is on neither member, or the whole on both.
func sameLargeTable(st *stage) error {
	counts := map[string]string{}
	for _, member := range st.pair.Members() {
		counts[member] = st.sql(st.pair, member, "SELECT COUNT(*) FROM "+largeTable)
	}
	a := counts[st.primary]
	b := counts[st.passive]
	if a != b || (a != "0" && a != "1000") {
		return fmt.Errorf("rows of the large transaction: %v, want none or 1000 on both", counts)
	}
	return nil
}

// blockApplier has two sessions on the passive hold what the applier needs, an open
// transaction and a LOCK TABLES, and kills the primary once the applier waits for them.
func blockApplier(st *stage) (func(context.Context) error, error) {
	st.sql(st.pair, st.primary, "CREATE TABLE IF NOT EXISTS app.e2e_read (id INT PRIMARY KEY); CREATE TABLE IF NOT EXISTS app.e2e_locked (id INT PRIMARY KEY)")
	if err := harness.Eventually(st.ctx, harness.Patience, "the tables on the passive", func(ctx context.Context) error {
		_, err := st.pair.SQL(ctx, st.passive, "SELECT COUNT(*) FROM app.e2e_locked")
		return err
	}); err != nil {
		return nil, err
	}
	for _, reader := range []string{
		"BEGIN; SELECT COUNT(*) FROM app.e2e_read; SELECT SLEEP(600)",
		"LOCK TABLES app.e2e_locked READ; SELECT SLEEP(600)",
	} {
		go func() { _, _ = st.pair.SQL(context.WithoutCancel(st.ctx), st.passive, reader) }()
	}
	both := "SELECT 1 FROM performance_schema.metadata_locks WHERE OBJECT_SCHEMA = 'app' AND OBJECT_NAME IN ('e2e_read', 'e2e_locked')" +
		" AND LOCK_STATUS = 'GRANTED' HAVING COUNT(DISTINCT OBJECT_NAME) = 2"
	if err := st.pair.AwaitRow(st.ctx, st.passive, both); err != nil {
		return nil, fmt.Errorf("the readers hold no locks: %w", err)
	}
	st.sql(st.pair, st.primary, "ALTER TABLE app.e2e_read ADD COLUMN c"+fmt.Sprint(st.epoch)+" INT; INSERT INTO app.e2e_locked VALUES ("+fmt.Sprint(st.epoch)+")")
	waits := "SELECT 1 FROM performance_schema.metadata_locks WHERE OBJECT_SCHEMA = 'app' AND OBJECT_NAME IN ('e2e_read', 'e2e_locked') AND LOCK_STATUS = 'PENDING' LIMIT 1"
	if err := st.pair.AwaitRow(st.ctx, st.passive, waits); err != nil {
		return nil, fmt.Errorf("the applier does not wait for the readers: %w", err)
	}
	return nil, st.pair.Signal(st.ctx, st.primary, unix.SIGKILL, harness.RoleMysqld)
}

// driftOn changes a setting on which durability rests, as a person in a hurry does, and
// waits until the member has it as it should be again.
func driftOn(member func(*stage) string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		m := member(st)
		st.sql(st.pair, m, "SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 0")
		return nil, st.pair.AwaitRow(st.ctx, m, "SELECT 1 FROM DUAL WHERE @@GLOBAL.innodb_flush_log_at_trx_commit = 1 AND @@GLOBAL.sync_binlog = 1")
	}
}
