package mysqlops_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// asBefore gives the accounts what an earlier version gave them, and one right that an
// administrator added.
var asBefore = []string{
	"ALTER USER dbpair_checksum REQUIRE X509",
	"ALTER USER dbpair_repair REQUIRE X509",
	"ALTER USER dbpair_monitor REQUIRE SSL WITH MAX_USER_CONNECTIONS 0",
	"REVOKE ALL, GRANT OPTION FROM dbpair_monitor",
	"GRANT PROCESS, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN ON *.* TO dbpair_monitor",
	"GRANT SELECT ON performance_schema.* TO dbpair_monitor",
	"GRANT SELECT ON app.* TO dbpair_monitor",
}

// visitor logs in again and again, as the user of an account does.
type visitor struct {
	db     *sql.DB
	query  string
	visits atomic.Int64
	mu     sync.Mutex
	failed []string
}

func (v *visitor) run(ctx context.Context, name string) {
	for ctx.Err() == nil {
		_, err := v.db.ExecContext(ctx, v.query)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			v.mu.Lock()
			v.failed = append(v.failed, fmt.Sprintf("%s: %v", name, err))
			v.mu.Unlock()
		}
		v.visits.Add(1)
	}
}

// visit has all accounts of programs log in at both members until the returned function is
// called, which ends that and reports whether a login failed.
func visit(t *testing.T, p mysqldtest.Pair) (visitors []*visitor, end func()) {
	t.Helper()
	pass := mysqldtest.Passwords
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for member, i := range map[string]*mysqldtest.Instance{"A": p.A, "B": p.B} {
		for _, one := range []struct {
			user     string
			password mysqlops.Secret
			query    string
		}{
			{mysqlops.UserMonitor, pass.Monitor, "SHOW REPLICA STATUS"},
			{mysqlops.UserChecksum, pass.Checksum, "SELECT * FROM mysql.user"},
			{mysqlops.UserRepair, pass.Repair, "SELECT * FROM mysql.user"},
			{mysqlops.UserReplication, pass.Replication, "SELECT 1"},
			{mysqlops.UserClone, pass.Clone, "SELECT 1"},
		} {
			v := &visitor{db: i.Client(one.user, one.password, true), query: one.query}
			v.db.SetMaxIdleConns(0)
			visitors = append(visitors, v)
			running.Go(func() { v.run(ctx, one.user+" at "+member) })
		}
	}
	return visitors, func() {
		cancel()
		running.Wait()
		for _, v := range visitors {
			if len(v.failed) > 0 {
				t.Errorf("%d of %d logins failed, the first: %s", len(v.failed), v.visits.Load(), v.failed[0])
			}
		}
	}
}

// awaitVisits waits until every visitor has logged in some times more.
func awaitVisits(t *testing.T, visitors []*visitor) {
	t.Helper()
	const more = 3
	for _, v := range visitors {
		until := v.visits.Load() + more
		mysqldtest.Await(t, "every account logs in", func() bool { return v.visits.Load() >= until })
	}
}

// The rights of accounts that an earlier version made are changed on the open primary, and
// reach the passive by replication, while everybody goes on working.
func TestAccountsOfAnEarlierVersionAreChangedWithoutAFailedLogin(t *testing.T) {
	p := mysqldtest.StartPair(t)
	ctx := t.Context()
	if err := p.B.Ops.OpenReadOnly(ctx); err != nil {
		t.Fatal(err)
	}
	p.A.Open(true)
	want := map[string][]string{}
	for _, user := range []string{mysqlops.UserMonitor, mysqlops.UserChecksum, mysqlops.UserRepair} {
		want[user] = grantsOf(t, p.A.Root(), user)
	}
	mustExec(t, p.A.Root(), asBefore...)
	mustExec(t, p.A.Root(), "CREATE TABLE app.lent (id INT PRIMARY KEY)")
	if err := p.A.Ops.GrantRepair(ctx, "app", "lent"); err != nil {
		t.Fatal(err)
	}
	awaitSame(t, p)
	visitors, end := visit(t, p)
	awaitVisits(t, visitors)
	for _, changed := range [][]string{{mysqlops.UserMonitor, mysqlops.UserChecksum, mysqlops.UserRepair}, nil} {
		done, err := p.A.Ops.EnsureAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(mysqlops.AccountChanges{Changed: changed}, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
	}
	awaitSame(t, p)
	awaitVisits(t, visitors)
	end()

	// What a repair was lent is its agent's to take back.
	if had, err := p.A.Ops.RevokeRepair(ctx, "", ""); err != nil || !had {
		t.Errorf("what the repair was lent: %t, %v", had, err)
	}
	awaitSame(t, p)
	for user, grants := range want {
		if diff := cmp.Diff(grants, grantsOf(t, p.B.Root(), user)); diff != "" {
			t.Errorf("grants of %s on the passive (-want +got):\n%s", user, diff)
		}
	}
	for _, i := range []*mysqldtest.Instance{p.A, p.B} {
		for user, password := range map[string]mysqlops.Secret{
			mysqlops.UserChecksum: mysqldtest.Passwords.Checksum, mysqlops.UserRepair: mysqldtest.Passwords.Repair,
		} {
			if err := i.ClientAs(i.TLSFiles(), user, password, true).PingContext(ctx); err == nil {
				t.Errorf("%s logs in with the certificate of a member", user)
			}
		}
	}
}

// awaitSame waits until B has executed what A has.
func awaitSame(t *testing.T, p mysqldtest.Pair) {
	t.Helper()
	p.B.AwaitStatus("B has what A has", func(s mysqlops.Status) bool {
		a, err := p.A.Ops.Status(t.Context())
		return err == nil && s.Executed.Covers(a.Executed)
	})
}
