package checksum

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

const checksumUser = mysqlops.UserChecksum

// world is a replicating pair: A is the open primary, B the passive.
type world struct {
	*testing.T
	a, b *mysqldtest.Instance
	// onA and onB are root.
	onA, onB *sql.DB
}

// on is the same pair for a test below the one that started it.
func (w *world) on(t *testing.T) *world { return &world{t, w.a, w.b, w.onA, w.onB} }

// TestOnAPair runs all that needs a pair on one, since starting it is what
// takes longest.
func TestOnAPair(t *testing.T) {
	w := newWorld(t)
	for _, one := range []struct {
		name string
		test func(*world)
	}{
		{"planted drift is found", testPlantedDriftIsFound},
		{"random drift is found", testRandomDriftIsFound},
		{"unusual tables are compared", testUnusualTablesAreCompared},
		{"drift of definitions is listed", testDriftOfDefinitionsIsListed},
		{"a run is resumed where it was", testARunIsResumedWhereItWas},
		{"snapshots are renewed", testSnapshotsAreRenewed},
		{"no lock is held longer", testNoLockIsHeldLonger},
		{"an alter waits for no snapshot", testAnAlterWaitsForNoSnapshot},
		{"a table that is locked is waited for", testATableThatIsLockedIsWaitedFor},
		{"an open transaction keeps one row away", testAnOpenTransactionKeepsOneRowAway},
		{"a chunk whose session ends is not compared", testAChunkWhoseSessionEndsIsNotCompared},
		{"a session that was idle for too long is lost", testASessionThatWasIdleForTooLongIsLost},
		{"a lane that meets an alter ends no other", testALaneThatMeetsAnAlterEndsNoOther},
		{"what is still to be applied is no drift", testWhatIsStillToBeAppliedIsNoDrift},
		{"a lost lock aligns nothing", testALostLockAlignsNothing},
		{"snapshots show what the position says", testSnapshotsShowWhatThePositionSays},
		{"a passive that is late aligns nothing", testAPassiveThatIsLateAlignsNothing},
		{"a row is locked while it is read again", testARowIsLockedWhileItIsReadAgain},
		{"a client between two statements is active", testAClientBetweenTwoStatementsIsActive},
		{"settings of the server change nothing", testServerSettingsChangeNothing},
		{"a long history is not kept by us", testALongHistoryIsNotKeptByUs},
		{"a commit under way is in the position", testACommitUnderWayIsInThePosition},
		{"writes are no differences", testWritesAreNoDifferences},
		{"alters are no differences", testAltersAreNoDifferences},
		{"roles are checked", testRolesAreChecked}, // stops the applier, so it is the last
	} {
		t.Run(one.name, func(t *testing.T) { one.test(w.on(t)) })
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	members := mysqldtest.StartPair(t)
	w := &world{
		T:   t,
		a:   members.A,
		b:   members.B,
		onA: members.A.Root(),
		onB: members.B.Root(),
	}
	w.a.Open(true)
	if err := w.b.Ops.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// exec runs statements as root on one session of the primary.
func (w *world) exec(statements ...string) {
	w.Helper()
	conn, err := w.onA.Conn(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	w.run(conn, statements)
}

// dropping removes a schema after a test, whose context has ended by then.
func (w *world) dropping(schema string) {
	if _, err := w.onA.Exec("DROP DATABASE IF EXISTS " + schema); err != nil {
		w.Errorf("drop %s: %v", schema, err)
	}
}

// plant writes on the passive alone, without a trace in its binlog.
func (w *world) plant(statements ...string) {
	w.Helper()
	w.sync()
	conn, err := w.onB.Conn(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	w.run(conn, []string{"SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF", "SET SESSION sql_mode = ''"})
	w.run(conn, statements)
	w.run(conn, []string{"SET SESSION sql_log_bin = ON", "SET SESSION sql_mode = DEFAULT", "SET GLOBAL super_read_only = ON"})
}

func (w *world) run(conn *sql.Conn, statements []string) {
	w.Helper()
	for _, statement := range statements {
		if _, err := conn.ExecContext(w.Context(), statement); err != nil {
			w.Fatalf("%s: %v", clip(statement), err)
		}
	}
}

// sync waits until B has executed what A has.
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

func endpoint(t testing.TB, i *mysqldtest.Instance, name, user string, password mysqlops.Secret) Endpoint {
	t.Helper()
	files := i.JobTLSFiles()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(files.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatalf("read CA: %v", err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{
		Member:   pair.MemberName(name),
		Addr:     net.JoinHostPort("127.0.0.1", fmt.Sprint(i.Member.AdminPort)),
		User:     user,
		Password: func() mysqlops.Secret { return password },
		TLS: &tls.Config{
			RootCAs:      pool,
			Certificates: []tls.Certificate{cert},
			ServerName:   "localhost",
			MinVersion:   tls.VersionTLS12,
		},
	}
}

// options compares everything but the heartbeat, never giving way, and with time enough to
// come to the end of what is done under a lock.
func (w *world) options() Options {
	return Options{
		Primary:     endpoint(w, w.a, "shop-0", checksumUser, mysqldtest.Passwords.Checksum),
		Passive:     endpoint(w, w.b, "shop-1", checksumUser, mysqldtest.Passwords.Checksum),
		Throttle:    Throttle{ActiveClients: -1},
		MaxLockTime: 5 * time.Second,
		Log:         testr.NewWithOptions(w.T, testr.Options{Verbosity: 0}),
		Values:      true,
	}
}

// compare runs to the end and fails the test when that is not possible.
func (w *world) compare(options Options) Report {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Minute)
	defer cancel()
	report, err := Run(ctx, options)
	if err != nil {
		w.Fatal(err)
	}
	return report
}

func (r Report) table(name string) TableReport {
	for _, one := range r.Tables {
		if one.Table.String() == name {
			return one
		}
	}
	return TableReport{Reason: "not in the report"}
}
