package agent_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// TestAPassiveThatStaysAwayDoesNotFillThePrimary: the primary is alone in the ledger and its
// passive is gone. At half of the limit it says so, at the limit it removes what the passive
// lacks, and goes on.
func TestAPassiveThatStaysAwayDoesNotFillThePrimary(t *testing.T) {
	w := newWorld(t)
	w.setLease(time.Minute) // nobody vouches for it while its peer is gone
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	const limit = 4 << 20
	a.configure(func(c *agentapi.Config) { c.BinlogMaxSize = fmt.Sprint(limit) })
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: a.name}
	})
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	a.awaitState("it is alone", patience, func(s agentapi.State) bool { return s.ActedLedger == w.current().Ledger.Version })
	b.kill()
	root := a.db("root")
	id := 0
	write := func(bytes int) {
		for range bytes >> 19 {
			id++
			row := fmt.Sprintf("INSERT INTO app.t VALUES (%d, REPEAT('0123456789abcdef', 32768))", id)
			for _, statement := range []string{row, "FLUSH BINARY LOGS"} {
				if err := a.exec(root, statement); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := a.exec(root, "CREATE TABLE app.t (id INT PRIMARY KEY, v LONGBLOB)"); err != nil {
		t.Fatal(err)
	}
	write(limit * 3 / 4)
	s := a.awaitProblem(agentapi.ProblemBinlogsLacking, patience, "spec.mysql.binlogMaxSize")
	if s.Server.PurgedGTIDs != "" {
		t.Errorf("purged %s below the limit, which the passive lacks", s.Server.PurgedGTIDs)
	}
	write(limit)
	a.awaitState("what the passive lacks is removed", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.PurgedGTIDs != ""
	})
	var name, encrypted string
	var size, total int64
	rows, err := root.Query("SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&name, &size, &encrypted); err != nil {
			t.Fatal(err)
		}
		total += size
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if total > limit {
		t.Errorf("%d bytes of binary logs are left, the limit is %d", total, limit)
	}
	if s := a.now(); s.Phase != agentapi.PhaseOpen {
		t.Errorf("phase %s", s.Phase)
	}
}
