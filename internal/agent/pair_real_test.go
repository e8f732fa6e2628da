package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// bootstrap has both members running, in sync, the first one open at epoch 1. The data
// is that of a pair that went the whole way once in this process.
func (w *world) bootstrap() {
	w.t.Helper()
	a := w.members[0]
	b := w.members[1]
	if w.binlogVolume {
		w.bootstrapFresh() // the index of binary logs holds their paths, so that they cannot be moved
		return
	}
	template := filepath.Join(filepath.Dir(w.program), "template")
	if _, err := os.Stat(template); err != nil {
		w.bootstrapFresh()
		w.keep(template)
		return
	}
	for i, m := range w.members {
		out, err := exec.Command("cp", "-a", "--sparse=always", filepath.Join(template, strconv.Itoa(i))+"/.", m.path("data")).CombinedOutput()
		if err != nil {
			w.t.Fatalf("copy the template: %v %s", err, out)
		}
	}
	w.write(func(r *authority.Record) {
		r.Data[a.name], r.Data[b.name] = "data-0", "data-1"
		r.Epoch, r.Holder = 1, a.holder()
		r.Ledger = authority.Ledger{Version: 10, State: authority.Solo, First: a.name}
	})
	b.start()
	a.start()
	a.awaitPhase(agentapi.PhaseOpen, patience)
	w.join(b, a)
}

// keep ends both members cleanly, which SIGTERM does with a primary that is solo, copies
// their volumes and starts them again.
func (w *world) keep(template string) {
	t := w.t
	t.Helper()
	a := w.members[0]
	b := w.members[1]
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: 9, State: authority.Solo, First: a.name}
	})
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	// Switching the waiting off holds mysqld's variables for up to a second: a fence that
	// meets it runs out of time, and the end is not clean.
	a.awaitState("waits no more", patience, func(s agentapi.State) bool { return s.ActedLedger == 9 })
	for i, m := range w.members {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.ended:
		case <-time.After(patience):
			t.Fatalf("%s does not end on SIGTERM", m.name)
		}
		to := filepath.Join(template, strconv.Itoa(i))
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", "--sparse=always", m.path("data")+"/.", to).CombinedOutput(); err != nil {
			t.Fatalf("keep the volume: %v %s", err, out)
		}
	}
	w.write(func(r *authority.Record) { r.Ledger.Version = 10 })
	b.start()
	a.start()
	a.awaitPhase(agentapi.PhaseOpen, patience)
	w.join(b, a)
}

// bootstrapFresh plays the operator from two empty volumes on.
func (w *world) bootstrapFresh() {
	t := w.t
	t.Helper()
	a := w.members[0]
	b := w.members[1]
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	b.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)
	if _, err := a.client.Initialize(t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0"}); err != nil {
		t.Fatal(err)
	}
	a.awaitPhase(agentapi.PhaseClosed, patience)
	w.write(func(r *authority.Record) {
		r.Bootstrap = nil
		r.Data[a.name] = "data-0"
		r.Epoch, r.Holder = 1, a.holder()
		r.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: a.name}
	})
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	a.awaitPhase(agentapi.PhaseOpen, patience)
	w.seed(b, a, "data-1")
	w.join(b, a)
}

// seed copies the donor to the member and has it follow.
func (w *world) seed(m, donor *member, data pair.DataID) {
	t := w.t
	t.Helper()
	var target pair.DataID
	w.write(func(r *authority.Record) {
		target = r.Data[m.name]
		delete(r.Data, m.name)
	})
	m.awaitState("begun", patience, func(s agentapi.State) bool { return s.Phase != agentapi.PhaseStarting })
	_, err := m.client.Seed(t.Context(), agentapi.SeedCommand{
		Command: w.head(), Donor: donor.name, DonorHost: "127.0.0.1", Target: target, DataID: data,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.awaitState("seeded", patience, func(s agentapi.State) bool { return s.DataID == data && s.Phase == agentapi.PhaseClosed })
	w.write(func(r *authority.Record) { r.Data[m.name] = data })
}

// join has the passive stream and the ledger go by joining to both.
func (w *world) join(m, primary *member) {
	t := w.t
	t.Helper()
	m.awaitState("streams and serves reads", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Receiver.Running && s.Server.Applier.Running && !s.Server.OfflineMode && s.Server.SuperReadOnly
	})
	joining := w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Joining, First: primary.name}
	})
	if _, err := primary.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	primary.awaitState("waits for the peer", patience, func(s agentapi.State) bool {
		return s.ActedLedger == joining.Ledger.Version && s.Server != nil && s.Server.Waiting && s.Server.SemiSyncClients == 1
	})
	snapshot, err := primary.client.Snapshot(t.Context(), w.head())
	if err != nil {
		t.Fatal(err)
	}
	var covers agentapi.CoversReply
	w.await("the passive covers the primary", patience, func() bool {
		covers, err = m.client.Covers(t.Context(), agentapi.CoversRequest{Command: w.head(), GTIDs: snapshot.BinlogGTIDs})
		return err == nil && covers.Covers
	})
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{
			Version: r.Ledger.Version + 1, State: authority.Both,
			Incarnations: map[pair.MemberName]pair.Incarnation{primary.name: snapshot.Incarnation, m.name: covers.Incarnation},
		}
	})
	for _, each := range w.members {
		if _, err := each.client.ReadLease(t.Context(), w.head()); err != nil {
			t.Fatal(err)
		}
	}
}

// revoke takes the authority away, if someone has it.
func (w *world) revoke() {
	w.write(func(r *authority.Record) {
		if r.Holder.Nobody() {
			return
		}
		r.LastHolder = &authority.LastHolder{Holder: r.Holder, DataID: r.Data[r.Holder.Member], Epoch: r.Epoch}
		r.Holder = pair.Holder{}
		r.Epoch++
	})
}

// failover revokes, fences and promotes, as the operator does.
func (w *world) failover(from, to *member) {
	t := w.t
	t.Helper()
	w.revoke()
	fenced, err := to.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head()})
	if err != nil || !fenced.Ceased || !fenced.ReceiverStopped {
		t.Fatalf("ack fence: %+v %v", fenced, err)
	}
	proof, err := from.client.Fence(t.Context(), w.head())
	if err != nil || (!proof.ProcessStopped && !proof.Demoted) || proof.Epoch != w.current().Epoch {
		t.Fatalf("fence: %+v %v", proof, err)
	}
	to.awaitState("applied all", patience, func(s agentapi.State) bool { return s.AppliedAll })
	w.write(func(r *authority.Record) {
		r.Holder = to.holder()
		r.Epoch++
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: to.name}
		r.Left = &authority.Left{Member: from.name, DataID: r.Data[from.name], Epoch: r.LastHolder.Epoch, Clean: true}
	})
	if _, err := to.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	to.awaitPhase(agentapi.PhaseOpen, patience)
}

// disjoint compares the stamps of both members: never two open.
func (w *world) disjoint() {
	t := w.t
	t.Helper()
	for _, x := range w.members[0].intervals() {
		for _, y := range w.members[1].intervals() {
			if x.opened < y.closed && y.opened < x.closed {
				t.Errorf("both members were open: %+v and %+v", x, y)
			}
		}
	}
}

func TestAPairBootstrapsFailsOverAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.setLease(20 * time.Second) // a fence is soft as long as it need not be over soon
	w.bootstrapFresh()
	a := w.members[0]
	b := w.members[1]
	if err := a.exec(a.db("app"), "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)"); err != nil {
		t.Fatal(err)
	}
	if err := a.exec(a.db("app"), "INSERT INTO t (v) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	scheduled := "CREATE EVENT app.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.t WHERE v < 0"
	if err := a.exec(a.db("root"), scheduled); err != nil {
		t.Fatal(err)
	}
	passive := b.db("app")
	w.await("the row is on the passive", patience, func() bool {
		var n int
		return passive.QueryRow("SELECT COUNT(*) FROM t").Scan(&n) == nil && n == 1
	})
	if err := b.exec(b.db("app"), "INSERT INTO t (v) VALUES (2)"); err == nil {
		t.Error("the passive took a write")
	}

	if err := b.exec(b.db("root"), "SET GLOBAL read_only = OFF"); err != nil {
		t.Fatal(err)
	}
	b.awaitState("corrected", patience, func(s agentapi.State) bool {
		for _, p := range s.Problems {
			if p.Code == agentapi.ProblemWritablePassive && p.Count > 0 && s.Server != nil && s.Server.SuperReadOnly {
				return true
			}
		}
		return false
	})

	w.failover(a, b)
	former := a.now().LastOpen
	present := b.now().LastOpen
	if former == nil || former.Epoch != 1 || former.ClosedAge == 0 || former.ClosedAge > former.OpenedAge {
		t.Errorf("the former primary says of its writes %+v", former)
	}
	if present == nil || present.Epoch != 3 || present.ClosedAge != 0 {
		t.Errorf("the new primary says of its writes %+v", present)
	}
	if err := b.exec(b.db("app"), "INSERT INTO t (v) VALUES (3)"); err != nil {
		t.Fatal(err)
	}
	// The old primary was closed softly with nothing waiting: it follows.
	w.join(a, b)
	w.failover(b, a)
	if err := a.exec(a.db("app"), "INSERT INTO t (v) VALUES (4)"); err != nil {
		t.Fatal(err)
	}
	root := a.db("root")
	w.await("the event is enabled on the primary", patience, func() bool {
		var state string
		return root.QueryRow("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'e'").Scan(&state) == nil && state == "ENABLED"
	})
	w.disjoint()
}

func TestACutOffPrimaryClosesItself(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]

	// The API server alone stops nobody: the peer vouches.
	w.setAPIDown(true)
	app := a.db("app")
	before := len(a.intervals())
	end := time.Now().Add(3 * leaseT)
	for time.Now().Before(end) {
		if err := a.exec(app, "CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)"); err != nil {
			t.Fatalf("the primary does not accept writes while its peer vouches: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	// Without the peer too it closes, T after its last confirmation at the latest.
	margin := w.margin()
	_ = b.cmd.Process.Signal(syscall.SIGSTOP)
	w.await("the primary closed itself", patience, func() bool { return len(a.intervals()) > before })
	most := leaseT + margin()
	_ = b.cmd.Process.Signal(syscall.SIGCONT)
	for _, s := range a.intervals()[before:] {
		if s.closed-s.asked > int64(most) {
			t.Errorf("closed %s after the last confirmation, T and the margin are %s", time.Duration(s.closed-s.asked), most)
		}
	}
	// It comes back when the API server does.
	w.setAPIDown(false)
	a.awaitPhase(agentapi.PhaseOpen, patience)
}

func TestTheDeadmanKillsWhatAStoppedAgentCannot(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	pid := a.mysqldPID()
	if pid == 0 {
		t.Fatal("no mysqld of the primary")
	}
	margin := w.margin()
	before := len(a.intervals())
	stopped := process.Now()
	_ = a.cmd.Process.Signal(syscall.SIGSTOP)
	w.await("mysqld of the stopped agent is gone", patience, func() bool { return a.mysqldPID() == 0 })
	most := leaseT + margin()
	_ = a.cmd.Process.Signal(syscall.SIGCONT)
	a.awaitState("the end is seen", patience, func(s agentapi.State) bool { return s.Mysqld.Exits > 0 })
	w.await("the end is reported", patience, func() bool { return len(a.intervals()) > before })
	if took := authority.Instant(a.intervals()[before].closed).Sub(stopped); took > most {
		t.Errorf("mysqld outlived its stopped agent by %s, T and the margin are %s", took, most)
	}
}

func TestMysqldNeverOutlivesItsAgent(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	_ = a.cmd.Process.Kill()
	<-a.ended
	w.await("mysqld of the killed agent is gone", patience, func() bool { return a.mysqldPID() == 0 })
	left := a.path("data", "tmp", "MLfd=42") // of a transaction that did not end
	writeFile(t, left, "rows")

	// The end was unclean: nothing is started before it is known who the holder is.
	w.setAPIDown(true)
	a.start()
	a.awaitPhase(agentapi.PhaseHeld, patience)
	if a.mysqldPID() != 0 {
		t.Error("mysqld was started on an unclean volume before the holder was known")
	}
	w.setAPIDown(false)
	s := a.awaitPhase(agentapi.PhaseOpen, patience)
	if s.OpenEpoch != 1 {
		t.Errorf("open at epoch %d, want 1", s.OpenEpoch)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("temporary files of the mysqld before are left: %v", err)
	}
	var tmpdir, online, load string
	err := a.db("root").QueryRow("SELECT @@GLOBAL.tmpdir, @@GLOBAL.innodb_tmpdir, @@GLOBAL.replica_load_tmpdir").Scan(&tmpdir, &online, &load)
	if want := a.path("data", "tmp"); err != nil || tmpdir != want || online != want || load != want {
		t.Errorf("temporary files go to %q, %q and %q, want %q (%v)", tmpdir, online, load, want, err)
	}
}

func TestTheDoorAndTheProbesAnswerFromTheBeginning(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	a.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)
	db := a.db("app")
	_ = db.Close()
	if got := httpStatus(t, "http://"+a.addr("probe")+"/healthz"); got != 200 {
		t.Errorf("healthz answers %d", got)
	}
	if got := httpStatus(t, "http://"+a.addr("probe")+"/readyz"); got != 503 {
		t.Errorf("readyz of an empty member answers %d", got)
	}
	if text := httpBody(t, "http://"+a.addr("metrics")+"/metrics"); !strings.Contains(text, "dbpair_agent_open 0") {
		t.Errorf("no figure dbpair_agent_open in %.300s", text)
	}
}
