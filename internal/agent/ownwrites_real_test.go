package agent_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestWritesOnThePassiveThatThePrimaryLacksAreNamed: root writes on the passive while the primary
// does not receive from it. The passive says so while it goes on replicating.
func TestWritesOnThePassiveThatThePrimaryLacksAreNamed(t *testing.T) {
	w := newWorld(t)
	w.setLease(time.Minute) // the primary's agent is halted for a moment
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	a.awaitState("its channel runs", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.Receiver.Running })
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.asRoot("STOP REPLICA IO_THREAD")
	root := b.db("root")
	w.await("root writes on the passive, which its agent closes again", patience, func() bool {
		return b.exec(root, "SET GLOBAL super_read_only = OFF") == nil && b.exec(root, "CREATE TABLE app.errant (id INT PRIMARY KEY)") == nil
	})
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s := b.awaitState("the write is named", patience, func(s agentapi.State) bool {
		return s.Compared != nil && s.Compared.Errant != ""
	})
	if !strings.HasPrefix(s.Compared.Errant, s.Server.ServerUUID) {
		t.Errorf("errant are %s, and the passive is %s", s.Compared.Errant, s.Server.ServerUUID)
	}
	b.awaitProblem(agentapi.ProblemErrant, patience, "cannot take over")
	if err := a.exec(a.db("root"), "SELECT * FROM app.errant"); err == nil {
		t.Error("the primary has the table")
	}
	a.asRoot("CREATE TABLE app.later (id INT PRIMARY KEY)")
	w.await("the passive goes on replicating", patience, func() bool { return b.exec(root, "SELECT * FROM app.later") == nil })
}
