package agent_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestAPreparedTransactionOutlivesItsPrimary: an XA transaction that was prepared, and whose session ended, is committed on the member
// that took over, and its row is on both in the end.
func TestAPreparedTransactionOutlivesItsPrimary(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE app.distributed (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	clients := a.db("app")
	session, err := clients.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"XA START 'order'", "INSERT INTO app.distributed VALUES (1)", "XA END 'order'", "XA PREPARE 'order'"} {
		if _, err := session.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := errors.Join(session.Close(), clients.Close()); err != nil {
		t.Fatal(err)
	}

	w.killAndRevoke(a)
	a.awaitPhase(agentapi.PhaseHeld, patience)
	w.failover(a, b)
	if ids := prepared(t, b.db("root")); ids != "order" {
		t.Fatalf("prepared on the new primary: %q, want order", ids)
	}
	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.client.Rewind(t.Context(), agentapi.RewindCommand{
		Command:     w.head(),
		HolderGTIDs: snapshot.BinlogGTIDs,
		Target:      "data-0",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.join(a, b)
	if err := b.exec(b.db("app"), "XA COMMIT 'order'"); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.members {
		root := m.db("root")
		w.await("the row is on "+string(m.name)+", and nothing is prepared", patience, func() bool {
			var rows int
			err := root.QueryRow("SELECT COUNT(*) FROM app.distributed").Scan(&rows)
			return err == nil && rows == 1 && prepared(t, root) == ""
		})
	}
	w.disjoint()
}

// prepared are the names of the XA transactions that wait for their commit.
func prepared(t *testing.T, root *sql.DB) string {
	t.Helper()
	rows, err := root.QueryContext(t.Context(), "XA RECOVER")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var format, global, branch int
		var name string
		if err := rows.Scan(&format, &global, &branch, &name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, ",")
}
