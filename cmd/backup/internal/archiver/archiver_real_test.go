package archiver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/cmd/backup/internal/archiver"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/store"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

const password = "archive-secret"

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%.200s: %v", statement, err)
		}
	}
}

// makeAccount makes the archiver's on the primary.
func makeAccount(t *testing.T, primary *mysqldtest.Instance) {
	t.Helper()
	mustExec(t, primary.Root(),
		"CREATE USER dbpair_archive@'%' IDENTIFIED BY '"+password+"' REQUIRE X509",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN, CONNECTION_ADMIN ON *.* TO dbpair_archive@'%'")
}

func tlsOf(t *testing.T, server *mysqldtest.Instance) *tls.Config {
	t.Helper()
	files := server.TLSFiles()
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		RootCAs:      pool,
		Certificates: []tls.Certificate{pair},
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS12,
	}
}

func memberOf(t *testing.T, server *mysqldtest.Instance) archiver.Member {
	config := tlsOf(t, server)
	return archiver.Member{
		Address:  net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Member.AdminPort)),
		User:     "dbpair_archive",
		Password: func() (string, error) { return password, nil },
		TLS:      func() (*tls.Config, error) { return config, nil },
	}
}

// logTo writes what an archiver says to the test's log.
type logTo struct{ t *testing.T }

func (l logTo) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(text)))
	return len(text), nil
}

// startArchiver runs one until stop is called, which returns what Run returned.
func startArchiver(t *testing.T, objects archive.Objects, servers ...*mysqldtest.Instance) (stop func() error) {
	t.Helper()
	var members []archiver.Member
	for _, server := range servers {
		members = append(members, memberOf(t, server))
	}
	return startOn(t, objects, members...)
}

// startOn is startArchiver of members.
func startOn(t *testing.T, objects archive.Objects, members ...archiver.Member) (stop func() error) {
	t.Helper()
	options := archiver.DefaultOptions()
	options.Members = members
	options.Alone = len(members) == 1
	options.Flush = 200 * time.Millisecond
	options.Watermark = time.Second
	options.Retry = 100 * time.Millisecond
	options.Log = slog.New(slog.NewTextHandler(logTo{t}, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- archiver.Run(ctx, objects, options) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
		})
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func newStore(t *testing.T) *blobstore.Store {
	t.Helper()
	objects, err := blobstore.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func open(t *testing.T, objects archive.Objects) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), objects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// awaitArchived waits until all that a server has executed is archived.
func awaitArchived(t *testing.T, objects archive.Objects, server *mysqldtest.Instance) {
	t.Helper()
	want := executed(t, server)
	mysqldtest.Await(t, "everything is archived", func() bool {
		runs := open(t, objects).Catalog().Runs
		return len(runs) > 0 && runs[len(runs)-1].End().Covers(want)
	})
}

func executed(t *testing.T, server *mysqldtest.Instance) gtid.Set {
	t.Helper()
	status, err := server.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Executed
}

// write makes and fills tables, with one transaction that fits into no segment, and one with a tag.
func write(t *testing.T, server *mysqldtest.Instance, prefix string) {
	t.Helper()
	root := server.Root()
	root.SetMaxOpenConns(1)
	mustExec(t, root, "CREATE TABLE app."+prefix+"small (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))",
		"CREATE TABLE app."+prefix+"large (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)")
	for n := range 200 {
		mustExec(t, root, fmt.Sprintf("INSERT INTO app.%ssmall (v) VALUES ('%d')", prefix, n))
	}
	mustExec(t, root, "BEGIN")
	for range 40 {
		mustExec(t, root, "INSERT INTO app."+prefix+"large (v) VALUES (REPEAT(RANDOM_BYTES(1024), 512))")
	}
	mustExec(t, root, "COMMIT",
		"SET SESSION gtid_next = 'AUTOMATIC:tagged'",
		"INSERT INTO app."+prefix+"small (v) VALUES ('with a tag')",
		"SET SESSION gtid_next = 'AUTOMATIC'",
		"UPDATE app."+prefix+"small SET v = CONCAT(v, 'x') WHERE id > 100",
		"ALTER TABLE app."+prefix+"small ADD w INT NOT NULL DEFAULT 7")
}

// switchOver opens the passive and makes the primary follow it.
func switchOver(t *testing.T, from, to *mysqldtest.Instance) {
	t.Helper()
	mustExec(t, from.Root(), "SET GLOBAL super_read_only = ON")
	if err := to.Ops.WaitApplied(t.Context(), executed(t, from), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := to.Ops.ResetReplicaAll(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	to.Open(false)
	from.Follow(to)
}

// replay serves an archive up to a cut to a new server, and waits until that is there.
func replay(t *testing.T, a *archive.Archive, cut archive.Cut) *mysqldtest.Instance {
	t.Helper()
	fresh := mysqldtest.Start(t, mysqldtest.Options{
		Ordinal: 1,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	serving := source.Source{
		Archive:  a,
		Cut:      cut,
		User:     "replay",
		Password: "secret",
		TLS:      &tls.Config{Certificates: tlsOf(t, fresh).Certificates, MinVersion: tls.VersionTLS12},
		UUID:     "00000000-0000-4000-8000-00000000abcd",
		Version:  "9.7.4",
		Served:   func(err error) { t.Log("the dump ended:", err) },
	}
	go func() { ended <- serving.Serve(ctx, listener) }()
	_, err = fresh.Ops.ConfigureChannel(t.Context(), mysqlops.Source{
		Host:     "127.0.0.1",
		Port:     listener.Addr().(*net.TCPAddr).Port,
		User:     "replay",
		Password: mysqlops.NewSecret("secret"),
		TLS:      fresh.TLSFiles(),
	}, false)
	if err == nil {
		err = fresh.Ops.StartApplier(t.Context())
	}
	if err == nil {
		err = fresh.Ops.StartReceiver(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	fresh.AwaitStatus("everything is replayed", func(s mysqlops.Status) bool { return s.Executed.Covers(cut.Through) })
	if got := executed(t, fresh); !got.Equal(cut.Through) {
		t.Errorf("the server has %s, the cut is after %s", got, cut.Through)
	}
	if err := fresh.Ops.ResetReplicaAll(t.Context(), true); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return fresh
}

// checksums are those of all tables of the application.
func checksums(t *testing.T, server *mysqldtest.Instance) map[string]int64 {
	t.Helper()
	db := server.Root()
	rows, err := db.QueryContext(t.Context(), "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sums := map[string]int64{}
	for rows.Next() {
		var name, qualified string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		var sum sql.NullInt64
		if err := db.QueryRowContext(t.Context(), "CHECKSUM TABLE app."+name).Scan(&qualified, &sum); err != nil || !sum.Valid {
			t.Fatalf("checksum of %s: %v", name, err)
		}
		sums[name] = sum.Int64
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

// list keeps what transactions are called and when they were committed, in order.
type list struct{ told []string }

func (l *list) Format(binlog.FormatEvent) error { return nil }
func (l *list) Event(binlog.Header) error       { return nil }
func (l *list) Body([]byte) error               { return nil }
func (l *list) End() error                      { return nil }

func (l *list) Begin(t binlog.Transaction, _ []byte) error {
	l.told = append(l.told, t.GTID.String()+" "+t.Committed.Format(time.RFC3339Nano))
	return nil
}

// binlogOf lists the transactions in a server's binary logs.
func binlogOf(t *testing.T, server *mysqldtest.Instance) []string {
	t.Helper()
	var found list
	rows, err := server.Root().QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, size, encrypted string
		if err := rows.Scan(&name, &size, &encrypted); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(server.Member.DataDir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := binlog.NewScanner(&found).Write(content[4:]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found.told
}

// dying is a store that stops answering at one write, before or after it, as its caller sees it
// that is killed there.
type dying struct {
	*blobstore.Store

	at    int
	after bool

	mu   sync.Mutex
	puts int
	died chan struct{}
}

func (d *dying) Put(ctx context.Context, key string, content []byte) error {
	d.mu.Lock()
	d.puts++
	last := d.puts == d.at
	d.mu.Unlock()
	if !last {
		return d.Store.Put(ctx, key, content)
	}
	if d.after {
		if err := d.Store.Put(ctx, key, content); err != nil {
			return err
		}
	}
	close(d.died)
	<-ctx.Done()
	return ctx.Err()
}

// TestArchiveOfAPair archives a pair whose members change roles, with an archiver that is killed
// at each of its writes, and replays that into a new server.
func TestArchiveOfAPair(t *testing.T) {
	pair := mysqldtest.StartPair(t)
	pair.A.Open(false)
	makeAccount(t, pair.A)
	objects := newStore(t)
	killed := 0
	died := make(chan struct{})
	close(died)
	stop := func() error { return nil }
	// end waits until the archiver is dead; without writes it writes that nothing is missing.
	end := func() {
		mysqldtest.Await(t, "the archiver dies at a write", func() bool {
			select {
			case <-died:
				return true
			default:
				return false
			}
		})
		_ = stop()
	}
	// Each archiver dies at its second write, one before it is there and one after.
	kill := func() {
		end()
		died = make(chan struct{})
		dead := &dying{
			Store: objects,
			at:    2,
			after: killed%2 == 1,
			died:  died,
		}
		stop = startArchiver(t, dead, pair.A, pair.B)
		killed++
	}
	kill()
	write(t, pair.A, "a")
	kill()
	write(t, pair.A, "b")
	switchOver(t, pair.A, pair.B)
	kill()
	write(t, pair.B, "c")
	mustExec(t, pair.B.Root(), "DROP TABLE app.asmall")
	dropped := executed(t, pair.B)
	end()
	stop = startArchiver(t, objects, pair.A, pair.B)
	awaitArchived(t, objects, pair.B)
	mysqldtest.Await(t, "a watermark says that nothing is missing", func() bool {
		runs := open(t, objects).Catalog().Runs
		segments := runs[len(runs)-1].Segments
		last := segments[len(segments)-1].Header
		return last.Transactions == 0 && !last.Complete.IsZero()
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	a := open(t, objects)
	damages, count, err := a.Verify(t.Context())
	if c := a.Catalog(); err != nil || len(damages) > 0 || len(c.Gaps) > 0 || len(c.Runs) != 1 {
		t.Fatalf("%d transactions, %v, %v, gaps %v", count, damages, err, c.Gaps)
	}
	whole, err := a.Cut(t.Context(), archive.Target{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var archived list
	if err := a.Replay(t.Context(), whole, gtid.Set{}, &archived); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(binlogOf(t, pair.B), archived.told); diff != "" {
		t.Errorf("transactions (-primary's binary log +archive):\n%s", diff)
	}
	t.Logf("%d transactions in %d objects, %d bytes", count, a.Catalog().Objects, a.Catalog().Size)

	restored := replay(t, a, whole)
	if diff := cmp.Diff(checksums(t, pair.B), checksums(t, restored)); diff != "" {
		t.Errorf("tables (-primary +restored):\n%s", diff)
	}
	last := strings.Fields(archived.told[len(archived.told)-1])[0]
	target, err := archive.ParseTarget("", "", last)
	if err != nil || !dropped.Contains(*target.Before) {
		t.Fatalf("the last transaction is %s, which is not the DROP: %v", last, err)
	}
	before, err := a.Cut(t.Context(), target, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if sums := checksums(t, replay(t, a, before)); len(sums) != 6 {
		t.Errorf("before the DROP there are %v", sums)
	}
}

// TestAPrimaryIsNotRead: without a passive nothing is archived, and what a primary has written
// meanwhile is archived when there is one again.
func TestAPrimaryIsNotRead(t *testing.T) {
	pair := mysqldtest.StartPair(t)
	pair.A.Open(false)
	makeAccount(t, pair.A)
	if err := pair.B.Ops.WaitApplied(t.Context(), executed(t, pair.A), time.Minute); err != nil {
		t.Fatal(err)
	}
	pair.B.Terminate()
	objects := newStore(t)
	startArchiver(t, objects, pair.A, pair.B)
	mustExec(t, pair.A.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	time.Sleep(time.Second) // several attempts
	if c := open(t, objects).Catalog(); c.Objects != 0 {
		t.Errorf("the primary was read: %d objects", c.Objects)
	}
	pair.B.Boot()
	pair.B.Follow(pair.A)
	awaitArchived(t, objects, pair.A)
}

// TestPurgedTransactionsAreAGap: what no member has any more is recorded and named.
func TestPurgedTransactionsAreAGap(t *testing.T) {
	server := mysqldtest.Start(t, mysqldtest.Options{})
	server.Open(false)
	makeAccount(t, server)
	objects := newStore(t)
	stop := startArchiver(t, objects, server)
	mustExec(t, server.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY)")
	awaitArchived(t, objects, server)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := executed(t, server)
	mustExec(t, server.Root(), "INSERT INTO app.t VALUES (1), (2)", "FLUSH BINARY LOGS")
	lost := executed(t, server).Subtract(before)
	var file, size, encrypted string
	rows, err := server.Root().QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&file, &size, &encrypted); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	mustExec(t, server.Root(), "PURGE BINARY LOGS TO '"+file+"'", "INSERT INTO app.t VALUES (3)")
	startArchiver(t, objects, server)
	awaitArchived(t, objects, server)
	c := open(t, objects).Catalog()
	if len(c.Gaps) != 1 || !c.Gaps[0].Missing.Equal(lost) || !c.Gaps[0].Recorded || len(c.Runs) != 2 {
		t.Errorf("gaps %v, want one of %s", c.Gaps, lost)
	}
}

// away is a store that cannot be reached for some time.
type away struct {
	*blobstore.Store

	mu      sync.Mutex
	is      bool
	refused int
}

func (a *away) Put(ctx context.Context, key string, content []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.is {
		a.refused++
		return &store.Error{
			Op:    "put",
			Key:   key,
			Class: store.Unreachable,
			Err:   errors.New("no answer"),
		}
	}
	return a.Store.Put(ctx, key, content)
}

func (a *away) set(is bool) (refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.is = is
	return a.refused
}

// TestStoreAwayUnderWrites: the archiver waits, and nothing is missing afterwards.
func TestStoreAwayUnderWrites(t *testing.T) {
	server := mysqldtest.Start(t, mysqldtest.Options{})
	server.Open(false)
	makeAccount(t, server)
	objects := &away{Store: newStore(t)}
	startArchiver(t, objects, server)
	write(t, server, "a")
	objects.set(true)
	write(t, server, "b")
	mysqldtest.Await(t, "the store was asked in vain", func() bool { return objects.set(true) > 1 })
	objects.set(false)
	awaitArchived(t, objects, server)
	a := open(t, objects)
	damages, _, err := a.Verify(t.Context())
	if c := a.Catalog(); err != nil || len(damages) > 0 || len(c.Gaps) > 0 {
		t.Errorf("%v, %v, gaps %v", damages, err, c.Gaps)
	}
}

// TestAnOpenedPassiveIsNotRead: what a member writes once it is open is not archived from it,
// although the archiver was connected to it before, since a rewind could take it back.
func TestAnOpenedPassiveIsNotRead(t *testing.T) {
	pair := mysqldtest.StartPair(t)
	pair.A.Open(false)
	makeAccount(t, pair.A)
	mustExec(t, pair.A.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY)")
	objects := newStore(t)
	startArchiver(t, objects, pair.A, pair.B)
	awaitArchived(t, objects, pair.A)
	shared := executed(t, pair.A)
	if err := pair.B.Ops.ResetReplicaAll(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	pair.B.Open(false)
	for n := range 50 {
		mustExec(t, pair.B.Root(), fmt.Sprintf("INSERT INTO app.t VALUES (%d)", n))
	}
	time.Sleep(2 * time.Second) // several flush intervals
	a := open(t, objects)
	for _, run := range a.Catalog().Runs {
		if beyond := run.End().Subtract(shared); !beyond.IsEmpty() {
			t.Errorf("%s was archived", beyond)
		}
	}
}
