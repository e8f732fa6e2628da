package agent_test

import (
	"errors"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
)

// A user is made on the primary, and is on both members, also after a failover; the new primary
// finds it in order and removes it.
func TestAUserOfAPairOutlivesAFailover(t *testing.T) {
	w, a, b := writing(t)
	command := func() agentapi.EnsureUserCommand {
		return agentapi.EnsureUserCommand{
			Command:    w.head(),
			User:       "reporter",
			Password:   `it's "mine" \ 100%`,
			Databases:  []string{"app", "reports"},
			Grants:     []string{"SELECT", "CREATE", "INSERT"},
			RequireTLS: true,
		}
	}
	opens := func(m *member) bool {
		db, err := m.login("reporter", command().Password, "mysql", trusting(w.ca.CertPEM))
		if err != nil {
			return false
		}
		_ = db.Close()
		return true
	}
	var refusal *agentclient.Refusal
	if _, err := b.client.EnsureUser(t.Context(), command()); !errors.As(err, &refusal) || refusal.Code != agentapi.ErrorRefused {
		t.Errorf("the passive: %v, want a refusal", err)
	}
	if reply, err := a.client.EnsureUser(t.Context(), command()); err != nil || len(reply.Changed) == 0 {
		t.Fatalf("the primary: %+v, %v", reply, err)
	}
	for _, m := range w.members {
		w.await("the user gets in at "+string(m.name), patience, func() bool { return opens(m) })
	}
	w.failover(a, b)
	w.join(a, b)
	reply, err := b.client.EnsureUser(t.Context(), command())
	if err != nil || len(reply.Changed) > 0 {
		t.Errorf("the next primary changed %q, %v", reply.Changed, err)
	}
	remove := agentapi.RemoveUserCommand{Command: w.head(), User: "reporter"}
	if reply, err := b.client.RemoveUser(t.Context(), remove); err != nil || len(reply.Changed) != 1 {
		t.Errorf("removed: %+v, %v", reply, err)
	}
	for _, m := range w.members {
		w.await("the user is out at "+string(m.name), patience, func() bool { return !opens(m) })
	}
	b.awaitWrites()
}
