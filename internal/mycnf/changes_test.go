package mycnf_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mycnf"
)

func TestChangesOfSettings(t *testing.T) {
	from := map[string]string{"max_connections": "100", "local_infile": "ON", "long_query_time": "1"}
	to := map[string]string{
		"max-connections":          "200",
		"local_infile":             "ON",
		"innodb_buffer_pool_size":  "2G",
		"sql_mode":                 "ANSI",
		"skip_name_resolve":        "ON",
		"replica_parallel_workers": "8",
	}
	got := map[string]mycnf.Change{}
	for _, c := range mycnf.Changes(from, to) {
		got[c.Key] = c
	}
	want := map[string]mycnf.Change{
		"max-connections":          {Key: "max-connections", Variable: "max_connections", Value: "200"},
		"innodb_buffer_pool_size":  {Key: "innodb_buffer_pool_size", Variable: "innodb_buffer_pool_size", Value: "2147483648"},
		"sql_mode":                 {Key: "sql_mode", Variable: "sql_mode", Value: "ANSI"},
		"replica_parallel_workers": {Key: "replica_parallel_workers", Variable: "replica_parallel_workers", Value: "8", AtStart: true},
		"max_connections":          {Key: "max_connections", AtStart: true},
		"long_query_time":          {Key: "long_query_time", AtStart: true},
	}
	if skip, found := got["skip_name_resolve"]; !found {
		t.Errorf("skip_name_resolve is no change: %+v", skip)
	}
	delete(got, "skip_name_resolve")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAChangeIsTakenOverAsItWasSet(t *testing.T) {
	for name, c := range map[string]struct {
		value, got string
		want       bool
	}{
		"a number":                   {"200", "200", true},
		"a number that was cut":      {"200", "151", false},
		"a size that was rounded up": {"1000000", "1048576", true},
		"a switch":                   {"ON", "1", true},
		"a switch that stayed":       {"ON", "0", false},
		"a text":                     {"READ-COMMITTED", "read-committed", true},
		"a text that became another": {"ANSI", "REAL_AS_FLOAT,PIPES_AS_CONCAT", false},
		"a text that mysqld emptied": {"utf8mb4", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (mycnf.Change{Value: c.value}).TakenOver(c.got); got != c.want {
				t.Errorf("taken over: %v, want %v", got, c.want)
			}
		})
	}
}
