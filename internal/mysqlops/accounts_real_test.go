package mysqlops_test

import (
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestAccountsAreMadeWithoutHistory(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{Bare: true})
	ctx := t.Context()
	mustExec(t, member.Root(), "SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF")
	root := member.Root()
	root.SetMaxOpenConns(1)
	mustExec(t, root, "SET sql_log_bin = OFF", "CREATE USER root@'%'", "CREATE USER ''@'%'", "SET GLOBAL super_read_only = ON")
	for range 2 {
		if err := member.Ops.CreateAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{}); err != nil {
			t.Fatal(err)
		}
	}
	member.SetPassword(mysqldtest.Passwords.Root)
	status, err := member.Ops.Status(ctx)
	if err != nil || !status.Executed.IsEmpty() || !status.IsClosed() {
		t.Errorf("after making accounts %+v, %v", status, err)
	}
	member.Kill()
	member.Boot()
	got := accountsOf(t, member.Root())
	want := []string{"app@%", "dbpair_checksum@%", "dbpair_clone@%", "dbpair_monitor@%", "dbpair_repair@%", "dbpair_repl@%", "root@localhost"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	privileged, err := member.Ops.PrivilegedAccounts(ctx)
	if err != nil || len(privileged) > 0 {
		t.Errorf("privileged accounts %+v, %v", privileged, err)
	}
	if err := member.Ops.OpenReadOnly(ctx); err != nil {
		t.Fatal(err)
	}
	member.Open(false)
	if err := member.Ops.CommitHeartbeat(ctx, 0); err != nil {
		t.Fatal(err)
	}
	err = member.Ops.CreateAccounts(ctx, mysqldtest.Passwords, mysqlops.AppAccount{})
	if !errors.Is(err, mysqlops.ErrHistory) {
		t.Errorf("making accounts on a member with history: %v, want ErrHistory", err)
	}
}

func accountsOf(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE User NOT LIKE 'mysql.%' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAccountsMayDoWhatTheyAreForAndNothingElse(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(), "CREATE DATABASE other", "CREATE DATABASE appx", "CREATE TABLE other.t (id INT PRIMARY KEY)")
	pass := mysqldtest.Passwords
	tests := map[string]struct {
		user     string
		password mysqlops.Secret
		admin    bool
		may, not []string
	}{
		"the monitor reads counters": {
			user:     mysqlops.UserMonitor,
			password: pass.Monitor,
			admin:    true,
			may:      monitorQueries,
			not: []string{"SELECT * FROM mysql.user", "SELECT * FROM other.t", "SET GLOBAL max_connections = 9", "CREATE DATABASE x", "SHUTDOWN",
				// Texts of statements hold data.
				"SELECT * FROM performance_schema.events_statements_history", "SELECT * FROM performance_schema.threads",
				"SELECT * FROM performance_schema.events_statements_summary_by_digest", "SELECT * FROM performance_schema.error_log",
				"SHOW ENGINE INNODB STATUS", "SELECT * FROM information_schema.INNODB_TRX"},
		},
		"replication does not read tables": {
			user: mysqlops.UserReplication, password: pass.Replication, admin: true,
			may: []string{"SHOW REPLICAS"},
			not: []string{"SELECT * FROM mysql.user", "SELECT * FROM other.t", "SET GLOBAL super_read_only = ON", "STOP REPLICA", "CREATE DATABASE x", "SHUTDOWN"},
		},
		"the clone account does not read tables": {
			user: mysqlops.UserClone, password: pass.Clone, admin: true,
			may: []string{"LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"},
			not: []string{"SELECT * FROM other.t", "SET GLOBAL super_read_only = ON", "SHOW REPLICAS", "CREATE DATABASE x", "SHUTDOWN"},
		},
		"a comparison reads everything and writes nothing": {
			user: mysqlops.UserChecksum, password: pass.Checksum, admin: true,
			may: []string{"LOCK TABLES other.t READ", "UNLOCK TABLES", "SELECT * FROM other.t", "SELECT * FROM mysql.user",
				"SHOW CREATE TABLE other.t", "SHOW TRIGGERS FROM other", "SHOW EVENTS FROM other", "SHOW PROCESSLIST",
				"SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'", "SHOW REPLICA STATUS",
				"START TRANSACTION WITH CONSISTENT SNAPSHOT", "ROLLBACK"},
			not: []string{"INSERT INTO other.t VALUES (1)", "DELETE FROM other.t", "CREATE DATABASE x", "CREATE TABLE other.u (id INT)",
				"DROP TABLE other.t", "CREATE USER x", "SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF", "STOP REPLICA", "SHUTDOWN"},
		},
		"a repair writes nothing before it is let": {
			user: mysqlops.UserRepair, password: pass.Repair, admin: true,
			may: []string{"SELECT * FROM other.t", "CREATE TEMPORARY TABLE other.tmp (id INT)", "SHOW REPLICA STATUS"},
			not: []string{"INSERT INTO other.t VALUES (7)", "DELETE FROM other.t", "CREATE TABLE other.u (id INT)", "ALTER TABLE other.t ADD x INT",
				"DROP TABLE other.t", "CREATE USER x", "SET GLOBAL replica_exec_mode = IDEMPOTENT", "SET SESSION sql_log_bin = OFF", "SHUTDOWN"},
		},
		"the application owns its schema only": {
			user: mysqlops.UserApp, password: pass.App, admin: false,
			may: []string{"CREATE TABLE app.x (id INT PRIMARY KEY)", "INSERT INTO app.x VALUES (1)", "DROP TABLE app.x"},
			not: []string{"SELECT * FROM other.t", "CREATE TABLE appx.x (id INT)", "SELECT * FROM mysql.user", "CREATE USER x",
				"SET GLOBAL read_only = ON", "SET SESSION sql_log_bin = OFF", "SELECT * FROM dbpair.heartbeat", "SHUTDOWN"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			db := member.Client(test.user, test.password, test.admin)
			db.SetMaxOpenConns(1)
			for _, statement := range test.may {
				if _, err := db.ExecContext(ctx, statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			for _, statement := range test.not {
				if _, err := db.ExecContext(ctx, statement); err == nil {
					t.Errorf("%s: allowed", statement)
				}
			}
		})
	}
	t.Run("the application does not reach the admin port", func(t *testing.T) {
		if err := member.Client(mysqlops.UserApp, pass.App, true).PingContext(ctx); err == nil {
			t.Error("logged in")
		}
	})
}

// monitorQueries are what docs/metrics.md says that the monitor account reads.
var monitorQueries = []string{
	"SHOW GLOBAL STATUS", "SHOW GLOBAL VARIABLES", "SHOW BINARY LOG STATUS", "SHOW BINARY LOGS", "SHOW REPLICA STATUS",
	"SELECT * FROM performance_schema.global_status", "SELECT * FROM performance_schema.global_variables",
	"SELECT * FROM performance_schema.replication_connection_status", "SELECT * FROM performance_schema.replication_applier_status",
	"SELECT * FROM performance_schema.replication_applier_status_by_coordinator",
	"SELECT * FROM performance_schema.replication_applier_status_by_worker",
	"SELECT * FROM performance_schema.events_waits_summary_global_by_event_name",
	"SELECT * FROM performance_schema.file_summary_by_event_name",
	"SELECT * FROM performance_schema.memory_summary_global_by_event_name",
	"SELECT * FROM performance_schema.table_io_waits_summary_by_table",
	"SELECT * FROM performance_schema.table_lock_waits_summary_by_table",
}

func TestTheDocumentsListWhatTheMonitorReads(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range monitorQueries {
		if name := strings.TrimPrefix(query, "SELECT * FROM performance_schema."); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/metrics.md does not name %s", name)
		}
	}
}

// Every right of the monitor is needed: without any one of them a query fails.
func TestTheMonitorHasNoRightThatItDoesNotNeed(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	root := member.Root()
	grants := grantsOf(t, root, mysqlops.UserMonitor)
	if len(grants) < 2 {
		t.Fatalf("grants %q", grants)
	}
	db := member.Client(mysqlops.UserMonitor, mysqldtest.Passwords.Monitor, true)
	db.SetMaxIdleConns(0) // rights of the server are read at login
	failing := func() (failed []string) {
		for _, query := range monitorQueries {
			if _, err := db.ExecContext(t.Context(), query); err != nil {
				failed = append(failed, query)
			}
		}
		return failed
	}
	if failed := failing(); len(failed) > 0 {
		t.Fatalf("with all rights these fail: %q", failed)
	}
	for _, grant := range grants {
		if strings.Contains(grant, "USAGE") {
			continue
		}
		if strings.Contains(grant, "WITH GRANT OPTION") || strings.Contains(grant, "`performance_schema`.*") {
			t.Errorf("too much is granted: %s", grant)
		}
		mustExec(t, root, strings.Replace(strings.Replace(grant, "GRANT", "REVOKE", 1), " TO ", " FROM ", 1))
		if len(failing()) == 0 {
			t.Errorf("everything works without %s", grant)
		}
		mustExec(t, root, grant)
	}
	var sessions []*sql.Conn
	for range 11 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			break
		}
		sessions = append(sessions, conn)
	}
	if len(sessions) != 10 {
		t.Errorf("the monitor has %d sessions at once, want at most 10", len(sessions))
	}
}

// grantsOf are the statements that would grant what an account has.
func grantsOf(t *testing.T, db *sql.DB, user string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW GRANTS FOR '"+user+"'@'%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var grants []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		grants = append(grants, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return grants
}

// TestMandatoryRolesCountAsGrantedToAll: root may set them while mysqld runs, and they make
// the pair's own accounts roles of every login.
func TestMandatoryRolesCountAsGrantedToAll(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(),
		"CREATE USER plain@'%', local@'localhost'", "CREATE ROLE power, 'idle'@'10.%'",
		"GRANT CONNECTION_ADMIN ON *.* TO power", "GRANT SELECT ON *.* TO 'idle'@'10.%'")
	alone := []string{"`power`@`%`"}
	all := []string{
		"`app`@`%`", "`dbpair_checksum`@`%`", "`dbpair_repair`@`%`", "`idle`@`10.%`", "`local`@`localhost`", "`plain`@`%`", "`power`@`%`",
	}
	for setting, want := range map[string][]string{
		"":                       alone,
		"'idle'@'10.%'":          alone,
		"power":                  all,
		"`power`@`%`":            all,
		"'idle'@'10.%', power@%": all,
	} {
		mustExec(t, member.Root(), "SET GLOBAL mandatory_roles = \""+setting+"\"")
		got, err := member.Ops.PrivilegedAccounts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		names := make([]string, len(got))
		for i, one := range got {
			names[i] = one.Account
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("mandatory_roles %q (-want +got):\n%s", setting, diff)
		}
	}
}

func TestPrivilegedAccountsAreListed(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(),
		"CREATE USER boss@'%', plain@'%'", "CREATE USER fixer@'10.%' ACCOUNT LOCK",
		"GRANT ALL ON *.* TO boss@'%'",
		"CREATE ROLE power, more", "GRANT CONNECTION_ADMIN ON *.* TO more", "GRANT more TO power", "GRANT power TO fixer@'10.%'",
		"GRANT SELECT ON *.* TO plain@'%'")
	got, err := member.Ops.PrivilegedAccounts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(got))
	for i, one := range got {
		names[i] = one.Account
	}
	if diff := cmp.Diff([]string{"`boss`@`%`", "`fixer`@`10.%`", "`more`@`%`", "`power`@`%`"}, names); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if !slices.Contains(got[0].Rights, "SUPER") || !got[1].Locked || !slices.Equal(got[1].Rights, []string{"CONNECTION_ADMIN"}) {
		t.Errorf("rights %+v", got)
	}
}

func TestRotationKeepsTheOldPasswordUntilDiscarded(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	account := mysqlops.Account{User: mysqlops.UserMonitor, Host: "%"}
	next := mysqlops.NewSecret(`it's "new" \ and % long`)
	if err := member.Ops.SetPassword(ctx, account, next); !errors.Is(err, mysqlops.ErrReadOnly) {
		t.Errorf("on a closed member: %v, want ErrReadOnly", err)
	} else if strings.Contains(err.Error(), "new") {
		t.Errorf("the error holds the password: %v", err)
	}
	member.Open(false)
	if err := member.Ops.SetPassword(ctx, account, next); err != nil {
		t.Fatal(err)
	}
	old := mysqldtest.Passwords.Monitor
	for _, password := range []mysqlops.Secret{old, next} {
		if err := member.Client(account.User, password, true).PingContext(ctx); err != nil {
			t.Errorf("during the rotation: %v", err)
		}
	}
	for range 2 {
		if err := member.Ops.DiscardOldPassword(ctx, account); err != nil {
			t.Fatal(err)
		}
	}
	if err := member.Client(account.User, old, true).PingContext(ctx); err == nil {
		t.Error("the old password is valid after it was discarded")
	}
	if err := member.Client(account.User, next, true).PingContext(ctx); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// TestPasswordsOfThePairNeverExpire: a lifetime of passwords that someone sets ends the logins of other accounts alone.
func TestPasswordsOfThePairNeverExpire(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	person := mysqlops.NewSecret("person-pass")
	mustExec(t, member.Root(),
		"CREATE USER person IDENTIFIED BY 'person-pass'",
		"SET GLOBAL default_password_lifetime = 90",
		"UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 100 DAY WHERE password_last_changed IS NOT NULL",
		"FLUSH PRIVILEGES")
	if err := member.Client("person", person, false).PingContext(ctx); err == nil {
		t.Error("the password of an account of someone else has not expired")
	}
	for user, password := range map[string]mysqlops.Secret{
		mysqlops.UserApp:         mysqldtest.Passwords.App,
		mysqlops.UserReplication: mysqldtest.Passwords.Replication,
		mysqlops.UserClone:       mysqldtest.Passwords.Clone,
		mysqlops.UserMonitor:     mysqldtest.Passwords.Monitor,
		mysqlops.UserChecksum:    mysqldtest.Passwords.Checksum,
		mysqlops.UserRepair:      mysqldtest.Passwords.Repair,
	} {
		if err := member.Client(user, password, user != mysqlops.UserApp).PingContext(ctx); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	if err := member.Root().PingContext(ctx); err != nil {
		t.Errorf("the agent's account: %v", err)
	}
}
