package failover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// LibraryDifference says which components and plugins one member has loaded and the other one
// has not, and how they become the same; empty for none, and while it is not known. INSTALL
// COMPONENT and INSTALL PLUGIN are not replicated: what someone installs by hand on one member
// works until a statement that needs it stops the applier of the other one, or until a failover.
// During a rollout the members differ for a while.
func (o Observation) LibraryDifference() string {
	a, b := &o.Members[0], &o.Members[1]
	known := a.knowsLibraries() && b.knowsLibraries()
	if !known || a.FormerSpec() || b.FormerSpec() {
		return ""
	}
	facts := slices.Concat(a.loadedAlone(b), b.loadedAlone(a))
	if len(facts) == 0 {
		return ""
	}
	return strings.Join(facts, "; ") + ": INSTALL is not replicated, and a statement that needs it stops the applier of the other member"
}

func (m *Member) knowsLibraries() bool {
	return m.Heard() && m.State.Server != nil && m.State.Libraries != nil
}

// loadedAlone says what m has loaded and the other member has not.
func (m *Member) loadedAlone(other *Member) []string {
	var facts []string
	for _, name := range alone(m, other, func(l *agentapi.Libraries) []string { return l.Components }) {
		facts = append(facts, fmt.Sprintf("%s has the component %s and %s has not: "+
			"name it in spec.mysql.components, or remove it from %s by UNINSTALL COMPONENT", m.Name, name, other.Name, m.Name))
	}
	for _, file := range alone(m, other, func(l *agentapi.Libraries) []string { return l.Plugins }) {
		facts = append(facts, fmt.Sprintf("%s has the plugin library %s loaded and %s has not: "+
			"name it in spec.mysql.plugins, or remove it from %s by UNINSTALL PLUGIN", m.Name, file, other.Name, m.Name))
	}
	return facts
}

func alone(m, other *Member, of func(*agentapi.Libraries) []string) []string {
	return slices.DeleteFunc(slices.Clone(of(m.State.Libraries)), func(name string) bool {
		return slices.Contains(of(other.State.Libraries), name)
	})
}

// missingLibrary is what a member lacks of the components and plugins of the spec, in its
// agent's words; empty for nothing.
func missingLibrary(m *Member) string {
	for _, p := range m.State.Problems {
		if p.Code == agentapi.ProblemLibraryMissing {
			return p.Message
		}
	}
	return ""
}
