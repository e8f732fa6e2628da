package failover_test

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// loaded is what the members have loaded.
func loaded(first, second *agentapi.Libraries) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.Members[0].State.Libraries = first
		o.Members[1].State.Libraries = second
	}
}

func TestWhatOneMemberHasLoadedAloneIsTold(t *testing.T) {
	type libraries = agentapi.Libraries
	some := &libraries{Components: []string{"component_classic_hashing"}, Plugins: []string{"auth_socket.so"}}
	former := func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Outdated = "spec.mysql.plugins" }
	for name, c := range map[string]struct {
		with func(*testing.T, *failover.Observation)
		says []string
	}{
		"the same": {with: loaded(some, some)},
		"a plugin of the primary": {
			loaded(some, &libraries{Components: some.Components}),
			[]string{"shop-0 has the plugin library auth_socket.so", "shop-1 has not", "spec.mysql.plugins", "UNINSTALL PLUGIN"},
		},
		"a component of the passive": {
			loaded(&libraries{Plugins: some.Plugins}, some),
			[]string{"shop-1 has the component component_classic_hashing", "spec.mysql.components", "from shop-1 by UNINSTALL COMPONENT"},
		},
		"not known of one":            {with: loaded(some, nil)},
		"while a rollout brings them": {with: then(loaded(some, &libraries{}), former)},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			c.with(t, &o)
			told := o.LibraryDifference()
			if (told == "") != (len(c.says) == 0) {
				t.Errorf("told %q", told)
			}
			for _, part := range c.says {
				if !strings.Contains(told, part) {
					t.Errorf("%q lacks %q", told, part)
				}
			}
			p := failover.Decide(o)
			if held := p.Rule == failover.RuleMemberProblem && p.Fact == told; held != (told != "") {
				t.Errorf("decided %s: %s", p.Rule, p.Fact)
			}
		})
	}
}
