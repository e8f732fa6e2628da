package agent_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// logsIn reports whether the application gets in with a password.
func (m *member) logsIn(password string) bool {
	db, err := m.login("app", password, "mysql", trusting(m.w.ca.CertPEM))
	if err != nil {
		return false
	}
	_ = db.Close()
	return true
}

// overlap sets for how long the application's former password stays valid.
func (w *world) overlap(d time.Duration) {
	w.t.Helper()
	for _, m := range w.members {
		m.configure(func(c *agentapi.Config) { c.AppPasswordOverlap = d })
	}
	chown(w.t, w.dir)
}

// appPassword is what the owner writes into the Secret.
func (w *world) appPassword(text string) {
	w.t.Helper()
	for _, m := range w.members {
		writeFile(w.t, m.path("internal", "app"), text)
	}
	chown(w.t, w.dir)
}

// formerUntil waits until a member says, after this time, until when the former password is valid.
func (m *member) formerUntil(after time.Time) (until time.Time) {
	m.w.t.Helper()
	m.awaitState("says until when the former password is valid", patience, func(s agentapi.State) bool {
		if s.Server == nil || s.Server.FormerAppPasswordUntil == nil || !s.Server.FormerAppPasswordUntil.After(after) {
			return false
		}
		until = *s.Server.FormerAppPasswordUntil
		return true
	})
	return until
}

// opensBoth waits until each password opens each member: a passive takes no clients for a moment
// after its channel broke.
func (w *world) opensBoth(when string, passwords ...string) {
	w.t.Helper()
	for _, m := range w.members {
		for _, password := range passwords {
			w.await(when+", "+password+" opens "+string(m.name), patience, func() bool { return m.logsIn(password) })
		}
	}
}

// The owner changes the password in the Secret. Pods that have not read it yet go on, also
// after the primary was stopped before it had noted the change, and after a failover, until
// the overlap is over or made shorter. Then the owner changes it back.
func TestTheApplicationsFormerPasswordStaysForItsOverlap(t *testing.T) {
	w, a, b := writing(t)
	w.overlap(time.Hour)
	note := a.path("data", "dbpair", "passwords.json")
	before, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Now().Truncate(time.Second)
	w.appPassword("app-changed")
	w.opensBoth("during the overlap", "app-secret", "app-changed")
	until := a.formerUntil(time.Time{})
	if until.Before(changed.Add(time.Hour)) || until.After(time.Now().Add(time.Hour)) {
		t.Errorf("changed at %s with an overlap of an hour, valid until %s", changed, until)
	}

	a.kill()
	writeFile(t, note, string(before))
	chown(t, w.dir)
	a.start()
	a.awaitWrites()
	if now := a.formerUntil(time.Time{}); !now.Equal(until) {
		t.Errorf("valid until %s before the primary was stopped, until %s after it", until, now)
	}
	b.streams()
	w.opensBoth("after the primary was stopped", "app-secret", "app-changed")

	w.failover(a, b)
	w.join(a, b)
	if now := b.formerUntil(time.Time{}); !now.Equal(until) {
		t.Errorf("valid until %s at one primary, until %s at the next", until, now)
	}
	w.opensBoth("after the failover", "app-secret", "app-changed")

	w.appPassword("app-secret")
	b.formerUntil(until)
	w.opensBoth("changed back", "app-secret", "app-changed")
	w.overlap(0)
	for _, m := range w.members {
		w.await("the former password is discarded at "+string(m.name), 2*patience, func() bool { return !m.logsIn("app-changed") })
	}
	w.opensBoth("after the overlap", "app-secret")
	b.awaitState("says that it is gone", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.FormerAppPasswordUntil == nil
	})
}

// A client without TLS gets in only where the pair's spec says so, and the log tells it from one
// with a wrong password.
func TestTheApplicationsAccountFollowsTheSpecAboutTLS(t *testing.T) {
	w, a, _ := writing(t)
	// plain is the number of the error that a client without TLS gets; 0 when it gets in.
	plain := func() uint16 {
		db, err := a.login("app", "app-secret", "mysql", nil)
		if err == nil {
			_ = db.Close()
			return 0
		}
		refused, ok := errors.AsType[*mysql.MySQLError](err)
		if !ok {
			t.Fatal(err)
		}
		return refused.Number
	}
	const (
		denied   = 1045
		insecure = 3159
	)
	if got := plain(); got != denied {
		t.Fatalf("a client without TLS: error %d, want %d", got, denied)
	}
	for _, step := range []struct {
		account, server bool // which of them require TLS
		want            uint16
	}{
		{false, false, 0},
		{true, false, denied},
		{false, true, insecure},
	} {
		for _, m := range w.members {
			m.configure(func(c *agentapi.Config) {
				c.AppWithoutTLS = !step.account
				if step.server {
					c.MySQL["require_secure_transport"] = "ON"
				}
			})
		}
		chown(t, w.dir)
		w.await(fmt.Sprintf("a client without TLS gets error %d", step.want), patience, func() bool { return plain() == step.want })
		if !a.logsIn("app-secret") {
			t.Error("a client with TLS does not get in")
		}
	}
	for _, part := range []string{`"withoutTLS":`, "clients without TLS were refused"} {
		w.await("the log has "+part, patience, func() bool {
			text, err := os.ReadFile(a.path("log"))
			return err == nil && strings.Contains(string(text), part)
		})
	}
}
