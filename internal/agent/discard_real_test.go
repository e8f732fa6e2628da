package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// candidateWithError is a pair whose primary has acknowledged three transactions that the
// passive has received and cannot apply: it has a row already that the first one inserts. It
// returns these transactions.
func (w *world) candidateWithError(a, b *member) gtid.Set {
	t := w.t
	t.Helper()
	app := a.db("app")
	root := b.db("root")
	root.SetMaxOpenConns(1) // the settings of a session
	if err := a.exec(app, "CREATE TABLE t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	w.await("the passive has a row of its own", patience, func() bool {
		for _, statement := range []string{"SET sql_log_bin = 0", "SET GLOBAL super_read_only = OFF", "INSERT INTO app.t VALUES (5)"} {
			if b.exec(root, statement) != nil { // the agent closes what others open
				return false
			}
		}
		return true
	})
	b.awaitState("closed again", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.SuperReadOnly })
	before := w.executedOf(a)
	for _, statement := range []string{"INSERT INTO t VALUES (5)", "INSERT INTO t VALUES (6)", "INSERT INTO t VALUES (7)"} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	b.awaitState("its applier has stopped", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Applier.LastErrno == 1062
	})
	return w.executedOf(a).Subtract(before)
}

func (w *world) executedOf(m *member) gtid.Set {
	w.t.Helper()
	s, err := m.client.State(w.t.Context(), 0, 0, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return gtid.MustParse(s.Server.GTIDExecuted)
}

// fencedCandidate revokes the authority, and has both members closed and the candidate stop
// to receive.
func (w *world) fencedCandidate(a, b *member) {
	t := w.t
	t.Helper()
	w.revoke()
	if fenced, err := b.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head()}); err != nil || !fenced.ReceiverStopped {
		t.Fatalf("ack fence: %+v %v", fenced, err)
	}
	if proof, err := a.client.Fence(t.Context(), w.head()); err != nil || (!proof.ProcessStopped && !proof.Demoted) {
		t.Fatalf("fence: %+v %v", proof, err)
	}
}

// promoteForced appoints the member, alone in the ledger and by force.
func (w *world) promoteForced(from, to *member) {
	t := w.t
	t.Helper()
	w.write(func(r *authority.Record) {
		r.Holder = to.holder()
		r.Epoch++
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: to.name}
		r.Left = &authority.Left{Member: from.name, DataID: r.Data[from.name], Epoch: r.LastHolder.Epoch}
	})
	if _, err := to.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	to.awaitPhase(agentapi.PhaseOpen, patience)
}

// TestUnappliedTransactionsAreSavedAndDiscarded: a candidate whose applier stopped with an
// error is opened without what it could not apply. The former primary, which has it, is errant.
func TestUnappliedTransactionsAreSavedAndDiscarded(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	lost := w.candidateWithError(a, b)
	if lost.Count() != 3 {
		t.Fatalf("trap: %s were written, want three", lost)
	}
	command := func() agentapi.DiscardCommand {
		return agentapi.DiscardCommand{Command: w.head(), Operation: "op-1", Target: "data-1"}
	}
	if _, err := b.client.Discard(t.Context(), command()); err == nil || !strings.Contains(err.Error(), "holder") {
		t.Errorf("a passive of an open primary discards: %v", err)
	}
	w.fencedCandidate(a, b)
	for name, change := range map[string]func(*agentapi.DiscardCommand){
		"without an operation": func(c *agentapi.DiscardCommand) { c.Operation = "" },
		"about other data":     func(c *agentapi.DiscardCommand) { c.Target = "data-0" },
		"of an older epoch":    func(c *agentapi.DiscardCommand) { c.Epoch-- },
	} {
		c := command()
		change(&c)
		if _, err := b.client.Discard(t.Context(), c); err == nil {
			t.Errorf("a command %s is obeyed", name)
		}
	}
	if s := b.now(); s.AppliedAll || s.Discarded != nil || !gtid.MustParse(s.Server.GTIDReceived).Covers(lost) {
		t.Fatalf("without a command something was discarded: %+v", s)
	}
	for range 2 { // it is idempotent
		if _, err := b.client.Discard(t.Context(), command()); err != nil {
			t.Fatal(err)
		}
	}
	w.checkDiscarded(b, lost)
	w.promoteForced(a, b)
	if err := b.exec(b.db("app"), "INSERT INTO t VALUES (8)"); err != nil {
		t.Errorf("the promoted member takes no writes: %v", err)
	}
	if has := w.executedOf(b); !has.Intersect(lost).IsEmpty() {
		t.Errorf("the promoted member claims to have executed what it gave up: %s", has)
	}
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	s := a.awaitState("is errant and does not replicate", patience, func(s agentapi.State) bool {
		return s.Compared != nil && s.Compared.Errant != "" && !s.Server.Receiver.Running
	})
	if errant := gtid.MustParse(s.Compared.Errant); !errant.Equal(lost) {
		t.Errorf("the former primary has %s as errant, want %s", errant, lost)
	}
	w.disjoint()
}

// TestADiscardSurvivesACrashAtEveryStep kills the candidate's agent before the relay log is
// saved, when it is, and right after it was discarded.
func TestADiscardSurvivesACrashAtEveryStep(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	lost := w.candidateWithError(a, b)
	b.kill()
	ends := b.keepAlive("DBPAIR_FAILPOINTS=before-save=kill,after-save=kill,after-discard=kill")
	b.awaitState("closed", patience, func(s agentapi.State) bool { return s.Phase == agentapi.PhaseClosed && s.Server != nil })
	w.fencedCandidate(a, b)
	w.insist("discarded", func() bool {
		s, err := b.client.State(t.Context(), 0, 0, false)
		if err != nil || s.Phase != agentapi.PhaseClosed || s.AppliedAll {
			return err == nil && s.AppliedAll
		}
		_, _ = b.client.Discard(t.Context(), agentapi.DiscardCommand{Command: w.head(), Operation: "op-1", Target: "data-1"})
		return false
	})
	if n := ends(); n != 3 {
		t.Errorf("the agent died %d times, want 3", n)
	}
	w.checkDiscarded(b, lost)
	w.promoteForced(a, b)
}

// checkDiscarded: the state names what was given up, all of it is in the quarantine, and the
// member neither has executed it nor counts it as received.
func (w *world) checkDiscarded(m *member, lost gtid.Set) {
	t := w.t
	t.Helper()
	s := m.awaitState("all is applied", patience, func(s agentapi.State) bool { return s.AppliedAll && s.Discarded != nil })
	d := s.Discarded
	if !gtid.MustParse(d.GTIDs).Equal(lost) || d.Transactions != lost.Count() {
		t.Errorf("discarded %+v, want %s", d, lost)
	}
	if d.Operation != "op-1" || d.DataID != s.DataID || d.Epoch != s.KnownEpoch {
		t.Errorf("discarded %+v, want operation op-1 on data %s at epoch %d", d, s.DataID, s.KnownEpoch)
	}
	if has := gtid.MustParse(s.Server.GTIDExecuted).Union(gtid.MustParse(s.Server.GTIDReceived)); !has.Intersect(lost).IsEmpty() {
		t.Errorf("the member still has %s of %s", has.Intersect(lost), lost)
	}
	var saved gtid.Set
	for _, name := range d.Files {
		if name != "relay.index" {
			saved = saved.Union(transactionsIn(t, filepath.Join(d.Directory, name)))
		}
	}
	if !saved.Covers(lost) {
		t.Errorf("the quarantine has %s, want %s", saved, lost)
	}
	if text, err := os.ReadFile(filepath.Join(d.Directory, "note.json")); err != nil || !strings.Contains(string(text), `"discarded"`) {
		t.Errorf("the note: %s, %v", text, err)
	}
}

// transactionsIn are the GTIDs in a relay log.
func transactionsIn(t *testing.T, path string) gtid.Set {
	t.Helper()
	var set gtid.Set
	parser := replication.NewBinlogParser()
	err := parser.ParseFile(path, 0, func(e *replication.BinlogEvent) error {
		var plain *replication.GTIDEvent
		switch event := e.Event.(type) {
		case *replication.GTIDEvent:
			plain = event
		case *replication.GtidTaggedLogEvent:
			plain = &event.GTIDEvent
		default:
			return nil
		}
		next, err := plain.GTIDNext()
		if err == nil {
			set = set.Union(gtid.MustParse(next.String()))
		}
		return err
	})
	if err != nil {
		t.Fatalf("relay log %s: %v", path, err)
	}
	return set
}
