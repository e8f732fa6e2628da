package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// pairWithBinlogVolumes is a pair in sync, each member with a volume for binary logs, and a table t
// with one row.
func pairWithBinlogVolumes(t *testing.T) (w *world, a, b *member) {
	t.Helper()
	w = newWorld(t)
	w.binlogVolume = true
	w.bootstrap()
	a = w.members[0]
	b = w.members[1]
	err := errors.Join(a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY)"), a.exec(a.db("app"), "INSERT INTO t VALUES (1)"))
	if err != nil {
		t.Fatal(err)
	}
	return w, a, b
}

// loseBinlogs empties the volume of binary logs of a member that is down.
func (m *member) loseBinlogs() {
	m.w.t.Helper()
	if err := errors.Join(os.RemoveAll(m.path("binlog")), os.MkdirAll(m.path("binlog"), 0o755)); err != nil {
		m.w.t.Fatal(err)
	}
	chown(m.w.t, m.path("binlog"))
}

// noMysqldRan: what is done has started no mysqld of the member.
func (m *member) noMysqldRan(does func()) {
	m.w.t.Helper()
	before, _ := os.ReadFile(m.path("mysqld.log"))
	does()
	after, _ := os.ReadFile(m.path("mysqld.log"))
	if len(after) != len(before) {
		m.w.t.Errorf("%s started a mysqld on data without its binary logs:\n%s", m.name, after[len(before):])
	}
}

// goesOnAlone has the ledger name the member alone.
func (w *world) goesOnAlone(m *member) {
	w.t.Helper()
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{
			Version: r.Ledger.Version + 1,
			State:   authority.Solo,
			First:   m.name,
		}
	})
	if _, err := m.client.ReadLease(w.t.Context(), w.head()); err != nil {
		w.t.Fatal(err)
	}
	m.awaitState("acts on it", patience, func(s agentapi.State) bool { return s.ActedLedger == w.current().Ledger.Version })
}

func (m *member) awaitRows(want int) {
	m.w.t.Helper()
	db := m.db("root")
	m.w.await("the rows are there", patience, func() bool {
		var n int
		return db.QueryRow("SELECT COUNT(*) FROM app.t").Scan(&n) == nil && n == want
	})
}

// TestAMemberThatLostItsBinlogsIsOneThatLostItsData: neither a passive nor a primary starts mysqld
// on data whose binary logs are lost. The passive is copied again; the primary stays closed though
// the Lease names it, the other takes over, and then it is copied.
func TestAMemberThatLostItsBinlogsIsOneThatLostItsData(t *testing.T) {
	w, a, b := pairWithBinlogVolumes(t)
	for _, name := range []string{"binlog.index", "relay.index"} {
		if _, err := os.Stat(a.path("data", "mysql", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is on the volume of the data: %v", name, err)
		}
		if _, err := os.Stat(b.path("binlog", "mysql", name)); err != nil {
			t.Error(err)
		}
	}
	b.kill()
	b.loseBinlogs()
	b.noMysqldRan(func() {
		b.start()
		s := b.awaitPhase(agentapi.PhaseVoid, patience)
		if s.DataID != "" || s.Mysqld.Running {
			t.Errorf("state %+v", s)
		}
		b.awaitProblem(agentapi.ProblemBinlogsLost, patience, "volume claim binlog-shop-1: ")
		w.goesOnAlone(a)
	})
	w.seed(b, a, "data-2")
	w.join(b, a)
	b.awaitRows(1)
	if says := problem(b.now(), agentapi.ProblemBinlogsLost); says != "" {
		t.Errorf("still reported: %s", says)
	}

	if err := a.exec(a.db("app"), "INSERT INTO t VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	a.kill()
	a.loseBinlogs()
	a.noMysqldRan(func() {
		a.start()
		a.awaitPhase(agentapi.PhaseVoid, patience)
		if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
			t.Fatal(err)
		}
		a.awaitState("has read that it is the holder", patience, func(s agentapi.State) bool {
			return s.KnownEpoch == w.current().Epoch && s.Phase == agentapi.PhaseVoid
		})
		w.failover(a, b)
	})
	w.seed(a, b, "data-3")
	w.join(a, b)
	a.awaitRows(2)
	w.disjoint()
}

// TestAnOlderStateOfTheBinlogsIsNotUsed: the newest file of the binary log is missing, which mysqld
// itself would not mind.
func TestAnOlderStateOfTheBinlogsIsNotUsed(t *testing.T) {
	_, _, b := pairWithBinlogVolumes(t)
	b.kill()
	logs, err := filepath.Glob(b.path("binlog", "mysql", "binlog.[0-9]*"))
	if err != nil || len(logs) < 2 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	last := logs[len(logs)-1]
	if err := os.Rename(last, b.path("tmp", "away")); err != nil {
		t.Fatal(err)
	}
	b.noMysqldRan(func() {
		b.start()
		b.awaitProblem(agentapi.ProblemBinlogsLost, patience, filepath.Base(last)+" is missing")
	})
	b.kill()
	if err := os.Rename(b.path("tmp", "away"), last); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.awaitState("goes on with what it had", patience, func(s agentapi.State) bool { return s.DataID == "data-1" && s.Phase == agentapi.PhaseClosed })
	if says := problem(b.now(), agentapi.ProblemBinlogsLost); says != "" {
		t.Errorf("still reported: %s", says)
	}
}

// TestBinlogsLostBetweenTwoRunsOfMysqld: the agent goes on, and finds them missing before it starts
// mysqld again.
func TestBinlogsLostBetweenTwoRunsOfMysqld(t *testing.T) {
	w, a, b := pairWithBinlogVolumes(t)
	w.goesOnAlone(a)
	pid := b.mysqldPID()
	if err := os.Rename(b.path("binlog", "mysql", "binlog.index"), b.path("tmp", "away")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.awaitPhase(agentapi.PhaseVoid, patience)
	b.awaitProblem(agentapi.ProblemBinlogsLost, patience, "has no binlog.index")
	w.seed(b, a, "data-2")
	w.join(b, a)
	b.awaitRows(1)
}

// TestATailOnAVolumeOfItsOwnIsCut: a rewind cuts the binary logs where they are, and saves what it
// cuts beside them.
func TestATailOnAVolumeOfItsOwnIsCut(t *testing.T) {
	w, a, b := pairWithBinlogVolumes(t)
	w.leaveTailOf(a, b, "INSERT INTO t VALUES (2)")
	w.failover(a, b)
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	a.awaitPhase(agentapi.PhaseHeld, patience)
	snapshot, err := b.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	rewind := agentapi.RewindCommand{
		Command:     w.head(),
		HolderGTIDs: snapshot.BinlogGTIDs,
		Target:      pair.DataID("data-0"),
	}
	if _, err := a.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	a.awaitPhase(agentapi.PhaseClosed, patience)
	a.awaitRows(1)
	saved, err := filepath.Glob(a.path("binlog", "dbpair", "quarantine", "*.tail-*"))
	if err != nil || len(saved) == 0 {
		t.Errorf("saved %v, %v", saved, err)
	}
	w.join(a, b)
	w.disjoint()
}
