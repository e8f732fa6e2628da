//go:build bench

package bench

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

// settings are those of all mysqlds.
var settings = map[string]string{
	"innodb_buffer_pool_size":  "2G",
	"innodb_redo_log_capacity": "1G",
	"innodb_log_buffer_size":   "64M",
	"max_connections":          "200",
}

// bench is a pair with data, and a store.
type bench struct {
	*testing.T

	options   options
	store     *s3test.Server
	primary   *mysqldtest.Instance
	passive   *mysqldtest.Instance
	onPrimary *sql.DB
	onPassive *sql.DB
	// dir has the files of passwords and keys.
	dir      string
	identity *age.X25519Identity
	// data is the size of what was loaded, in bytes.
	data int64
	kept *kept
}

// kept is what one row leaves to the next ones, and to the end.
type kept struct {
	report report
	// taken is the last backup of the idle pair, empty for none.
	taken string
}

func TestBenchBackup(t *testing.T) {
	o := readOptions(t)
	requireTools(t)
	requireRoom(t, os.TempDir(), o.size)
	store := s3test.Start(t, s3test.Options{TLS: true})
	store.Use(t, s3test.Owner)
	primary := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0, Settings: settings})
	passive := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Settings: settings})
	passive.Follow(primary)
	primary.Open(true)
	if err := passive.Ops.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		T:         t,
		options:   o,
		store:     store,
		primary:   primary,
		passive:   passive,
		onPrimary: primary.Root(),
		onPassive: passive.Root(),
		dir:       t.TempDir(),
		kept:      &kept{},
	}
	b.prepare()
	for _, row := range rows {
		if slices.Contains(o.rows, row.name) {
			t.Run(row.name, func(t *testing.T) { row.run(b.on(t)) })
		}
	}
	heading(fmt.Sprintf("end, %s of data", mebibytes(b.data)))
	b.kept.report.print()
}

// on is the same pair for a test below the one that started it.
func (b *bench) on(t *testing.T) *bench {
	out := *b
	out.T = t
	return &out
}

// requireTools fails if a program is missing that backups are compared with.
func requireTools(t *testing.T) {
	for _, name := range []string{"tar", "zstd"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is missing: install Debian's package %s (apt-get install %s)", name, name, name)
		}
	}
}

func (b *bench) prepare() {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	b.identity = identity
	b.writeFile("identity", identity.String())
	b.writeFile("password", mysqldtest.Passwords.Clone.Reveal())
	b.writeFile("secret", "secret")
	b.must(b.onPrimary,
		"CREATE USER dbpair_archive IDENTIFIED BY 'secret' REQUIRE SSL",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN, CONNECTION_ADMIN ON *.* TO dbpair_archive")
	b.loadData()
}

func (b *bench) writeFile(name, text string) {
	b.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) must(db *sql.DB, statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%.100s: %v", statement, err)
		}
	}
}

const (
	// rowSize is about what a row of the large table takes, in bytes.
	rowSize = 1120
	hotRows = 100_000
)

// loadData fills both members with the same rows, which are not logged.
func (b *bench) loadData() {
	began := time.Now()
	b.must(b.onPrimary, "CREATE DATABASE bench",
		"CREATE TABLE bench.data (id BIGINT PRIMARY KEY, k INT NOT NULL, c VARCHAR(120) NOT NULL, body TEXT NOT NULL, KEY (k))",
		"CREATE TABLE bench.hot (id INT PRIMARY KEY, n INT NOT NULL, s VARCHAR(60) NOT NULL)",
		"CREATE TABLE bench.journal (id BIGINT AUTO_INCREMENT PRIMARY KEY, account INT NOT NULL, s VARCHAR(60) NOT NULL)",
		"CREATE TABLE bench.pulse (id INT PRIMARY KEY, at BIGINT NOT NULL)")
	b.sync()
	b.must(b.onPassive, "SET GLOBAL super_read_only = OFF")
	var wait sync.WaitGroup
	for _, db := range []*sql.DB{b.onPrimary, b.onPassive} {
		wait.Go(func() { b.fill(db) })
	}
	wait.Wait()
	b.must(b.onPassive, "SET GLOBAL super_read_only = ON")
	for _, db := range []*sql.DB{b.onPrimary, b.onPassive} {
		b.settle(db)
	}
	b.data = sizeOf(b, b.passive.Member.DataDir+"/bench")
	heading(fmt.Sprintf("%s in files of InnoDB on both members after %s", mebibytes(b.data), time.Since(began).Round(time.Second)))
}

// fill writes rows that compress to about a third: digits, hexadecimal digits and text that repeats itself.
func (b *bench) fill(db *sql.DB) {
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	const (
		step  = 100_000
		count = "INSERT INTO bench.%s WITH RECURSIVE r AS (SELECT %d i UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT %s FROM r"
		data  = "i, CRC32(i) >> 1, CONCAT_WS('-', CRC32(i + 1), CRC32(i + 2), CRC32(i + 3), CRC32(i + 4), CRC32(i + 5), CRC32(i + 6)," +
			" CRC32(i + 7), CRC32(i + 8), CRC32(i + 9), CRC32(i * 3)), CONCAT_WS(' ', SHA2(i, 512), SHA2(-i, 512), SHA2(2.5 * i, 512)," +
			" 'customer', i % 5003, REPEAT(CONCAT('ordered item ', i % 997, ' '), 12), REPEAT('and nothing else. ', 6))"
	)
	statements := []string{"SET SESSION sql_log_bin = OFF", "SET SESSION cte_max_recursion_depth = 1000000"}
	all := int(b.options.size / rowSize)
	for from := 0; from < all; from += step {
		statements = append(statements, fmt.Sprintf(count, "data", from+1, min(from+step, all), data))
	}
	statements = append(statements, fmt.Sprintf(count, "hot", 1, hotRows, "i, 0, 'x'"), "INSERT INTO bench.pulse VALUES (1, 0)",
		// The session goes back to the pool, and its next user has to be logged.
		"SET SESSION sql_log_bin = ON")
	for _, statement := range statements {
		if _, err := conn.ExecContext(b.Context(), statement); err != nil {
			b.Errorf("%.100s: %v", statement, err)
			return
		}
	}
}

// settle has a server write its pages, so that it is idle afterwards.
func (b *bench) settle(db *sql.DB) {
	b.Helper()
	var usual string
	if err := db.QueryRow("SELECT @@GLOBAL.innodb_max_dirty_pages_pct").Scan(&usual); err != nil {
		b.Fatal(err)
	}
	b.must(db, "SET GLOBAL innodb_max_dirty_pages_pct = 0")
	const few = 100
	mysqldtest.Await(b, "the pages are written", func() bool {
		var name string
		var dirty int
		err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'").Scan(&name, &dirty)
		return err == nil && dirty < few
	})
	b.must(db, "SET GLOBAL innodb_max_dirty_pages_pct = "+usual)
	syscall.Sync()
}

// sync waits until the passive has executed everything.
func (b *bench) sync() {
	b.Helper()
	if err := b.passive.Ops.WaitApplied(b.Context(), b.executed(b.onPrimary), time.Hour); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) executed(db *sql.DB) gtid.Set {
	b.Helper()
	set, err := executed(db)
	if err != nil {
		b.Fatal(err)
	}
	return set
}

func executed(db *sql.DB) (gtid.Set, error) {
	var text string
	if err := db.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&text); err != nil {
		return gtid.Set{}, err
	}
	return gtid.Parse(strings.ReplaceAll(text, "\n", ""))
}

// relax has both members leave flushing to the operating system, until the end of the test.
func (b *bench) relax() {
	b.Helper()
	for _, db := range []*sql.DB{b.onPrimary, b.onPassive} {
		b.must(db, "SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
		b.Cleanup(func() {
			for _, usual := range []string{"SET GLOBAL sync_binlog = 1", "SET GLOBAL innodb_flush_log_at_trx_commit = 1"} {
				if _, err := db.Exec(usual); err != nil {
					b.Error(err)
				}
			}
		})
	}
}

// sizeOf is how many bytes the files below a directory take on the disk.
func sizeOf(tb testing.TB, dir string) (total int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return total
}

// instance is a mysqld of its own for the present test.
func (b *bench) instance(bare bool) *mysqldtest.Instance {
	b.Helper()
	return mysqldtest.Start(b.T, mysqldtest.Options{
		Ordinal:  1,
		Bare:     bare,
		Settings: settings,
	})
}
