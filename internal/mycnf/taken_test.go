package mycnf_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mycnf"
)

func TestComplaintsNameTheKeyAsItWasGiven(t *testing.T) {
	log := `2026-01-01T00:00:00.0Z 0 [Warning] [MY-010097] [Server] Insecure configuration for --secure-file-priv: Current value does not restrict location.
2026-01-01T00:00:00.0Z 0 [Warning] [MY-000080] [Server] option 'innodb-buffer-pool-size': signed value 0 adjusted to 5242880.
2026-01-01T00:00:00.0Z 0 [Warning] [MY-000081] [Server] option 'max_connections': unsigned value 1000000000 adjusted to 100000.
2026-01-01T00:00:00.0Z 0 [Warning] [MY-000076] [Server] option 'slow_query_log': boolean value 'maybe' was not recognized. Set to OFF.
2026-01-01T00:00:00.0Z 0 [Warning] [MY-000081] [Server] option 'table_open_cache': unsigned value 9 adjusted to 1.
`
	settings := map[string]string{
		"innodb-buffer-pool-size": "plenty", "max_connections": "1000000000", "slow_query_log": "maybe",
	}
	want := []string{
		`innodb-buffer-pool-size: "plenty": signed value 0 adjusted to 5242880`,
		`max_connections: "1000000000": unsigned value 1000000000 adjusted to 100000`,
		`slow_query_log: "maybe": boolean value 'maybe' was not recognized. Set to OFF`,
	}
	if diff := cmp.Diff(want, mycnf.Complaints(log, settings)); diff != "" {
		t.Error(diff)
	}
}

func TestTakenToleratesRoundingOnly(t *testing.T) {
	for name, c := range map[string]struct {
		given, got string
		differs    bool
	}{
		"the same number":                  {"100", "100", false},
		"a suffix":                         {"16M", "16777216", false},
		"a suffix in lower case":           {"1g", "1073741824", false},
		"rounded up to whole blocks":       {"100M", "134217728", false},
		"cut to the limit of open files":   {"100000", "4000", true},
		"raised far above":                 {"1", "4096", true},
		"text that was taken for a number": {"plenty", "5242880", false}, // Complaints says so
		"a switch in another spelling":     {"true", "ON", false},
		"a switch as a number":             {"1", "ON", false},
		"a switch that is off":             {"ON", "0", true},
		"a switch as a number that is off": {"1", "OFF", true},
		"a text":                           {"READ-COMMITTED", "READ-COMMITTED", false},
	} {
		t.Run(name, func(t *testing.T) {
			found := mycnf.Taken(map[string]string{"table_open_cache": c.given}, map[string]string{"table_open_cache": c.got})
			if (len(found) > 0) != c.differs {
				t.Errorf("%v", found)
			}
		})
	}
	if found := mycnf.Taken(map[string]string{"skip_log_bin_trust_function_creators": "1"}, map[string]string{"log_bin_trust_function_creators": "0"}); found != nil {
		t.Errorf("a prefix that turns the value round: %v", found)
	}
	if found := mycnf.Taken(map[string]string{"table_open_cache": "5"}, nil); found != nil {
		t.Errorf("a variable that mysqld does not have: %v", found)
	}
}

func TestTheSettingThatALineIsAboutIsNamed(t *testing.T) {
	settings := map[string]string{
		"sql_mode":             "NONE_SUCH",
		"character-set-server": "utf9",
		"collation_server":     "latin1_swedish_ci",
		"tls_version":          "TLSv9",
		"max_connections":      "100",
	}
	for line, want := range map[string]string{
		"mysqld: Error while setting value 'NONE_SUCH' to 'sql_mode'.":                 "sql_mode",
		"Unknown character set: 'utf9'.":                                               "character-set-server",
		"COLLATION 'latin1_swedish_ci' is not valid for CHARACTER SET 'utf8mb4'":       "collation_server",
		"Option --tls-version or --admin-tls-version is set to an invalid value TLSv9": "tls_version",
		"Aborting": "",
	} {
		if got := strings.Join(mycnf.Mentioned(line, settings), " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
