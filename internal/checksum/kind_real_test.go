package checksum

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// makeLarge makes a table of three chunks, or more where one takes long, in which the first, a middle and
// the last row differ.
func (w *world) makeLarge() {
	w.Cleanup(func() { w.dropping("l") })
	w.exec("CREATE DATABASE l", "SET cte_max_recursion_depth = 100000", "CREATE TABLE l.t (id INT PRIMARY KEY, n INT)",
		"INSERT INTO l.t WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < 45000) SELECT i, i FROM r",
		"CREATE TABLE l.small (id INT PRIMARY KEY)", "INSERT INTO l.small VALUES (1)")
	w.plant("UPDATE l.t SET n = 0 WHERE id IN (1, 25000, 45000)")
}

// chunksOfLarge is how many chunks of the large table are compared so far.
func chunksOfLarge(state State) int { return partOfLarge(state).Chunks }

// partOfLarge is what is known of the large table so far.
func partOfLarge(state State) TableReport {
	for _, one := range state.Current {
		if one.Partial.Table.Name == "t" {
			return one.Partial
		}
	}
	return TableReport{}
}

func (w *world) largeOptions() Options {
	options := w.options()
	options.Include = []string{"l"}
	options.SkipSchemaDrift = true
	options.Parallelism = 1
	return options
}

func testARunIsResumedWhereItWas(w *world) {
	t := w.T
	w.makeLarge()
	options := w.largeOptions()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last State
	options.Now = steps(2 * time.Second) // every chunk is saved
	options.MaxSnapshotAge = time.Hour
	options.Save = func(state State) {
		if ctx.Err() == nil {
			last = state
		}
		if chunksOfLarge(state) == 2 {
			cancel()
		}
	}
	if _, err := Run(ctx, options); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled: %v", err)
	}
	w.noSessions()
	text, err := json.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	var resume State
	if err := json.Unmarshal(text, &resume); err != nil {
		t.Fatal(err)
	}
	options = w.largeOptions()
	options.Resume = &resume
	report := w.compare(options)
	table := report.table("l.t")
	if table.State != Different || table.Changed != 3 || len(table.Differing) != 3 || table.Rows != 45_000 || table.Chunks < 3 || report.Resumed != 1 {
		t.Errorf("resumed after %s: %+v, resumed %d", text, table, report.Resumed)
	}
	if report.table("l.small").State != Consistent {
		t.Errorf("the other table: %+v", report.table("l.small"))
	}
}

// steps is a clock that goes on by d at each look.
func steps(d time.Duration) func() time.Time {
	var mu sync.Mutex
	now := time.Now()
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
		return now
	}
}

// noSessions waits until the account has no session left on either member.
func (w *world) noSessions() {
	w.Helper()
	for _, member := range []*sql.DB{w.onA, w.onB} {
		mysqldtest.Await(w, "no session is left", func() bool {
			var n int
			err := member.QueryRow("SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_USER = ?", checksumUser).Scan(&n)
			return err == nil && n == 0
		})
	}
}

// testSnapshotsAreRenewed: what is written to a later chunk is seen by new snapshots only.
func testSnapshotsAreRenewed(w *world) {
	w.makeLarge()
	for _, one := range []struct {
		name     string
		attempts int
		age      time.Duration
		changed  int64
	}{
		{"kept while they are young", DefaultLockAttempts, time.Hour, 3},
		{"renewed under the table lock", DefaultLockAttempts, time.Second, 2},
		{"renewed without it", -1, time.Second, 2},
	} {
		w.Run(one.name, func(t *testing.T) {
			w := w.on(t)
			w.plant("UPDATE l.t SET n = 0 WHERE id = 45000")
			options := w.largeOptions()
			options.LockAttempts = one.attempts
			options.Now = steps(400 * time.Millisecond)
			options.MaxSnapshotAge = one.age
			var once sync.Once
			options.Save = func(state State) { // the only lane waits until it returns
				if chunksOfLarge(state) == 1 {
					once.Do(func() {
						w.exec("UPDATE l.t SET n = n + 1 WHERE id = 45000")
						w.sync()
					})
				}
			}
			table := w.compare(options).table("l.t")
			if table.State != Different || table.Changed != one.changed || table.Rows != 45_000 || table.Restarts != 0 {
				t.Errorf("want %d rows: %+v", one.changed, table)
			}
		})
	}
}

func testRolesAreChecked(w *world) {
	t := w.T
	w.makeLarge()
	t.Run("the members the other way round", func(t *testing.T) {
		options := w.largeOptions()
		options.Primary, options.Passive = options.Passive, options.Primary
		if _, err := Run(t.Context(), options); !errors.Is(err, ErrRolesChanged) {
			t.Errorf("%v", err)
		}
	})
	t.Run("sessions ended in the middle, as a promotion does", func(t *testing.T) {
		options := w.largeOptions()
		options.Log = testr.New(t)
		options.Now = steps(2 * time.Second)
		options.MaxSnapshotAge = time.Hour
		var once sync.Once
		options.Save = func(state State) {
			if len(state.Current) > 0 {
				once.Do(func() { mysqldtest.EndSessions(w, w.onA, checksumUser) })
			}
		}
		if _, err := Run(t.Context(), options); !errors.Is(err, ErrSessionLost) && !errors.Is(err, ErrRolesChanged) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a primary that was closed in the middle", func(t *testing.T) {
		options := w.largeOptions()
		options.Log = testr.New(t)
		options.Now = steps(400 * time.Millisecond)
		options.MaxSnapshotAge = time.Second
		var once sync.Once
		options.Save = func(state State) {
			if len(state.Current) > 0 {
				once.Do(func() { w.exec("SET GLOBAL super_read_only = ON") })
			}
		}
		_, err := Run(t.Context(), options)
		w.exec("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
		if !errors.Is(err, ErrRolesChanged) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a stopped applier", func(t *testing.T) {
		if _, err := w.onB.Exec("STOP REPLICA SQL_THREAD"); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), w.largeOptions()); !errors.Is(err, ErrNotReplicating) {
			t.Errorf("%v", err)
		}
	})
}

func testNoLockIsHeldLonger(w *world) {
	t := w.T
	w.makeLarge()
	options := w.largeOptions().withDefaults()
	options.MaxLockTime = 100 * time.Millisecond
	r := &run{Options: options, book: newBook(options)}
	if err := r.connect(); err != nil {
		t.Fatal(err)
	}
	defer r.disconnect()
	var err error
	if r.killer, err = r.primary.Session(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, lock := range map[string][]string{
		"a table lock": {"LOCK TABLES l.t READ"},
		"a row lock":   {"START TRANSACTION", "SELECT id FROM l.t WHERE id = 7 FOR SHARE"},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				took := w.on(t).writeBesideALock(r, lock)
				if took <= 10*options.MaxLockTime {
					return
				}
				// One that is late says that the machine was, ten say that the guard is.
				if n == 10 {
					t.Fatalf("a write took %v", took)
				}
			}
		})
	}
}

// writeBesideALock says how long a write takes beside a lock whose holder does nothing any more.
func (w *world) writeBesideALock(r *run, lock []string) time.Duration {
	w.Helper()
	holder, err := r.primary.Session(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer holder.Close()
	for _, statement := range lock {
		if err := holder.Rows(w.Context(), statement, ignore); err != nil {
			w.Fatal(err)
		}
	}
	began := time.Now()
	killed := r.guard(holder)
	w.exec("SET SESSION lock_wait_timeout = 60", "SET SESSION innodb_lock_wait_timeout = 60", "UPDATE l.t SET n = n + 1 WHERE id = 7",
		"SET SESSION lock_wait_timeout = DEFAULT", "SET SESSION innodb_lock_wait_timeout = DEFAULT")
	took := time.Since(began)
	if !killed() {
		w.Error("the holder was not killed")
	}
	if err := holder.Exec(w.Context(), "DO 1"); !errors.Is(err, tablesql.ErrKilled) {
		w.Errorf("the holder's session: %v", err)
	}
	return took
}

func ignore([]sql.RawBytes) error { return nil }

func testDriftOfDefinitionsIsListed(w *world) {
	t := w.T
	w.exec("CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "CREATE TABLE d.gone (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1,1)",
		"CREATE TABLE d.virtual (id INT PRIMARY KEY, n INT, v INT AS (n + 1) VIRTUAL, KEY (v))", "INSERT INTO d.virtual (id, n) VALUES (1,1)",
		"CREATE VIEW d.v AS SELECT id FROM d.t", "CREATE TRIGGER d.tr BEFORE INSERT ON d.t FOR EACH ROW SET @a = 1",
		"CREATE PROCEDURE d.p (a INT) SELECT a", "CREATE EVENT d.e ON SCHEDULE EVERY 1 DAY DO SET @a = 1", "CREATE USER u1, u2, role", "GRANT SELECT ON d.* TO u1")
	w.sync()
	report := w.compare(w.options())
	if report.SchemaDriftCount != 0 {
		t.Fatalf("before anything was done: %+v", report.SchemaDrift)
	}
	w.plant("ALTER TABLE d.t ADD KEY extra (n)", "ALTER TABLE d.virtual DROP COLUMN v, ADD COLUMN v INT AS (n + 2) VIRTUAL", "DROP TABLE d.gone", "CREATE TABLE d.more (id INT PRIMARY KEY)", "ALTER TABLE d.t AUTO_INCREMENT = 500",
		"CREATE OR REPLACE VIEW d.v AS SELECT n FROM d.t", "DROP TRIGGER d.tr", "CREATE TRIGGER d.tr BEFORE INSERT ON d.t FOR EACH ROW SET @a = 2",
		"DROP PROCEDURE d.p", "CREATE PROCEDURE d.p (a BIGINT) SELECT a", "ALTER EVENT d.e ON SCHEDULE EVERY 2 DAY", "DROP USER u2",
		"GRANT INSERT ON d.* TO u1", "GRANT role TO u1", "ALTER USER u1 ACCOUNT LOCK", "CREATE DATABASE only", "ALTER DATABASE d COLLATE latin1_bin",
		"INSTALL COMPONENT 'file://component_query_attributes'", "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
	report = w.compare(w.options())
	w.plant("UNINSTALL COMPONENT 'file://component_query_attributes'", "UNINSTALL PLUGIN auth_socket")
	var got []string
	for _, one := range report.SchemaDrift {
		got = append(got, fmt.Sprintf("%s %s %s", one.Object, one.Name, one.Kind))
	}
	want := []string{"Component file://component_query_attributes Extra", "Event d.e Different", "Grant u1@% Different", "Plugin auth_socket Extra", "Role u1@% Extra", "Routine d.p Different", "Schema d Different", "Schema only Extra",
		"Table d.gone Missing", "Table d.more Extra", "Table d.t Different", "Table d.virtual Different", "Trigger d.tr Different", "User u1@% Different", "User u2@% Missing", "View d.v Different"}
	if !slices.Equal(got, want) || report.SchemaDriftCount != len(want) {
		t.Errorf("drift\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if table := report.table("d.gone"); table.State != Skipped || table.Reason == "" {
		t.Errorf("a table that the passive lacks: %+v", table)
	}
	if table := report.table("d.virtual"); table.State != Consistent {
		t.Errorf("a table whose virtual column says something else: %+v", table)
	}
	if table := report.table("d.t"); table.State != Consistent {
		t.Errorf("a table with another index: %+v", table)
	}
}
