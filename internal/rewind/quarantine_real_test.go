package rewind_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/quarantine"
	"github.com/dbpair/dbpair/internal/rewind"
)

// TestWhatIsGivenUpIsReadBack saves the tail of a killed primary as a rewind does, and its binary
// logs as a copy does, and reads both.
func TestWhatIsGivenUpIsReadBack(t *testing.T) {
	l := killedWithTail(t, nil,
		"INSERT INTO app.t VALUES (2), (3)",
		"SET binlog_transaction_compression = ON; UPDATE app.t SET id = 10 WHERE id = 1",
		"CREATE TABLE app.late (id INT PRIMARY KEY)",
		"SET GTID_NEXT = 'AUTOMATIC:tag'; INSERT INTO app.u VALUES (7)")
	root := t.TempDir()
	vol := volume.Open(root, "")
	l.member.Quarantine = vol.QuarantineDir()
	copyLogs(t, filepath.Join(l.member.BinlogDir, "binlog.*"), vol.DataDir())
	copyLogs(t, filepath.Join(l.pair.B.Member.DataDir, "relay.*"), vol.DataDir())
	if _, err := vol.SaveRelayLog(volume.SavedRelayLog{DataID: "data-1", SavedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := vol.Quarantine("data-1"); err != nil {
		t.Fatal(err)
	}
	cut, err := rewind.Cut(l.member, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var list agentapi.QuarantineList
	decode(t, root, &list, "list")
	entries := map[agentapi.QuarantineKind]agentapi.QuarantineEntry{}
	for _, entry := range list.Entries {
		entries[entry.Kind] = entry
	}
	tail := entries[agentapi.QuarantineTail]
	if tail.Name != filepath.Base(cut.Saved) || !gtid.MustParse(tail.GTIDs).Equal(l.tail) || tail.Problem != "" {
		t.Errorf("the tail: %+v", tail)
	}
	data := entries[agentapi.QuarantineData]
	if data.Name != "data-1" || !gtid.MustParse(data.GTIDs).Covers(l.tail) || data.Problem != "" || list.Bytes <= tail.Bytes {
		t.Errorf("the data: %+v", data)
	}

	want := []agentapi.QuarantineTable{
		{Schema: "app", Table: "t", Inserted: 2, Updated: 1},
		{Schema: "app", Table: "u", Inserted: 1},
	}
	for _, args := range [][]string{{tail.Name}, {"--gtids", l.tail.String(), "data-1"}} {
		all := records(t, root, append([]string{"show", "--rows", "10"}, args...)...)
		summary := all[len(all)-1].Summary
		if summary == nil || len(all) != 5 || !gtid.MustParse(summary.GTIDs).Equal(l.tail) {
			t.Fatalf("%q: %+v", args, summary)
		}
		if diff := cmp.Diff(want, summary.Tables); diff != "" {
			t.Errorf("%q: tables (-want +got):\n%s", args, diff)
		}
		var rows, statements []string
		for _, one := range all[:4] {
			rows = append(rows, one.Transaction.Rows...)
			statements = append(statements, one.Transaction.Statements...)
			if one.Transaction.Incomplete || one.Transaction.Unread != "" || time.Since(one.Transaction.At) > time.Hour {
				t.Errorf("%q: %+v", args, one.Transaction)
			}
		}
		for _, row := range []string{
			"-- INSERT INTO `app`.`t` SET @1=3", "-- UPDATE `app`.`t` SET @1=10 WHERE @1=1", "-- INSERT INTO `app`.`u` SET @1=7",
		} {
			if !slices.Contains(rows, row) {
				t.Errorf("%q: no row %s in %q", args, row, rows)
			}
		}
		if len(statements) != 1 {
			t.Errorf("%q: statements %q", args, statements)
		}
	}
	// The passive had received all but the tail.
	relay := records(t, root, "show", entries[agentapi.QuarantineRelayLog].Name)
	received := relay[len(relay)-1].Summary
	if received == nil || received.Transactions == 0 || len(relay) != int(received.Transactions)+1 ||
		!l.acknowledged.Covers(gtid.MustParse(received.GTIDs)) || relay[0].Transaction.Incomplete {
		t.Errorf("the relay log: %+v", relay)
	}
	replay(t, l, filepath.Join(vol.QuarantineDir(), "data-1"))
}

// replay writes what was given up into the other member by hand, as docs/operations.md says.
func replay(t *testing.T, l left, dir string) {
	t.Helper()
	programs := mysqldtest.Require(t).Dir
	for _, program := range []string{"mysql", "mysqlbinlog"} {
		if _, err := os.Stat(filepath.Join(programs, program)); err != nil {
			t.Logf("no %s: what was given up was not replayed", program)
			return
		}
	}
	l.pair.B.Open(false)
	logs, err := filepath.Glob(filepath.Join(dir, "binlog.0*"))
	if err != nil {
		t.Fatal(err)
	}
	statements := exec.Command(filepath.Join(programs, "mysqlbinlog"), append([]string{"--skip-gtids", "--include-gtids=" + l.tail.String()}, logs...)...)
	client := exec.Command(filepath.Join(programs, "mysql"), "--no-defaults", "--socket="+l.pair.B.Member.Socket, "--user=root")
	client.Env = append(os.Environ(), "MYSQL_PWD="+mysqldtest.Passwords.Root.Reveal())
	text, err := statements.Output()
	if err != nil {
		t.Fatalf("mysqlbinlog: %v", err)
	}
	client.Stdin = bytes.NewReader(text)
	if out, err := client.CombinedOutput(); err != nil {
		t.Fatalf("mysql: %v: %s", err, out)
	}
	root := l.pair.B.Root()
	if ids := one[string](t, root, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t"); ids != "2,3,10" {
		t.Errorf("rows %s, want 2,3,10", ids)
	}
	if rows := one[int](t, root, "SELECT (SELECT COUNT(*) FROM app.u) + (SELECT COUNT(*) FROM app.late)"); rows != 1 {
		t.Errorf("%d rows in app.u and app.late, want 1", rows)
	}
}

// copyLogs copies logs and their index.
func copyLogs(t *testing.T, from, to string) {
	t.Helper()
	files, err := filepath.Glob(from)
	if err != nil || len(files) == 0 {
		t.Fatalf("logs %q, %v", files, err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, filepath.Base(file)), string(text))
	}
}

func decode(t *testing.T, root string, into any, args ...string) {
	t.Helper()
	if err := json.NewDecoder(output(t, root, args...)).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func records(t *testing.T, root string, args ...string) []agentapi.QuarantineRecord {
	t.Helper()
	decoder := json.NewDecoder(output(t, root, args...))
	var all []agentapi.QuarantineRecord
	for {
		var one agentapi.QuarantineRecord
		if err := decoder.Decode(&one); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

// output is what "agent quarantine" prints.
func output(t *testing.T, root string, args ...string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	if err := quarantine.Run(append([]string{args[0], "--data-dir", root}, args[1:]...), &out); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return &out
}
