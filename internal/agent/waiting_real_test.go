package agent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// TestCommitsThatDidNotWaitAreReported: a DBA lets commits pass in each of the ways there are
// while the passive receives nothing, and the agent finds out, also when it is over by then.
// What it cannot do is undo the OK; so it says under which ledger that was.
func TestCommitsThatDidNotWaitAreReported(t *testing.T) {
	for name, hand := range map[string]struct{ begin, end []string }{
		"switched off": {begin: []string{"SET GLOBAL rpl_semi_sync_source_enabled = OFF"}},
		"switched off for a moment": {
			begin: []string{"SET GLOBAL rpl_semi_sync_source_enabled = OFF"}, end: []string{"SET GLOBAL rpl_semi_sync_source_enabled = ON"},
		},
		"a time limit": {
			begin: []string{"SET GLOBAL rpl_semi_sync_source_timeout = 10"}, end: []string{"SET GLOBAL rpl_semi_sync_source_timeout = 4294967295"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.setLease(time.Minute) // so that the primary's agent may be stopped for a while
			w.bootstrap()
			a := w.members[0]
			b := w.members[1]
			if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			calm := a.awaitState("the pair is in sync", patience, func(s agentapi.State) bool {
				return s.Server != nil && s.Server.Waiting && s.ActedLedger == w.current().Ledger.Version
			})
			if calm.SemiSyncLostAt != 0 {
				t.Fatalf("an interruption is reported that nobody made: %d", calm.SemiSyncLostAt)
			}
			b.holdReceiver()
			root := a.db("root")
			app := a.db("app")
			for _, db := range []*sql.DB{root, app} {
				if err := a.exec(db, "DO 1"); err != nil { // logs in
					t.Fatal(err)
				}
			}
			a.signal(syscall.SIGSTOP) // so that all of this is between two looks
			for _, s := range hand.begin {
				if err := a.exec(root, s); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.exec(app, "INSERT INTO t VALUES (1)"); err != nil {
				t.Fatalf("trap: a commit that need not wait: %v, it used to get an OK", err)
			}
			for _, s := range hand.end {
				if err := a.exec(root, s); err != nil {
					t.Fatal(err)
				}
			}
			a.signal(syscall.SIGCONT)
			a.awaitState("the agent says so", patience, func(s agentapi.State) bool {
				return s.SemiSyncLostAt == w.current().Ledger.Version && s.Server != nil && s.Server.Waiting
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := app.ExecContext(ctx, "INSERT INTO t VALUES (2)"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after the correction a commit ended with %v, it has to wait", err)
			}
			a.awaitProblem(agentapi.ProblemOwnedVariable, patience, "rpl_semi_sync_source_")
		})
	}
}

// signal sends one to the agent, and lets it go on at the end of the test.
func (m *member) signal(s syscall.Signal) {
	m.w.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.w.t.Fatal(err)
	}
	m.w.t.Cleanup(func() { _ = m.cmd.Process.Signal(syscall.SIGCONT) })
}

// holdReceiver stops the passive's receiver, and the agent that would start it again.
func (m *member) holdReceiver() {
	t := m.w.t
	t.Helper()
	m.signal(syscall.SIGSTOP)
	if err := m.exec(m.db("root"), "STOP REPLICA IO_THREAD"); err != nil {
		t.Fatal(err)
	}
}

// TestAPrimaryAloneIsNotLeftWaiting: with the ledger solo nobody acknowledges, and nobody
// would end the waiting that a DBA switched on.
func TestAPrimaryAloneIsNotLeftWaiting(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: a.name}
	})
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	a.awaitState("does not wait", patience, func(s agentapi.State) bool {
		return s.ActedLedger == w.current().Ledger.Version && s.Server != nil && !s.Server.Waiting
	})
	b.holdReceiver()
	if err := a.exec(a.db("root"), "SET GLOBAL rpl_semi_sync_source_enabled = ON"); err != nil {
		t.Fatal(err)
	}
	if err := a.exec(a.db("app"), "INSERT INTO t VALUES (1)"); err != nil {
		t.Errorf("a primary alone, made to wait by hand: %v", err)
	}
	if s := a.now(); s.Phase != agentapi.PhaseOpen || s.SemiSyncLostAt != 0 {
		t.Errorf("phase %s; reported as lost under ledger %d, where nobody has to wait", s.Phase, s.SemiSyncLostAt)
	}
}

// TestAPassiveThatWaitsAppliesAgain: the source side that someone switches on at the passive
// stalls its applier forever and without an error, when the primary does not receive from it.
func TestAPassiveThatWaitsAppliesAgain(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	app := a.db("app")
	root := b.db("root")
	if err := a.exec(app, "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if err := b.exec(root, "DO 1"); err != nil {
		t.Fatal(err)
	}
	b.signal(syscall.SIGSTOP) // until the applier has stalled
	if err := b.exec(root, "SET GLOBAL rpl_semi_sync_source_enabled = ON"); err != nil {
		t.Fatal(err)
	}
	// The reverse channel would acknowledge; it does not open to a peer that waits.
	if err := a.exec(a.db("root"), "STOP REPLICA IO_THREAD"); err != nil {
		t.Fatal(err)
	}
	const rows = 3
	for i := range rows {
		if err := a.exec(app, fmt.Sprintf("INSERT INTO t VALUES (%d)", i)); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	w.await("trap: the applier stalls", patience, func() bool {
		const waiting = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_wait_sessions'"
		return root.QueryRow(waiting).Scan(&n) == nil && n > 0
	})
	b.signal(syscall.SIGCONT)
	w.await("the passive has applied everything", patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return root.QueryRowContext(ctx, "SELECT COUNT(*) FROM app.t").Scan(&n) == nil && n == rows
	})
}

// TestFlushedCountersAreNoInterruption: the counter of interruptions is not zero after the
// pair was solo once, and FLUSH STATUS, which monitoring tools use, sets it to zero.
func TestFlushedCountersAreNoInterruption(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	a.awaitState("the pair is in sync", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Waiting && s.ActedLedger == w.current().Ledger.Version
	})
	root := a.db("root")
	if err := a.exec(root, "SET GLOBAL rpl_semi_sync_source_enabled = OFF"); err != nil {
		t.Fatal(err)
	}
	version := w.current().Ledger.Version
	a.awaitState("a real interruption is reported", patience, func(s agentapi.State) bool {
		return s.SemiSyncLostAt == version && s.Server != nil && s.Server.Waiting
	})
	w.write(func(r *authority.Record) { r.Ledger.Version++ })
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	a.awaitState("the next ledger is acted on", patience, func(s agentapi.State) bool { return s.ActedLedger > version })
	var count int
	const counter = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_no_times'"
	if err := root.QueryRow(counter).Scan(&count); err != nil || count == 0 {
		t.Fatalf("trap: %d interruptions are counted (%v), want some", count, err)
	}
	if err := a.exec(root, "FLUSH STATUS"); err != nil {
		t.Fatal(err)
	}
	if err := root.QueryRow(counter).Scan(&count); err != nil || count != 0 {
		t.Fatalf("trap: %d interruptions are counted after FLUSH STATUS (%v)", count, err)
	}
	for range 2 { // when the second one is there, the first has been judged
		since := time.Now()
		a.awaitState("mysqld was observed", patience, func(s agentapi.State) bool {
			return s.Server != nil && s.ServerAge < time.Since(since)
		})
	}
	if s := a.now(); s.SemiSyncLostAt != version {
		t.Errorf("FLUSH STATUS is reported as commits that did not wait, at ledger version %d", s.SemiSyncLostAt)
	}
}

// TestACommitOfTheEventSchedulerIsSeenToWait: it has no session, so mysqld does not say how
// long it has waited; the operator judges the passive by that age.
func TestACommitOfTheEventSchedulerIsSeenToWait(t *testing.T) {
	w := newWorld(t)
	w.setLease(time.Minute)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	app := a.db("root")
	if err := a.exec(app, "CREATE TABLE app.t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	// It begins when the passive has stopped to receive.
	if err := a.exec(app, "CREATE EVENT app.e ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.t SELECT 1 FROM DUAL WHERE GET_LOCK('go', 0) = 1"); err != nil {
		t.Fatal(err)
	}
	hold, err := app.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	var got int
	if err := hold.QueryRowContext(t.Context(), "SELECT GET_LOCK('go', 60)").Scan(&got); err != nil || got != 1 {
		t.Fatalf("lock: %d, %v", got, err)
	}
	if err := a.exec(app, "DELETE FROM app.t"); err != nil {
		t.Fatal(err)
	}
	b.holdReceiver()
	if err := hold.QueryRowContext(t.Context(), "SELECT RELEASE_LOCK('go')").Scan(&got); err != nil || got != 1 {
		t.Fatalf("unlock: %d, %v", got, err)
	}
	s := a.awaitState("the wait is timed", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.OldestWait > 3*time.Second
	})
	if s.Server.WaitSessions == 0 {
		t.Errorf("nothing waits: %+v", s.Server)
	}
}
