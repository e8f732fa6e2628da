//go:build bench

package checksum

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// digests are statements that read a table whole or, with where in them, in chunks. In them
// text stands for what ChunkDigest makes of a row, and columns for the columns as they are.
var digests = []struct{ name, query string }{
	{"reading only, SUM of the key", "SELECT COUNT(*), SUM(id) FROM table"},
	{"the raw scan, SUM(CRC32(CONCAT_WS(columns)))", "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('#',columns))) FROM table"},
	{"CONCAT_WS of the columns, no hash", "SELECT COUNT(*), MAX(LENGTH(CONCAT_WS('#',columns))) FROM table"},
	{"the row's text, no hash", "SELECT COUNT(*), MAX(LENGTH(text)) FROM table"},
	{"the row's text and SHA2, no sum", "SELECT COUNT(*), MAX(LENGTH(SHA2(text,224))) FROM table"},
	{"SUM of two CRC32", "SELECT COUNT(*), SUM(CRC32(text)), SUM(CRC32(CONCAT('x',text))) FROM table"},
	{"SUM of 64 bits of SHA2, as numbers", "SELECT COUNT(*), SUM(CAST(CONV(LEFT(SHA2(text,224),16),16,10) AS UNSIGNED)) FROM table"},
	{"XOR of 64 bits of SHA2, as numbers", "SELECT COUNT(*), BIT_XOR(CAST(CONV(LEFT(SHA2(text,224),16),16,10) AS UNSIGNED)) FROM table"},
	{"XOR of SHA2, as bytes", "SELECT COUNT(*), BIT_XOR(UNHEX(SHA2(text,224))) FROM table"},
	{"the raw scan in chunks of 20,000", "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('#',columns))) FROM table where"},
	{"XOR of SHA2, in chunks: what is used", "SELECT COUNT(*), HEX(BIT_XOR(UNHEX(SHA2(text,224)))) FROM table where"},
	{"SHA2 of GROUP_CONCAT of a chunk", "SELECT /*+ SET_VAR(group_concat_max_len=100000000) */ COUNT(*), SHA2(GROUP_CONCAT(text SEPARATOR ''),224) FROM table where"},
	{"the bounds of chunks by LIMIT 1 OFFSET", "SELECT id FROM table where ORDER BY id LIMIT 1 OFFSET 19999"},
	{"bounds and XOR of SHA2 at once, by a derived table", "SELECT COUNT(*), BIT_XOR(h), MAX(id) FROM (SELECT id, UNHEX(SHA2(text,224)) h FROM table where ORDER BY id LIMIT 20000) d"},
	{"all rows to the client", "SELECT columns FROM table where"},
}

// TestBenchDigest prints where the processor time of a comparison goes: microseconds of
// mysqld a row for each of digests, the least of some rounds, since the machine is shared.
func TestBenchDigest(t *testing.T) {
	settings := map[string]string{"innodb_buffer_pool_size": "2G", "innodb_redo_log_capacity": "2G", "innodb_log_buffer_size": "64M"}
	a := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0, Settings: settings})
	a.Open(false)
	b := &bench{T: t, members: mysqldtest.Pair{A: a, B: a}, onA: a.Root(), onB: a.Root(), tables: tables(t)}
	must(t, b.onA, "CREATE DATABASE bench")
	for _, one := range b.tables {
		must(t, b.onA, "CREATE TABLE bench."+one.name+" ("+one.create+")")
	}
	b.fill(b.onA)
	member, err := tablesql.Connect(b.endpoint(a, "shop-0"), "bench")
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	s, err := member.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	least := make([][2]float64, len(digests))
	for round := range number(t, "BENCH_ROUNDS", 3) {
		for i := range digests {
			for j, one := range b.tables {
				cost := b.digest(s, one, digests[i].query)
				if round == 0 || cost < least[i][j] {
					least[i][j] = cost
				}
			}
		}
	}
	fmt.Print("\n| µs of mysqld's processor time a row | narrow | wide |\n| --- | --- | --- |\n")
	for i, one := range digests {
		fmt.Printf("| %s | %.2f | %.1f |\n", one.name, least[i][0], least[i][1])
	}
}

// digest runs one statement over a table and returns the microseconds a row.
func (b *bench) digest(s *tablesql.Session, one table, query string) float64 {
	loaded, err := tablesql.Load(b.Context(), s, tablesql.TableName{Schema: "bench", Name: one.name})
	if err != nil {
		b.Fatal(err)
	}
	used, err := loaded.ChunkDigest("TRUE")
	if err != nil {
		b.Fatal(err)
	}
	text := used[strings.Index(used, "SHA2(")+len("SHA2(") : strings.LastIndex(used, ",224)")]
	step := one.rows
	if strings.Contains(query, " where") {
		step = 20_000
	}
	before := cpuOf(b.members.A.PID())
	for low := 0; low < one.rows; low += step {
		where := fmt.Sprintf("FORCE INDEX (PRIMARY) WHERE (id > %d) AND (id <= %d)", low, low+step)
		part := strings.NewReplacer("text,", text+",", "text)", text+")", "text SEP", text+" SEP", "columns", one.columns,
			" table", " bench."+one.name, "where", where).Replace(query)
		if err := s.Rows(b.Context(), part, func([]sql.RawBytes) error { return nil }); err != nil {
			b.Fatalf("%.200s: %v", part, err)
		}
	}
	return (cpuOf(b.members.A.PID()) - before) / float64(one.rows) * 1e6
}
