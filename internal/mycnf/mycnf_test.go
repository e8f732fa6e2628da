package mycnf_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mycnf"
)

var update = flag.Bool("update", false, "write the golden files again")

func member() mycnf.Member {
	return mycnf.Member{
		Ordinal: 1, PodIP: "10.1.2.3", Host: "shop-1.shop-pods", DataDir: "/data/mysql", Socket: "/run/dbpair/mysqld.sock",
		PIDFile: "/run/dbpair/mysqld.pid", TLSDir: "/etc/dbpair/tls", TempDir: "/data/tmp", MemoryBytes: 1 << 30,
	}
}

// Binary and relay logs on a volume of their own have full paths, and are read back there.
func TestBinlogsOnAVolumeOfTheirOwn(t *testing.T) {
	m := member()
	m.BinlogDir = "/binlog/mysql"
	text, err := mycnf.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"log_bin = \"/binlog/mysql/binlog\"\n", "relay_log = \"/binlog/mysql/relay\"\n", "datadir = \"/data/mysql\"\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, want := range []mycnf.Expectation{{"log_bin_basename", "/binlog/mysql/binlog"}, {"relay_log_basename", "/binlog/mysql/relay"}} {
		if !slices.Contains(mycnf.Expect(m, mycnf.State{}), want) {
			t.Errorf("%s is not read back as %s", want.Variable, want.Want)
		}
	}
}

func TestRenderIsAsInTheGoldenFile(t *testing.T) {
	m := member()
	m.Settings = map[string]string{"max-connections": "900", "loose_new_in_9_9": "1", "sql_mode": ""}
	got, err := mycnf.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "member.cnf")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		key, value string
		want       error
	}{
		"an owned one":                              {"super_read_only", "OFF", mycnf.ErrOwned},
		"an owned one with dashes":                  {"super-read-only", "OFF", mycnf.ErrOwned},
		"an owned one made loose":                   {"loose_read_only", "OFF", mycnf.ErrOwned},
		"an owned one skipped":                      {"skip-log-bin", "", mycnf.ErrOwned},
		"an owned one disabled":                     {"disable_log_replica_updates", "", mycnf.ErrOwned},
		"an owned one enabled":                      {"enable-skip-grant-tables", "", mycnf.ErrOwned},
		"an owned one under two prefixes":           {"loose-skip-offline-mode", "", mycnf.ErrOwned},
		"an owned one limited":                      {"maximum_server_id", "1", mycnf.ErrOwned},
		"an owned family":                           {"rpl_semi_sync_source_timeout", "1", mycnf.ErrOwned},
		"an owned family of filters":                {"replicate-ignore-db", "app", mycnf.ErrOwned},
		"a beginning that mysqld would complete":    {"loose_super_read", "OFF", mycnf.ErrOwned},
		"a beginning of an owned family":            {"loose-rpl-semi", "OFF", mycnf.ErrOwned},
		"statements in the binary log":              {"binlog_format", "STATEMENT", mycnf.ErrOwned},
		"passwords that expire":                     {"default_password_lifetime", "90", mycnf.ErrOwned},
		"roles of every account":                    {"mandatory_roles", "reader", mycnf.ErrOwned},
		"a plugin":                                  {"plugin_load_add", "x.so", mycnf.ErrOwned},
		"an unknown one":                            {"max_conections", "9", mycnf.ErrUnknown},
		"an unambiguous beginning":                  {"max_connectio", "9", mycnf.ErrUnknown},
		"upper case":                                {"MAX_CONNECTIONS", "9", mycnf.ErrMalformed},
		"an equals sign":                            {"a=b", "9", mycnf.ErrMalformed},
		"a section":                                 {"[mysqld", "9", mycnf.ErrMalformed},
		"an include":                                {"!include /etc/x", "", mycnf.ErrMalformed},
		"a comment":                                 {"#x", "", mycnf.ErrMalformed},
		"nothing":                                   {"", "9", mycnf.ErrMalformed},
		"a value with a line break":                 {"sql_mode", "ANSI\nsuper_read_only=OFF", mycnf.ErrMalformed},
		"a value with a carriage return":            {"sql_mode", "ANSI\rsuper_read_only=OFF", mycnf.ErrMalformed},
		"a value with NUL":                          {"sql_mode", "ANSI\x00", mycnf.ErrMalformed},
		"a value that is not UTF-8":                 {"sql_mode", "\xff", mycnf.ErrMalformed},
		"a value longer than a line":                {"sql_mode", strings.Repeat("x", 5000), mycnf.ErrMalformed},
		"too few connections of each account":       {"max_user_connections", "4", mycnf.ErrMalformed},
		"too few connections for the agent":         {"max_connections", "15", mycnf.ErrMalformed},
		"a number of connections that is none":      {"max-connections", "many", mycnf.ErrMalformed},
		"a value with both kinds of quotation mark": {"sql_mode", `"'`, mycnf.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			err := mycnf.ValidateSettings(map[string]string{test.key: test.value})
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if test.key != "" && !strings.Contains(err.Error(), test.key) {
				t.Errorf("error does not name the key: %v", err)
			}
			m := member()
			m.Settings = map[string]string{test.key: test.value}
			if text, err := mycnf.Render(m); err == nil {
				t.Errorf("rendered all the same:\n%s", text)
			}
		})
	}
}

func TestSettingsAreAccepted(t *testing.T) {
	for key, value := range map[string]string{
		"max_connections": "900", "max-allowed-packet": "64M", "skip-show-database": "", "loose_max_connections": "90",
		"loose_plugin_of_mine": "ON", "sql_mode": "ANSI_QUOTES,STRICT_ALL_TABLES", "innodb_buffer_pool_size": "1G",
		"general_log": "ON", "activate_all_roles_on_login": "ON", "replica_parallel_workers": "32", "local_infile": "ON",
	} {
		if err := mycnf.ValidateSettings(map[string]string{key: value}); err != nil {
			t.Errorf("%s=%q: %v", key, value, err)
		}
	}
	err := mycnf.ValidateSettings(map[string]string{"max_connections": "100", "max-connections": "200", "loose_max_connections": "300"})
	if !errors.Is(err, mycnf.ErrTwice) {
		t.Errorf("one option under three names: %v, want ErrTwice", err)
	}
}

// Every name of the catalog has to be judged, and whatever is owned must be
// found under every spelling.
func TestOwnedSettingsAreOwnedUnderEverySpelling(t *testing.T) {
	for _, row := range mycnf.OwnedSettings() {
		name := strings.TrimSuffix(row.Name, "*")
		if row.Why == "" {
			t.Errorf("%s has no reason", row.Name)
		}
		for _, prefix := range []string{"", "loose_", "skip_", "disable_", "enable_", "maximum_", "loose_skip_"} {
			for _, spelling := range []string{prefix + name, strings.ReplaceAll(prefix+name, "_", "-")} {
				if strings.HasSuffix(spelling, "-") || strings.HasSuffix(spelling, "_") {
					spelling += "x"
				}
				if err := mycnf.ValidateSettings(map[string]string{spelling: ""}); !errors.Is(err, mycnf.ErrOwned) {
					t.Errorf("%s: %v, want ErrOwned", spelling, err)
				}
			}
		}
	}
}

func TestEverythingReadBackIsOwned(t *testing.T) {
	for _, one := range mycnf.Expect(member(), mycnf.State{}) {
		if one.Variable == "log_bin_basename" || one.Variable == "relay_log_basename" {
			continue // mysqld makes them of log_bin and relay_log
		}
		if err := mycnf.ValidateSettings(map[string]string{one.Variable: "x"}); !errors.Is(err, mycnf.ErrOwned) {
			t.Errorf("%s is read back and not owned: %v", one.Variable, err)
		}
	}
}

func TestExpectFollowsTheState(t *testing.T) {
	value := func(state mycnf.State, variable string) string {
		for _, one := range mycnf.Expect(member(), state) {
			if one.Variable == variable {
				return one.Want
			}
		}
		return "missing"
	}
	for name, test := range map[string]struct {
		state mycnf.State
		want  []string
	}{
		"closed":                 {mycnf.State{}, []string{"ON", "ON", "ON", "OFF", "OFF", "1"}},
		"readable":               {mycnf.State{Readable: true}, []string{"ON", "ON", "OFF", "OFF", "OFF", "1"}},
		"readable and relaxed":   {mycnf.State{Readable: true, Relaxed: true}, []string{"ON", "ON", "OFF", "OFF", "OFF", "0"}},
		"open and waiting":       {mycnf.State{Open: true, Waiting: true}, []string{"OFF", "OFF", "OFF", "ON", "ON", "1"}},
		"open without a waiting": {mycnf.State{Open: true}, []string{"OFF", "OFF", "OFF", "ON", "OFF", "1"}},
	} {
		var got []string
		for _, variable := range []string{"read_only", "super_read_only", "offline_mode", "event_scheduler", "rpl_semi_sync_source_enabled", "sync_binlog"} {
			got = append(got, value(test.state, variable))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFactsThatCanNotStandInTheFileAreRefused(t *testing.T) {
	for name, change := range map[string]func(*mycnf.Member){
		"a third ordinal":                       func(m *mycnf.Member) { m.Ordinal = 2 },
		"a wildcard admin address":              func(m *mycnf.Member) { m.PodIP = "*" },
		"no admin address":                      func(m *mycnf.Member) { m.PodIP = "" },
		"a relative temporary directory":        func(m *mycnf.Member) { m.TempDir = "tmp" },
		"temporary files in the data directory": func(m *mycnf.Member) { m.TempDir = "/data/mysql/tmp" },
		"binary logs in the data directory":     func(m *mycnf.Member) { m.BinlogDir = "/data/mysql/binlog" },
		"a relative directory of binary logs":   func(m *mycnf.Member) { m.BinlogDir = "binlog" },
		"a relative data directory":             func(m *mycnf.Member) { m.DataDir = "data" },
		"a line break in a path":                func(m *mycnf.Member) { m.Socket = "/run/x\nsuper_read_only=OFF" },
		"a line break in the host":              func(m *mycnf.Member) { m.Host = "x\n[client]" },
		"a port that does not exist":            func(m *mycnf.Member) { m.Port = 70000 },
		"a control character in TLS":            func(m *mycnf.Member) { m.TLSDir = "/x\x00" },
	} {
		m := member()
		change(&m)
		if text, err := mycnf.Render(m); err == nil {
			t.Errorf("%s: rendered\n%s", name, text)
		}
	}
}

func TestFlagsCloseBeforeAnythingElseIsRead(t *testing.T) {
	flags := mycnf.Flags("/run/dbpair/my.cnf")
	if flags[0] != "--defaults-file=/run/dbpair/my.cnf" {
		t.Errorf("first flag %s: mysqld takes it in the first place only", flags[0])
	}
	for _, flag := range []string{
		"--persisted-globals-load=OFF", "--super-read-only=ON", "--read-only=ON", "--offline-mode=ON", "--skip-replica-start=ON",
		"--rpl-semi-sync-source-enabled=OFF", "--event-scheduler=OFF",
	} {
		if !slices.Contains(flags, flag) {
			t.Errorf("no %s", flag)
		}
	}
}
