package agent_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

func problem(s agentapi.State, code agentapi.ProblemCode) string {
	for _, p := range s.Problems {
		if p.Code == code {
			return p.Message
		}
	}
	return ""
}

func (m *member) awaitProblem(code agentapi.ProblemCode, limit time.Duration, says string) agentapi.State {
	m.w.t.Helper()
	return m.awaitState("problem "+string(code)+" that says "+says, limit, func(s agentapi.State) bool {
		return strings.Contains(problem(s, code), says)
	})
}

func TestAVolumeOfSomeoneElseIsNotTouched(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	a.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)

	// A second process on the same volume waits for the first.
	b.dir = a.dir
	b.name = a.name
	b.uid = "uid-0-b"
	b.start()
	b.awaitProblem(agentapi.ProblemVolumeInUse, patience, "another process")
	b.kill()
	a.kill()

	// Content that nobody explains is foreign.
	writeFile(t, a.path("data", "mysql", "ibdata1"), "someone's")
	chown(t, a.path("data"))
	if err := os.Remove(a.path("data", "dbpair", "identity.json")); err != nil {
		t.Fatal(err)
	}
	a.start()
	s := a.awaitProblem(agentapi.ProblemForeignVolume, patience, "has content")
	if s.Phase != agentapi.PhaseForeign {
		t.Errorf("phase %s", s.Phase)
	}
	a.kill()

	// So is a volume of another pair.
	writeFile(t, a.path("data", "dbpair", "identity.json"),
		`{"namespace":"other","pair":"shop","member":"shop-0","pairUID":"x","dataID":"d"}`)
	chown(t, a.path("data"))
	a.start()
	s = a.awaitProblem(agentapi.ProblemForeignVolume, patience, "other/shop")
	if s.Found == nil || s.Found.Namespace != "other" || s.Found.DataID != "d" {
		t.Errorf("found %+v", s.Found)
	}
	if text, _ := os.ReadFile(filepath.Join(a.path("data", "mysql"), "ibdata1")); string(text) != "someone's" {
		t.Errorf("the foreign data is %q now", text)
	}
}

func TestANewPairOfTheNameTakesTheVolumesUp(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE kept (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	known := w.current()
	for _, m := range w.members {
		m.kill()
		m.pairUID, m.uid = "pair-uid-2", m.uid+"-new"
		m.configure(func(*agentapi.Config) {})
	}
	w.mu.Lock()
	w.record = nil
	w.mu.Unlock()
	a.start()
	b.start()
	s := a.awaitProblem(agentapi.ProblemForeignVolume, patience, "earlier pair")
	if s.Found == nil || s.Found.DataID != "data-0" || s.Found.KnownEpoch != known.Epoch || s.Found.UncleanAt != known.Epoch ||
		s.Found.Ledger == nil || s.Found.Ledger.Version != known.Ledger.Version {
		t.Errorf("found %+v", s.Found)
	}
	// A Lease of the new pair that does not start above what the volume knows is not enough.
	w.write(func(r *authority.Record) {
		r.PairUID = "pair-uid-2"
		r.Data = map[pair.MemberName]pair.DataID{a.name: "data-0", b.name: "data-1"}
		r.Epoch, r.Holder = known.Epoch, a.holder()
		r.Ledger = authority.Ledger{Version: known.Ledger.Version + 1, State: authority.Solo, First: a.name}
	})
	time.Sleep(3 * time.Second)
	if s := a.now(); s.Phase != agentapi.PhaseForeign {
		t.Fatalf("phase %s", s.Phase)
	}
	w.write(func(r *authority.Record) { r.Epoch++ })
	a.awaitPhase(agentapi.PhaseOpen, patience)
	if err := a.exec(a.db("app"), "INSERT INTO kept VALUES (1)"); err != nil {
		t.Errorf("the data of the earlier pair is not there: %v", err)
	}
	w.join(b, a)
}

func TestBadInputIsNamed(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	b := w.members[1]
	b.kill()
	b.configure(func(c *agentapi.Config) { c.MySQL["innodb_buffer_pool_sizes"] = "1G" })
	b.start()
	s := b.awaitProblem(agentapi.ProblemConfigInvalid, patience, "innodb_buffer_pool_sizes")
	if s.Phase != agentapi.PhaseFailed {
		t.Errorf("phase %s", s.Phase)
	}
	b.kill()
	// A member with data runs with what mysqld makes of a value, and says so.
	b.configure(func(c *agentapi.Config) { c.MySQL["innodb_buffer_pool_size"] = "plenty" })
	b.start()
	b.awaitProblem(agentapi.ProblemSettingChanged, patience, `innodb_buffer_pool_size: "plenty": signed value 0 adjusted to`)
	b.awaitState("runs all the same", patience, func(s agentapi.State) bool {
		return s.Phase == agentapi.PhaseClosed && s.Server != nil && s.Server.Receiver.Running
	})
	b.kill()
	b.configure(func(c *agentapi.Config) { c.MySQL["table_open_cache"] = "500000" })
	b.start()
	b.awaitProblem(agentapi.ProblemSettingChanged, patience, `table_open_cache: "500000" is asked for`)
	b.kill()
	b.configure(func(*agentapi.Config) {})
	good := w.bins.Mysqld
	w.bins.Mysqld = "/nonexistent/mysqld"
	b.start()
	b.awaitProblem(agentapi.ProblemNoMysqld, patience, "spec.mysql.image")
	b.kill()
	old := b.path("tmp", "old-mysqld")
	writeFile(t, old, "#!/bin/sh\necho '/usr/sbin/mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)'\n")
	if err := os.Chmod(old, 0o755); err != nil {
		t.Fatal(err)
	}
	w.bins.Mysqld = old
	b.start()
	b.awaitProblem(agentapi.ProblemMysqldTooOld, patience, "8.0.36")
	b.kill()
	w.bins.Mysqld = good
	b.start()
	b.awaitState("is well again", patience, func(s agentapi.State) bool {
		return s.Phase == agentapi.PhaseClosed && s.Server != nil && s.Server.Receiver.Running && len(s.Problems) == 0
	})
}

func TestNoDataIsMadeWithASettingThatIsNotTaken(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	a.configure(func(c *agentapi.Config) { c.MySQL["innodb_buffer_pool_size"] = "plenty" })
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)
	initialize := func() {
		if _, err := a.client.Initialize(t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0"}); err != nil {
			t.Fatal(err)
		}
	}
	initialize()
	a.awaitProblem(agentapi.ProblemConfigInvalid, patience, `innodb_buffer_pool_size: "plenty"`)
	s := a.awaitPhase(agentapi.PhaseEmpty, patience)
	if s.DataID != "" {
		t.Errorf("data %q was made", s.DataID)
	}
	a.configure(func(*agentapi.Config) {})
	w.await("the corrected setting is taken", patience, func() bool {
		initialize()
		s := a.awaitState("answers", patience, func(agentapi.State) bool { return true })
		return s.DataID == "data-0"
	})
	a.awaitState("has no problem any more", patience, func(s agentapi.State) bool { return len(s.Problems) == 0 })
}

func TestChangedPasswordsReachMysqld(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	works := func(s agentapi.State) bool {
		return s.Server != nil && s.Server.PasswordsRevision != "" && s.Server.Receiver.Running
	}
	former := b.awaitState("works with passwords", patience, works).Server.PasswordsRevision
	for _, m := range w.members {
		for _, name := range []string{"root", "replication", "clone", "monitor", "app"} {
			writeFile(t, m.path("internal", name), name+"-changed")
		}
	}
	login := func(m *member, user, network, address string) error {
		cfg := mysql.NewConfig()
		cfg.User = user
		cfg.Passwd = user + "-changed"
		cfg.Net = network
		cfg.Addr = address
		cfg.TLSConfig = "skip-verify"
		cfg.Timeout = patience
		cfg.Logger = &mysql.NopLogger{}
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return err
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		return db.PingContext(t.Context())
	}
	for _, m := range w.members {
		w.await("the application logs in with the new password at "+string(m.name), patience, func() bool {
			return login(m, "app", "tcp", m.addr("mysql")) == nil
		})
		// Root's is changed last. An agent that starts before that cannot log in with what its file says.
		w.await("root logs in with the new password at "+string(m.name), patience, func() bool {
			return login(m, "root", "unix", m.path("run", "mysqld.sock")) == nil
		})
	}
	// Either may have looked when some of the files were new and others not.
	var revisions [2]string
	w.await("both say that they work with the same passwords", patience, func() bool {
		for i, m := range w.members {
			revisions[i] = m.awaitState("works with passwords", patience, works).Server.PasswordsRevision
		}
		return revisions[0] == revisions[1] && revisions[0] != former
	})
	// A restarted agent logs in with the new one.
	b.kill()
	b.start()
	b.awaitState("streams again", patience, func(s agentapi.State) bool {
		return s.Phase == agentapi.PhaseClosed && s.Server != nil && s.Server.Receiver.Running
	})
	if s := a.now(); s.Phase != agentapi.PhaseOpen {
		t.Errorf("phase %s", s.Phase)
	}
}
