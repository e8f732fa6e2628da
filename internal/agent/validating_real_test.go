package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestSettingsAreTriedBesideTheMysqldThatRuns: the primary is asked, and goes on.
func TestSettingsAreTriedBesideTheMysqldThatRuns(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	before := a.mysqldPID()
	for name, c := range map[string]struct {
		settings map[string]string
		option   string
		says     string
	}{
		"fine ones":             {map[string]string{"max_connections": "90", "local_infile": "ON", "sort_buffer_size": "1M"}, "", ""},
		"an offset":             {map[string]string{"default_time_zone": "+01:00"}, "", ""},
		"a wrong value":         {map[string]string{"sql_mode": "NONE_SUCH", "max_connections": "90"}, "sql_mode", "NONE_SUCH"},
		"a wrong character set": {map[string]string{"character_set_server": "utf9"}, "character_set_server", "utf9"},
		"an adjusted value":     {map[string]string{"innodb_buffer_pool_size": "plenty"}, "innodb_buffer_pool_size", "adjusted to"},
		"an unknown option":     {map[string]string{"max_conections": "90"}, "", "max_conections"},
		"an unknown time zone":  {map[string]string{"default_time_zone": "Europe/Berlim"}, "default_time_zone", "no time zone of this name"},
	} {
		reply, err := a.client.ValidateConfig(t.Context(), agentapi.ValidateConfigRequest{PairUID: pairUID, Settings: c.settings})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := fmt.Sprint(reply.Problems)
		if c.says == "" {
			if len(reply.Problems) > 0 {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		if len(reply.Problems) != 1 || reply.Problems[0].Option != c.option || !strings.Contains(got, c.says) {
			t.Errorf("%s: %+v, want %q and %q", name, reply.Problems, c.option, c.says)
		}
	}
	reply, err := a.client.ValidateConfig(t.Context(), agentapi.ValidateConfigRequest{
		PairUID:    pairUID,
		Components: []string{"component_validate_password", "component_nosuch"},
		Plugins:    []string{"nosuch.so", "auth_socket.so"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"spec.mysql.plugins nosuch.so Can't open shared library", "spec.mysql.components component_nosuch the image has no"} {
		if len(reply.Problems) != 2 {
			t.Fatalf("libraries: %+v", reply.Problems)
		}
		p := reply.Problems[i]
		if got := p.Field + " " + p.Option + " " + p.Message; !containsAll(got, strings.SplitN(want, " ", 3)) {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	if _, err := a.client.ValidateConfig(t.Context(), agentapi.ValidateConfigRequest{PairUID: "other"}); err == nil {
		t.Error("an agent of another pair answers")
	}
	if err := a.exec(a.db("app"), "CREATE TABLE after (id INT PRIMARY KEY)"); err != nil {
		t.Errorf("the primary after it was asked: %v", err)
	}
	if after := a.now(); after.Phase != agentapi.PhaseOpen || len(after.Problems) != 0 || a.mysqldPID() != before {
		t.Errorf("phase %s, problems %v, mysqld %d (before: %d)", after.Phase, after.Problems, a.mysqldPID(), before)
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
