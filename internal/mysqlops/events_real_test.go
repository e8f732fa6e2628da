package mysqlops_test

import (
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestEventsRunOnThePromotedMember: replication disables every event on the passive. Once it is
// promoted, those that ran run, those that a person disabled stay disabled, one that ran once
// does not run again, and nothing else of a definition changes.
func TestEventsRunOnThePromotedMember(t *testing.T) {
	members := mysqldtest.StartPair(t)
	former := members.A
	promoted := members.B
	former.Open(true)
	session := oneSession(t, former)
	for _, statement := range []string{
		"SET sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'",
		"CREATE TABLE app.ran (id INT AUTO_INCREMENT PRIMARY KEY, who VARCHAR(20))",
		"CREATE EVENT app.runs ON SCHEDULE EVERY 1 SECOND STARTS '2026-01-01 00:00:00' COMMENT 'c' DO INSERT INTO app.ran (who) VALUES ('runs')",
		"CREATE DEFINER = 'some@one'@'10.%' EVENT app.of_another ON SCHEDULE EVERY 1 DAY DO INSERT INTO app.ran (who) VALUES ('another')",
		"CREATE EVENT app.born_disabled ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO app.ran (who) VALUES ('born_disabled')",
		"CREATE EVENT app.`dis``abled` ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.ran (who) VALUES ('disabled')",
		"ALTER EVENT app.`dis``abled` DISABLE",
		"CREATE EVENT app.never_here ON SCHEDULE EVERY 1 SECOND DISABLE ON REPLICA DO INSERT INTO app.ran (who) VALUES ('never')",
		"CREATE EVENT app.once ON SCHEDULE AT '2030-01-01 00:00:00' ON COMPLETION PRESERVE DO INSERT INTO app.ran (who) VALUES ('once')",
	} {
		if _, err := session.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for range 2 { // the second finds nothing to do
		if enabled, err := former.Ops.KeepEvents(t.Context()); err != nil || len(enabled) > 0 {
			t.Fatalf("on the first primary %v (%v)", enabled, err)
		}
	}
	before := definitionsOfEvents(t, former)
	caughtUp(t, former, promoted)
	want := map[string]string{}
	for name := range before {
		want[name] = "REPLICA_SIDE_DISABLED"
	}
	if diff := cmp.Diff(want, statesOfEvents(t, promoted)); diff != "" {
		t.Fatalf("on the passive: %s", diff)
	}

	former.Kill()
	if err := promoted.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	promoted.Open(false)
	enabled, err := promoted.Ops.KeepEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"app.of_another", "app.once", "app.runs"}, slices.Sorted(slices.Values(enabled))); diff != "" {
		t.Errorf("enabled: %s", diff)
	}
	want = map[string]string{
		"runs":          "ENABLED",
		"of_another":    "ENABLED",
		"born_disabled": "DISABLED",
		"dis`abled":     "DISABLED",
		"never_here":    "REPLICA_SIDE_DISABLED",
		"once":          "ENABLED",
	}
	if diff := cmp.Diff(want, statesOfEvents(t, promoted)); diff != "" {
		t.Errorf("on the promoted member: %s", diff)
	}
	if diff := cmp.Diff(before, definitionsOfEvents(t, promoted)); diff != "" {
		t.Errorf("definitions: %s", diff)
	}
	root := promoted.Root()
	mysqldtest.Await(t, "the event runs", func() bool {
		var rows int
		err := root.QueryRow("SELECT COUNT(*) FROM app.ran WHERE who = 'runs'").Scan(&rows)
		return err == nil && rows > 0
	})
	if again, err := promoted.Ops.KeepEvents(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("the second call enabled %v (%v)", again, err)
	}
}

// TestAnEventThatRunsOnceDoesNotRunTwice: its time has passed when the passive is promoted.
func TestAnEventThatRunsOnceDoesNotRunTwice(t *testing.T) {
	members := mysqldtest.StartPair(t)
	members.A.Open(true)
	session := oneSession(t, members.A)
	for _, statement := range []string{
		"CREATE TABLE app.ran (id INT AUTO_INCREMENT PRIMARY KEY)",
		"SET timestamp = UNIX_TIMESTAMP() - 5",
		"CREATE EVENT app.once ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DISABLE DO INSERT INTO app.ran VALUES (NULL)",
		"ALTER EVENT app.once ENABLE",
	} {
		if _, err := session.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	caughtUp(t, members.A, members.B)
	members.A.Kill()
	if err := members.B.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	members.B.Open(false)
	if enabled, err := members.B.Ops.KeepEvents(t.Context()); err != nil || len(enabled) > 0 {
		t.Errorf("enabled %v (%v)", enabled, err)
	}
}

func oneSession(t *testing.T, member *mysqldtest.Instance) *sql.Conn {
	t.Helper()
	conn, err := member.Root().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// caughtUp waits until the passive has applied everything.
func caughtUp(t *testing.T, primary, passive *mysqldtest.Instance) {
	t.Helper()
	status, err := primary.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := passive.Ops.WaitApplied(t.Context(), status.Executed, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func statesOfEvents(t *testing.T, member *mysqldtest.Instance) map[string]string {
	t.Helper()
	return eventsOf(t, member, "STATUS")
}

// definitionsOfEvents is everything of an event but its state.
func definitionsOfEvents(t *testing.T, member *mysqldtest.Instance) map[string]string {
	t.Helper()
	return eventsOf(t, member, "CONCAT_WS(' ', EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, ENDS, ON_COMPLETION, DEFINER,"+
		" SQL_MODE, TIME_ZONE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION, EVENT_DEFINITION, EVENT_COMMENT)")
}

func eventsOf(t *testing.T, member *mysqldtest.Instance, expression string) map[string]string {
	t.Helper()
	rows, err := member.Root().Query("SELECT EVENT_NAME, " + expression + " FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'app'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		all[name] = text
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
