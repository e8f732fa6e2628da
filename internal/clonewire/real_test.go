package clonewire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const patience = time.Minute

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

// tlsOf is a member's TLS for both sides of a connection.
func tlsOf(tb testing.TB, files mysqlops.TLSFiles) *tls.Config {
	tb.Helper()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(files.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		tb.Fatalf("read CA: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Config{
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{pair},
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS12,
	}
}

func clientOf(tb testing.TB, donor *mysqldtest.Instance) Client {
	tb.Helper()
	return Client{
		Address:  fmt.Sprintf("127.0.0.1:%d", donor.Member.AdminPort),
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone.Reveal(),
		TLS:      tlsOf(tb, donor.TLSFiles()),
	}
}

func mustExec(tb testing.TB, db *sql.DB, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			tb.Fatalf("%.80s: %v", statement, err)
		}
	}
}

// checksums are those of MySQL for the tables of a test.
func checksums(tb testing.TB, db *sql.DB) map[string]string {
	tb.Helper()
	rows, err := db.Query("SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'app%'")
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	sums := map[string]string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			tb.Fatal(err)
		}
		sums[name] = ""
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	for name := range sums {
		var table string
		var sum sql.NullString
		if err := db.QueryRow("CHECKSUM TABLE "+name+" EXTENDED").Scan(&table, &sum); err != nil || !sum.Valid {
			tb.Fatalf("checksum of %s: %v", name, err)
		}
		sums[name] = sum.String
	}
	return sums
}

// serve serves a recording as a donor until the returned function is called, which
// returns what Served received.
func serve(tb testing.TB, source Source, files mysqlops.TLSFiles) (port int, stop func() []error) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	var mu sync.Mutex
	var served []error
	donor := Donor{
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone.Reveal(),
		TLS:      tlsOf(tb, files),
		Source:   source,
		Served: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			served = append(served, err)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- donor.Serve(ctx, listener) }()
	return listener.Addr().(*net.TCPAddr).Port, func() []error {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("the donor ended with %v", err)
		}
		return served
	}
}

// cloneFrom lets a mysqld clone from the donor at a port.
func cloneFrom(tb testing.TB, member *mysqldtest.Instance, port int) error {
	tb.Helper()
	mustExec(tb, member.Root(),
		"SET GLOBAL clone_autotune_concurrency = OFF",
		"SET GLOBAL clone_max_concurrency = 1")
	return member.Ops.CloneFrom(tb.Context(), mysqlops.Donor{
		Host:     "127.0.0.1",
		Port:     port,
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone,
		TLS:      member.TLSFiles(),
	}, nil)
}

// A copy of a server that is written to, with DDL, stands for one moment: replication goes on
// from it, and both have the same data then.
func TestARecordingOfABusyServerIsClonedByAnother(t *testing.T) {
	donor := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0})
	donor.Open(false)
	client := donor.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	mustExec(t, client, "CREATE TABLE app.big (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200))",
		"CREATE TABLE app.dropped (id INT PRIMARY KEY)",
		"CREATE TABLE app.renamed (id INT PRIMARY KEY)",
		"CREATE TABLE app.emptied (id INT PRIMARY KEY)",
		"CREATE TABLE app.rebuilt (id INT PRIMARY KEY)",
		"INSERT INTO app.emptied VALUES (1), (2)",
		"INSERT INTO app.rebuilt VALUES (1), (2)",
		"INSERT INTO app.big (v) VALUES (REPEAT('x', 200))")
	for range 12 {
		mustExec(t, client, "INSERT INTO app.big (v) SELECT REPEAT(CHAR(65 + id % 26), 200) FROM app.big")
	}
	r := newRecording(t)
	// From the middle of the first stage on, beside the copy: a statement that waits for a file
	// which the donor is sending would never end while the recorder waits for it.
	var writing sync.WaitGroup
	r.at = func(records int) {
		if records != 50 {
			return
		}
		writing.Go(func() { changeTables(t, client) })
	}
	stop := make(chan struct{})
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if _, err := client.Exec("INSERT INTO app.big (v) VALUES (?)", fmt.Sprint("during ", i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	err := clientOf(t, donor).Clone(t.Context(), r)
	close(stop)
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if !r.whole || len(r.ended) != len(Stages()) || r.records < 50 {
		t.Fatalf("recorder: whole %t, stages %v, %d records", r.whole, r.ended, r.records)
	}

	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Bare: true})
	port, end := serve(t, r, donor.TLSFiles())
	if err := cloneFrom(t, member, port); err != nil {
		t.Fatal(err)
	}
	<-member.Exited()
	if served := end(); len(served) != 1 || served[0] != nil {
		t.Errorf("the donor reports %v, want one clone without an error", served)
	}
	member.SetPassword(mysqldtest.Passwords.Root)
	member.Boot()
	if err := member.Ops.ResetReplicaAll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	compareAfterReplication(t, donor, member)
}

func changeTables(t *testing.T, client *sql.DB) {
	for _, statement := range []string{
		"DROP TABLE app.dropped",
		"RENAME TABLE app.renamed TO app.renamed2",
		"TRUNCATE TABLE app.emptied",
		"ALTER TABLE app.rebuilt ADD COLUMN w INT, ALGORITHM = COPY",
		"CREATE TABLE app.created (id INT PRIMARY KEY)",
		"INSERT INTO app.created VALUES (7)",
	} {
		if _, err := client.Exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// compareAfterReplication lets the copy follow its donor and compares their tables.
func compareAfterReplication(t *testing.T, donor, member *mysqldtest.Instance) {
	t.Helper()
	ctx := t.Context()
	source, err := donor.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := member.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !source.Executed.Covers(copied.Executed) || copied.Executed.IsEmpty() {
		t.Fatalf("the copy has %v, its donor %v", copied.Executed, source.Executed)
	}
	t.Logf("the copy stands at %v, the donor at %v", copied.Executed, source.Executed)
	member.Follow(donor)
	if err := member.Ops.WaitApplied(ctx, source.Executed, patience); err != nil {
		t.Fatal(err)
	}
	want, got := checksums(t, donor.Root()), checksums(t, member.Root())
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 5 {
		t.Errorf("tables (-donor +copy):\n%s", diff)
	}
}

func TestTheClientRefuses(t *testing.T) {
	donor := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0})
	donor.Open(false)
	good := clientOf(t, donor)
	for name, test := range map[string]struct {
		change func(*Client)
		failAt int
		is     error
	}{
		"an answer above the limit": {change: func(c *Client) { c.Limit = 1 << 10 }, is: ErrTooLarge},
		"a recorder that fails":     {change: func(*Client) {}, failAt: 20, is: errRecorder},
	} {
		client := good
		test.change(&client)
		// The donor takes a moment to notice the end of the clone before.
		var err error
		mysqldtest.Await(t, "a free donor", func() bool {
			r := newRecording(t)
			r.failAt = test.failAt
			err = client.Clone(t.Context(), r)
			var busy *DonorError
			return !r.whole && (!errors.As(err, &busy) || busy.Number != errTooManyClones)
		})
		if !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want %v", name, err, test.is)
		}
	}
	for name, change := range map[string]func(*Client){
		"wrong password":     func(c *Client) { c.Password = "wrong" },
		"no TLS":             func(c *Client) { c.TLS = nil },
		"unverified":         func(c *Client) { c.TLS = &tls.Config{InsecureSkipVerify: true} },
		"another's name":     func(c *Client) { c.TLS.ServerName = "elsewhere" },
		"no BACKUP_ADMIN":    func(c *Client) { c.User, c.Password = mysqlops.UserMonitor, mysqldtest.Passwords.Monitor.Reveal() },
		"nobody listens":     func(c *Client) { c.Address = fmt.Sprintf("127.0.0.1:%d", mysqldtest.FreePort(t)) },
		"no user in the job": func(c *Client) { c.User = "" },
	} {
		client := good
		client.TLS = good.TLS.Clone()
		change(&client)
		r := newRecording(t)
		if err := client.Clone(t.Context(), r); err == nil || r.opening != nil {
			t.Errorf("%s: %v, opening %d", name, err, len(r.opening))
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	// The donor is free again after all these, and a context ends a clone.
	ctx, cancel := context.WithCancel(t.Context())
	r := newRecording(t)
	r.at = func(records int) {
		if records == 20 {
			cancel()
		}
	}
	mysqldtest.Await(t, "the end by the context", func() bool {
		err := good.Clone(ctx, r)
		return errors.Is(err, context.Canceled)
	})
	mysqldtest.Await(t, "a whole clone", func() bool {
		r := newRecording(t)
		var busy *DonorError
		err := good.Clone(t.Context(), r)
		if err != nil && (!errors.As(err, &busy) || busy.Number != errTooManyClones) {
			t.Fatal(err)
		}
		return err == nil && r.whole
	})
}

// What a Source lacks is noticed before the recipient starts on it.
func TestTheDonorRefuses(t *testing.T) {
	donor := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0})
	donor.Open(false)
	r := newRecording(t)
	if err := clientOf(t, donor).Clone(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1})
	port, end := serve(t, cutSource{r}, donor.TLSFiles())
	if err := cloneFrom(t, member, port); !errors.Is(err, mysqlops.ErrClone) {
		t.Errorf("clone of half a recording: %v, want ErrClone", err)
	} else {
		t.Log(err)
	}
	if served := end(); len(served) != 1 || !errors.Is(served[0], ErrIncomplete) {
		t.Errorf("the donor reports %v, want ErrIncomplete", served)
	}
}
