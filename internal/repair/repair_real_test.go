package repair

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

type world struct {
	*testing.T
	a, b     *mysqldtest.Instance
	onA, onB *sql.DB
}

const (
	reader = mysqlops.UserChecksum
	writer = mysqlops.UserRepair
)

// TestOnAPair runs all that needs a pair on one, since starting it is what
// takes longest.
func TestOnAPair(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*world){
		"repairs end consistent":                   testRepairsEndConsistent,
		"repairs are refused with reasons":         testRepairsAreRefusedWithReasons,
		"nothing is written unless saved":          testNothingIsWrittenUnlessSaved,
		"tables forced through are compared again": testTablesForcedThroughAreComparedAgain,
		"a repair goes on after a restart":         testARepairGoesOnAfterThePassiveWasRestarted,
	} {
		t.Run(name, func(t *testing.T) { test(&world{t, w.a, w.b, w.onA, w.onB}) })
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	members := mysqldtest.StartPair(t)
	w := &world{T: t, a: members.A, b: members.B, onA: members.A.Root(), onB: members.B.Root()}
	w.a.Open(true)
	if err := w.b.Ops.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) exec(statements ...string) {
	w.Helper()
	w.runOn(w.onA, statements)
}

func (w *world) plant(statements ...string) {
	w.Helper()
	w.sync()
	all := append([]string{"SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF", "SET SESSION sql_mode = ''", "SET foreign_key_checks = OFF"}, statements...)
	w.runOn(w.onB, append(all, "SET SESSION sql_log_bin = ON", "SET SESSION sql_mode = DEFAULT", "SET foreign_key_checks = ON", "SET GLOBAL super_read_only = ON"))
}

func (w *world) runOn(db *sql.DB, statements []string) {
	w.Helper()
	conn, err := db.Conn(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(w.Context(), statement); err != nil {
			w.Fatalf("%.200s: %v", statement, err)
		}
	}
}

func (w *world) sync() {
	w.Helper()
	var set string
	if err := w.onA.QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&set); err != nil {
		w.Fatal(err)
	}
	var late bool
	if err := w.onB.QueryRow("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 120)", set).Scan(&late); err != nil || late {
		w.Fatalf("B did not follow: %v %v", late, err)
	}
}

func (w *world) endpoint(i *mysqldtest.Instance, name, user string) checksum.Endpoint {
	files := i.JobTLSFiles()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(files.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		w.Fatalf("read CA: %v", err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		w.Fatal(err)
	}
	return checksum.Endpoint{
		Member: pair.MemberName(name), Addr: net.JoinHostPort("127.0.0.1", fmt.Sprint(i.Member.AdminPort)),
		User: user, Password: func() mysqlops.Secret {
			return map[string]mysqlops.Secret{reader: mysqldtest.Passwords.Checksum, writer: mysqldtest.Passwords.Repair}[user]
		},
		TLS: &tls.Config{
			RootCAs:      pool,
			Certificates: []tls.Certificate{cert},
			ServerName:   "localhost",
			MinVersion:   tls.VersionTLS12,
		},
	}
}

// idempotentApplier sets the variable on the passive as its agent would.
type idempotentApplier struct {
	w            *world
	mu           sync.Mutex
	held, ended  int
	before, fail func() error
	// starts an applier that had stopped, as the agent does.
	starts bool
}

func (l *idempotentApplier) holds() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

func (l *idempotentApplier) Hold(ctx context.Context, _ time.Duration) error {
	l.mu.Lock()
	l.held++
	l.mu.Unlock()
	if l.fail != nil {
		return l.fail()
	}
	_, err := l.w.onB.ExecContext(ctx, "SET GLOBAL replica_exec_mode = IDEMPOTENT")
	if err == nil && l.before != nil {
		err = l.before()
	}
	if err == nil && l.starts {
		err = l.w.b.Ops.StartApplier(ctx)
	}
	return err
}

func (l *idempotentApplier) Release(ctx context.Context) error {
	l.ended++
	_, err := l.w.onB.ExecContext(ctx, "SET GLOBAL replica_exec_mode = STRICT")
	return err
}

func (w *world) options(table checksum.TableName) (Options, *idempotentApplier, string) {
	saver, path := newFileSaver(w.T)
	lenient := &idempotentApplier{w: w}
	return Options{
		Primary: w.endpoint(w.a, "shop-0", reader), Passive: w.endpoint(w.b, "shop-1", reader), Writer: w.endpoint(w.a, "shop-0", writer),
		Table: table, IdempotentApplier: lenient, Saver: saver, Throttle: checksum.Throttle{ActiveClients: -1}, MaxLockTime: 5 * time.Second,
		Log: testr.New(w.T),
	}, lenient, path
}

// repair gives the writer its rights on the one table and repairs it.
func (w *world) repair(options Options) Report {
	w.Helper()
	name := quoted(options.Table.Schema) + "." + quoted(options.Table.Name)
	w.exec("GRANT INSERT, DELETE ON " + name + " TO " + writer)
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Minute)
	defer cancel()
	report, err := Run(ctx, options)
	if err != nil {
		w.Fatal(err)
	}
	w.exec("REVOKE INSERT, DELETE ON " + name + " FROM " + writer)
	return report
}

func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func readSaved(t *testing.T, path string) []SavedRow {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []SavedRow
	for line := range strings.Lines(string(text)) {
		var one SavedRow
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, one)
	}
	return rows
}

const rowsOfNumbers = " WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < 900) SELECT i, i, CONCAT('s', i) FROM r"

var repairs = []struct {
	name  string
	make  []string
	drift []string
	saved int
}{
	{"missing, extra and changed rows", []string{"CREATE TABLE t (id INT PRIMARY KEY, n INT, s VARCHAR(20))", "INSERT INTO t" + rowsOfNumbers},
		[]string{"DELETE FROM t WHERE id IN (1, 500, 900)", "UPDATE t SET n = -1 WHERE id IN (2, 600)", "INSERT INTO t VALUES (-1,0,''),(1000,0,NULL)"}, 7},
	{"everything lost", []string{"CREATE TABLE t (id INT PRIMARY KEY, n INT, s VARCHAR(20))", "INSERT INTO t" + rowsOfNumbers}, []string{"TRUNCATE t"}, 900},
	{"rows that exchanged values of a unique key", []string{"CREATE TABLE t (id INT PRIMARY KEY, u INT, UNIQUE (u))", "INSERT INTO t VALUES (1,10),(2,20),(3,30)"},
		[]string{"UPDATE t SET u = 0 WHERE id = 1", "UPDATE t SET u = 10 WHERE id = 2", "UPDATE t SET u = 20 WHERE id = 1"}, 2},
	{"an extra row with another row's value of a unique key", []string{"CREATE TABLE t (id INT PRIMARY KEY, u INT, UNIQUE (u))", "INSERT INTO t VALUES (1,10),(2,20)"},
		[]string{"DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (7,10)"}, 2},
	{"a key that is equal in its collation", []string{"CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, n INT)", "INSERT INTO t VALUES ('a',1),('b',2)"},
		[]string{"UPDATE t SET k = 'A' WHERE k = 'a'"}, 1},
	{"values that a text does not keep", []string{"SET sql_mode = 'ALLOW_INVALID_DATES'",
		"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, f FLOAT, d DOUBLE, b BIT(9), e ENUM('x','y'), s SET('a','b'), j JSON, g POINT SRID 4326, x LONGBLOB, t TIMESTAMP(6) NULL, z DATE, v INT AS (b + 1) VIRTUAL, w INT AS (b + 2) STORED, i INT INVISIBLE DEFAULT 3, c VARCHAR(9) CHARSET utf16, CHECK (b < 500))",
		`INSERT INTO t (id,f,d,b,e,s,j,g,x,t,z,i,c) VALUES (1,0.1,-0e0,3,'y','a,b','{"a": [1, 1.0, null, "ä"]}',ST_GeomFromText('POINT(1 2)',4326),REPEAT(X'00FF27',5000),'2020-01-01 00:00:00.000001','2020-02-31',NULL,'é'),(2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,5,NULL)`},
		[]string{"UPDATE t SET f = 1, d = 0, x = '' WHERE id = 1", "UPDATE t SET id = 3 WHERE id = 2", "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'",
			`INSERT INTO t (id,f,d,b,e,s,j,g,x,t,z,i,c) VALUES (0,0.1,-0e0,3,'y','a,b','{"a": [1, 1.0, null, "ä"]}',ST_GeomFromText('POINT(1 2)',4326),REPEAT(X'00FF27',5000),'2020-01-01 00:00:00.000001','0000-00-00',NULL,'é')`}, 4},
	{"JSON of the same text and other kinds", []string{"CREATE TABLE t (id INT PRIMARY KEY, j JSON)", "INSERT INTO t VALUES (1,JSON_OBJECT('a',DATE'2020-01-01')),(2,JSON_ARRAY(X'616263')),(3,JSON_ARRAY(CAST(5 AS UNSIGNED)))"},
		[]string{"UPDATE t SET j = CAST(CAST(j AS CHAR) AS JSON)", "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (3,'[5]')"}, 3},
	{"a child of a foreign key", []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))", "INSERT INTO p VALUES (1),(2)", "INSERT INTO t VALUES (1,1),(2,2)"},
		[]string{"UPDATE t SET p = 1", "INSERT INTO t VALUES (3,99)"}, 2},
	{"a parent of a restricting foreign key", []string{"CREATE TABLE t (id INT PRIMARY KEY, n INT)", "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES t (id))", "INSERT INTO t VALUES (1,1),(2,2)", "INSERT INTO c VALUES (1,1),(2,2)"},
		[]string{"UPDATE t SET n = 9 WHERE id = 1", "DELETE FROM t WHERE id = 2"}, 2},
	{"a composite binary key with names that need quoting", []string{"CREATE TABLE t (`a``b` VARBINARY(9), `c d` INT, `select` TEXT, PRIMARY KEY (`a``b`, `c d`))", "INSERT INTO t VALUES (X'00FF',1,'x'),('''',2,'y')"},
		[]string{"UPDATE t SET `select` = 'z'", "INSERT INTO t VALUES (X'5C',1,NULL)"}, 3},
	{"a partitioned table", []string{"CREATE TABLE t (id INT PRIMARY KEY, n INT) PARTITION BY HASH (id) PARTITIONS 3", "INSERT INTO t VALUES (1,1),(2,2)"},
		[]string{"UPDATE t SET n = 0"}, 2},
}

func testRepairsEndConsistent(w *world) {
	t := w.T
	for i, one := range repairs {
		t.Run(one.name, func(t *testing.T) {
			w := &world{t, w.a, w.b, w.onA, w.onB}
			schema := fmt.Sprintf("r%d `x", i)
			w.exec(append([]string{"CREATE DATABASE " + quoted(schema), "USE " + quoted(schema)}, one.make...)...)
			w.plant(append([]string{"USE " + quoted(schema)}, one.drift...)...)
			options, lenient, path := w.options(checksum.TableName{Schema: schema, Name: "t"})
			before := w.checksumOfA(options.Table)
			options.BatchRows = 300
			planned := options
			planned.DryRun = true
			if report := w.repair(planned); report.Result != Planned || report.Written > 0 || lenient.held > 0 {
				t.Errorf("dry run: %+v", report)
			}
			report := w.repair(options)
			if report.Result != Repaired || report.After.State != checksum.Consistent || report.Before.State != checksum.Different {
				t.Errorf("report %+v", report)
			}
			if lenient.held == 0 || lenient.ended != report.Transactions {
				t.Errorf("lenient %d times, ended %d times, %d transactions", lenient.held, lenient.ended, report.Transactions)
			}
			if saved := readSaved(t, path); len(saved) < one.saved {
				t.Errorf("%d rows were saved, want %d: %+v", len(saved), one.saved, saved)
			}
			if after := w.checksumOfA(options.Table); after != before {
				t.Errorf("the primary's table has changed: %s, was %s", after, before)
			}
		})
	}
	w.stillStrict()
}

// stillStrict fails when replication stopped or stayed lenient.
func (w *world) stillStrict() {
	w.Helper()
	w.sync()
	var mode string
	if err := w.onB.QueryRow("SELECT @@GLOBAL.replica_exec_mode").Scan(&mode); err != nil || mode != "STRICT" {
		w.Errorf("replica_exec_mode %s, %v", mode, err)
	}
}

func (w *world) checksumOfA(table checksum.TableName) string {
	w.Helper()
	var name, sum string
	if err := w.onA.QueryRow("CHECKSUM TABLE "+quoted(table.Schema)+"."+quoted(table.Name)).Scan(&name, &sum); err != nil {
		w.Fatal(err)
	}
	return sum
}

func testRepairsAreRefusedWithReasons(w *world) {
	t := w.T
	cases := []struct {
		name, want string
		make       []string
	}{
		{"no primary key", "no primary key", []string{"CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)"}},
		{"a unique key only", "no primary key", []string{"CREATE TABLE t (id INT NOT NULL UNIQUE)", "INSERT INTO t VALUES (1)"}},
		{"a trigger", "trigger", []string{"CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TRIGGER x AFTER DELETE ON t FOR EACH ROW SET @a = 1", "INSERT INTO t VALUES (1)"}},
		{"a cascading foreign key", "ON DELETE CASCADE", []string{"CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE c (p INT, FOREIGN KEY (p) REFERENCES t (id) ON DELETE CASCADE)", "INSERT INTO t VALUES (1)"}},
		{"a foreign key that sets NULL", "ON UPDATE SET NULL", []string{"CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE c (p INT, FOREIGN KEY (p) REFERENCES t (id) ON UPDATE SET NULL)", "INSERT INTO t VALUES (1)"}},
		{"a key of floats", "floating point", []string{"CREATE TABLE t (id DOUBLE PRIMARY KEY)", "INSERT INTO t VALUES (1)"}},
		{"no table", "no such table", nil},
	}
	for i, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			w := &world{t, w.a, w.b, w.onA, w.onB}
			schema := fmt.Sprintf("f%d", i)
			w.exec(append([]string{"CREATE DATABASE " + schema, "USE " + schema}, one.make...)...)
			if one.make != nil {
				w.plant("DELETE FROM " + schema + ".t")
			}
			options, lenient, _ := w.options(checksum.TableName{Schema: schema, Name: "t"})
			report, err := Run(t.Context(), options)
			if err != nil || report.Result != Refused || !strings.Contains(strings.Join(report.Reasons, "; "), one.want) || lenient.held > 0 {
				t.Errorf("report %+v, %v; want refused for %q", report, err, one.want)
			}
		})
	}
}

func testNothingIsWrittenUnlessSaved(w *world) {
	t := w.T
	w.exec("CREATE DATABASE x", "CREATE TABLE x.t (id INT PRIMARY KEY)", "INSERT INTO x.t VALUES (1)")
	w.plant("DELETE FROM x.t")
	options, lenient, _ := w.options(checksum.TableName{Schema: "x", Name: "t"})
	w.exec("GRANT INSERT, DELETE ON x.t TO " + writer)
	options.Saver = full{}
	report, err := Run(t.Context(), options)
	if err == nil || report.Written > 0 || lenient.held > 0 {
		t.Errorf("with a full disk: %+v, %v", report, err)
	}
}

type full struct{}

func (full) Save(context.Context, []SavedRow) error { return fmt.Errorf("no space left") }

// While the applier is lenient, an error of another table is passed over.
func testTablesForcedThroughAreComparedAgain(w *world) {
	t := w.T
	w.exec("CREATE DATABASE y", "CREATE TABLE y.t (id INT PRIMARY KEY)", "INSERT INTO y.t VALUES (1)",
		"CREATE TABLE y.other (id INT PRIMARY KEY, n INT)", "INSERT INTO y.other VALUES (1,1),(2,2)")
	w.plant("DELETE FROM y.t", "UPDATE y.other SET n = 9 WHERE id = 2")
	options, lenient, _ := w.options(checksum.TableName{Schema: "y", Name: "t"})
	lenient.before = func() error {
		_, err := w.onA.Exec("UPDATE y.other SET n = n + 1 WHERE id = 1")
		return err
	}
	report := w.repair(options)
	if report.Result != Repaired || len(report.Others) == 0 || len(report.Reasons) == 0 {
		t.Fatalf("report %+v", report)
	}
	for _, other := range report.Others {
		if other.Table.Name == "other" && other.State != checksum.Different {
			t.Errorf("the other table: %+v", other)
		}
	}
}
