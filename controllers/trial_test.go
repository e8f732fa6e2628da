package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
)

func TestASettingThatMysqldDoesNotTakeIsNamed(t *testing.T) {
	published := agentapi.Config{
		MySQL:   map[string]string{"innodb_buffer_pool_size": "plenty", "back_log": "90"},
		Plugins: []string{"former.so"},
	}
	settings := map[string]string{"innodb_buffer_pool_size": "plenty", "sql_mode": "NONE_SUCH", "back_log": "many"}
	for name, c := range map[string]struct {
		problem agentapi.SettingProblem
		says    []string
	}{
		"a new option": {
			agentapi.SettingProblem{Option: "sql_mode", Message: `"NONE_SUCH": Error while setting value`},
			[]string{"spec.mysql.config", "sql_mode", "NONE_SUCH", "correct it"},
		},
		"a changed value":             {agentapi.SettingProblem{Option: "back_log", Message: `"many": adjusted to 1`}, []string{"back_log", "many"}},
		"what already runs like that": {agentapi.SettingProblem{Option: "innodb_buffer_pool_size", Message: "adjusted"}, nil},
		"a component that the image lacks": {
			agentapi.SettingProblem{
				Option:  "component_x",
				Field:   "spec.mysql.components",
				Message: "no component_x.so",
			},
			[]string{`spec.mysql.components: "component_x": no component_x.so`},
		},
		"a plugin that was missing before": {
			agentapi.SettingProblem{
				Option:  "former.so",
				Field:   "spec.mysql.plugins",
				Message: "not loaded",
			},
			nil,
		},
		"something about no certain option": {agentapi.SettingProblem{Message: "Aborting"}, []string{"spec.mysql.config", "Aborting"}},
	} {
		t.Run(name, func(t *testing.T) {
			why := notTaken([]agentapi.SettingProblem{c.problem}, published, settings)
			if (why == "") != (len(c.says) == 0) {
				t.Errorf("refusal %q", why)
			}
			for _, part := range c.says {
				if !strings.Contains(why, part) {
					t.Errorf("refusal %q lacks %q", why, part)
				}
			}
		})
	}
}

// TestSettingsThatNoMemberCanTryArePublishedInTheEnd: they may be what the members need to
// start.
func TestSettingsThatNoMemberCanTryArePublishedInTheEnd(t *testing.T) {
	now := time.Now()
	p := &v1alpha1.DatabasePair{}
	p.Generation = 4
	r := &childrenReconciler{Now: func() time.Time { return now }}
	v := &childrenVisit{pair: p, memory: &childrenMemory{}, log: logr.Discard()}
	settings := agentapi.Config{MySQL: map[string]string{"back_log": "90"}}
	await := func() {
		t.Helper()
		end := time.Now().Add(10 * time.Second)
		for len(v.memory.trial.result) == 0 {
			if time.Now().After(end) {
				t.Fatal("no result")
			}
			time.Sleep(time.Millisecond)
		}
	}
	r.trySettings(t.Context(), v, agentapi.Config{}, settings)
	await()
	r.trySettings(t.Context(), v, agentapi.Config{}, settings)
	if !v.memory.trying(4) || !r.refuses(v) {
		t.Error("the settings are published before anyone could be asked twice")
	}
	now = now.Add(trialPatience)
	await()
	r.trySettings(t.Context(), v, agentapi.Config{}, settings)
	if v.memory.trying(4) || r.refuses(v) {
		t.Error("the settings are not published")
	}
}

// TestARefusalLastsAsLongAsItsGeneration: the next generation is tried again.
func TestARefusalLastsAsLongAsItsGeneration(t *testing.T) {
	p := &v1alpha1.DatabasePair{}
	p.Generation = 4
	r := &childrenReconciler{Now: time.Now}
	v := &childrenVisit{pair: p, memory: &childrenMemory{}, log: logr.Discard()}
	v.memory.trial = &trial{generation: 4, since: time.Now(), result: make(chan tried, 1)}
	v.memory.trial.result <- tried{why: "spec.mysql.config: sql_mode"}
	r.trySettings(t.Context(), v, agentapi.Config{}, agentapi.Config{})
	if why := r.refusal(v); why != "spec.mysql.config: sql_mode" {
		t.Errorf("refusal %q", why)
	}
	p.Generation = 5
	if why := r.refusal(v); why != "" {
		t.Errorf("refusal of another generation: %q", why)
	}
	v.memory.trial = &trial{generation: 5, since: time.Now(), result: make(chan tried, 1)}
	v.memory.trial.result <- tried{err: agentclient.ErrNoSuchPath}
	r.trySettings(t.Context(), v, agentapi.Config{}, agentapi.Config{})
	if v.memory.trying(5) || r.refusal(v) != "" {
		t.Error("agents of an earlier version keep settings from being published")
	}
}
