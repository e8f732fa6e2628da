package agent_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestOwnedSettingsAreSetRightOnBothMembers: a DBA relaxes flushing, on the passive to let it
// catch up, on the primary to make it faster, and a setting with which the passive could not
// be opened. The passive is promoted right after that.
func TestOwnedSettingsAreSetRightOnBothMembers(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	const read = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog"
	for _, m := range w.members {
		root := m.db("root")
		for _, statement := range []string{"SET GLOBAL innodb_flush_log_at_trx_commit = 2", "SET GLOBAL sync_binlog = 0"} {
			if err := m.exec(root, statement); err != nil {
				t.Fatal(err)
			}
		}
		m.awaitProblem(agentapi.ProblemSettingDrift, patience, "sync_binlog")
		w.await("flushing is as it must be on "+string(m.name), patience, func() bool {
			var flush, sync int
			return root.QueryRow(read).Scan(&flush, &sync) == nil && flush == 1 && sync == 1
		})
	}
	if err := b.exec(b.db("root"), "SET GLOBAL rpl_semi_sync_source_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	w.failover(a, b)
	b.awaitState("an open member has no wrong settings", patience, func(s agentapi.State) bool { return len(s.WrongSettings) == 0 })
}
