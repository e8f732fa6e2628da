package agent_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// TestATailIsRewoundAndTheMemberComesBack kills a primary with a commit that waits for
// its peer, fails over, and takes the member back without a copy.
func TestATailIsRewoundAndTheMemberComesBack(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.leaveTail(a, b)

	// The former primary waits to hear who the holder is, and is not started.
	a.awaitPhase(agentapi.PhaseHeld, patience)
	w.failover(a, b)
	if err := b.exec(b.db("app"), "INSERT INTO t VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // longer than RestartInPlaceAfter: another is named
	if s := a.now(); s.Phase != agentapi.PhaseHeld || s.Mysqld.Running || s.TailCommitted {
		t.Fatal("mysqld of a former primary was started though another is the holder")
	}

	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	rewind := agentapi.RewindCommand{Command: w.head(), HolderGTIDs: snapshot.BinlogGTIDs, Target: "data-0"}
	stale := rewind
	stale.Epoch--
	if _, err := a.client.Rewind(t.Context(), stale); err == nil {
		t.Error("a rewind of an older epoch was accepted")
	}
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	w.join(a, b)
	var rows, tail int
	app := a.db("app")
	w.await("the new row is there", patience, func() bool {
		err := app.QueryRow("SELECT COUNT(*), COALESCE(SUM(id = 1), 0) FROM t").Scan(&rows, &tail)
		return err == nil && rows == 1
	})
	if tail != 0 {
		t.Error("a write that was never acknowledged is on the former primary")
	}
	w.disjoint()
}

// leaveTail kills the primary's mysqld while a commit waits that the peer has not
// received, and revokes its authority.
func (w *world) leaveTail(a, b *member) { w.leaveTailOf(a, b, "INSERT INTO t VALUES (1)") }

// leaveTailOf is leaveTail with statements of one session, of which the last one waits.
func (w *world) leaveTailOf(a, b *member, statements ...string) {
	t := w.t
	t.Helper()
	_ = b.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }()
	if err := b.exec(b.db("root"), "STOP REPLICA IO_THREAD"); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := a.db("app").Conn(ctx)
		for _, statement := range statements {
			if err == nil {
				_, err = conn.ExecContext(ctx, statement)
			}
		}
		refused <- err
	}()
	a.awaitState("a commit waits", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.WaitSessions > 0 })
	// It must not read meanwhile that it still is the holder, which may go on in place.
	w.setAPIDown(true)
	if err := syscall.Kill(a.mysqldPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.revoke()
	w.setAPIDown(false)
	if err := <-refused; err == nil {
		t.Fatal("a commit that nobody acknowledged got an OK")
	}
}

func TestASeedReplacesDataOnlyWhenTheLeaseSaysSo(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	command := agentapi.SeedCommand{
		Command:   w.head(),
		Donor:     a.name,
		DonorHost: "127.0.0.1",
		Target:    "data-1",
		DataID:    "data-2",
	}
	if _, err := b.client.Seed(t.Context(), command); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("a member in sync was seeded: %v", err)
	}
	holder := command
	holder.Donor = b.name
	holder.Target = "data-0"
	if _, err := a.client.Seed(t.Context(), holder); err == nil || !strings.Contains(err.Error(), "holder") {
		t.Errorf("the holder was seeded: %v", err)
	}
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: a.name}
	})
	command.Command = w.head()
	if _, err := b.client.Seed(t.Context(), command); err == nil || !strings.Contains(err.Error(), "still names") {
		t.Errorf("a member whose data the Lease names was seeded: %v", err)
	}
	w.seed(b, a, "data-2")
	if s := b.awaitPhase(agentapi.PhaseClosed, patience); s.DataID != "data-2" {
		t.Errorf("data %q after the seed", s.DataID)
	}
	w.join(b, a)
}

// TestATailThatCannotBeCutIsPublished: the tail is a part of an XA transaction, which recovery
// does not roll back. That does not change by trying again.
func TestATailThatCannotBeCutIsPublished(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.leaveTailOf(a, b, "XA START 'x'", "INSERT INTO t VALUES (1)", "XA END 'x'", "XA PREPARE 'x'")
	a.awaitPhase(agentapi.PhaseHeld, patience)
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
	s := a.awaitState("the refusal is published", patience, func(s agentapi.State) bool { return s.RewindRefused != "" })
	if s.Phase != agentapi.PhaseHeld || s.DataID != "data-0" || !strings.Contains(s.RewindRefused, "XA") {
		t.Errorf("phase %s, data %q, refused for %q", s.Phase, s.DataID, s.RewindRefused)
	}
}

// TestAFormerPrimaryWithoutATailComesBack: nobody can say that what it may have in its tail was
// never acknowledged, as after a confirmation of its death or in Async. It has none, so nothing
// has to be cut.
func TestAFormerPrimaryWithoutATailComesBack(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.killAndRevoke(a)
	rewind := w.failoverUncertain(a, b)
	if _, err := a.client.Rewind(t.Context(), rewind); err == nil {
		t.Fatal("a tail that may have been acknowledged may be cut")
	}
	rewind.KeepTail = true
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	w.join(a, b)
	w.disjoint()
}

// TestATailThatMayHaveBeenAcknowledgedIsKept until the primary has transactions of the same GTIDs.
func TestATailThatMayHaveBeenAcknowledgedIsKept(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.leaveTail(a, b)
	rewind := w.failoverUncertain(a, b)
	rewind.KeepTail = true
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	s := a.awaitState("the tail is published", patience, func(s agentapi.State) bool { return s.TailKept != "" })
	if s.Phase != agentapi.PhaseHeld || !strings.Contains(s.RewindRefused, "1 transactions") {
		t.Fatalf("phase %s, refused for %q", s.Phase, s.RewindRefused)
	}
	root := b.db("root")
	root.SetMaxOpenConns(1)
	for _, statement := range []string{"SET gtid_next = '" + s.TailKept + "'", "COMMIT", "SET gtid_next = 'AUTOMATIC'"} {
		if err := b.exec(root, statement); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	rewind.HolderGTIDs = snapshot.BinlogGTIDs
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	s = a.awaitPhase(agentapi.PhaseClosed, patience)
	if s.TailKept != "" || s.RewindRefused != "" {
		t.Errorf("still refused for %q", s.RewindRefused)
	}
}

// killAndRevoke kills the primary's mysqld while nothing is in flight.
func (w *world) killAndRevoke(a *member) {
	w.t.Helper()
	w.setAPIDown(true)
	if err := syscall.Kill(a.mysqldPID(), syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	w.revoke()
	w.setAPIDown(false)
}

// failoverUncertain promotes b by a record that does not say that the tail of a was never
// acknowledged, and returns the command that would cut it.
func (w *world) failoverUncertain(a, b *member) agentapi.RewindCommand {
	t := w.t
	t.Helper()
	a.awaitPhase(agentapi.PhaseHeld, patience)
	w.failover(a, b)
	w.write(func(r *authority.Record) { r.Left.Clean = false })
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	return agentapi.RewindCommand{Command: w.head(), HolderGTIDs: snapshot.BinlogGTIDs, Target: "data-0"}
}
