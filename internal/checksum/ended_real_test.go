package checksum

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// testAChunkWhoseSessionEndsIsNotCompared: a lane's session is ended inside a chunk in the
// middle of the table. The run has no verdict then, and what goes on where it was finds all.
func testAChunkWhoseSessionEndsIsNotCompared(w *world) {
	w.makeLarge()
	w.enlarge(enlarged)
	for _, one := range []struct {
		name string
		on   *sql.DB
		end  func(w *world, on *sql.DB, run *comparison)
	}{
		{"on the primary, between two statements", w.onA, (*world).endBetweenStatements},
		{"on the passive, between two statements", w.onB, (*world).endBetweenStatements},
		{"on the primary, in a statement", w.onA, endInAStatement("KILL")},
		{"on the passive, in a statement", w.onB, endInAStatement("KILL")},
		{"on the primary, a statement alone", w.onA, endInAStatement("KILL QUERY")},
		{"on the passive, a statement alone", w.onB, endInAStatement("KILL QUERY")},
	} {
		w.Run(one.name, func(t *testing.T) {
			w := w.on(t)
			run := w.stand(afterChunks(thenCounts), w.largeOptions())
			before := partOfLarge(run.state())
			one.end(w, one.on, run)
			report, err := run.end()
			if !errors.Is(err, ErrSessionLost) {
				t.Errorf("it ends with %v: %+v", err, report)
			}
			if len(report.Tables) > 0 || !report.Finished.IsZero() {
				t.Errorf("a verdict about a table whose session ended: %+v", report)
			}
			if got := partOfLarge(run.state()); got.Rows != before.Rows || got.Chunks != before.Chunks {
				t.Errorf("it would go on after %+v, and was after %+v", got, before)
			}
			options := w.largeOptions()
			last := run.state()
			options.Resume = &last
			report = w.compare(options)
			if got := report.table("l.t"); got.State != Different || got.Rows != enlarged || got.Changed != 3 || len(got.Differing) != 3 || report.Resumed != 1 {
				t.Errorf("resumed: %+v", got)
			}
		})
	}
}

// endBetweenStatements ends the session of the lane, which stands after a chunk.
func (w *world) endBetweenStatements(on *sql.DB, _ *comparison) {
	w.Helper()
	lanes := func() []int64 {
		return w.ids(on, `SELECT t.PROCESSLIST_ID FROM performance_schema.threads t JOIN performance_schema.events_statements_current s USING (THREAD_ID)
			WHERE t.PROCESSLIST_USER = ? AND s.SQL_TEXT = '`+release+`'`)
	}
	ended := lanes()
	if len(ended) != 1 {
		w.Fatalf("%d sessions stand after a chunk", len(ended))
	}
	if _, err := on.Exec(fmt.Sprintf("KILL %d", ended[0])); err != nil {
		w.Fatal(err)
	}
	mysqldtest.Await(w, "the session has ended", func() bool { return len(lanes()) == 0 })
}

// endInAStatement ends a statement that waits for the table.
func endInAStatement(kill string) func(*world, *sql.DB, *comparison) {
	return func(w *world, on *sql.DB, run *comparison) {
		w.Helper()
		letGo := w.holdReaders(on)
		defer letGo()
		run.goOn()
		run.await("a statement that waits is ended", func() bool {
			for _, id := range w.ids(on, `SELECT PROCESSLIST_ID FROM performance_schema.threads
				WHERE PROCESSLIST_USER = ? AND PROCESSLIST_STATE = 'Waiting for table metadata lock'`) {
				if _, err := on.Exec(fmt.Sprintf("%s %d", kill, id)); err == nil {
					return true
				}
			}
			return false
		})
	}
}

// ids are those of sessions of the account.
func (w *world) ids(on *sql.DB, query string) []int64 {
	w.Helper()
	return mysqldtest.SessionIDs(w, on, query, checksumUser)
}

// testASessionThatWasIdleForTooLongIsLost: a run that waits for the load to end may wait
// longer than a server keeps a session that says nothing.
func testASessionThatWasIdleForTooLongIsLost(w *world) {
	w.makeLarge()
	t := w.aligner()
	session := t.lanes[0].primary
	if err := session.Exec(w.Context(), "SET SESSION wait_timeout = 1"); err != nil {
		w.Fatal(err)
	}
	mysqldtest.Await(w, "the server ends the session", func() bool {
		return len(w.ids(w.onA, fmt.Sprintf("SELECT 1 FROM performance_schema.threads WHERE PROCESSLIST_USER = ? AND PROCESSLIST_ID = %d", session.ID))) == 0
	})
	if err := t.letGo(w.Context()); !errors.Is(err, tablesql.ErrKilled) {
		w.Errorf("%v, want %v", err, tablesql.ErrKilled)
	}
}
