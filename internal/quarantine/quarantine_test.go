package quarantine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
)

const server = "11111111-1111-1111-1111-111111111111"

// log is a binary log that is made up event by event, with checksums.
type log struct{ bytes.Buffer }

func newLog() *log {
	l := &log{}
	l.Write(replication.BinLogFileHeader)
	body := make([]byte, 2+50+4)
	binary.LittleEndian.PutUint16(body, 4)
	copy(body[2:], "9.7.4")
	body = append(body, 19)
	lengths := bytes.Repeat([]byte{0}, 42)
	lengths[replication.TABLE_MAP_EVENT-1] = 8
	for _, kind := range []replication.EventType{replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2} {
		lengths[kind-1] = 10
	}
	body = append(body, lengths...)
	l.add(replication.FORMAT_DESCRIPTION_EVENT, append(body, byte(replication.BINLOG_CHECKSUM_ALG_CRC32)))
	return l
}

func event(kind replication.EventType, body []byte, checksum bool) []byte {
	raw := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(raw, 1767323045) // 2026-01-02T03:04:05Z
	raw[4] = byte(kind)
	size := headerSize + len(body)
	if checksum {
		size += checksumSize
	}
	binary.LittleEndian.PutUint32(raw[9:], uint32(size))
	raw = append(raw, body...)
	if checksum {
		raw = binary.LittleEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	}
	return raw
}

func (l *log) add(kind replication.EventType, body []byte) { l.Write(event(kind, body, true)) }

// previous says what the logs before have: the transactions up to last.
func (l *log) previous(last uint64) {
	body := binary.LittleEndian.AppendUint64(nil, 1)
	body = append(body, bytes.Repeat([]byte{0x11}, 16)...)
	body = binary.LittleEndian.AppendUint64(body, 1)
	body = binary.LittleEndian.AppendUint64(body, 1)
	l.add(replication.PREVIOUS_GTIDS_EVENT, binary.LittleEndian.AppendUint64(body, last+1))
}

func (l *log) gtid(number uint64) {
	body := append([]byte{1}, bytes.Repeat([]byte{0x11}, 16)...)
	l.add(replication.GTID_EVENT, binary.LittleEndian.AppendUint64(body, number))
}

func query(schema, text string) []byte {
	body := make([]byte, 13)
	body[8] = byte(len(schema))
	return append(append(append(body, schema...), 0), text...)
}

// tableMap is of a table with one column, BIGINT or VARCHAR(300).
func tableMap(id byte, schema, table string, text bool) []byte {
	body := []byte{id, 0, 0, 0, 0, 0, 1, 0, byte(len(schema))}
	body = append(append(body, schema...), 0, byte(len(table)))
	body = append(append(body, table...), 0, 1)
	if text {
		return append(body, 15, 2, 44, 1, 1)
	}
	return append(body, 8, 0, 0)
}

// rows are of that table; for an update, before and after.
func rows(id byte, images int, values ...any) []byte {
	body := []byte{id, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1}
	body = append(body, bytes.Repeat([]byte{0xff}, images)...)
	for _, value := range values {
		body = append(body, 0)
		switch v := value.(type) {
		case int:
			body = binary.LittleEndian.AppendUint64(body, uint64(v))
		case string:
			body = append(binary.LittleEndian.AppendUint16(body, uint16(len(v))), v...)
		}
	}
	return body
}

// full is a log with a transaction of each kind, numbered from 4 on.
func full(t *testing.T) *log {
	t.Helper()
	l := newLog()
	l.previous(3)
	l.gtid(4)
	l.add(replication.QUERY_EVENT, query("app", "BEGIN"))
	l.add(replication.TABLE_MAP_EVENT, tableMap(7, "app", "t", false))
	l.add(replication.WRITE_ROWS_EVENTv2, rows(7, 1, 1, 2, 3))
	l.add(replication.TABLE_MAP_EVENT, tableMap(8, "app", "u", true))
	l.add(replication.UPDATE_ROWS_EVENTv2, rows(8, 2, "a", "it's\n\x1b[31m; DROP TABLE t"))
	l.add(replication.XID_EVENT, make([]byte, 8))
	l.gtid(5)
	l.add(replication.QUERY_EVENT, query("app", "ALTER TABLE t ADD v INT"))
	l.gtid(6)
	var inner bytes.Buffer
	inner.Write(event(replication.QUERY_EVENT, query("app", "BEGIN"), false))
	inner.Write(event(replication.TABLE_MAP_EVENT, tableMap(7, "app", "t", false), false))
	inner.Write(event(replication.DELETE_ROWS_EVENTv2, rows(7, 1, 1, 2), false))
	inner.Write(event(replication.XID_EVENT, make([]byte, 8), false))
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	content := encoder.EncodeAll(inner.Bytes(), nil)
	l.add(replication.TRANSACTION_PAYLOAD_EVENT, append([]byte{2, 1, 0, 0}, content...))
	return l
}

// at writes a file of the quarantine.
func at(t *testing.T, root, name string, text []byte) {
	t.Helper()
	path := filepath.Join(volume.Open(root, "").QuarantineDir(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, root string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Run(append([]string{args[0], "--data-dir", root}, args[1:]...), &out)
	return out.String(), err
}

func show(t *testing.T, root string, args ...string) []agentapi.QuarantineRecord {
	t.Helper()
	text, err := run(t, root, append([]string{"show"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var all []agentapi.QuarantineRecord
	for line := range strings.Lines(text) {
		var one agentapi.QuarantineRecord
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	return all
}

var ignoreOffset = cmpopts.IgnoreFields(agentapi.QuarantineTransaction{}, "Offset")

// whole is what full holds.
func whole(file string) []agentapi.QuarantineRecord {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []agentapi.QuarantineRecord{
		{Transaction: &agentapi.QuarantineTransaction{
			GTID: server + ":4",
			At:   when,
			File: file,
			Tables: []agentapi.QuarantineTable{
				{Schema: "app", Table: "t", Inserted: 3},
				{Schema: "app", Table: "u", Updated: 1},
			},
			Rows: []string{
				"-- INSERT INTO `app`.`t` SET @1=1",
				"-- INSERT INTO `app`.`t` SET @1=2",
				"-- INSERT INTO `app`.`t` SET @1=3",
				"-- UPDATE `app`.`u` SET @1='it''s\\n\\x1b[31m; DROP TABLE t' WHERE @1='a'",
			},
		}},
		{Transaction: &agentapi.QuarantineTransaction{
			GTID:       server + ":5",
			At:         when,
			File:       file,
			Statements: []string{"USE `app`; ALTER TABLE t ADD v INT"},
		}},
		{Transaction: &agentapi.QuarantineTransaction{
			GTID:   server + ":6",
			At:     when,
			File:   file,
			Tables: []agentapi.QuarantineTable{{Schema: "app", Table: "t", Deleted: 2}},
			Rows:   []string{"-- DELETE FROM `app`.`t` WHERE @1=1", "-- DELETE FROM `app`.`t` WHERE @1=2"},
		}},
		{Summary: &agentapi.QuarantineSummary{
			Transactions: 3,
			GTIDs:        server + ":4-6",
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
	}
}

func TestTransactionsAreShown(t *testing.T) {
	root := t.TempDir()
	at(t, root, "data-1/binlog.000009", full(t).Bytes())
	at(t, root, "data-1/binlog.index", []byte("./binlog.000009\n"))
	if diff := cmp.Diff(whole("binlog.000009"), show(t, root, "--rows", "100", "data-1"), ignoreOffset); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	some := show(t, root, "--rows", "2", "--limit", "1", "data-1")
	if len(some) != 2 || len(some[0].Transaction.Rows) != 2 || some[1].Summary.NotPrinted != 2 || some[1].Summary.RowsNotPrinted != 4 {
		t.Errorf("with limits: %+v", some)
	}
	if diff := cmp.Diff(whole("")[3].Summary.Tables, some[1].Summary.Tables); diff != "" {
		t.Errorf("totals with limits (-want +got):\n%s", diff)
	}
	one := show(t, root, "--gtids", server+":5", "data-1")
	if len(one) != 2 || one[0].Transaction.GTID != server+":5" || one[1].Summary.Transactions != 1 {
		t.Errorf("one GTID: %+v", one)
	}
}

// read is what is shown of one log.
func read(t *testing.T, text []byte) []agentapi.QuarantineRecord {
	t.Helper()
	var all []agentapi.QuarantineRecord
	r := &reading{
		wanted: Wanted{Transactions: 100, Rows: 100},
		totals: counts{},
		emit: func(one agentapi.QuarantineRecord) error {
			all = append(all, one)
			return nil
		},
	}
	if err := errors.Join(r.readFile("binlog.000009", bytes.NewReader(text)), r.flush()); err != nil {
		t.Fatal(err)
	}
	return all
}

// checkBefore: what comes before a problem is what the whole log has, the last one perhaps in part.
func checkBefore(t *testing.T, got []agentapi.QuarantineRecord) {
	t.Helper()
	for i, one := range got {
		if one.Transaction == nil || one.Transaction.Incomplete {
			break
		}
		if diff := cmp.Diff(whole("binlog.000009")[i], one, ignoreOffset); diff != "" {
			t.Fatalf("transaction %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestACutLogIsReadUpToTheCut cuts the log at every byte: what was whole before is shown, and
// the file is named unless it ends between two events.
func TestACutLogIsReadUpToTheCut(t *testing.T) {
	text := full(t).Bytes()
	ends := map[int]bool{}
	for end := len(replication.BinLogFileHeader); end < len(text); {
		ends[end] = true
		end += int(binary.LittleEndian.Uint32(text[end+9:]))
	}
	for cut := range len(text) {
		got := read(t, text[:cut])
		var last *agentapi.QuarantineProblem
		if len(got) > 0 {
			last = got[len(got)-1].Problem
		}
		if ends[cut] != (last == nil) {
			t.Fatalf("cut at %d: problem %+v", cut, last)
		}
		if last != nil && (last.File != "binlog.000009" || !strings.Contains(last.Message, "in the middle")) {
			t.Fatalf("cut at %d: %+v", cut, last)
		}
		checkBefore(t, got)
	}
}

// TestALargeRowIsCounted: a row that is too large to be decoded is counted and not printed.
func TestALargeRowIsCounted(t *testing.T) {
	l := newLog()
	l.gtid(1)
	l.add(replication.QUERY_EVENT, query("app", "BEGIN"))
	l.add(replication.TABLE_MAP_EVENT, tableMap(7, "app", "t", false))
	l.add(replication.WRITE_ROWS_EVENTv2, append(rows(7, 1), make([]byte, mostEvent)...))
	l.add(replication.XID_EVENT, make([]byte, 8))
	got := read(t, l.Bytes())
	want := []agentapi.QuarantineTable{{Schema: "app", Table: "t", Inserted: 1}}
	if len(got) != 1 || got[0].Transaction == nil || got[0].Transaction.Incomplete {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff(want, got[0].Transaction.Tables); diff != "" || len(got[0].Transaction.Rows) > 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestADamagedLogIsNamed changes every byte: each change is found, and what comes before is shown.
func TestADamagedLogIsNamed(t *testing.T) {
	text := full(t).Bytes()
	for i := range text {
		damaged := bytes.Clone(text)
		damaged[i] ^= 0xff
		got := read(t, damaged)
		if len(got) == 0 || got[len(got)-1].Problem == nil || got[len(got)-1].Problem.File != "binlog.000009" {
			t.Fatalf("byte %d: %+v", i, got)
		}
		checkBefore(t, got)
	}
}

func TestEntriesAreListed(t *testing.T) {
	root := t.TempDir()
	if text, err := run(t, root, "list"); err != nil || !strings.HasPrefix(text, `{"entries":[]`) {
		t.Fatalf("without a quarantine: %s, %v", text, err)
	}
	first := newLog()
	first.previous(2)
	first.gtid(3)
	at(t, root, "data-1/binlog.000008", first.Bytes())
	at(t, root, "data-1/binlog.000009", full(t).Bytes())
	at(t, root, "data-1/keep", nil)
	at(t, root, "data-2/binlog.000001", []byte("\xfdbin encrypted"))
	at(t, root, "unapplied-data-1-epoch-4-1/relay.000002", full(t).Bytes())
	at(t, root, "unapplied-data-1-epoch-4-1/note.json", []byte(`{"operation":"op-7","gtids":"`+server+`:4-9","discarded":"`+server+`:5-9","savedAt":"2026-01-05T00:00:00Z"}`))
	at(t, root, "unapplied-new/relay.000002", nil)
	at(t, root, "binlog.000002.20260104T000000.000Z.tail-9", full(t).Bytes())
	at(t, root, "binlog.000002.20260104T000000.000Z.tail-9.json", []byte(`{"errant":"`+server+`:6","at":"2026-01-04T00:00:00Z"}`))
	at(t, root, "repairs/op-3.jsonl", []byte(`{"table":{"schema":"app","name":"t"},"passive":{"id":"1"}}`+"\n"))
	at(t, root, "readme\x1b", []byte("x"))
	text, err := run(t, root, "list")
	if err != nil {
		t.Fatal(err)
	}
	var list agentapi.QuarantineList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, entry := range list.Entries {
		line := []string{string(entry.Kind), entry.Operation, entry.GTIDs, entry.Problem}
		if entry.Kept {
			line = append(line, "kept")
		}
		for _, file := range entry.Files {
			line = append(line, file.Name)
		}
		got[entry.Name] = strings.Join(line, "|")
	}
	want := map[string]string{
		"data-1":                     "Data||" + server + ":3-6||kept|binlog.000008|binlog.000009",
		"data-2":                     "Data|||binlog.000001: it is encrypted|binlog.000001",
		"unapplied-data-1-epoch-4-1": "RelayLog|op-7|" + server + ":5-9||note.json|relay.000002",
		"unapplied-new":              "Unfinished|||relay.000002: it ends in the middle of an event: it is empty or has no header|relay.000002",
		"binlog.000002.20260104T000000.000Z.tail-9": "Tail||" + server + ":6||binlog.000002.20260104T000000.000Z.tail-9|binlog.000002.20260104T000000.000Z.tail-9.json",
		"repairs/op-3.jsonl":                        "Repair|op-3|||op-3.jsonl",
		"readme\x1b":                                "Other||||readme\x1b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name := range want {
		if all := show(t, root, name); all[len(all)-1].Summary == nil {
			t.Errorf("show %q: %+v", name, all)
		}
	}
	repaired := show(t, root, "--rows", "5", "repairs/op-3.jsonl")
	if len(repaired) != 2 || repaired[0].Transaction.Tables[0].Deleted != 1 || !strings.HasPrefix(repaired[0].Transaction.Rows[0], `-- {"table"`) {
		t.Errorf("a repair: %+v", repaired)
	}
}

// TestNothingOutsideIsRead: no name and no link leads out of the quarantine.
func TestNothingOutsideIsRead(t *testing.T) {
	root := t.TempDir()
	at(t, root, "data-1/binlog.000001", full(t).Bytes())
	secret := filepath.Join(root, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := volume.Open(root, "").QuarantineDir()
	for from, to := range map[string]string{
		"link": secret, "data-1/binlog.000002": secret, "data-1/up": "../../../secret", "linked-dir": root,
	} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"cat", "../../secret", "secret"},
		{"cat", "data-1", "../../../secret"},
		{"cat", "data-1", "../data-1/binlog.000001"},
		{"cat", "data-1", secret},
		{"cat", "data-1", "up"},
		{"cat", "data-1", "binlog.000002"},
		{"cat", "link", "link"},
		{"cat", "linked-dir", "secret"},
		{"cat", "linked-dir", "linked-dir"},
		{"cat", "", "data-1"},
		{"cat", "data-1/.", "binlog.000001"},
		{"cat", "./data-1", "binlog.000001"},
		{"list", "link"},
		{"list", ".."},
		{"show", "../quarantine/data-1"},
		{"show", "/"},
		{"show", "--rows", "10001", "data-1"},
		{"show", "--limit", "-1", "data-1"},
		{"show", "--gtids", "x", "data-1"},
		{"show"},
		{"drop", "data-1"},
	} {
		if text, err := run(t, root, args...); err == nil || text != "" {
			t.Errorf("%q: %q, %v", args, text, err)
		}
	}
	all := show(t, root, "data-1")
	if all[3].Problem == nil || all[3].Problem.File != "binlog.000002" || all[4].Summary.Transactions != 3 {
		t.Errorf("a log that is a link: %+v", all[3])
	}
	if text, err := run(t, root, "cat", "data-1", "binlog.000001"); err != nil || text != full(t).String() {
		t.Errorf("cat: %d bytes, %v", len(text), err)
	}
}
