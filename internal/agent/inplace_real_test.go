package agent_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// killMysqld ends the member's mysqld with SIGKILL.
func (m *member) killMysqld() {
	m.w.t.Helper()
	m.signalMysqld(syscall.SIGKILL)
}

func (m *member) signalMysqld(sig syscall.Signal) {
	m.w.t.Helper()
	pid := m.mysqldPID()
	if pid == 0 {
		m.w.t.Fatalf("%s: no mysqld runs", m.name)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		m.w.t.Fatal(err)
	}
}

// awaitWrites waits until a client's write is acknowledged again.
func (m *member) awaitWrites() {
	m.w.t.Helper()
	app := m.db("app")
	m.w.await("a client writes", patience, func() bool {
		return m.execWithin(5*time.Second, app, "INSERT INTO t (v) VALUES (1)") == nil
	})
}

// writing is a pair in sync with a table t, one row in it.
func writing(t *testing.T) (w *world, a, b *member) {
	t.Helper()
	w = newWorld(t)
	w.bootstrap()
	a = w.members[0]
	b = w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)"); err != nil {
		t.Fatal(err)
	}
	a.awaitWrites()
	return w, a, b
}

func TestAMysqldThatDiesWhileTheAPIServerIsAwayOpensAgain(t *testing.T) {
	w, a, _ := writing(t)
	w.setAPIDown(true)
	a.killMysqld()
	a.awaitState("the end is seen", patience, func(s agentapi.State) bool { return s.Mysqld.Exits > 0 })
	a.awaitWrites()
	// mysqld takes writes a moment before the agent has noted that it is open.
	a.awaitState("open at the epoch it had", patience, func(s agentapi.State) bool {
		return s.OpenEpoch == 1 && s.Phase == agentapi.PhaseOpen
	})
	w.disjoint()
}

func TestWithBothMysqldsKilledThePrimaryDoesNotWaitForAFailover(t *testing.T) {
	w := newWorld(t)
	for _, m := range w.members {
		// A primary that waits for a failover waits longer than this test.
		m.configure(func(c *agentapi.Config) { c.RestartInPlaceAfter = time.Hour })
	}
	chown(t, w.dir)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)"); err != nil {
		t.Fatal(err)
	}
	a.killMysqld()
	b.killMysqld()
	a.awaitState("the end is seen", patience, func(s agentapi.State) bool { return s.Mysqld.Exits > 0 })
	a.awaitWrites()
	w.disjoint()
}
