package quarantine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

// data is a volume whose data has these binary logs.
func data(t *testing.T, logs map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	dir := volume.Open(root, "").DataDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range logs {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// later is a log that begins after the transactions up to last.
func later(last uint64, more ...byte) []byte {
	l := newLog()
	l.previous(last)
	l.Write(more)
	return l.Bytes()
}

func TestChangesAreCountedByTable(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	logs := map[string][]byte{
		"binlog.000001":  append(newLog().Bytes(), "damaged"...), // of no interest
		"binlog.000002":  full(t).Bytes(),
		"binlog.000003":  later(6, []byte("half an event")...), // mysqld is writing it
		"binlog.index":   []byte("./binlog.000001\n"),
		"ibdata1":        []byte("x"),
		"relay.000001":   []byte("x"),
		"binlog.000002a": []byte("x"),
	}
	root := data(t, logs)
	for name, c := range map[string]struct {
		gtids string
		want  agentapi.BinlogChanges
	}{
		"all": {server + ":4-6", agentapi.BinlogChanges{
			Transactions:   3,
			GTIDs:          server + ":4-6",
			First:          when,
			Last:           when,
			WithStatements: 1,
			Tables: []agentapi.QuarantineTable{
				{
					Schema:   "app",
					Table:    "t",
					Inserted: 3,
					Deleted:  2,
				},
				{Schema: "app", Table: "u", Updated: 1},
			},
		}},
		"one": {server + ":6", agentapi.BinlogChanges{
			Transactions: 1,
			GTIDs:        server + ":6",
			First:        when,
			Last:         when,
			Tables:       []agentapi.QuarantineTable{{Schema: "app", Table: "t", Deleted: 2}},
		}},
		"one that was purged": {server + ":1:5", agentapi.BinlogChanges{
			Transactions:   1,
			GTIDs:          server + ":5",
			NotFound:       server + ":1",
			First:          when,
			Last:           when,
			WithStatements: 1,
			Problem:        "binlog.000001: it ends in the middle of an event; binlog.000003: it ends in the middle of an event",
		}},
	} {
		text, err := run(t, root, "changes", "--gtids", c.gtids)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got agentapi.BinlogChanges
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// saved is a quarantine that has these files of data "former".
func saved(t *testing.T, files map[string][]byte) Quarantine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		at(t, root, "former/"+name, text)
	}
	return Of(volume.Open(root, ""), volume.Retention{})
}

// What a copy gives up is all that the saved logs have and the primary lacks: counted whole, listed up to a bound.
func TestWhatIsGivenUpIsListed(t *testing.T) {
	q := saved(t, map[string][]byte{
		"binlog.000002": full(t).Bytes(),
		"binlog.000003": later(6),
		"binlog.index":  []byte("/gone/binlog.000002\n"),
	})
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		kept string
		want *agentapi.Discarded
	}{
		"nothing": {server + ":1-9", nil},
		"two transactions": {server + ":1-4", &agentapi.Discarded{
			GTIDs:        server + ":5-6",
			Transactions: 2,
			List: []agentapi.QuarantineTransaction{
				{GTID: server + ":5", At: when, Statements: []string{"ALTER TABLE t ADD v INT"}},
				{GTID: server + ":6", At: when, Tables: []agentapi.QuarantineTable{{Schema: "app", Table: "t", Deleted: 2}}},
			},
		}},
		"one of which no log is left": {server + ":2-5", &agentapi.Discarded{
			GTIDs:        server + ":1:6",
			Transactions: 2,
			List: []agentapi.QuarantineTransaction{
				{GTID: server + ":6", At: when, Tables: []agentapi.QuarantineTable{{Schema: "app", Table: "t", Deleted: 2}}},
			},
			NotSaved: server + ":1",
		}},
	} {
		got := q.GivenUp("former", gtid.MustParse(c.kept))
		if got != nil {
			for i := range got.List {
				got.List[i].File, got.List[i].Offset = "", 0
				for j := range got.List[i].Statements {
					got.List[i].Statements[j] = strings.TrimPrefix(got.List[i].Statements[j], "USE `app`; ")
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	many := newLog()
	many.previous(1)
	for n := range uint64(30) {
		many.gtid(n + 2)
		many.add(replication.QUERY_EVENT, query("app", "CREATE TABLE t (id INT)"))
	}
	q = saved(t, map[string][]byte{"binlog.000001": many.Bytes()})
	if got := q.GivenUp("former", gtid.MustParse(server+":1")); got == nil || got.Transactions != 30 || len(got.List) != agentapi.MostGivenUp || got.NotSaved != "" || got.Problem != "" {
		t.Errorf("of 30: %+v", got)
	}
	q = saved(t, map[string][]byte{"binlog.000001": many.Bytes()[:many.Len()-5]})
	if got := q.GivenUp("former", gtid.MustParse(server+":1")); got == nil || got.Transactions != 30 || got.Problem == "" {
		t.Errorf("of a log that is cut off: %+v", got)
	}
	if got := q.GivenUp("another", gtid.Set{}); got == nil || got.Problem == "" {
		t.Errorf("without logs: %+v", got)
	}
}

func TestOnlyLogsThatCanHoldTheTransactionsAreRead(t *testing.T) {
	root := data(t, map[string][]byte{
		"binlog.000009":  later(3),
		"binlog.000010":  later(9),
		"binlog.999999":  later(12),
		"binlog.1000000": later(20),
	})
	for wanted, want := range map[string]string{
		server + ":4-8":    "binlog.000009 binlog.1000000",
		server + ":9-10":   "binlog.000009 binlog.000010 binlog.1000000",
		server + ":15":     "binlog.999999 binlog.1000000",
		server + ":21-100": "binlog.1000000",
	} {
		paths, unread, err := logsWith(volume.Open(root, "").DataDir(), gtid.MustParse(wanted))
		var names []string
		for _, path := range paths {
			names = append(names, filepath.Base(path))
		}
		if got := strings.Join(names, " "); got != want || err != nil || len(unread) > 0 {
			t.Errorf("%s: %s, %v, %v; want %s", wanted, got, unread, err, want)
		}
	}
}

func TestWhatCannotBeCountedIsSaid(t *testing.T) {
	cut := newLog()
	cut.previous(3)
	cut.gtid(4)
	cut.add(replication.QUERY_EVENT, query("app", "BEGIN"))
	for name, c := range map[string]struct {
		logs map[string][]byte
		want agentapi.BinlogChanges
	}{
		"an encrypted log": {
			map[string][]byte{"binlog.000001": []byte("\xfdbin encrypted")},
			agentapi.BinlogChanges{
				NotFound: server + ":4",
				Problem:  "binlog.000001: it is encrypted",
			},
		},
		"a transaction without its end": {
			map[string][]byte{"binlog.000001": cut.Bytes()},
			agentapi.BinlogChanges{
				Transactions: 1,
				GTIDs:        server + ":4",
				First:        time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
				Last:         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
				Unread:       1,
			},
		},
	} {
		got, err := Of(volume.Open(data(t, c.logs), ""), volume.Retention{}).Changes(gtid.MustParse(server + ":4"))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := Of(volume.Open(t.TempDir(), ""), volume.Retention{}).Changes(gtid.MustParse(server + ":4")); err == nil || !strings.Contains(err.Error(), "no binary logs") {
		t.Errorf("a volume without data: %v", err)
	}
	if _, err := run(t, t.TempDir(), "changes"); err == nil || !strings.Contains(err.Error(), "--gtids") {
		t.Errorf("without transactions: %v", err)
	}
}

// FuzzChanges: binary logs that anyone could have written neither crash the reader nor fill its
// memory.
func FuzzChanges(f *testing.F) {
	head := newLog()
	head.previous(3)
	f.Add(head.Bytes())
	f.Add(binary.LittleEndian.AppendUint64(head.Bytes(), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := data(t, map[string][]byte{"binlog.000001": text, "binlog.000002": text})
		if _, err := Of(volume.Open(root, ""), volume.Retention{}).Changes(gtid.MustParse(server + ":1-100")); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
