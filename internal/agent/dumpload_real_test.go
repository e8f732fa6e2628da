package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/klauspost/compress/zstd"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/job"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
)

// foreignDump is one of a server with GTIDs, which also meddles with the accounts of the pair.
const foreignDump = "-- MySQL dump 10.13  Distrib 8.4\nSET @@SESSION.SQL_LOG_BIN= 0;\n" +
	"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500';\n" +
	"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB;\nINSERT INTO t VALUES (1,'a;b'),(2,'é'),(3,NULL);\n" +
	"DELIMITER ;;\nCREATE DEFINER=`root`@`localhost` TRIGGER twice BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.v = 'x;'; END;;\nDELIMITER ;\n" +
	"CREATE DATABASE b;\nUSE b;\nCREATE DEFINER=`app`@`%` SQL SECURITY INVOKER VIEW seen AS SELECT COUNT(*) AS n FROM app.t;\n" +
	"CREATE USER root@'%' IDENTIFIED BY 'dumps';\nGRANT ALL ON *.* TO root@'%';\nALTER USER root@localhost IDENTIFIED BY 'dumps';\n" +
	"ALTER USER app@'%' IDENTIFIED BY 'dumps';\nDROP USER dbpair_clone@'%';\nCREATE USER reader IDENTIFIED BY 'reader-secret';\n" +
	"GRANT SELECT ON app.* TO reader;\n-- Dump completed on 2026-01-01\n"

// bringer is the client of the Job that brings a dump to a member.
func (m *member) bringer() *agentclient.Client {
	m.w.t.Helper()
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	leaf, err := m.w.ca.Issue(pki.Job(agentapi.DumpOperation), time.Now())
	if err != nil {
		m.w.t.Fatal(err)
	}
	certificate, err := leaf.KeyPair()
	if err != nil {
		m.w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(m.w.ca.Cert)
	return &agentclient.Client{
		Address: m.addr("agent"),
		TLS: func() (*tls.Config, error) {
			return &tls.Config{
				RootCAs:      roots,
				Certificates: []tls.Certificate{certificate},
				ServerName:   string(m.name),
				MinVersion:   tls.VersionTLS12,
			}, nil
		},
	}
}

// bring runs the Job's process until the member has its data; wait returns its end.
func (m *member) bring(file string) (wait func()) {
	ctx, stop := context.WithCancel(m.w.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- job.Dump{
			Dir:   filepath.Dir(file),
			Path:  filepath.Base(file),
			Agent: m.bringer(),
			Pause: 100 * time.Millisecond,
			Log:   logr.Discard(),
		}.Bring(ctx)
	}()
	m.w.t.Cleanup(stop)
	return func() {
		m.w.t.Helper()
		select {
		case err := <-ended:
			if err != nil {
				m.w.t.Errorf("the Job ended with %v", err)
			}
		case <-time.After(patience):
			m.w.t.Error("the Job does not end though the member has its data")
		}
	}
}

// initializeDump orders a load until it is taken. Each attempt makes other data, so that the pauses
// after failures do not grow.
func (w *world) initializeDump(m *member, data pair.DataID, from agentapi.Dump) {
	w.t.Helper()
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: m.name, DataID: data} })
	w.insist("the order is taken", func() bool {
		s, err := m.client.State(w.t.Context(), 0, 0, false)
		if err != nil || s.Phase != agentapi.PhaseEmpty {
			return false
		}
		_, err = m.client.Initialize(w.t.Context(), agentapi.InitializeCommand{
			Command: w.head(),
			DataID:  data,
			Dump:    &from,
		})
		return err == nil
	})
}

func testDump() agentapi.Dump {
	return agentapi.Dump{
		Name:  "app.sql",
		Job:   "shop-dump",
		Strip: true,
	}
}

// A pair begins with a dump: its rows come through the binary log and are on both members, the
// pair's accounts are the pair's own, whatever the dump says about them.
func TestAPairBeginsWithADump(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	a.start()
	b.start()
	file := filepath.Join(t.TempDir(), "app.sql.zst")
	w.initializeDump(a, "data-0", testDump())
	compressed, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, compressed.EncodeAll([]byte(foreignDump), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := a.bring(file)
	a.awaitPhase(agentapi.PhaseClosed, patience)
	ended()
	for _, user := range []string{"root", "app"} {
		if err := a.knows(user, "dumps"); err == nil {
			t.Errorf("before it opens, %s logs in with the dump's password", user)
		}
	}
	w.openFirst(a)
	w.seed(b, a, "data-1")
	w.join(b, a)
	if err := a.exec(a.db("app"), "INSERT INTO app.t VALUES (4, 'y')"); err != nil {
		t.Errorf("the application's account: %v", err)
	}
	for _, m := range w.members {
		root := m.db("root")
		w.await("the rows are on "+string(m.name), patience, func() bool {
			var n int
			return root.QueryRowContext(t.Context(), "SELECT n FROM b.seen").Scan(&n) == nil && n == 4
		})
		var text, hosts, executed string
		err := errors.Join(
			root.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(COALESCE(v, '-') ORDER BY id) FROM app.t").Scan(&text),
			root.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(User, '@', Host ORDER BY User) FROM mysql.user "+
				"WHERE User IN ('root', 'app', 'dbpair_clone', 'reader')").Scan(&hosts),
			root.QueryRowContext(t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&executed),
		)
		if err != nil || text != "a;b,é,-,x;" || hosts != "app@%,dbpair_clone@%,reader@%,root@localhost" {
			t.Errorf("%s has rows %q and accounts %s: %v", m.name, text, hosts, err)
		}
		if executed == "" || strings.Contains(executed, "3e11fa47") {
			t.Errorf("%s has executed %q: the dump did not come through the binary log", m.name, executed)
		}
	}
	if err := a.knows("reader", "reader-secret"); err != nil {
		t.Errorf("an account of the dump's: %v", err)
	}
}

// halting is a body that stops in its middle until it is released, and then breaks.
type halting struct {
	first   io.Reader
	reached chan struct{}
	release chan struct{}
	done    bool
}

// Read implements io.Reader.
func (h *halting) Read(p []byte) (int, error) {
	n, err := h.first.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if !h.done {
		h.done = true
		close(h.reached)
	}
	<-h.release
	return n, io.ErrUnexpectedEOF
}

// breakIn begins the load of a dump by hand and stops in its middle, when rows are in the table.
func (m *member) breakIn(text string) (release func()) {
	m.w.t.Helper()
	client := m.bringer()
	send := func(step agentapi.DumpStep, body io.Reader) error {
		m.w.insist("it wants to "+string(step), func() bool {
			got, err := client.WantedDump(m.w.t.Context())
			return err == nil && got == step
		})
		return client.SendDump(m.w.t.Context(), step, body, int64(len(text)))
	}
	if err := send(agentapi.DumpCheck, strings.NewReader(text)); err != nil {
		m.w.t.Fatal(err)
	}
	body := &halting{
		first:   strings.NewReader(text[:len(text)/2]),
		reached: make(chan struct{}),
		release: make(chan struct{}),
	}
	sent := make(chan error, 1)
	go func() { sent <- send(agentapi.DumpLoad, body) }()
	<-body.reached
	return func() {
		close(body.release)
		if err := <-sent; err == nil {
			m.w.t.Error("half a dump was taken for a whole one")
		}
	}
}

// A load that is interrupted, be it that the Job ends or that the agent is killed, leaves nothing,
// and the next one begins with an empty server.
func TestAnInterruptedLoadBeginsAgain(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	a.start()
	var text bytes.Buffer
	text.WriteString("CREATE TABLE t (id INT PRIMARY KEY);\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "INSERT INTO t VALUES (%d);\n", i)
	}
	from := testDump()

	w.initializeDump(a, "data-a", from)
	a.breakIn(text.String())()
	s := a.awaitProblem(agentapi.ProblemDumpInterrupted, patience, "did not come to its end")
	if s.DataID != "" {
		t.Errorf("half a dump became data %s", s.DataID)
	}

	w.initializeDump(a, "data-b", from)
	release := a.breakIn(text.String())
	a.kill()
	a.awaitNoMysqld()
	release()
	a.start()
	s = a.awaitState("it is empty", patience, func(s agentapi.State) bool { return s.Phase == agentapi.PhaseEmpty })
	if s.DataID != "" {
		t.Errorf("half a dump became data %s", s.DataID)
	}

	// A statement that fails ends the load by name, without what is in its rows.
	file := filepath.Join(t.TempDir(), "app.sql")
	write := func(more string) {
		if err := os.WriteFile(file, []byte(text.String()+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("INSERT INTO t VALUES (7);\n")
	w.initializeDump(a, "data-c", from)
	ended := a.bring(file)
	a.awaitProblem(agentapi.ProblemDumpFailed, patience, "ERROR 1062 (23000) at line 2002: Duplicate entry '…'")

	write("")
	w.initializeDump(a, "data-0", from)
	s = a.awaitPhase(agentapi.PhaseClosed, patience)
	ended()
	for _, problem := range s.Problems {
		if strings.HasPrefix(string(problem.Code), "Dump") {
			t.Errorf("it is still said that %s", problem.Message)
		}
	}
	w.openFirst(a)
	var n int
	if err := a.db("root").QueryRowContext(t.Context(), "SELECT COUNT(*) FROM app.t").Scan(&n); err != nil || n != 2000 {
		t.Errorf("%d rows, %v", n, err)
	}
}
