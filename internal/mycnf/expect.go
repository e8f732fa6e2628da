package mycnf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Expectation is one variable and the value a running mysqld must show.
type Expectation struct {
	Variable string
	Want     string
}

// State is what a member should be when its settings are read back.
type State struct {
	// Open: accepts writes. Readable: offline mode is off though closed for
	// writes. Neither: closed.
	Open, Readable bool
	// Waiting: commits wait for an acknowledgement. Only where Open.
	Waiting bool
	// Relaxed: the applier leaves flushing to the kernel. Never where Open.
	Relaxed bool
}

// Expect returns what the mysqld of m must show in that state, sorted by name.
func Expect(m Member, state State) []Expectation {
	m = m.withDefaults()
	closed := !state.Open
	list := append(m.fixed(), m.paths()...)
	list = append(list, m.temporary()...)
	list = append(list,
		Expectation{"read_only", onOff(closed)},
		Expectation{"super_read_only", onOff(closed)},
		Expectation{"offline_mode", onOff(closed && !state.Readable)},
		Expectation{"event_scheduler", onOff(state.Open)},
		Expectation{"rpl_semi_sync_source_enabled", onOff(state.Waiting)},
		Expectation{"persisted_globals_load", "OFF"},
		Expectation{"skip_replica_start", "ON"},
		Expectation{"skip_networking", "OFF"},
		Expectation{"innodb_read_only", "OFF"},
		Expectation{"innodb_force_recovery", "0"},
		Expectation{"log_error", "stderr"},
	)
	if state.Relaxed {
		for i, one := range list {
			switch one.Variable {
			case "sync_binlog":
				list[i].Want = "0"
			case "innodb_flush_log_at_trx_commit":
				list[i].Want = "2"
			}
		}
	}
	slices.SortFunc(list, func(a, b Expectation) int { return cmp.Compare(a.Variable, b.Variable) })
	return list
}

// Kept returns the owned settings that someone could change in a running mysqld and that
// are set right again there. Those that follow the role or the ledger are not among them:
// read_only and its family, event_scheduler, the source side's switch. Of an open member the
// rest of the source side is not among them either, since a change of it is found and
// reported as commits that did not wait, before it is corrected.
func Kept(m Member, open bool) []Expectation {
	var list []Expectation
	m = m.withDefaults()
	for _, one := range append(m.fixed(), m.temporary()...) {
		source := strings.HasPrefix(one.Variable, "rpl_semi_sync_source_")
		if !slices.Contains(notKept, one.Variable) && !(open && source) {
			list = append(list, one)
		}
	}
	return list
}

// notKept are those of the fixed settings that no statement changes in a running mysqld, and
// replica_exec_mode, which a repair changes under a lease.
var notKept = []string{
	"log_replica_updates", "innodb_doublewrite", "relay_log_recovery", "relay_log_space_limit", "replica_skip_errors",
	"disabled_storage_engines", "skip_name_resolve", "create_admin_listener_thread", "performance_schema",
	"performance_schema_session_connect_attrs_size", "tmpdir", "replica_load_tmpdir", "replica_exec_mode",
}

// fixed are the owned settings whose value is the same in every state; they
// stand in the option file and are read back.
func (m Member) fixed() []Expectation {
	return []Expectation{
		{"server_id", strconv.Itoa(1 + m.Ordinal)},
		{"auto_increment_increment", "2"},
		{"auto_increment_offset", strconv.Itoa(1 + m.Ordinal)},
		{"gtid_mode", "ON"},
		{"enforce_gtid_consistency", "ON"},
		{"log_replica_updates", "ON"},
		{"binlog_row_image", "FULL"},
		{"binlog_error_action", "ABORT_SERVER"},
		{"binlog_encryption", "OFF"},
		{"binlog_expire_logs_auto_purge", "OFF"},
		{"sync_binlog", "1"},
		{"innodb_flush_log_at_trx_commit", "1"},
		{"innodb_doublewrite", "ON"},
		{"relay_log_recovery", "OFF"},
		{"relay_log_purge", "ON"},
		{"relay_log_space_limit", "0"},
		{"replica_preserve_commit_order", "ON"},
		{"replica_exec_mode", "STRICT"},
		{"replica_skip_errors", "OFF"},
		{"replica_net_timeout", "4"},
		{"rpl_semi_sync_replica_enabled", "ON"},
		{"rpl_semi_sync_source_timeout", "4294967295"},
		{"rpl_semi_sync_source_wait_no_replica", "ON"},
		{"rpl_semi_sync_source_wait_for_replica_count", "1"},
		{"rpl_semi_sync_source_wait_point", "AFTER_SYNC"},
		{"replication_sender_observe_commit_only", "OFF"},
		{"replication_optimize_for_static_plugin_config", "OFF"},
		{"disabled_storage_engines", DisabledEngines},
		{"default_storage_engine", "InnoDB"},
		{"skip_name_resolve", "ON"},
		{"create_admin_listener_thread", "ON"},
		{"performance_schema", "ON"},
		{"performance_schema_session_connect_attrs_size", "512"},
		{"init_connect", ""},
		{"init_replica", ""},
	}
}

// temporary are the owned settings that say where mysqld writes temporary files.
func (m Member) temporary() []Expectation {
	if m.TempDir == "" {
		return nil
	}
	return []Expectation{
		{"tmpdir", m.TempDir},
		{"innodb_tmpdir", m.TempDir},
		{"replica_load_tmpdir", m.TempDir},
	}
}

// paths are owned settings that the option file spells in another way than
// mysqld shows them.
func (m Member) paths() []Expectation {
	logs := strings.TrimSuffix(cmp.Or(m.BinlogDir, m.DataDir), "/")
	list := []Expectation{
		{"log_bin", "ON"},
		{"log_bin_basename", logs + "/binlog"},
		{"relay_log_basename", logs + "/relay"},
		{"datadir", m.DataDir},
		{"socket", m.Socket},
		{"port", strconv.Itoa(m.Port)},
		{"admin_address", m.PodIP},
		{"admin_port", strconv.Itoa(m.AdminPort)},
	}
	if m.TLSDir != "" {
		dir := strings.TrimSuffix(m.TLSDir, "/")
		list = append(list, Expectation{"ssl_ca", dir + "/ca.crt"}, Expectation{"ssl_cert", dir + "/tls.crt"},
			Expectation{"ssl_key", dir + "/tls.key"})
	}
	return list
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}
