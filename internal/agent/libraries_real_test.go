package agent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const (
	passwordRules = "component_validate_password"
	attributes    = "component_query_attributes"
)

// wants has the member want these at the next start of its mysqld.
func (m *member) wants(components, plugins []string) {
	m.configure(func(c *agentapi.Config) {
		c.Components = components
		c.Plugins = plugins
	})
}

func (m *member) awaitLibraries(components, plugins []string) {
	m.awaitState("libraries", patience, func(s agentapi.State) bool {
		return s.Libraries != nil && slices.Equal(s.Libraries.Components, components) && slices.Equal(s.Libraries.Plugins, plugins)
	})
}

// TestComponentsAndPluginsAreOnBothMembers: they are there from the beginning, come along with a
// copy, follow the spec at a restart, and what someone installs by hand is published.
func TestComponentsAndPluginsAreOnBothMembers(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	for _, m := range w.members {
		m.wants([]string{attributes, passwordRules}, []string{"mysql_no_login.so"})
	}
	w.bootstrapFresh()
	all := []string{"component_classic_hashing", attributes, passwordRules}
	for _, m := range w.members {
		m.awaitLibraries(all, []string{"mysql_no_login.so"})
	}
	// A statement that needs the plugin passes the applier.
	if err := a.exec(a.db("root"), "CREATE USER owner IDENTIFIED WITH mysql_no_login"); err != nil {
		t.Fatal(err)
	}
	w.await("the account is on the passive", patience, func() bool {
		var n int
		err := b.db("root").QueryRow("SELECT COUNT(*) FROM mysql.user WHERE User = 'owner'").Scan(&n)
		return err == nil && n == 1
	})
	// By hand, on one member.
	if err := a.exec(a.db("root"), "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'"); err != nil {
		t.Fatal(err)
	}
	a.awaitLibraries(all, []string{"auth_socket.so", "mysql_no_login.so"})
	b.awaitLibraries(all, []string{"mysql_no_login.so"})
	// The spec loses one of each and gets another: the passive has that after its restart. What was
	// installed by hand is left alone.
	by := "component_log_filter_dragnet"
	root := b.db("root")
	w.await("a component is installed by hand", patience, func() bool {
		// The agent closes the passive again within a second.
		_, _ = root.Exec("SET GLOBAL super_read_only = OFF")
		_, err := root.Exec("INSTALL COMPONENT 'file://" + by + "'")
		return err == nil
	})
	b.wants([]string{passwordRules}, []string{"auth_socket.so", "mysql_no_login.so"})
	b.kill()
	b.start()
	w.join(b, a)
	b.awaitLibraries([]string{"component_classic_hashing", by, passwordRules}, []string{"auth_socket.so", "mysql_no_login.so"})
	if says := problem(b.now(), agentapi.ProblemLibraryMissing); says != "" {
		t.Errorf("something is missing: %s", says)
	}
	b.wants(nil, []string{"mysql_no_login.so"})
	b.kill()
	b.start()
	w.join(b, a)
	b.awaitLibraries([]string{"component_classic_hashing", by}, []string{"mysql_no_login.so"})
	// An image that lacks what the spec wants: the member runs, and names it.
	b.wants([]string{"component_nosuch", attributes}, []string{"nosuch.so"})
	b.kill()
	b.start()
	w.join(b, a)
	b.awaitProblem(agentapi.ProblemLibraryMissing, patience, `install component_nosuch: Error 1126`)
	b.awaitProblem(agentapi.ProblemLibraryMissing, patience, `spec.mysql.plugins: mysqld runs without "nosuch.so"`)
	b.awaitLibraries([]string{"component_classic_hashing", by, attributes}, nil)
}

// TestNoDataIsMadeWithALibraryThatTheImageLacks: it is named before there is data.
func TestNoDataIsMadeWithALibraryThatTheImageLacks(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	a.wants([]string{"component_nosuch"}, []string{"nosuch.so"})
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)
	if _, err := a.client.Initialize(t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0"}); err != nil {
		t.Fatal(err)
	}
	a.awaitProblem(agentapi.ProblemConfigInvalid, patience, "install component_nosuch: Error 1126")
	if s := a.awaitPhase(agentapi.PhaseEmpty, patience); s.DataID != "" || !strings.Contains(s.Problems[0].Message, "nosuch.so") {
		t.Errorf("data %q was made: %+v", s.DataID, s.Problems)
	}
}

// TestARefusedPasswordIsNamed: the rules of a component refuse the new passwords of a rotation. The member names the account and the
// way out, goes on with the former ones, and takes the new ones once the rules allow them.
func TestARefusedPasswordIsNamed(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	primary := w.members[0]
	if err := primary.exec(primary.db("root"), "INSTALL COMPONENT 'file://"+passwordRules+"'"); err != nil {
		t.Fatal(err)
	}
	before := primary.awaitState("a revision", patience, func(s agentapi.State) bool {
		return s.Server != nil && s.Server.PasswordsRevision != ""
	}).Server.PasswordsRevision
	w.rotate("-without-a-digit")
	const says = "the new password of the account " + mysqlops.UserReplication + " is not in use, the former one is"
	refused := primary.awaitProblem(agentapi.ProblemPasswordRefused, patience, says)
	if text := problem(refused, agentapi.ProblemPasswordRefused); !strings.Contains(text, "loose_validate_password.policy: LOW") {
		t.Errorf("the way out is not named: %s", text)
	}
	if got := refused.Server.PasswordsRevision; got != before {
		t.Errorf("the primary works with the passwords of revision %s, and has refused one of them", got)
	}
	if err := primary.exec(primary.db("root"), "SET GLOBAL validate_password.policy = LOW"); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.members {
		m.awaitState("the new passwords", patience, func(s agentapi.State) bool {
			return s.Server != nil && s.Server.PasswordsRevision != "" && s.Server.PasswordsRevision != before
		})
	}
	w.rotated("-without-a-digit")
	primary.awaitState("no refused password", patience, func(s agentapi.State) bool {
		return problem(s, agentapi.ProblemPasswordRefused) == ""
	})
}
