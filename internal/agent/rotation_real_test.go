package agent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// applicant is an application that opens a session for each write, and verifies the server
// by what its Secret says at that moment.
type applicant struct {
	m *member

	mu       sync.Mutex
	trusts   []byte
	password string
	writes   int
	failures []string
}

// login is one session as an account over a port.
func (m *member) login(user, password, port string, conf *tls.Config) (*sql.DB, error) {
	return m.loginAs(user, password, "tcp", m.addr(port), conf)
}

func (m *member) loginAs(user, password, network, address string, conf *tls.Config) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User = user
	cfg.Passwd = password
	cfg.Net = network
	cfg.Addr = address
	cfg.TLS = conf
	cfg.Timeout = patience
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	ctx, cancel := context.WithTimeout(m.w.t.Context(), patience)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func trusting(bundle []byte) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func (a *applicant) secret() (trusts []byte, password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trusts, a.password
}

// reads has the application read its Secret.
func (a *applicant) reads(trusts []byte, password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trusts = trusts
	a.password = password
}

func (a *applicant) write() error {
	trusts, password := a.secret()
	db, err := a.m.login("app", password, "mysql", trusting(trusts))
	if err != nil {
		return err
	}
	defer db.Close()
	return a.m.exec(db, "INSERT INTO app.rotated VALUES ()")
}

// run writes until the context ends.
func (a *applicant) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.write()
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		a.writes++
		if err != nil {
			a.failures = append(a.failures, time.Now().Format(time.TimeOnly)+" "+err.Error())
		}
		a.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// opens reports whether a member's mysqld takes the certificate of a Job that this
// certificate authority signed, and the agent one of the operator.
func (m *member) opens(ca *pki.Authority, bundle []byte, password string) bool {
	m.w.t.Helper()
	leaf, err := ca.Issue(pki.Job("o1"), time.Now())
	if err != nil {
		m.w.t.Fatal(err)
	}
	certificate, err := leaf.KeyPair()
	if err != nil {
		m.w.t.Fatal(err)
	}
	conf := trusting(bundle)
	// Also where the server's list of authorities does not name its issuer.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	db, err := m.login(mysqlops.UserChecksum, password, "admin", conf)
	if err != nil {
		return false
	}
	_ = db.Close()
	return true
}

// presents reports whether a member's mysqld shows a certificate of this authority.
func (m *member) presents(ca *pki.Authority, password string) bool {
	db, err := m.login("app", password, "mysql", trusting(ca.CertPEM))
	if err != nil {
		return false
	}
	_ = db.Close()
	return true
}

// reconnect ends the passive's session on the primary, which then logs in again.
func (w *world) reconnect(root *sql.DB) {
	w.t.Helper()
	var id int64
	const query = "SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE PROCESSLIST_COMMAND LIKE 'Binlog Dump%'"
	dump := func() (found int64) {
		_ = root.QueryRowContext(w.t.Context(), query).Scan(&found)
		return found
	}
	w.await("the passive is connected", patience, func() bool { id = dump(); return id != 0 })
	if err := w.members[0].exec(root, fmt.Sprintf("KILL %d", id)); err != nil {
		w.t.Fatal(err)
	}
	w.await("the passive is connected again", patience, func() bool { now := dump(); return now != 0 && now != id })
}

// formerPasswords is how many accounts still take a second password.
func (w *world) formerPasswords(root *sql.DB) (n int) {
	w.t.Helper()
	const query = "SELECT COUNT(*) FROM mysql.user WHERE User_attributes->'$.additional_password' IS NOT NULL"
	if err := root.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestNoClientFailsWhileEverythingIsRotated: what kubectl dbpair rotate has the operator do,
// in its phases, while an application opens a session for each write.
func TestNoClientFailsWhileEverythingIsRotated(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	primary := w.members[0]
	root := primary.db("root")
	if err := primary.exec(root, "CREATE TABLE app.rotated (id INT PRIMARY KEY AUTO_INCREMENT)"); err != nil {
		t.Fatal(err)
	}
	former := w.ca
	next, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	app := &applicant{m: primary, trusts: former.CertPEM, password: "app-secret"}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { app.run(ctx) })
	defer running.Wait()
	defer stop()
	certificates := func(ca *pki.Authority, bundle []byte) {
		for i, m := range w.members {
			leaf, err := ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "ns"}, pair.Ordinal(i)), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, m.path("tls", "ca.crt"), string(bundle))
			if ca == next {
				writeFile(t, m.path("tls", "tls.key"), string(leaf.KeyPEM))
				writeFile(t, m.path("tls", "tls.crt"), string(leaf.CertPEM))
			}
		}
		chown(t, w.dir)
	}
	both := func(what string, fine func(*member) bool) {
		for _, m := range w.members {
			w.await(what+" at "+string(m.name), patience, func() bool { return fine(m) })
		}
	}
	password := func() string { _, password := app.secret(); return password }

	published := former.Bundle(next.CertPEM, time.Now())
	certificates(former, published)
	app.reads(published, password())
	both("the next authority is trusted", func(m *member) bool { return m.opens(next, published, "checksum-secret") })

	w.signBy(next)
	signed := next.Bundle(former.CertPEM, time.Now())
	certificates(next, signed)
	app.reads(signed, password())
	both("the certificate is of the next authority", func(m *member) bool { return m.presents(next, password()) })
	w.reconnect(root)

	for _, m := range w.members {
		writeFile(t, m.path("tls", "ca.crt"), string(next.CertPEM))
	}
	chown(t, w.dir)
	app.reads(next.CertPEM, password())
	both("the former authority is not trusted any more", func(m *member) bool { return !m.opens(former, signed, "checksum-secret") })
	w.reconnect(root)

	for _, m := range w.members {
		for _, name := range []string{"root", "replication", "clone", "monitor", "checksum", "repair", "app"} {
			writeFile(t, m.path("internal", name), name+"-rotated")
		}
	}
	chown(t, w.dir)
	both("the new password opens", func(m *member) bool { return m.opens(next, next.CertPEM, "checksum-rotated") })
	// The accounts are changed one after the other.
	w.await("the application's too", patience, func() bool { return primary.presents(next, "app-rotated") })
	app.reads(next.CertPEM, "app-rotated") // until now it has used the former one
	both("the former password is discarded", func(m *member) bool { return !m.opens(next, next.CertPEM, "checksum-secret") })
	// A statement about an account keeps every login out until it is acknowledged: who ended
	// the passive's session beside one would wait for the operator to let the primary go on alone.
	w.await("no account has a former password", patience, func() bool { return w.formerPasswords(root) == 0 })
	w.reconnect(root)
	w.members[1].awaitState("streams", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.Receiver.Running })

	stop()
	running.Wait()
	t.Logf("%d sessions and writes", app.writes)
	if len(app.failures) > 0 || app.writes < 100 {
		t.Errorf("of %d writes %d failed: %q", app.writes, len(app.failures), app.failures[:min(len(app.failures), 10)])
	}
}
