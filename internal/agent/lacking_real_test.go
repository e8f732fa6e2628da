package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

const dumped = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

// asRoot executes statements in one session of root.
func (m *member) asRoot(statements ...string) {
	t := m.w.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := m.db("root").Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (m *member) awaitLack(gtids string) agentapi.State {
	m.w.t.Helper()
	return m.awaitState("it lacks "+gtids, patience, func(s agentapi.State) bool {
		return s.Lacks != nil && s.Lacks.GTIDs == gtids && s.Lacks.DataID == s.DataID && s.Lacks.PeerDataID == "data-0"
	})
}

// TestTransactionsOnThePrimaryOnlyAreNamed: the passive names what a default mysqldump of another
// server leaves on the primary, also after the primary has gone. It never counts ordinary writes
// that are on their way. A copy of the primary cures it.
func TestTransactionsOnThePrimaryOnlyAreNamed(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	app := a.db("app")
	if err := a.exec(app, "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for id := range 100 {
		if err := a.exec(app, fmt.Sprintf("INSERT INTO t VALUES (%d)", id)); err != nil {
			t.Fatal(err)
		}
		if s := b.now(); s.Lacks != nil {
			t.Fatalf("with ordinary writes the passive lacks %q", s.Lacks.GTIDs)
		}
	}
	a.asRoot("SET @@SESSION.SQL_LOG_BIN = 0",
		"SET @@GLOBAL.GTID_PURGED = '+"+dumped+":1-500'",
		"CREATE DATABASE b", "CREATE TABLE b.r (id INT PRIMARY KEY)", "INSERT INTO b.r VALUES (1), (2)")
	b.awaitLack(dumped + ":1-500")
	a.asRoot("SET @@GLOBAL.GTID_PURGED = '+" + dumped + ":nightly:7'")
	b.awaitLack(dumped + ":1-500:nightly:7")
	if s := a.now(); s.Lacks != nil {
		t.Errorf("the primary lacks %q", s.Lacks.GTIDs)
	}

	a.kill()
	b.awaitLack(dumped + ":1-500:nightly:7")
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: a.name}
	})
	a.start()
	a.awaitPhase(agentapi.PhaseOpen, patience)
	w.seed(b, a, "data-2")
	w.join(b, a)
	b.awaitState("it lacks nothing", patience, func(s agentapi.State) bool {
		return s.DataID == "data-2" && s.Lacks == nil && strings.Contains(s.Server.GTIDExecuted, dumped)
	})
}
