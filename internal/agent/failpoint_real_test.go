package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
)

// TestABootstrapSurvivesACrashAtEveryStep kills each agent once at every failpoint of
// its way, and starts it again as a kubelet does.
func TestABootstrapSurvivesACrashAtEveryStep(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	var all []string
	for _, p := range agent.Failpoints() {
		all = append(all, string(p)+"=kill")
	}
	armed := "DBPAIR_FAILPOINTS=" + strings.Join(all, ",")
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	ends := [2]func() int{a.keepAlive(armed), b.keepAlive(armed)}

	w.insist("initialized", func() bool {
		s, err := a.client.State(t.Context(), 0, 0, false)
		if err == nil && s.Phase == agentapi.PhaseEmpty {
			time.Sleep(50 * time.Millisecond)
			_, err = a.client.Initialize(t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0"})
		}
		return err == nil && s.DataID == "data-0" && s.Phase == agentapi.PhaseClosed
	})
	w.write(func(r *authority.Record) {
		r.Bootstrap = nil
		r.Data[a.name] = "data-0"
		r.Epoch, r.Holder = 1, a.holder()
		r.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: a.name}
	})
	w.reappointUntilOpen(a)
	w.insist("seeded", func() bool {
		s, err := b.client.State(t.Context(), 0, 0, false)
		if err != nil {
			return false
		}
		if s.Phase == agentapi.PhaseEmpty || s.Phase == agentapi.PhaseVoid {
			_, err = b.client.Seed(t.Context(), agentapi.SeedCommand{
				Command: w.head(), Donor: a.name, DonorHost: "127.0.0.1", Target: s.DataID, DataID: "data-1",
			})
			if err != nil && !errors.Is(err, agentclient.ErrRefused) {
				return false
			}
		}
		return s.DataID == "data-1" && s.Phase == agentapi.PhaseClosed
	})
	w.write(func(r *authority.Record) { r.Data[b.name] = "data-1" })
	w.reappointUntilOpen(a)
	b.awaitState("streams and serves reads", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.Receiver.Running && !s.Server.OfflineMode && s.Server.SuperReadOnly
	})
	// The reverse channel has a failpoint too, which the primary dies at about now.
	app := a.db("app")
	w.insist("the primary takes writes", func() bool {
		w.reappointUntilOpen(a)
		return ends[0]() >= 8 && a.execWithin(10*time.Second, app, "CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)") == nil
	})
	w.insist("the agent of the second member has died 9 times", func() bool { return ends[1]() >= 9 })
}

func (w *world) insist(what string, fine func() bool) {
	w.t.Helper()
	w.await(what, 5*time.Minute, fine)
}

// reappointUntilOpen gives the member a new epoch whenever it needs one to open, which
// the operator does when there is no peer to confirm.
func (w *world) reappointUntilOpen(m *member) {
	w.t.Helper()
	w.insist("open", func() bool {
		s, err := m.client.State(w.t.Context(), 0, 0, false)
		if err == nil && (s.NeedsConfirmation || s.Phase == agentapi.PhaseHeld) {
			w.write(func(r *authority.Record) { r.Epoch = s.KnownEpoch + 1 })
			_, _ = m.client.ReadLease(w.t.Context(), w.head())
			time.Sleep(500 * time.Millisecond)
		}
		return err == nil && s.Phase == agentapi.PhaseOpen
	})
}
