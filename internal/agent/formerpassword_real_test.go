package agent_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// rotate gives both members new passwords of the pair's own accounts, and those that had
// been until then, as the operator does.
func (w *world) rotate(text string) {
	w.t.Helper()
	for _, m := range w.members {
		for _, name := range agentapi.FormerPasswords() {
			former, err := os.ReadFile(m.path("internal", name))
			if err != nil {
				w.t.Fatal(err)
			}
			writeFile(w.t, m.path("internal", agentapi.FormerPasswordFile(name)), string(former))
		}
		for _, name := range []string{"root", "replication", "clone", "monitor", "checksum", "repair"} {
			writeFile(w.t, m.path("internal", name), name+text)
		}
	}
	chown(w.t, w.dir)
}

// rotated ends a rotation: the members work with the new passwords and have them alone.
func (w *world) rotated(text string) {
	w.t.Helper()
	var revisions [2]string
	w.await("both members work with the same passwords", patience, func() bool {
		for i, m := range w.members {
			s := m.now()
			if s.Server == nil || s.Server.PasswordsRevision == "" {
				return false
			}
			revisions[i] = s.Server.PasswordsRevision
		}
		return revisions[0] == revisions[1]
	})
	for _, m := range w.members {
		for _, name := range agentapi.FormerPasswords() {
			if err := os.Remove(m.path("internal", agentapi.FormerPasswordFile(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.t.Fatal(err)
			}
		}
		db := m.rootWith("root" + text)
		if err := m.exec(db, "DO 1"); err != nil {
			w.t.Errorf("%s says that it works with the new passwords, and root's does not open it: %v", m.name, err)
		}
	}
}

func (m *member) rootWith(password string) *sql.DB {
	db, err := m.loginAs("root", password, "unix", m.path("run", "mysqld.sock"), nil)
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// streams waits until a member replicates.
func (m *member) streams() {
	m.w.t.Helper()
	m.awaitState("streams", patience, func(s agentapi.State) bool {
		return s.Phase == agentapi.PhaseClosed && s.Server != nil && s.Server.Receiver.Running
	})
}

// The passive's files are new when it starts, its mysqld's accounts are not: the change is
// in the binary log of the primary, or not even there.
func TestAPassiveThatStartsAmidARotationTakesPart(t *testing.T) {
	w, a, b := writing(t)
	b.kill()
	a.awaitState("the passive is away", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.SemiSyncClients == 0
	})
	w.rotate("-rotated")
	b.start()
	b.streams()
	w.rotated("-rotated")
	root := a.rootWith("root-rotated")
	w.await("no account has a former password", 2*patience, func() bool { return w.formerPasswords(root) == 0 })
	a.awaitWrites()
}

// Neither mysqld has the passwords that both agents start with.
func TestAPairThatStartsAmidARotationTakesPart(t *testing.T) {
	w, a, b := writing(t)
	a.kill()
	b.kill()
	w.rotate("-rotated")
	a.start()
	b.start()
	b.streams()
	a.awaitWrites()
	w.rotated("-rotated")
	w.disjoint()
}

// The passive has the former root's password in its copy, and the primary is lost before it
// has changed anything.
func TestAMemberThatIsPromotedAmidARotationCarriesItOn(t *testing.T) {
	w, a, b := writing(t)
	b.kill()
	a.awaitState("the passive is away", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.SemiSyncClients == 0
	})
	w.rotate("-rotated")
	a.kill()
	b.start()
	b.awaitState("is up", patience, func(s agentapi.State) bool { return s.Phase == agentapi.PhaseClosed && s.Server != nil })
	a.start()
	a.awaitState("is up", patience, func(s agentapi.State) bool { return s.Server != nil })
	w.failover(a, b)
	w.join(a, b)
	w.rotated("-rotated")
	b.awaitWrites()
}
