package mysqlops_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// A drain closes what loses nothing, and leaves what is in flight until it ends.
func TestADrainClosesSessionsOutsideATransaction(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	mustExec(t, client, "CREATE TABLE app.drained (id INT PRIMARY KEY)")
	cases := []struct{ name, begin, hold, release string }{
		{"a transaction that has written", "BEGIN", "INSERT INTO app.drained VALUES (1)", "COMMIT"},
		{"a transaction that has only begun", "DO 1", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT"},
		{"autocommit off", "SET autocommit = 0", "SELECT * FROM app.drained", "COMMIT"},
		{"LOCK TABLES", "DO 1", "LOCK TABLES app.drained READ", "UNLOCK TABLES"},
		{"a lock of its own", "DO 1", "SELECT GET_LOCK('drained', 0)", "SELECT RELEASE_ALL_LOCKS()"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			idle := session(t, pair)
			busy := session(t, pair)
			for _, statement := range []string{c.begin, c.hold} {
				if _, err := busy.ExecContext(ctx, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			mysqldtest.Await(t, "the idle session is closed", func() bool {
				round := drainRound(t, pair)
				if len(round.InFlight) != 1 {
					t.Fatalf("in flight: %+v, want the one session", round.InFlight)
				}
				return idle.PingContext(ctx) != nil
			})
			if _, err := busy.ExecContext(ctx, c.release); err != nil {
				t.Fatalf("a session in flight was closed: %v", err)
			}
			mysqldtest.Await(t, "the other one is closed after its end", func() bool {
				drainRound(t, pair)
				return busy.PingContext(ctx) != nil
			})
		})
	}
}

// Writers without rest are outside a transaction for moments only. A round that has seen nothing in flight has
// left none of them, also of those that were idle when it listed them and busy when it came to them.
func TestADrainOfBusyWritersEndsWhenAllAreClosed(t *testing.T) {
	const writers = 16
	pair, client := openPair(t)
	mustExec(t, client, "CREATE TABLE app.busy (id INT AUTO_INCREMENT PRIMARY KEY)")
	for range 5 {
		ended := make(chan string, writers)
		for range writers {
			go func(conn *sql.Conn) { ended <- writeWithoutRest(t.Context(), conn) }(session(t, pair))
		}
		rounds := 0
		mysqldtest.Await(t, "nothing is in flight", func() bool {
			rounds++
			return len(drainRound(t, pair).InFlight) == 0
		})
		left, err := pair.A.Ops.ClientSessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range left {
			if one.InFlight {
				t.Fatalf("in flight after a round that saw nothing in flight: %+v", one)
			}
		}
		at := map[string]int{}
		for range writers {
			at[<-ended]++
		}
		t.Logf("%d rounds; sessions found closed at: %v", rounds, at)
	}
}

// writeWithoutRest commits transactions until its session is closed, and returns the statement that
// found it closed.
func writeWithoutRest(ctx context.Context, conn *sql.Conn) string {
	for {
		for _, statement := range []string{"BEGIN", "INSERT INTO app.busy VALUES ()", "COMMIT"} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return statement
			}
		}
	}
}

func TestARunningStatementIsShown(t *testing.T) {
	pair, client := openPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = client.ExecContext(ctx, "DO SLEEP(60) /* "+strings.Repeat("x", 200)+" */")
	}()
	mysqldtest.Await(t, "the statement is shown", func() bool {
		all, err := pair.A.Ops.ClientSessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if one.InFlight && strings.HasPrefix(one.Statement, "DO SLEEP(60)") {
				return len(one.Statement) <= 80 && one.User == mysqlops.UserApp && !one.DDL
			}
		}
		return false
	})
	cancel()
	<-ended
}

// session is one of the application's, to the member that is open.
func session(t *testing.T, pair mysqldtest.Pair) *sql.Conn {
	t.Helper()
	conn, err := pair.A.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func drainRound(t *testing.T, pair mysqldtest.Pair) mysqlops.Drained {
	t.Helper()
	round, err := pair.A.Ops.CloseIdleSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return round
}
