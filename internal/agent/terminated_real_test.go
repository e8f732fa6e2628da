package agent_test

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

// TestATailOfAnEventIsCutAfterItsNodeWasShutDown: what shuts a node down sends SIGTERM to
// every process, mysqld too, which lets waiting commits pass while it ends. Here the only one
// is of an event. The former primary must come back by itself. On SIGTERM mysqld may let the
// commit pass in the milliseconds before its agent kills it: then the member is held and says
// why, since what was never acknowledged is in its tables and nowhere else.
func TestATailOfAnEventIsCutAfterItsNodeWasShutDown(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "terminated": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.bootstrap()
			a := w.members[0]
			b := w.members[1]
			if err := a.exec(a.db("root"), "CREATE TABLE app.t (id INT PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			w.leaveEventTail(a, b, signal)
			s := a.awaitPhase(agentapi.PhaseHeld, patience)
			if s.TailCommitted {
				t.Fatalf("the tail counts as committed: %+v", s)
			}
			w.failover(a, b)
			if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
				t.Fatal(err)
			}
			snapshot, err := b.client.Snapshot(t.Context(), w.head())
			if err != nil {
				t.Fatal(err)
			}
			rewind := agentapi.RewindCommand{Command: w.head(), HolderGTIDs: snapshot.BinlogGTIDs, Target: "data-0"}
			if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
				t.Fatal(err)
			}
			if signal == syscall.SIGTERM && a.heldAsErrant() {
				t.Log("the commit of the event passed before mysqld was killed: its member is held")
				a.holdsOnlyTheEvent()
				return
			}
			w.join(a, b)
		})
	}
}

// heldAsErrant waits until the member follows its peer, or is held for what its peer lacks.
func (m *member) heldAsErrant() bool {
	m.w.t.Helper()
	isErrant := func(p agentapi.Problem) bool { return p.Code == agentapi.ProblemErrant }
	s := m.awaitState("follows or is held", patience, func(s agentapi.State) bool {
		return slices.ContainsFunc(s.Problems, isErrant) || (s.Server != nil && s.Server.Receiver.Running)
	})
	return slices.ContainsFunc(s.Problems, isErrant)
}

// holdsOnlyTheEvent: what a held member has in excess of its peer is the one transaction of
// the event; it neither receives nor lets clients in.
func (m *member) holdsOnlyTheEvent() {
	t := m.w.t
	t.Helper()
	s := m.awaitState("its state has the comparison", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Compared != nil && s.Compared.Errant != ""
	})
	errant, err := gtid.Parse(s.Compared.Errant)
	if err != nil {
		t.Fatal(err)
	}
	if errant.Count() != 1 || s.Server.Receiver.Running || s.Phase != agentapi.PhaseClosed {
		t.Errorf("errant %s, phase %s, receiving %v", errant, s.Phase, s.Server.Receiver.Running)
	}
	var rows int
	if err := m.db("root").QueryRowContext(t.Context(), "SELECT COUNT(*) FROM app.t").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%s has %d rows of the event, want 1: %v", m.name, rows, err)
	}
}

// leaveEventTail ends the primary's mysqld by a signal while the commit of an event waits for
// the peer, and revokes its authority.
func (w *world) leaveEventTail(a, b *member, signal syscall.Signal) {
	t := w.t
	t.Helper()
	root := a.db("root")
	hold, err := root.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	lock := func(statement string) {
		var got int
		if err := hold.QueryRowContext(t.Context(), statement).Scan(&got); err != nil || got != 1 {
			t.Fatalf("%s: %d, %v", statement, got, err)
		}
	}
	lock("SELECT GET_LOCK('go', 60)")
	const event = "CREATE EVENT app.e ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.t SELECT 1 FROM DUAL WHERE GET_LOCK('go', 0) = 1"
	if err := a.exec(root, event); err != nil {
		t.Fatal(err)
	}
	_ = b.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := b.db("root").ExecContext(ctx, "STOP REPLICA IO_THREAD"); err != nil {
		t.Fatal(err)
	}
	lock("SELECT RELEASE_LOCK('go')")
	a.awaitState("the event's commit waits", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.WaitSessions > 0 })
	w.setAPIDown(true)
	if err := syscall.Kill(a.mysqldPID(), signal); err != nil {
		t.Fatal(err)
	}
	a.awaitNoMysqld()
	w.revoke()
	w.setAPIDown(false)
}
