//go:build bench

package checksum

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

const writers = 8

// table is one of those that are compared.
type table struct {
	name, create, row string
	columns           string
	rows              int
}

func tables(t *testing.T) []table {
	wide := "id BIGINT PRIMARY KEY"
	row := "i"
	columns := "id"
	for i := range 6 {
		wide += fmt.Sprintf(", n%d INT NOT NULL, s%d VARCHAR(60) NOT NULL, d%d DATETIME NULL", i, i, i)
		row += fmt.Sprintf(", i * %d %% 1000003, CONCAT(REPEAT('word ', 8), i * %d), IF(i %% 7, '2020-01-01' + INTERVAL i SECOND, NULL)", i+3, i)
		columns += fmt.Sprintf(", n%d, s%d, d%d", i, i, i)
	}
	return []table{
		{"narrow", "id INT PRIMARY KEY, k INT NOT NULL, c VARCHAR(20) NOT NULL, d DATETIME NOT NULL, amount DECIMAL(10,2)",
			"i, i * 7 % 1000003, CONCAT('name', i), '2020-01-01' + INTERVAL i SECOND, i / 7", "id, k, c, d, amount", number(t, "BENCH_NARROW", 10_000_000)},
		{"wide", wide + ", x TEXT NOT NULL", row + ", REPEAT(CONCAT('text ', i), 40)", columns + ", x", number(t, "BENCH_WIDE", 500_000)},
	}
}

func number(t *testing.T, name string, fallback int) int {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number from 1", name, text)
	}
	return n
}

type bench struct {
	*testing.T
	members  mysqldtest.Pair
	onA, onB *sql.DB
	// app is an application's way to the primary.
	app    *sql.DB
	tables []table
}

func TestBenchChecksum(t *testing.T) {
	settings := map[string]string{"innodb_buffer_pool_size": "3G", "innodb_redo_log_capacity": "2G", "innodb_log_buffer_size": "64M"}
	members := mysqldtest.Pair{
		A: mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0, Settings: settings}),
		B: mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Settings: settings}),
	}
	members.B.Follow(members.A)
	members.A.Open(true)
	if err := members.B.Ops.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, members: members, onA: members.A.Root(), onB: members.B.Root(), tables: tables(t)}
	must(t, b.onA, "CREATE USER client IDENTIFIED BY 'x'", "GRANT ALL ON bench.* TO client")
	b.app = members.A.Client("client", mysqlops.NewSecret("x"), false)
	b.load()
	t.Run("idle", func(t *testing.T) { b.on(t).idle() })
	t.Run("under load", func(t *testing.T) { b.on(t).underLoad() })
}

// on is the same pair for a test below the one that started it.
func (b *bench) on(t *testing.T) *bench { return &bench{t, b.members, b.onA, b.onB, b.app, b.tables} }

// load fills both members with the same rows.
func (b *bench) load() {
	began := time.Now()
	must(b.T, b.onA, "CREATE DATABASE bench")
	for _, one := range b.tables {
		must(b.T, b.onA, "CREATE TABLE bench."+one.name+" ("+one.create+")")
	}
	must(b.T, b.onA, "CREATE TABLE bench.hot (id INT PRIMARY KEY, n INT NOT NULL, s VARCHAR(40) NOT NULL)",
		"INSERT INTO bench.hot WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < 1000) SELECT i, 0, 'x' FROM r")
	b.sync()
	must(b.T, b.onB, "SET GLOBAL super_read_only = OFF")
	var wait sync.WaitGroup
	for _, db := range []*sql.DB{b.onA, b.onB} {
		wait.Go(func() { b.fill(db) })
	}
	wait.Wait()
	must(b.T, b.onB, "SET GLOBAL super_read_only = ON")
	fmt.Printf("\nloaded %d narrow and %d wide rows on both members in %s\n\n", b.tables[0].rows, b.tables[1].rows, time.Since(began).Round(time.Second))
}

func (b *bench) fill(db *sql.DB) {
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	const step = 250_000
	statements := []string{"SET SESSION sql_log_bin = OFF", "SET SESSION cte_max_recursion_depth = 1000000", "USE bench"}
	for _, one := range b.tables {
		for from := 0; from < one.rows; from += step {
			statements = append(statements, fmt.Sprintf("INSERT INTO %s WITH RECURSIVE r AS (SELECT %d i UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT %s FROM r",
				one.name, from+1, min(from+step, one.rows), one.row))
		}
		statements = append(statements, "ANALYZE TABLE "+one.name, "SELECT COUNT(*) FROM "+one.name)
	}
	// The session goes back to the pool, and its next user has to be logged.
	statements = append(statements, "SET SESSION sql_log_bin = ON")
	for _, statement := range statements {
		if _, err := conn.ExecContext(b.Context(), statement); err != nil {
			b.Errorf("%.100s: %v", statement, err)
			return
		}
	}
}

func must(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%.100s: %v", statement, err)
		}
	}
}

func (b *bench) sync() {
	b.Helper()
	var set string
	if err := b.onA.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&set); err != nil {
		b.Fatal(err)
	}
	var late bool
	if err := b.onB.QueryRow("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 600)", set).Scan(&late); err != nil || late {
		b.Fatalf("B did not follow: %v %v", late, err)
	}
}

// idle compares with the raw scan and with pt-table-checksum, on a pair that
// does nothing else.
func (b *bench) idle() {
	fmt.Println("| what, on an idle pair | seconds | CPU seconds, primary | passive | client |")
	fmt.Println("| --- | --- | --- | --- | --- |")
	scan := func() error {
		for _, one := range b.tables {
			var rows, sum int64
			err := b.onA.QueryRow("SELECT COUNT(*), SUM(CRC32(CONCAT_WS('#', "+one.columns+"))) FROM bench."+one.name).Scan(&rows, &sum)
			if err != nil || rows != int64(one.rows) {
				return fmt.Errorf("scan of %s: %d rows, %w", one.name, rows, err)
			}
		}
		return nil
	}
	raw := b.measure("raw scan of the primary", scan)
	own := time.Duration(1<<63 - 1)
	for _, parallelism := range []int{1, 2} {
		took := b.measure(fmt.Sprintf("comparison of both members, parallelism %d", parallelism), func() error {
			options := b.options()
			options.Parallelism = parallelism
			return b.compare(b.Context(), options)
		})
		own = min(own, took)
	}
	b.measure("raw scan of the primary, again", scan)
	b.measure(fmt.Sprintf("the digests of one member alone, %d sessions", runtime.NumCPU()), func() error { return b.oneSide(runtime.NumCPU()) })
	fmt.Println()
	fmt.Printf("comparison / raw scan: %.2f\n", own.Seconds()/raw.Seconds())
	b.percona(own)
}

func (b *bench) options() checksum.Options {
	return checksum.Options{
		Throttle: checksum.Throttle{BusyShare: number(b.T, "BENCH_BUSY_SHARE", checksum.DefaultBusyShare)},
		Primary:  b.endpoint(b.members.A, "shop-0"), Passive: b.endpoint(b.members.B, "shop-1"),
		Include: []string{"bench.narrow", "bench.wide"}, SkipSchemaDrift: true,
	}
}

func (b *bench) compare(ctx context.Context, options checksum.Options) error {
	report, err := checksum.Run(ctx, options)
	if err != nil {
		return err
	}
	if totals := report.Totals(); totals.Consistent != 2 {
		return fmt.Errorf("not consistent: %+v", report.Tables)
	}
	for _, one := range report.Tables {
		fmt.Printf("<!-- %s: %d rows, %.1f s, %.0f rows/s, longest lock %s, under the table lock: %t -->\n",
			one.Table, one.Rows, one.Seconds, float64(one.Rows)/one.Seconds, one.LongestLock.Round(100*time.Microsecond), one.Aligned)
	}
	if report.Throttled > 0 {
		fmt.Printf("<!-- gave way for %s, %s of it to a passive that lags -->\n", report.Throttled.Round(time.Second), report.Shut.Round(time.Second))
	}
	return nil
}

func (b *bench) endpoint(i *mysqldtest.Instance, name string) checksum.Endpoint {
	files := i.JobTLSFiles()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(files.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		b.Fatalf("read CA: %v", err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		b.Fatal(err)
	}
	return checksum.Endpoint{
		Member: pair.MemberName(name), Addr: net.JoinHostPort("127.0.0.1", fmt.Sprint(i.Member.AdminPort)),
		User: mysqlops.UserChecksum, Password: func() mysqlops.Secret { return mysqldtest.Passwords.Checksum },
		TLS: &tls.Config{
			RootCAs:      pool,
			Certificates: []tls.Certificate{cert},
			ServerName:   "localhost",
			MinVersion:   tls.VersionTLS12,
		},
	}
}

// measure runs fn and prints a row.
func (b *bench) measure(what string, fn func() error) time.Duration {
	before := [3]float64{cpuOf(b.members.A.PID()), cpuOf(b.members.B.PID()), ownCPU()}
	began := time.Now()
	if err := fn(); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	took := time.Since(began)
	fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", what, took.Seconds(),
		cpuOf(b.members.A.PID())-before[0], cpuOf(b.members.B.PID())-before[1], ownCPU()-before[2])
	return took
}

// cpuOf is the processor time of a process in seconds.
func cpuOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	const ticks = 100
	return (user + system) / ticks
}

func ownCPU() float64 {
	total := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			return 0
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	return total
}

// underLoad measures writers alone and beside a run with the default throttle.
func (b *bench) underLoad() {
	seconds := number(b.T, "BENCH_SECONDS", 30)
	think := 5 * time.Millisecond
	if text := os.Getenv("BENCH_THINK"); text != "" {
		var err error
		if think, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Printf("\n| 8 writers, %s between two writes | seconds | writes/s | p99 | longest |\n| --- | --- | --- | --- | --- |\n", think)
	alone := b.write("alone", think, func() { time.Sleep(time.Duration(seconds) * time.Second) })
	// The machine is shared: each pair of figures is from one half minute.
	for range number(b.T, "BENCH_ROUNDS", 3) {
		var run error
		runs := 0
		reading := time.Duration(0)
		beside := b.write("beside comparisons, default throttle", think, func() {
			ctx, cancel := context.WithTimeout(b.Context(), 20*time.Minute)
			defer cancel()
			for began := time.Now(); run == nil && (runs == 0 || time.Since(began) < time.Duration(seconds)*time.Second); runs++ {
				one := time.Now()
				run = b.compare(ctx, b.options())
				reading += time.Since(one)
			}
		})
		again := b.write("alone, again", think, func() { time.Sleep(time.Duration(seconds) * time.Second) })
		fmt.Printf("\nloss of throughput beside %d comparisons of %.1f s: %.1f %%; %v\n\n", runs, reading.Seconds()/float64(max(runs, 1)),
			100*(1-2*beside/(alone+again)), run)
		alone = again
	}
}

// write runs the writers while during runs and prints a row.
func (b *bench) write(what string, think time.Duration, during func()) (perSecond float64) {
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	took := make([][]time.Duration, writers)
	for i := range writers {
		conn, err := b.app.Conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		random := rand.New(rand.NewPCG(uint64(i), 1))
		wait.Go(func() {
			defer conn.Close()
			for ctx.Err() == nil {
				began := time.Now()
				_, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE bench.hot SET n = n + 1 WHERE id = %d", 1+random.IntN(1000)))
				if err == nil && random.IntN(2) == 0 { // the compared tables are written to as well
					_, err = conn.ExecContext(ctx, fmt.Sprintf("UPDATE bench.narrow SET k = k + 1 WHERE id = %d", 1+random.IntN(b.tables[0].rows)))
				}
				if err == nil {
					took[i] = append(took[i], time.Since(began))
				} else if ctx.Err() == nil {
					b.Error(err)
					return
				}
				time.Sleep(think)
			}
		})
	}
	began := time.Now()
	during()
	length := time.Since(began)
	cancel()
	wait.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		b.Fatal("nothing was written")
	}
	perSecond = float64(len(all)) / length.Seconds()
	fmt.Printf("| %s | %.0f | %.0f | %s | %s |\n", what, length.Seconds(), perSecond,
		all[len(all)*99/100].Round(100*time.Microsecond), all[len(all)-1].Round(100*time.Microsecond))
	return perSecond
}
