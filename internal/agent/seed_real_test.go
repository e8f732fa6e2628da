package agent_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestACopyThatBreaksOffIsNotTakenForAFinishedOne kills each end of a copy in its middle. The
// recipient has no data then, and says so, and a further order to copy is carried out.
func TestACopyThatBreaksOffIsNotTakenForAFinishedOne(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	relay := mysqldtest.NewRelay(t, a.ports["admin"])
	b.peerAdmin = fmt.Sprintf("127.0.0.1:%d", relay.Port)
	w.bootstrap()
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: a.name}
		delete(r.Data, b.name)
	})
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	command := agentapi.SeedCommand{Donor: a.name, DonorHost: "127.0.0.1", Target: "data-1", DataID: "data-2"}
	for _, end := range []*member{b, a} {
		a.awaitPhase(agentapi.PhaseOpen, patience)
		command.Command = w.head()
		w.await("the order to copy is taken", patience, func() bool {
			_, err := b.client.Seed(t.Context(), command)
			return err == nil
		})
		b.awaitState("it copies", patience, func(s agentapi.State) bool { return s.Seed != nil && s.Seed.Stage == "initialize" })
		relay.PassAtMost(4 << 20)
		w.await("it is in the middle of the copy", patience, relay.Holding)
		if err := syscall.Kill(end.mysqldPID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		relay.Cut()
		s := b.awaitProblem(agentapi.ProblemSeedFailed, patience, "seed from shop-0")
		if s.DataID != "" || (s.Phase != agentapi.PhaseVoid && s.Phase != agentapi.PhaseSeeding) {
			t.Errorf("with the mysqld of %s killed while it copied: data %q, phase %s", end.name, s.DataID, s.Phase)
		}
		b.awaitPhase(agentapi.PhaseVoid, patience)
	}
	a.awaitPhase(agentapi.PhaseOpen, patience)
	w.seed(b, a, "data-2")
	w.join(b, a)
}
