package agent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pki"
)

// jobTLS is how the Job of an operation shows itself.
func (w *world) jobTLS(operation string) *tls.Config {
	leaf, err := w.ca.Issue(pki.Job(operation), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := leaf.KeyPair()
	if err != nil {
		w.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.Cert)
	return &tls.Config{
		RootCAs:      pool,
		Certificates: []tls.Certificate{cert},
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS13,
	}
}

// job is one session of a Job's account over the admin port.
func (m *member) job(account, password string) *sql.Conn {
	m.w.t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = account, password, "tcp", m.addr("admin")
	cfg.TLS = m.w.jobTLS("shop-checksum-1")
	cfg.Timeout = patience
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		m.w.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	m.w.t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(m.w.t.Context())
	if err != nil {
		m.w.t.Fatal(err)
	}
	return conn
}

func (m *member) asJob(operation string) *agentclient.Client {
	conf := m.w.jobTLS(operation)
	conf.ServerName = string(m.name)
	return &agentclient.Client{Address: m.addr("agent"), Timeout: patience, TLS: func() (*tls.Config, error) { return conf, nil }}
}

// permit has the operator permit a repair of a table of schema app.
func (m *member) permit(operation, table string) error {
	_, err := m.client.PermitRepair(m.w.t.Context(), agentapi.PermitRepairCommand{
		Command: m.w.head(), Operation: operation, Schema: "app", Table: table, For: time.Minute,
	})
	return err
}

// The Job's process does nothing here: it is as dead as a stopped one.
func TestALockOfAJobIsEndedInTime(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	const limit = 400 * time.Millisecond
	for _, m := range w.members {
		m.configure(func(c *agentapi.Config) { c.MaxLockTime = limit })
	}
	if err := a.exec(a.db("root"), "CREATE TABLE app.t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // the agent reads its files every two seconds
	reader := a.job(mysqlops.UserChecksum, "checksum-secret")
	app := a.db("app")
	most := 10 * limit // a machine may be slow; a lock that nobody ends is waited for much longer
	for n := 1; ; n++ {
		took := a.writeBesideALock(app, n)
		if took < limit/2 {
			t.Errorf("the write waited %s, want about %s", took, limit)
		}
		if took <= most {
			break
		}
		// One that is late says that the machine was, ten say that the agent is.
		if n == 10 {
			t.Fatalf("the write waited %s, want about %s", took, limit)
		}
	}
	if err := reader.PingContext(t.Context()); err != nil {
		t.Errorf("a session without a lock was ended: %v", err)
	}
	passive := b.job(mysqlops.UserChecksum, "checksum-secret")
	w.failover(a, b)
	for name, conn := range map[string]*sql.Conn{"old primary": reader, "new primary": passive} {
		if err := conn.PingContext(t.Context()); err == nil {
			t.Errorf("a job's session outlived the failover on the %s", name)
		}
	}
}

// writeBesideALock says how long a write waits for a lock that a Job never lets go.
func (m *member) writeBesideALock(app *sql.DB, id int) time.Duration {
	t := m.w.t
	t.Helper()
	locker := m.job(mysqlops.UserChecksum, "checksum-secret")
	time.Sleep(time.Second) // as long as a look takes to notice sessions
	if _, err := locker.ExecContext(t.Context(), "LOCK TABLES app.t READ"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := m.exec(app, fmt.Sprintf("INSERT INTO t VALUES (%d)", id)); err != nil {
		t.Fatalf("a write beside a lock that is never let go: %v", err)
	}
	return time.Since(began)
}

// lose deletes a row on a passive behind everybody's back, unless its agent closes it between
// the statements.
func (m *member) lose(root *sql.DB, table string, id int) bool {
	m.w.t.Helper()
	conn, err := root.Conn(m.w.t.Context())
	if err != nil {
		return false
	}
	defer conn.Close()
	for _, statement := range []string{"SET SESSION sql_log_bin = OFF", "SET GLOBAL super_read_only = OFF",
		fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id), "SET GLOBAL super_read_only = ON"} {
		if _, err := conn.ExecContext(m.w.t.Context(), statement); err != nil {
			return false
		}
	}
	var n int
	err = conn.QueryRowContext(m.w.t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n)
	return err == nil && n == 1
}

func TestARepairsLeaseEndsWhateverBecomesOfItsHolder(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	ctx := t.Context()
	roots := map[*member]*sql.DB{}
	mode := func(m *member) string {
		var got string
		if roots[m] == nil {
			roots[m] = m.db("root")
		}
		if err := roots[m].QueryRowContext(ctx, "SELECT @@GLOBAL.replica_exec_mode").Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	ask := func(m *member, operation string, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := m.permit(operation, "r"); err != nil {
			return err
		}
		_, err := m.asJob(operation).RepairLease(ctx, agentapi.RepairLeaseCommand{Command: w.head(), Operation: operation, For: limit})
		return err
	}
	refused := func(err error, says string) {
		t.Helper()
		if !errors.Is(err, agentclient.ErrRefused) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want a refusal that says %q", err, says)
		}
	}
	// Without the operator's permission a Job's certificate opens nothing, and it cannot
	// give itself one.
	lease := agentapi.RepairLeaseCommand{Command: w.head(), Operation: "shop-repair-1", For: time.Second}
	_, err := b.asJob("shop-repair-1").RepairLease(ctx, lease)
	refused(err, "has not permitted")
	lease.Operation = ""
	lease.For = 0
	_, err = b.asJob("").RepairLease(ctx, lease)
	refused(err, "operation is empty")
	_, err = b.asJob("no-such").SaveRows(ctx, agentapi.SaveRowsCommand{Command: w.head(), Operation: "no-such", Lines: []string{"{}"}})
	refused(err, "has not permitted")
	_, err = a.asJob("shop-repair-1").RepairRights(ctx, agentapi.RepairRightsCommand{
		Command: w.head(), Operation: "shop-repair-1", Schema: "app", Table: "r", For: time.Minute,
	})
	refused(err, "has not permitted")
	if _, err := a.asJob("shop-repair-1").PermitRepair(ctx, agentapi.PermitRepairCommand{
		Command: w.head(), Operation: "shop-repair-1", Schema: "app", Table: "r", For: time.Minute,
	}); !errors.Is(err, agentclient.ErrRefused) || !strings.Contains(err.Error(), "may not ask") {
		t.Errorf("a job may permit itself a repair: %v", err)
	}
	refused(ask(a, "shop-repair-1", time.Second), "does not follow")
	refused(ask(b, "shop-repair-1", time.Hour), "too long")
	if _, err := b.asJob("shop-repair-1").Fence(ctx, w.head()); !errors.Is(err, agentclient.ErrRefused) {
		t.Errorf("a job may fence: %v", err)
	}
	if err := ask(b, "shop-repair-1", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := mode(b); got != "IDEMPOTENT" {
		t.Errorf("with the lease the mode is %s", got)
	}
	refused(ask(b, "shop-repair-2", time.Second), "shop-repair-1")
	b.awaitState("the agent tells of the lease", patience, func(s agentapi.State) bool { return s.ForcesRowsFor == "shop-repair-1" })
	// What one operation has is not another Job's to end.
	_, err = b.asJob("shop-repair-2").RepairLease(ctx, agentapi.RepairLeaseCommand{Command: w.head(), Operation: "shop-repair-1"})
	refused(err, "not for operation")
	if err := ask(b, "shop-repair-1", 2*time.Second); err != nil {
		t.Fatal(err)
	}
	w.await("it runs out", 20*time.Second, func() bool { return mode(b) == "STRICT" })

	// The right to write: on the primary, of one table, taken back when it runs out.
	write := func(m *member, table string, limit time.Duration) error {
		if err := m.permit("shop-repair-1", table); err != nil {
			return err
		}
		_, err := m.asJob("shop-repair-1").RepairRights(ctx, agentapi.RepairRightsCommand{
			Command: w.head(), Operation: "shop-repair-1", Schema: "app", Table: table, For: limit,
		})
		return err
	}
	if err := a.exec(a.db("root"), "CREATE TABLE app.r (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	// While commits wait it says so, and is asked again.
	patiently := func(table string, limit time.Duration) (err error) {
		w.await("no commit waits", patience, func() bool {
			err = write(a, table, limit)
			return err == nil || !strings.Contains(err.Error(), "try again")
		})
		return err
	}
	refused(write(b, "r", time.Second), "not open")
	refused(patiently("none", time.Second), "no such object")
	if err := patiently("r", time.Minute); err != nil {
		t.Fatal(err)
	}
	_, err = a.asJob("shop-repair-1").RepairRights(ctx, agentapi.RepairRightsCommand{
		Command: w.head(), Operation: "shop-repair-1", Schema: "app", Table: "other", For: time.Minute,
	})
	refused(err, "may repair table app.r, not app.other")
	repair := a.job(mysqlops.UserRepair, "repair-secret")
	if _, err := repair.ExecContext(ctx, "INSERT INTO app.r VALUES (1)"); err != nil {
		t.Errorf("writing with the right to: %v", err)
	}
	if err := patiently("r", time.Second); err != nil {
		t.Fatal(err)
	}
	w.await("the right is taken back", patience, func() bool {
		_, err := repair.ExecContext(ctx, "DELETE FROM app.r WHERE id = 2")
		return err != nil
	})

	// Let go.
	if err := ask(b, "shop-repair-1", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := ask(b, "shop-repair-1", 0); err != nil || mode(b) != "STRICT" {
		t.Errorf("let go: %v, the mode is %s", err, mode(b))
	}

	// Another party's hand.
	if err := b.exec(b.db("root"), "SET GLOBAL replica_exec_mode = IDEMPOTENT"); err != nil {
		t.Fatal(err)
	}
	w.await("it is corrected", patience, func() bool { return mode(b) == "STRICT" })

	// Another start of the agent, and of mysqld with it.
	if err := ask(b, "shop-repair-3", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	b.kill()
	b.start()
	b.awaitPhase(agentapi.PhaseClosed, patience)
	if got := mode(b); got != "STRICT" {
		t.Errorf("after a restart the mode is %s", got)
	}
	w.join(b, a)

	// The applier stopped at a row that it does not find: a lease makes it go on, and
	// nothing else does.
	for _, statement := range []string{"CREATE TABLE app.s (id INT PRIMARY KEY)", "INSERT INTO app.s VALUES (1), (2)"} {
		if err := a.exec(a.db("root"), statement); err != nil {
			t.Fatal(err)
		}
	}
	root := b.db("root")
	w.await("a row is lost on the passive", patience, func() bool { return b.lose(root, "app.s", 1) })
	if err := a.exec(a.db("root"), "DELETE FROM app.s WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	b.awaitState("the applier stops", patience, func(s agentapi.State) bool {
		return s.Server != nil && !s.Server.Applier.Running && s.Server.Applier.LastErrno == 1032
	})
	if err := ask(b, "shop-repair-5", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	b.awaitState("the applier goes on", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Applier.Running && s.Server.Applier.LastErrno == 0 && s.Server.LagTransactions == 0
	})
	if err := ask(b, "shop-repair-5", 0); err != nil || mode(b) != "STRICT" {
		t.Errorf("let go: %v, the mode is %s", err, mode(b))
	}

	// A change of roles: what was received under the lease is applied under it.
	if err := a.exec(a.db("root"), "CREATE TABLE app.t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if err := ask(b, "shop-repair-4", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	w.failover(a, b)
	if got := mode(b); got != "STRICT" {
		t.Errorf("the new primary's mode is %s", got)
	}
	refused(ask(b, "shop-repair-4", time.Second), "")
}
