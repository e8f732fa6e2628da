package mysqlops_test

import (
	"errors"
	"testing"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// TestEveryKeptSettingIsSetRight changes what a running mysqld lets anybody change, one
// variable after the other, on a closed member.
func TestEveryKeptSettingIsSetRight(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1})
	root := member.Root()
	kept := mycnf.Kept(member.Member, false)
	wrong := map[string]string{
		"server_id": "77", "auto_increment_increment": "1", "auto_increment_offset": "9", "gtid_mode": "ON_PERMISSIVE",
		"enforce_gtid_consistency": "", "binlog_row_image": "MINIMAL", "binlog_error_action": "IGNORE_ERROR",
		"binlog_encryption": "", "binlog_expire_logs_auto_purge": "ON", "sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2",
		"relay_log_purge": "OFF", "replica_preserve_commit_order": "OFF", "replica_net_timeout": "60",
		"rpl_semi_sync_replica_enabled": "OFF", "rpl_semi_sync_source_timeout": "10", "rpl_semi_sync_source_wait_no_replica": "OFF",
		"rpl_semi_sync_source_wait_for_replica_count": "2", "rpl_semi_sync_source_wait_point": "AFTER_COMMIT",
		"replication_sender_observe_commit_only": "ON", "replication_optimize_for_static_plugin_config": "ON",
		"default_storage_engine": "MEMORY", "innodb_tmpdir": "'/tmp'", "init_connect": "'SELECT 1'", "init_replica": "'SELECT 1'",
	}
	for _, one := range kept {
		value, known := wrong[one.Variable]
		if !known {
			t.Errorf("%s: no wrong value to try", one.Variable)
		}
		if value == "" {
			continue // mysqld refuses a wrong one: while gtid_mode is ON, or without a keyring
		}
		mustExec(t, root, "SET GLOBAL "+one.Variable+" = "+value)
		found, err := member.Ops.KeepOwned(t.Context(), kept)
		if err != nil || len(found) != 1 || found[0].Variable != one.Variable {
			t.Errorf("%s: found %v, %v", one.Variable, found, err)
		}
	}
	if found, err := member.Ops.KeepOwned(t.Context(), kept); err != nil || len(found) != 0 {
		t.Errorf("with everything right: found %v, %v", found, err)
	}
	impossible := append(kept, mycnf.Expectation{Variable: "datadir", Want: "/nowhere"})
	found, err := member.Ops.KeepOwned(t.Context(), impossible)
	var drift *mysqlops.DriftError
	if !errors.As(err, &drift) || len(found) != 1 || drift.Differences[0].Variable != "datadir" {
		t.Errorf("what cannot be set: found %v, %v", found, err)
	}
}
