package checksum

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// randomTypes are types with values of which no two are stored alike.
var randomTypes = []struct {
	definition string
	values     []string
	keyable    bool
}{
	{"INT", []string{"-5", "0", "7", "2147483647"}, true},
	{"BIGINT UNSIGNED", []string{"0", "1", "18446744073709551615"}, true},
	{"VARCHAR(20) COLLATE utf8mb4_0900_ai_ci", []string{"''", "'a'", "'A'", "'a '", "'N'", "'#'", "'é'"}, false},
	{"VARCHAR(20) COLLATE utf8mb4_bin", []string{"''", "'a'", "'A'", "'ß#'", "'😀'"}, true},
	{"CHAR(9) CHARACTER SET latin1", []string{"''", "'a'", "'é'", "'è'"}, false},
	{"VARBINARY(9)", []string{"''", "X'00'", "X'0000'", "X'5C27'", "'#'"}, true},
	{"BINARY(3)", []string{"''", "'a'", "X'FF'"}, true},
	{"DOUBLE", []string{"0e0", "-0e0", "0.1", "0.10000000000000002", "1e300"}, false},
	{"FLOAT", []string{"0.1", "0.1000001", "16777215", "16777214"}, false},
	{"DECIMAL(30,10)", []string{"0", "-0.0000000001", "12345678901234567890.1"}, true},
	{"BIT(9)", []string{"0", "1", "511"}, true},
	{"ENUM('', 'x', 'y')", []string{"''", "'x'", "'y'"}, true},
	{"SET('a', 'b')", []string{"''", "'a'", "'a,b'"}, true},
	{"JSON", []string{"'null'", "'{}'", `'{"a": 1}'`, `'{"a": "1"}'`, "'[1.5]'"}, false},
	{"TEXT", []string{"''", "'a'", "' a'", "REPEAT('x', 9000)", "CONCAT(REPEAT('x', 8999), 'y')"}, false},
	{"LONGBLOB", []string{"''", "X'00'", "REPEAT('x', 70000)"}, false},
	{"DATE", []string{"'0000-00-00'", "'2020-01-01'", "'9999-12-31'"}, true},
	{"DATETIME(6)", []string{"'2020-01-01'", "'2020-01-01 00:00:00.000001'"}, true},
	{"TIMESTAMP(3)", []string{"'2020-01-01 00:00:00'", "'2020-01-01 00:00:00.001'"}, true},
	{"TIME(2)", []string{"'-00:00:00.01'", "'00:00:00'", "'838:59:59'"}, true},
	{"YEAR", []string{"1901", "2155", "0"}, true},
	{"POINT", []string{"POINT(0,0)", "POINT(0,1)"}, false},
}

// randomTable is a table and, per row, what is done to it on the passive.
type randomTable struct {
	create  string
	columns []string
	values  [][]string
	inserts []string
	drift   []string
	want    []string
}

func drawTable(t *rapid.T, name string) randomTable {
	var out randomTable
	var definitions []string
	key := []string{"id"}
	nullable := make(map[int]bool)
	for i := range rapid.IntRange(1, 6).Draw(t, "columns") {
		kind := rapid.SampledFrom(randomTypes).Draw(t, "type")
		column := fmt.Sprintf("c%d", i)
		suffix := " NOT NULL"
		values := kind.values
		switch {
		case kind.keyable && rapid.IntRange(0, 3).Draw(t, "key") == 0:
			at := rapid.IntRange(0, len(key)).Draw(t, "place")
			key = slices.Insert(key, at, column)
		case rapid.Bool().Draw(t, "nullable"):
			suffix = " NULL"
			values = append([]string{"NULL"}, values...)
			nullable[i] = true
		}
		definitions = append(definitions, column+" "+kind.definition+suffix)
		out.columns = append(out.columns, column)
		out.values = append(out.values, values)
	}
	out.create = fmt.Sprintf("CREATE TABLE %s (id INT, %s, PRIMARY KEY (%s))", name, strings.Join(definitions, ", "), strings.Join(key, ", "))
	rows := rapid.IntRange(0, 30).Draw(t, "rows")
	for id := range rows {
		out.drawRow(t, name, id, key)
	}
	return out
}

func (r *randomTable) drawRow(t *rapid.T, name string, id int, key []string) {
	row := make([]string, len(r.columns))
	chosen := make([]int, len(r.columns))
	for c := range r.columns {
		chosen[c] = rapid.IntRange(0, len(r.values[c])-1).Draw(t, "value")
		row[c] = r.values[c][chosen[c]]
	}
	insert := fmt.Sprintf("INSERT INTO %s VALUES (%d, %s)", name, id, strings.Join(row, ", "))
	where := fmt.Sprintf(" WHERE id = %d", id)
	switch rapid.SampledFrom([]string{"same", "same", "missing", "extra", "changed", "changed"}).Draw(t, "drift") {
	case "same":
		r.inserts = append(r.inserts, insert)
	case "missing":
		r.inserts = append(r.inserts, insert)
		r.drift = append(r.drift, "DELETE FROM "+name+where)
		r.want = append(r.want, "Missing ")
	case "extra":
		r.drift = append(r.drift, insert)
		r.want = append(r.want, "Extra ")
	case "changed":
		r.inserts = append(r.inserts, insert)
		c := rapid.IntRange(0, len(r.columns)-1).Draw(t, "column")
		if slices.Contains(key, r.columns[c]) || len(r.values[c]) < 2 {
			return
		}
		other := (chosen[c] + rapid.IntRange(1, len(r.values[c])-1).Draw(t, "other")) % len(r.values[c])
		r.drift = append(r.drift, fmt.Sprintf("UPDATE %s SET %s = %s%s", name, r.columns[c], r.values[c][other], where))
		r.want = append(r.want, "Different "+r.columns[c])
	}
}

// testRandomDriftIsFound makes random tables with random drift and knows what
// has to be found.
func testRandomDriftIsFound(w *world) {
	if flag.Lookup("rapid.checks").Value.String() == "100" { // not asked for more
		_ = flag.Set("rapid.checks", "15")
	}
	w.Cleanup(func() { w.dropping("rnd") })
	w.exec("CREATE DATABASE rnd")
	const sloppy = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'"
	round := 0
	rapid.Check(w.T, func(t *rapid.T) {
		round++
		var tables []randomTable
		make := []string{sloppy, "SET SESSION time_zone = '+00:00'", "USE rnd", "START TRANSACTION"}
		drift := []string{sloppy, "SET SESSION time_zone = '+00:00'", "USE rnd"}
		for i := range 4 {
			name := fmt.Sprintf("t%d_%d", round, i)
			table := drawTable(t, name)
			tables = append(tables, table)
			make = slices.Insert(make, 3, table.create)
			make = append(make, table.inserts...)
			drift = append(drift, table.drift...)
		}
		w.exec(append(make, "COMMIT")...)
		w.plant(drift...)
		options := w.options()
		options.Include = []string{fmt.Sprintf("rnd.t%d_*", round)}
		options.SkipSchemaDrift = true
		options.LockAttempts = []int{DefaultLockAttempts, -1}[round%2]
		report := w.compare(options)
		for i, table := range tables {
			found := report.table(fmt.Sprintf("rnd.t%d_%d", round, i))
			var got []string
			for _, row := range found.Differing {
				got = append(got, string(row.Kind)+" "+strings.Join(row.Columns, ","))
			}
			slices.Sort(got)
			slices.Sort(table.want)
			if !slices.Equal(got, table.want) || found.State == Skipped || found.DifferingRows() != int64(len(table.want)) {
				t.Fatalf("%s\n%s\non the passive: %s\nfound %+v\nwant %q", table.create, strings.Join(table.inserts, "\n"), strings.Join(table.drift, "\n"), found, table.want)
			}
		}
	})
}
