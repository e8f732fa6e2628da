package mycnf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// DisabledEngines are all engines but InnoDB, in one order.
const DisabledEngines = "MyISAM,MRG_MYISAM,MEMORY,CSV,ARCHIVE,BLACKHOLE,FEDERATED,EXAMPLE,NDBCLUSTER"

// Member is what the option file of one member depends on.
type Member struct {
	// Ordinal is 0 or 1. server_id is 1+Ordinal, and keys are counted from it
	// in steps of two.
	Ordinal int
	// PodIP is the address of the admin port, which takes no wildcard.
	PodIP string
	// BindAddress is the address of the clients' port; empty means all.
	BindAddress string
	// Host is the name under which the peer knows the member.
	Host string
	// Port and AdminPort; 0 means the defaults.
	Port, AdminPort int

	// DataDir, Socket and PIDFile are absolute paths.
	DataDir, Socket, PIDFile string
	// BinlogDir has the binary and relay logs. It must exist and lie outside DataDir; empty stands
	// for DataDir.
	BinlogDir string
	// TLSDir holds ca.crt, tls.crt and tls.key; empty means that mysqld keeps
	// what it finds in its data directory, which is fit for tests only.
	TLSDir string
	// TempDir is where mysqld writes the temporary files of sorts, online DDL and large
	// transactions. It must exist and lie outside DataDir; empty leaves it to mysqld.
	TempDir string

	// BinlogRetention is shown by mysqld and kept by the agent, which knows
	// what the peer has; 0 means seven days.
	BinlogRetention time.Duration
	// MemoryBytes sizes a default that the user may override; 0 means that
	// mysqld decides.
	MemoryBytes int64

	// Settings are the user's.
	Settings map[string]string
	// Plugins are the libraries of plugins that the user wants; none of them may be refused by
	// CheckLibraries.
	Plugins []string
}

// Render returns the text of the option file. It fails when a setting of the
// user is refused (see ValidateSettings) or a fact of the member is missing or
// can not stand in the file.
func Render(m Member) (string, error) {
	m = m.withDefaults()
	if err := m.check(); err != nil {
		return "", err
	}
	user, err := parseSettings(m.Settings)
	if err != nil {
		return "", fmt.Errorf("render option file: %w", err)
	}
	if err := CheckLibraries(nil, m.Plugins); err != nil {
		return "", fmt.Errorf("render option file: %w", err)
	}
	overridden := make(map[string]bool, len(user))
	for _, one := range user {
		overridden[one.base] = true
	}
	var b strings.Builder
	b.WriteString("# Written by dbpair at every start of mysqld; changes are lost.\n[mysqld]\n\n# Defaults.\n")
	for _, one := range m.defaults() {
		if !overridden[one.name] {
			writeLine(&b, one.name, one.value)
		}
	}
	b.WriteString("\n# Settings of the pair.\n")
	for _, one := range user {
		writeLine(&b, one.name, one.value)
	}
	b.WriteString("\n# Owned by dbpair. Last, since the last line wins.\n")
	for _, one := range m.owned() {
		writeLine(&b, one.name, one.value)
	}
	return b.String(), nil
}

// Flags returns the command line of a mysqld that boots closed, given the path
// of its option file. What is here beats the option file. Its read-only family
// and the source side of semi-sync are here and nowhere else: a mysqld started
// by hand on the file alone is for a person to decide about.
func Flags(optionFile string) []string {
	return []string{
		"--defaults-file=" + optionFile,
		"--persisted-globals-load=OFF",
		"--read-only=ON",
		"--super-read-only=ON",
		"--offline-mode=ON",
		"--skip-replica-start=ON",
		"--event-scheduler=OFF",
		"--rpl-semi-sync-source-enabled=OFF",
	}
}

// InitFlags returns the command line that initializes an empty data directory:
// root without a password, reachable by the socket only once mysqld runs.
func InitFlags(optionFile string) []string {
	return []string{"--defaults-file=" + optionFile, "--initialize-insecure"}
}

// NewDataFlags are what a mysqld needs in addition to make and run data that is new or about
// to be replaced by a copy: there are no time zone tables yet, and a mysqld whose
// default_time_zone has a name would not start without them.
func NewDataFlags() []string { return []string{"--default-time-zone=SYSTEM"} }

// TimeZone is the default_time_zone of a user's settings; empty when they have none.
func TimeZone(settings map[string]string) string {
	parsed, _ := parseSettings(settings)
	for _, one := range parsed {
		if one.base == "default_time_zone" {
			return one.value
		}
	}
	return ""
}

// ValidateFlags returns the command line with which mysqld checks the option
// file and ends: status 0 means that it would start with it, though maybe with
// another value than it was given, which Complaints reads from the log.
func ValidateFlags(optionFile string) []string {
	return append(Flags(optionFile), "--log-error-verbosity=2", "--validate-config")
}

// TrialFlags returns the command line with which mysqld checks an option file beside a mysqld
// that runs: performance_schema, which takes most of the memory of a mysqld that does nothing,
// is left out.
func TrialFlags(optionFile string) []string {
	return append(ValidateFlags(optionFile), "--performance-schema=OFF")
}

type line struct{ name, value string }

func (m Member) withDefaults() Member {
	if m.Port == 0 {
		m.Port = pair.PortMySQL
	}
	if m.AdminPort == 0 {
		m.AdminPort = pair.PortAdmin
	}
	if m.BindAddress == "" {
		m.BindAddress = "*"
	}
	if m.BinlogRetention <= 0 {
		m.BinlogRetention = 7 * 24 * time.Hour
	}
	return m
}

func (m Member) check() error {
	var problems []error
	if m.Ordinal != 0 && m.Ordinal != 1 {
		problems = append(problems, fmt.Errorf("ordinal %d: want 0 or 1", m.Ordinal))
	}
	if _, err := netip.ParseAddr(m.PodIP); err != nil {
		problems = append(problems, fmt.Errorf("pod IP: %w", err))
	}
	for _, port := range []int{m.Port, m.AdminPort} {
		if port < 1 || port > 65535 {
			problems = append(problems, fmt.Errorf("port %d: want 1 to 65535", port))
		}
	}
	for _, one := range []line{{"data directory", m.DataDir}, {"socket", m.Socket}, {"PID file", m.PIDFile}} {
		if !strings.HasPrefix(one.value, "/") {
			problems = append(problems, fmt.Errorf("%s %q: want an absolute path", one.name, one.value))
		}
	}
	for _, one := range []line{{"temporary directory", m.TempDir}, {"directory of binary logs", m.BinlogDir}} {
		if err := m.checkOutside(one); err != nil {
			problems = append(problems, err)
		}
	}
	for _, one := range []line{
		{"host", m.Host}, {"bind address", m.BindAddress}, {"data directory", m.DataDir}, {"socket", m.Socket},
		{"PID file", m.PIDFile}, {"TLS directory", m.TLSDir}, {"temporary directory", m.TempDir},
		{"directory of binary logs", m.BinlogDir},
	} {
		if err := checkValue(one.name, one.value); err != nil {
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("render option file: %w", err)
	}
	return nil
}

// checkOutside: a directory inside the data directory would be taken for a schema, and
// mysqld refuses it as innodb_tmpdir.
func (m Member) checkOutside(one line) error {
	if one.value == "" {
		return nil
	}
	inside := strings.HasPrefix(strings.TrimSuffix(one.value, "/")+"/", strings.TrimSuffix(m.DataDir, "/")+"/")
	if !strings.HasPrefix(one.value, "/") || inside {
		return fmt.Errorf("%s %q: want an absolute path outside of the data directory", one.name, one.value)
	}
	return nil
}

// logName is the base name of binary or relay logs as the option file has it. A relative one is in
// the data directory, which may be renamed; an absolute one stays valid in mysqld's index.
func (m Member) logName(base string) string {
	if m.BinlogDir == "" {
		return base
	}
	return strings.TrimSuffix(m.BinlogDir, "/") + "/" + base
}

// applierWorkers apply what is received, however few CPUs there are: each waits for its own flush, which
// group commit joins, and with fewer workers than the primary has writers the passive falls behind
// by as much as a failover would have to wait for (docs/benchmarks.md). While all are busy mysqld's
// coordinator spins until one is free, which takes a CPU from them. A memory limit that has no room for so many has fewer.
const applierWorkers = 64

// defaults are dbpair's choices; the user's win.
func (m Member) defaults() []line {
	lines := []line{
		{"character_set_server", "utf8mb4"},
		{"secure_file_priv", "NULL"},
		{"max_binlog_size", "134217728"},
		{optionConnections, strconv.Itoa(defaultConnections)},
		// A connection that says nothing holds a thread for as long.
		{"connect_timeout", "3"},
		{"temptable_max_mmap", "0"},
		// Rows are replicated and not what a trigger or a function did, so that an application
		// may create either without SUPER.
		{"loose_log_bin_trust_function_creators", "ON"},
	}
	appliers := int64(applierWorkers)
	if m.MemoryBytes > 0 {
		appliers = appliersFor(m.Settings, m.MemoryBytes)
		pool := poolFor(m.MemoryBytes, connectionsIn(m.Settings))
		lines = append(lines, line{optionPool, strconv.FormatInt(pool, 10)})
	}
	return append(lines, line{optionAppliers, strconv.FormatInt(appliers, 10)})
}

func (m Member) owned() []line {
	var lines []line
	for _, plugin := range slices.Concat(ownedLibraries, m.Plugins) {
		lines = append(lines, line{"plugin_load_add", plugin})
	}
	lines = append(lines,
		line{"datadir", m.DataDir},
		line{"socket", m.Socket},
		line{"pid_file", m.PIDFile},
		line{"port", strconv.Itoa(m.Port)},
		line{"bind_address", m.BindAddress},
		line{"admin_address", m.PodIP},
		line{"admin_port", strconv.Itoa(m.AdminPort)},
		line{"report_host", m.Host},
		line{"report_port", strconv.Itoa(m.AdminPort)},
		line{"loose_mysqlx", "OFF"},
		line{"log_bin", m.logName("binlog")},
		line{"relay_log", m.logName("relay")},
		line{"binlog_expire_logs_seconds", strconv.FormatInt(int64(m.BinlogRetention/time.Second), 10)},
	)
	if m.TLSDir != "" {
		dir := strings.TrimSuffix(m.TLSDir, "/")
		lines = append(lines, line{"ssl_ca", dir + "/ca.crt"}, line{"ssl_cert", dir + "/tls.crt"}, line{"ssl_key", dir + "/tls.key"},
			line{"auto_generate_certs", "OFF"})
	}
	for _, one := range m.temporary() {
		lines = append(lines, line{one.Variable, one.Want})
	}
	lines = append(lines, line{"performance_schema_instrument", "stage/semisync/%=ON"},
		line{"performance_schema_consumer_events_stages_current", "ON"})
	for _, one := range m.fixed() {
		if one.Want == "" {
			continue // the default, and mysqld reads a bare name as a flag
		}
		name := one.Variable
		if strings.HasPrefix(name, "rpl_semi_sync_") {
			// Without the plugin, as during the initialization, mysqld knows
			// no such option.
			name = "loose_" + name
		}
		lines = append(lines, line{name, one.Want})
	}
	return lines
}

// writeLine writes "name = value" so that mysqld reads the value as it is:
// quoted, since # begins a comment, and with backslashes doubled.
func writeLine(b *strings.Builder, name, value string) {
	mark := `"`
	if strings.Contains(value, `"`) {
		mark = `'`
	}
	b.WriteString(name + " = " + mark + strings.ReplaceAll(value, `\`, `\\`) + mark)
	b.WriteByte('\n')
}
