package mysqlops_test

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"strconv"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// attempt is a login of the application at a port, and the error that it gets: 0 when it gets in.
type attempt struct {
	password mysqlops.Secret
	encrypt  bool
	want     uint16
}

func (a attempt) make(t *testing.T, port, times int) {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User = mysqlops.UserApp
	cfg.Passwd = a.password.Reveal()
	cfg.Net = "tcp"
	cfg.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cfg.Logger = &mysql.NopLogger{}
	if a.encrypt {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	for range times {
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		err = db.PingContext(t.Context())
		_ = db.Close()
		refused, _ := errors.AsType[*mysql.MySQLError](err)
		told := (err == nil && a.want == 0) || (refused != nil && refused.Number == a.want)
		if !told {
			t.Errorf("%q, encrypted %t: %v, want error %d", a.password.Reveal(), a.encrypt, err, a.want)
		}
	}
}

// What clients are told and what mysqld counts of it: directly, and by a relay, as at the door.
func TestDeniedLoginsAreToldFromThoseWithoutTLS(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	root := member.Root()
	relay := mysqldtest.NewRelay(t, member.Member.Port)
	right := mysqldtest.Passwords.App
	wrong := mysqlops.NewSecret("not this one")
	const (
		denied   = 1045
		insecure = 3159
	)
	served := attempt{right, true, 0}
	mistyped := attempt{wrong, true, denied}
	mistypedInClear := attempt{wrong, false, denied}
	inClear := attempt{right, false, denied}
	inClearTold := attempt{right, false, insecure}
	type tries struct {
		attempt
		times int
	}
	for _, c := range []struct {
		name     string
		account  bool // requires TLS
		server   string
		attempts []tries
		// What is counted.
		denied   int64
		least    int64 // of those without TLS
		most     int64
		insecure int64
	}{
		{
			name:     "the account requires TLS, and clients come without",
			account:  true,
			server:   "OFF",
			attempts: []tries{{served, 3}, {inClear, 5}},
			denied:   5,
			least:    5,
			most:     5,
		},
		{
			name:     "the account requires TLS, and clients have a wrong password",
			account:  true,
			server:   "OFF",
			attempts: []tries{{served, 3}, {mistyped, 5}},
			denied:   5,
		},
		{
			name:     "both kinds",
			account:  true,
			server:   "OFF",
			attempts: []tries{{served, 3}, {mistyped, 4}, {inClear, 3}},
			denied:   7,
			least:    3,
			most:     3,
		},
		{
			name:     "mysqld requires TLS",
			account:  false,
			server:   "ON",
			attempts: []tries{{served, 1}, {inClearTold, 4}},
			insecure: 4,
		},
		{
			name:     "mysqld requires TLS, and clients have a wrong password beside that",
			account:  false,
			server:   "ON",
			attempts: []tries{{served, 1}, {mistypedInClear, 4}},
			denied:   4,
			least:    3, // the session with TLS is one that could have been denied
			most:     4,
		},
		{
			name:     "the account's condition comes before that of mysqld",
			account:  true,
			server:   "ON",
			attempts: []tries{{served, 1}, {inClear, 2}},
			denied:   2,
			least:    2,
			most:     2,
		},
	} {
		for way, port := range map[string]int{"directly": member.Member.Port, "by a relay": relay.Port} {
			t.Run(c.name+", "+way, func(t *testing.T) {
				if _, err := member.Ops.RequireTLS(t.Context(), mysqlops.Account{User: mysqlops.UserApp, Host: "%"}, c.account); err != nil {
					t.Fatal(err)
				}
				if _, err := root.ExecContext(t.Context(), "SET GLOBAL require_secure_transport = "+c.server); err != nil {
					t.Fatal(err)
				}
				before := counts(t, member)
				for _, a := range c.attempts {
					a.make(t, port, a.times)
				}
				came, ok := counts(t, member).Since(before)
				if !ok {
					t.Fatalf("the counters went back: %+v", came)
				}
				least, most := came.DeniedWithoutTLS()
				// mysqld may have begun a thread of its own.
				fits := most == c.most || most == c.most+1
				if came.Denied != c.denied || came.Insecure != c.insecure || least != c.least || !fits {
					t.Errorf("without TLS %d to %d, want %d to %d, denied %d, refused %d; %+v", least, most, c.least, c.most, c.denied, c.insecure, came)
				}
			})
		}
	}
}

func counts(t *testing.T, member *mysqldtest.Instance) mysqlops.LoginCounts {
	t.Helper()
	c, err := member.Ops.LoginCounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What an operator finds in mysqld itself: nothing with the default verbosity, and the account and
// address, but not the reason, with 3. The cache of hosts is empty.
func TestTheLogOfMysqldDoesNotTellTLSFromAPassword(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	root := member.Root()
	without := attempt{mysqldtest.Passwords.App, false, 1045}
	wrong := attempt{mysqlops.NewSecret("not this one"), true, 1045}
	lines := func() (list []string) {
		rows, err := root.QueryContext(t.Context(),
			"SELECT DATA FROM performance_schema.error_log WHERE DATA LIKE '%denied%' ORDER BY LOGGED")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			list = append(list, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return list
	}
	without.make(t, member.Member.Port, 1)
	wrong.make(t, member.Member.Port, 1)
	if got := lines(); len(got) > 0 {
		t.Errorf("with the default verbosity mysqld logs %q", got)
	}
	if _, err := root.ExecContext(t.Context(), "SET GLOBAL log_error_verbosity = 3"); err != nil {
		t.Fatal(err)
	}
	without.make(t, member.Member.Port, 1)
	wrong.make(t, member.Member.Port, 1)
	got := lines()
	if len(got) != 2 || got[0] != got[1] || got[0] != "Access denied for user 'app'@'127.0.0.1' (using password: YES)" {
		t.Errorf("with the verbosity 3 mysqld logs %q", got)
	}
	var hosts int
	if err := root.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM performance_schema.host_cache").Scan(&hosts); err != nil || hosts > 0 {
		t.Errorf("the cache of hosts has %d rows, %v", hosts, err)
	}
}
