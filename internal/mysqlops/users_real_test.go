package mysqlops_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// reporter is a user of two databases, one of which has a name with a pattern in it.
func reporter() mysqlops.User {
	return mysqlops.User{
		Name:       "reporter",
		Password:   mysqlops.NewSecret(`it's "new" \ and % long`),
		Databases:  []string{"app", "till_2"},
		Rights:     []string{"SELECT", "INSERT"},
		Sessions:   2,
		RequireTLS: true,
	}
}

func ensureUser(t *testing.T, member *mysqldtest.Instance, u mysqlops.User) mysqlops.UserChanges {
	t.Helper()
	done, err := member.Ops.EnsureUser(t.Context(), u, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestAUserIsMadeAndMayDoWhatItsGrantsSay(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	u := reporter()
	if _, err := member.Ops.EnsureUser(ctx, u, time.Hour); !errors.Is(err, mysqlops.ErrReadOnly) {
		t.Errorf("on a closed member: %v, want ErrReadOnly", err)
	}
	member.Open(false)
	if done := ensureUser(t, member, u); !slices.Contains(done.Changed, "database till_2 was made") {
		t.Errorf("done: %+v", done)
	}
	if done := ensureUser(t, member, u); len(done.Changed) > 0 {
		t.Errorf("the second time it changed %q", done.Changed)
	}
	if servesPlain(t, member, u.Name, u.Password) {
		t.Error("a client without TLS gets in")
	}
	db := member.Client(u.Name, u.Password, false)
	mustExec(t, member.Root(),
		"CREATE TABLE till_2.t (id INT PRIMARY KEY)", "CREATE DATABASE tillx2", "CREATE TABLE tillx2.t (id INT PRIMARY KEY)")
	if _, err := db.ExecContext(ctx, "INSERT INTO till_2.t VALUES (1)"); err != nil {
		t.Errorf("what the grants say: %v", err)
	}
	for _, statement := range []string{
		"DELETE FROM till_2.t", "INSERT INTO tillx2.t VALUES (1)", "CREATE TABLE till_2.u (id INT)",
		"SELECT * FROM mysql.user", "SET GLOBAL max_connections = 7",
	} {
		if _, err := db.ExecContext(ctx, statement); err == nil {
			t.Errorf("%s: not refused", statement)
		}
	}
	privileged, err := member.Ops.PrivilegedAccounts(ctx)
	if err != nil || len(privileged) > 0 {
		t.Errorf("privileged accounts %+v, %v", privileged, err)
	}
}

// What was altered in mysqld is put back, one thing at a time.
func TestAUserThatWasAlteredIsPutBack(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	u := reporter()
	ensureUser(t, member, u)
	mustExec(t, member.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "CREATE ROLE power", "GRANT ALL ON *.* TO power")
	for _, statement := range []string{
		"GRANT SUPER ON *.* TO reporter@'%'",
		"GRANT FILE, REPLICATION SLAVE ON *.* TO reporter@'%'",
		"GRANT SELECT ON mysql.* TO reporter@'%'",
		"GRANT DELETE ON app.t TO reporter@'%'",
		"GRANT UPDATE (v) ON app.t TO reporter@'%'",
		"GRANT SELECT ON app.* TO reporter@'%' WITH GRANT OPTION",
		"GRANT power TO reporter@'%'",
		"REVOKE INSERT ON app.* FROM reporter@'%'",
		"ALTER USER reporter@'%' REQUIRE NONE",
		"ALTER USER reporter@'%' WITH MAX_USER_CONNECTIONS 0",
		"ALTER USER reporter@'%' ACCOUNT LOCK",
		"ALTER USER reporter@'%' IDENTIFIED BY 'other'",
		"DROP USER reporter@'%'",
	} {
		before := strings.Join(grantsOf(t, member.Root(), u.Name), "\n")
		mustExec(t, member.Root(), statement)
		if done := ensureUser(t, member, u); len(done.Changed) == 0 {
			t.Errorf("%s: not found", statement)
		}
		if done := ensureUser(t, member, u); len(done.Changed) > 0 {
			t.Errorf("%s: the second time it changed %q", statement, done.Changed)
		}
		if after := strings.Join(grantsOf(t, member.Root(), u.Name), "\n"); after != before {
			t.Errorf("%s:\n%s\nbefore it\n%s", statement, after, before)
		}
		opens(t, member, u.Name, u.Password, false)
	}
}

func TestAUsersFormerPasswordStaysForItsOverlap(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	u := reporter()
	ensureUser(t, member, u)
	former := u.Password
	u.Password = mysqlops.NewSecret("Zürich 東京")
	done := ensureUser(t, member, u)
	if left := time.Until(done.FormerPasswordUntil); left < 50*time.Minute || left > 70*time.Minute {
		t.Errorf("valid until %s", done.FormerPasswordUntil)
	}
	for _, password := range []mysqlops.Secret{former, u.Password} {
		opens(t, member, u.Name, password, false)
	}
	ended, err := member.Ops.EnsureUser(ctx, u, 0)
	if err != nil || !ended.FormerPasswordUntil.IsZero() {
		t.Errorf("after the overlap: %+v, %v", ended, err)
	}
	if err := member.Client(u.Name, former, false).PingContext(ctx); err == nil {
		t.Error("the former password is valid after the overlap")
	}
	opens(t, member, u.Name, u.Password, false)
}

func TestARemovedUserLeavesItsData(t *testing.T) {
	for name, drop := range map[string]bool{"locked": false, "dropped": true} {
		t.Run(name, func(t *testing.T) {
			member := mysqldtest.Start(t, mysqldtest.Options{})
			ctx := t.Context()
			member.Open(false)
			u := reporter()
			ensureUser(t, member, u)
			mustExec(t, member.Root(), "CREATE TABLE till_2.t (id INT PRIMARY KEY)", "INSERT INTO till_2.t VALUES (1)")
			open := member.Client(u.Name, u.Password, false)
			open.SetMaxOpenConns(1)
			if _, err := open.ExecContext(ctx, "SET @here = 1"); err != nil {
				t.Fatal(err)
			}
			for call, want := range []bool{true, !drop} {
				if found, err := member.Ops.RemoveUser(ctx, u.Name, drop); err != nil || found != want {
					t.Errorf("call %d: found %t, %v", call+1, found, err)
				}
			}
			if err := open.PingContext(ctx); err == nil {
				t.Error("its session goes on")
			}
			if err := member.Client(u.Name, u.Password, false).PingContext(ctx); err == nil {
				t.Error("it gets in")
			}
			mustExec(t, member.Root(), "DELETE FROM till_2.t WHERE id = 1")
			u.Password = mysqlops.NewSecret("another")
			if done := ensureUser(t, member, u); !done.FormerPasswordUntil.IsZero() {
				t.Errorf("the former owner's password is valid again until %s", done.FormerPasswordUntil)
			}
			opens(t, member, u.Name, u.Password, false)
		})
	}
}

func TestAccountsOfOthersAreLeftAlone(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	mustExec(t, member.Root(), "CREATE USER reporter@'%' IDENTIFIED BY 'mine'")
	if _, err := member.Ops.EnsureUser(ctx, reporter(), time.Hour); !errors.Is(err, mysqlops.ErrNotManaged) {
		t.Errorf("an account that was made by hand: %v, want ErrNotManaged", err)
	}
	for _, name := range []string{"reporter", mysqlops.UserApp, mysqlops.UserMonitor, "nobody"} {
		if found, err := member.Ops.RemoveUser(ctx, name, true); err != nil || found {
			t.Errorf("%s: removed %t, %v", name, found, err)
		}
	}
	if err := member.Client("reporter", mysqlops.NewSecret("mine"), false).PingContext(ctx); err != nil {
		t.Errorf("the account of someone else does not work any more: %v", err)
	}
}
