package agent_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// catchUp carries over what the old server has executed and the pair has not, as docs/import.md
// says: the old server's binary logs go through mysqlbinlog into the mysql client of root.
func (m *member) catchUp(old *mysqldtest.Instance) {
	m.w.t.Helper()
	t := m.w.t
	var has string
	if err := m.db("root").QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&has); err != nil {
		t.Fatal(err)
	}
	var first string
	var skip any
	if err := old.Root().QueryRowContext(t.Context(), "SHOW BINARY LOGS").Scan(&first, &skip, &skip); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	read := exec.CommandContext(ctx, filepath.Join(m.w.bins.Dir, "mysqlbinlog"), "--no-defaults", "--read-from-remote-server",
		"--host=127.0.0.1", "--port="+strconv.Itoa(old.Member.Port), "--user=mover", "--ssl-mode=REQUIRED", "--to-last-log",
		"--exclude-gtids="+strings.ReplaceAll(has, "\n", ""), first)
	read.Env = append(os.Environ(), "MYSQL_PWD=Mover-Secret-1")
	write := exec.CommandContext(ctx, filepath.Join(m.w.bins.Dir, "mysql"), "--no-defaults", "--socket="+m.path("run", "mysqld.sock"),
		"--user=root", "--binary-mode")
	write.Env = append(os.Environ(), "MYSQL_PWD=root-secret")
	var complaints, refusals strings.Builder
	read.Stderr = &complaints
	write.Stderr = &refusals
	var err error
	if write.Stdin, err = read.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := read.Start(); err != nil {
		t.Fatal(err)
	}
	loaded := write.Run()
	if err := read.Wait(); err != nil {
		t.Fatalf("mysqlbinlog: %v: %s", err, complaints.String())
	}
	if loaded != nil {
		t.Fatalf("mysql: %v: %s", loaded, refusals.String())
	}
}

// TestMovingInFromAServerThatIsWrittenMeanwhile: the pair begins with a copy of a server that goes
// on being written, catches up with it pass by pass, and once the old server is read-only it has
// everything, on both members.
func TestMovingInFromAServerThatIsWrittenMeanwhile(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	old, donor := foreignDonor(t)
	old.SetPassword(mysqlops.NewSecret("newer"))
	root := old.Root()
	for _, statement := range []string{
		"CREATE USER mover IDENTIFIED BY 'Mover-Secret-1' REQUIRE SSL", "GRANT REPLICATION SLAVE ON *.* TO mover",
		"CREATE TABLE app.moved (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))",
	} {
		if _, err := root.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	writing, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	written := make([]int, 2)
	for i := range written {
		writers.Go(func() {
			for n := 0; writing.Err() == nil; n++ {
				// Rows, and DDL between them.
				statement := fmt.Sprintf("INSERT INTO app.moved (v) VALUES ('%d of %d')", n, i)
				switch n % 10 {
				case 5:
					statement = "UPDATE app.moved SET v = CONCAT(v, '.') ORDER BY id DESC LIMIT 3"
				case 9:
					statement = fmt.Sprintf("CREATE TABLE IF NOT EXISTS app.side_%d_%d (id INT PRIMARY KEY)", i, n)
				}
				if _, err := root.ExecContext(t.Context(), statement); err != nil {
					t.Errorf("%s: %v", statement, err)
					return
				}
				written[i]++
				time.Sleep(200 * time.Millisecond) // less than the pair takes in, on any machine
			}
		})
	}
	defer func() {
		stop()
		writers.Wait()
	}()

	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	b.start()
	w.initializeFrom(a, donor)
	a.awaitPhase(agentapi.PhaseClosed, patience)
	w.openFirst(a)
	w.seed(b, a, "data-1")
	w.join(b, a)
	for range 3 {
		a.catchUp(old) // the first pass is the longest
	}
	stop()
	writers.Wait()
	// The cut-over: nobody writes to the old server any more, and the last pass is short.
	if _, err := root.ExecContext(t.Context(), "SET GLOBAL super_read_only = ON"); err != nil {
		t.Fatal(err)
	}
	a.catchUp(old)
	var last string
	if err := root.QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&last); err != nil {
		t.Fatal(err)
	}
	const tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app'"
	const rows = "SELECT CONCAT(COUNT(*), ' rows, ', BIT_XOR(CRC32(CONCAT(id, ':', v)))) FROM app.moved"
	var wantTables, wantRows string
	if err := root.QueryRowContext(t.Context(), tables).Scan(&wantTables); err != nil {
		t.Fatal(err)
	}
	if err := root.QueryRowContext(t.Context(), rows).Scan(&wantRows); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.members {
		db := m.db("root")
		w.await("everything is on "+string(m.name), patience, func() bool {
			var missing string
			return db.QueryRowContext(t.Context(), "SELECT GTID_SUBTRACT(?, @@GLOBAL.gtid_executed)", last).Scan(&missing) == nil && missing == ""
		})
		var gotTables, gotRows string
		if err := db.QueryRowContext(t.Context(), tables).Scan(&gotTables); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(t.Context(), rows).Scan(&gotRows); err != nil {
			t.Fatal(err)
		}
		if gotTables != wantTables || gotRows != wantRows {
			t.Errorf("%s has %s tables and %s, the old server %s and %s", m.name, gotTables, gotRows, wantTables, wantRows)
		}
	}
	if written[0] < 10 || written[1] < 10 {
		t.Errorf("the old server was written %v times only: nothing is shown", written)
	}
	a.catchUp(old) // once more does nothing
	if err := a.exec(a.db("app"), "INSERT INTO app.moved (v) VALUES ('new')"); err != nil {
		t.Errorf("the application's account: %v", err)
	}
}
