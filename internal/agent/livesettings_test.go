package agent

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// takingServer is a mysqld whose variables can be set, but for those that it refuses.
type takingServer struct {
	variables map[string]string
	refuses   map[string]string
	down      bool
	asked     int
}

func (s *takingServer) TakeOver(_ context.Context, variable, value string) (now, refused string, err error) {
	s.asked++
	switch {
	case s.down:
		return "", "", errors.New("no answer")
	case s.refuses[variable] != "":
		return "", s.refuses[variable], nil
	case variable == "table_open_cache":
		value = "1"
	}
	s.variables[variable] = value
	return value, "", nil
}

func TestARunningMysqldTakesOverWhatItCan(t *testing.T) {
	server := &takingServer{
		variables: map[string]string{},
		refuses:   map[string]string{"innodb_ft_cache_size": "is a read only variable"},
	}
	incarnation := pair.Incarnation("first")
	started := map[string]string{"max_connections": "100"}
	config := maps.Clone(started)
	var got *agentapi.RunningSettings
	l := &liveSettings{
		log:     logr.Discard(),
		ops:     server,
		config:  func() agentapi.Config { return agentapi.Config{MySQL: config} },
		running: func() (pair.Incarnation, map[string]string) { return incarnation, started },
		publish: func(s agentapi.RunningSettings) { got = &s },
	}
	look := func(asked int, waits ...string) {
		t.Helper()
		server.asked = 0
		got = nil
		l.look(t.Context())
		want := &agentapi.RunningSettings{Sum: agentapi.SettingsSum(config), Waits: waits}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
		if server.asked != asked {
			t.Errorf("mysqld was asked %d times, want %d", server.asked, asked)
		}
	}
	look(0)

	config = map[string]string{"max_connections": "200", "innodb_ft_cache_size": "9000000", "table_open_cache": "4000"}
	server.down = true
	l.look(t.Context())
	if got.Sum == agentapi.SettingsSum(config) {
		t.Error("settings that were not tried are published as if they had been")
	}
	server.down = false
	look(3, "innodb_ft_cache_size", "table_open_cache")
	if server.variables["max_connections"] != "200" {
		t.Errorf("variables %v", server.variables)
	}
	look(0, "innodb_ft_cache_size", "table_open_cache")

	config = map[string]string{"innodb_ft_cache_size": "9000000"}
	look(1, "innodb_ft_cache_size", "max_connections")

	config = map[string]string{"max_connections": "200"}
	look(0)

	// It starts again, by the present settings.
	incarnation = "second"
	started = config
	look(0)

	incarnation = ""
	got = nil
	if l.look(t.Context()); got != nil {
		t.Errorf("published %+v without a mysqld", got)
	}
}
