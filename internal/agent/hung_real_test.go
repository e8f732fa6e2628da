package agent_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestAHungMysqldIsKnownAndFenced stops mysqld of the primary: its agent goes on saying
// how long it has not answered, and a fence ends it all the same.
func TestAHungMysqldIsKnownAndFenced(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := syscall.Kill(a.mysqldPID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.awaitState("says that mysqld does not answer", patience, func(s agentapi.State) bool {
		return s.Phase == agentapi.PhaseOpen && s.ServerAge > 3*time.Second
	})
	w.failover(a, b)
	a.awaitState("mysqld is gone", patience, func(s agentapi.State) bool { return !s.Mysqld.Running })
	w.disjoint()
}

// TestASwitchoverEndsTheWaitOfATerminatedPrimary: SIGTERM on a primary whose peer is in
// sync waits for the operator, and ends as soon as the authority is taken away.
func TestASwitchoverEndsTheWaitOfATerminatedPrimary(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	before := len(a.intervals())
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	a.awaitState("says that it is to end", patience, func(s agentapi.State) bool { return s.Ending && s.Phase == agentapi.PhaseOpen })
	select {
	case <-a.ended:
		t.Fatal("the primary ended though its peer is in sync and could take over")
	case <-time.After(2 * leaseT):
	}
	w.revoke()
	if _, err := b.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head()}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.ended:
	case <-time.After(patience):
		t.Fatal("the primary did not end when its authority was taken away")
	}
	if list := a.intervals(); len(list) != before+1 {
		t.Errorf("intervals %+v", list)
	}
}

// TestAPrimaryMadeReadOnlyByHandIsCorrected: what someone sets on the open primary is
// lifted and named; on a closed one it stays.
func TestAPrimaryMadeReadOnlyByHandIsCorrected(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	root := a.db("root")
	app := a.db("app")
	before := len(a.intervals())
	for _, by := range []string{"super_read_only", "offline_mode"} {
		if err := a.exec(root, "SET GLOBAL "+by+" = ON"); err != nil {
			t.Fatal(err)
		}
		a.awaitState("open for writes again", patience, func(s agentapi.State) bool {
			named := false
			for _, p := range s.Problems {
				named = named || p.Code == agentapi.ProblemOwnedVariable
			}
			return named && s.Server != nil && !s.Server.ReadOnly && !s.Server.SuperReadOnly && !s.Server.OfflineMode
		})
		table := "CREATE TABLE app.after_" + by + " (id INT PRIMARY KEY)"
		w.await("writes after "+by, patience, func() bool {
			err := a.exec(app, table)
			return err == nil || strings.Contains(err.Error(), "already exists") // and the answer was lost
		})
	}
	if list := a.intervals(); len(list) != before {
		t.Errorf("it was closed meanwhile: %+v", list)
	}
}
