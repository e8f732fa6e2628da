package agent_test

import (
	"database/sql"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestAReaderOfThePassiveDoesNotHoldItsPromotionUp: a session that has read a table, and one
// that has locked another, stand in the way of what the primary did to the two before it was
// lost.
func TestAReaderOfThePassiveDoesNotHoldItsPromotionUp(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	app := a.db("app")
	passive := b.db("app")
	for _, statement := range []string{"CREATE TABLE x (id INT PRIMARY KEY)", "CREATE TABLE y (id INT PRIMARY KEY)"} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	w.await("the tables are on the passive", patience, func() bool {
		var n int
		return passive.QueryRow("SELECT COUNT(*) FROM x JOIN y").Scan(&n) == nil
	})
	hold := func(db *sql.DB, statements ...string) *sql.Conn {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		for _, statement := range statements {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		return conn
	}
	hold(passive, "BEGIN", "SELECT * FROM x")
	hold(b.db("root"), "LOCK TABLES app.y READ")
	for _, statement := range []string{"ALTER TABLE x ADD COLUMN v INT", "INSERT INTO y VALUES (1)"} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	b.awaitState("trap: the applier is held up", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.LagTransactions > 0
	})
	w.failover(a, b)
	if err := b.exec(b.db("app"), "INSERT INTO x (id, v) VALUES (1, 1)"); err != nil {
		t.Errorf("the ALTER of the former primary is not there: %v", err)
	}
}
