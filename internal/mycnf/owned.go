package mycnf

import (
	"slices"
	"strings"
)

// Owned is one setting, or one family of settings, that dbpair owns. The table
// of them is the documentation too.
type Owned struct {
	// Name is the option in MySQL's spelling with underscores. One that ends
	// in "*" stands for all options that begin so.
	Name string
	// Why says what would break.
	Why string
	// Instead says what to do; empty means that nothing needs to be done.
	Instead string
}

const (
	whyAuthority = "who accepts writes follows from the pair's authority alone"
	whyAck       = "an acknowledged write has to be on both members"
	whyGTID      = "replication and failover find their place by GTIDs"
	whyPlace     = "the agent and the peer look for mysqld in this place"
	whySame      = "both members have to hold the same data"
	whyTLS       = "certificates are issued and renewed by the operator"
	whyRelay     = "what was received and acknowledged must survive a restart"
	whyFiles     = "mysqld would write among the agent's own files or outside the volume"
	whyTemp      = "temporary files belong on the data volume: what they take elsewhere is taken from the node"
	whyKeys      = "both members have to read each other's files"
	whySight     = "the agent recognizes its own sessions by it"
)

// OwnedSettings returns a copy of the table.
func OwnedSettings() []Owned { return slices.Clone(ownedTable) }

var ownedTable = []Owned{
	{Name: "read_only", Why: whyAuthority},
	{Name: "super_read_only", Why: whyAuthority},
	{Name: "innodb_read_only", Why: whyAuthority},
	{Name: "offline_mode", Why: whyAuthority},
	{
		Name:    "event_scheduler",
		Why:     "events run where writes are accepted, and only there",
		Instead: "it is switched on with the role",
	},
	{Name: "persisted_globals_load", Why: "a persisted setting would open the server at its next start"},
	{Name: "persist_only_admin_x509_subject", Why: whyAuthority},
	{Name: "skip_replica_start", Why: whyAuthority},
	{Name: "skip_slave_start", Why: whyAuthority},
	{Name: "skip_grant_tables", Why: whyAuthority},
	{
		Name:    "init_file",
		Why:     whyAuthority,
		Instead: "run the statements on the primary",
	},
	{Name: "init_connect", Why: "it runs in every client's session before the client does"},
	{Name: "init_replica", Why: whySame},
	{Name: "init_slave", Why: whySame},

	{
		Name:    "rpl_semi_sync_*",
		Why:     whyAck,
		Instead: "set spec.durability",
	},
	{Name: "sync_binlog", Why: whyAck},
	{Name: "innodb_flush_log_at_trx_commit", Why: whyAck},
	{Name: "innodb_doublewrite", Why: "a torn page after a crash would cost the member"},
	{Name: "innodb_force_recovery", Why: "it hides damage; re-seed the member instead"},
	{Name: "binlog_error_action", Why: whyAck},

	{Name: "gtid_mode", Why: whyGTID},
	{Name: "enforce_gtid_consistency", Why: whyGTID},
	{Name: "binlog_gtid_simple_recovery", Why: whyGTID},
	{Name: "log_bin", Why: whyGTID},
	{Name: "log_bin_index", Why: whyGTID},
	{Name: "log_replica_updates", Why: whyGTID},
	{Name: "log_slave_updates", Why: whyGTID},
	{Name: "server_id", Why: whyGTID},
	{Name: "server_id_bits", Why: whyGTID},
	{Name: "replicate_same_server_id", Why: whyGTID},
	{Name: "binlog_encryption", Why: "an encrypted binlog can not be rewound"},
	{Name: "binlog_format", Why: "repairs, rewinding and checksums rest on rows in the binlog"},
	{Name: "binlog_row_image", Why: "checksums and repairs compare whole rows"},
	{Name: "binlog_do_db", Why: whySame},
	{Name: "binlog_ignore_db", Why: whySame},
	{
		Name:    "binlog_expire_logs_seconds",
		Why:     "the binlog is kept until the peer has it",
		Instead: "set spec.mysql.binlogRetention",
	},
	{
		Name:    "binlog_expire_logs_auto_purge",
		Why:     "the binlog is kept until the peer has it",
		Instead: "set spec.mysql.binlogRetention",
	},

	{Name: "relay_log", Why: whyRelay},
	{Name: "relay_log_index", Why: whyRelay},
	{Name: "relay_log_recovery", Why: whyRelay},
	{Name: "relay_log_purge", Why: whyRelay},
	{Name: "relay_log_space_limit", Why: "a receiver that stops receiving stops the primary"},
	{Name: "replicate_*", Why: whySame},
	{Name: "replica_skip_errors", Why: whySame},
	{Name: "slave_skip_errors", Why: whySame},
	{Name: "replica_exec_mode", Why: whySame},
	{Name: "slave_exec_mode", Why: whySame},
	{Name: "replica_preserve_commit_order", Why: whySame},
	{Name: "slave_preserve_commit_order", Why: whySame},
	{Name: "replica_net_timeout", Why: "a silent source has to be noticed in seconds"},
	{Name: "slave_net_timeout", Why: "a silent source has to be noticed in seconds"},
	{Name: "rpl_stop_replica_timeout", Why: "the fence has deadlines of its own"},
	{Name: "rpl_stop_slave_timeout", Why: "the fence has deadlines of its own"},
	{Name: "auto_increment_increment", Why: "the members count in turns, so that a tail never takes a peer's key"},
	{Name: "auto_increment_offset", Why: "the members count in turns, so that a tail never takes a peer's key"},
	{Name: "disabled_storage_engines", Why: "rows of other engines are not rolled back, replicated or rewound"},
	{Name: "default_storage_engine", Why: "only InnoDB can be rolled back and rewound"},
	{Name: "replication_optimize_for_static_plugin_config", Why: "semi-sync is switched while commits run"},
	{Name: "replication_sender_observe_commit_only", Why: whyAck},

	{Name: "port", Why: whyPlace},
	{Name: "socket", Why: whyPlace},
	{Name: "bind_address", Why: whyPlace},
	{Name: "skip_networking", Why: whyPlace},
	{Name: "admin_*", Why: whyPlace},
	{Name: "create_admin_listener_thread", Why: whyPlace},
	{Name: "datadir", Why: whyPlace},
	{Name: "basedir", Why: whyPlace},
	{Name: "pid_file", Why: whyPlace},
	{Name: "log_error", Why: "the log goes to the container's output"},
	{Name: "report_*", Why: whyPlace},
	{Name: "user", Why: "mysqld runs as the user of its container"},
	{Name: "chroot", Why: whyPlace},
	{Name: "daemonize", Why: "mysqld is the agent's child"},
	{
		Name:    "mandatory_roles",
		Why:     "every login would get the role, those of the pair's own accounts too",
		Instead: "GRANT the role to the accounts that need it",
	},
	{
		Name:    "default_password_lifetime",
		Why:     "it is for all accounts, and a service that logs in with an expired password cannot work",
		Instead: "ALTER USER ... PASSWORD EXPIRE INTERVAL for the accounts of people",
	},
	{Name: "core_file", Why: "a core on the volume holds passwords and rows"},
	{Name: "log_raw", Why: "passwords in statements would be logged"},
	{
		Name:    "general_log_file",
		Why:     whyFiles,
		Instead: "the log is in the data directory under its default name",
	},
	{
		Name:    "slow_query_log_file",
		Why:     whyFiles,
		Instead: "the log is in the data directory under its default name",
	},
	{Name: "tmpdir", Why: whyTemp},
	{Name: "innodb_tmpdir", Why: whyTemp},
	{Name: "replica_load_tmpdir", Why: whyTemp},
	{Name: "slave_load_tmpdir", Why: whyTemp},
	{Name: "innodb_data_home_dir", Why: whyFiles},
	{Name: "innodb_directories", Why: whyFiles},
	{Name: "innodb_doublewrite_dir", Why: whyFiles},
	{Name: "innodb_log_group_home_dir", Why: whyFiles},
	{Name: "innodb_temp_tablespaces_dir", Why: whyFiles},
	{Name: "innodb_undo_directory", Why: whyFiles},
	{Name: "keyring_*", Why: whyKeys},
	{Name: "upgrade", Why: "upgrades follow the order of the members"},
	{Name: "initialize*", Why: "the agent alone initializes a volume, and only an empty one"},
	{Name: "validate_config", Why: "mysqld would end instead of starting"},
	{Name: "skip_name_resolve", Why: "a slow resolver would block every login"},
	{Name: "proxy_protocol_networks", Why: whyPlace},
	{Name: "mysqlx*", Why: "a second port would stay open where the first is closed"},
	{
		Name:    "plugin_load*",
		Why:     "replication needs its plugins",
		Instead: "name the library in spec.mysql.plugins",
	},
	{Name: "plugin_dir", Why: "replication needs its plugins"},
	{Name: "early_plugin_load", Why: "replication needs its plugins"},
	{Name: "rpl_semi_sync_source", Why: whyAck},
	{Name: "rpl_semi_sync_replica", Why: whyAck},
	{Name: "clone", Why: "a member is seeded by it"},
	{Name: "clone_ssl_*", Why: whyTLS},
	{Name: "clone_valid_donor_list", Why: "the agent says whom to copy"},

	{Name: "ssl_ca", Why: whyTLS},
	{Name: "ssl_capath", Why: whyTLS},
	{Name: "ssl_cert", Why: whyTLS},
	{Name: "ssl_key", Why: whyTLS},
	{Name: "ssl_crl", Why: whyTLS},
	{Name: "ssl_crlpath", Why: whyTLS},
	{Name: "ssl", Why: whyTLS},
	{Name: "auto_generate_certs", Why: whyTLS},

	{Name: "performance_schema", Why: whySight},
	{Name: "performance_schema_session_connect_attrs_size", Why: whySight},
	{Name: "performance_schema_consumer_events_stages_current", Why: "the age of a waiting commit is measured by it"},
	{Name: "performance_schema_consumer_global_instrumentation", Why: whySight},
	{Name: "performance_schema_consumer_thread_instrumentation", Why: whySight},
	{Name: "performance_schema_max_thread_instances", Why: whySight},
}

// OwnedPattern is a regular expression that matches the names of owned options, in lower
// case and with underscores, behind any of the prefixes that mysqld strips. The API server
// refuses by it what the agent would refuse at its next start (hack/settings-rule).
func OwnedPattern() string {
	names := make([]string, len(ownedTable))
	for i, row := range ownedTable {
		names[i] = row.Name
		if family, is := strings.CutSuffix(row.Name, "*"); is {
			names[i] = family + ".*"
		}
	}
	slices.Sort(names)
	return prefixPattern() + "(" + strings.Join(slices.Compact(names), "|") + ")$"
}

// prefixPattern matches the beginning of a name with any of the prefixes that mysqld strips.
func prefixPattern() string {
	stripped := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		stripped[i] = strings.TrimSuffix(prefix, "_")
	}
	return "^((" + strings.Join(stripped, "|") + ")_)*"
}

// owner returns the row of the table that name falls under.
func owner(name string) (Owned, bool) {
	for _, row := range ownedTable {
		family, isFamily := strings.CutSuffix(row.Name, "*")
		if name == row.Name || (isFamily && strings.HasPrefix(name, family)) {
			return row, true
		}
	}
	return Owned{}, false
}

// couldBecomeOwned reports whether mysqld could complete name, which it does
// with any unique beginning of an option, to an owned one.
func couldBecomeOwned(name string) (Owned, bool) {
	for _, row := range ownedTable {
		if strings.HasPrefix(strings.TrimSuffix(row.Name, "*"), name) {
			return row, true
		}
	}
	return Owned{}, false
}
