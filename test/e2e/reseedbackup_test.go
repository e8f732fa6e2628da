//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestAPassiveIsCopiedFromABackup copies a passive from a backup after which every password was changed,
// and has it take over. When the primary has purged what followed the backup, the next such copy ends
// before anything is given up.
func TestAPassiveIsCopiedFromABackup(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "reseed-backup")
	s.claimForBackups()
	p := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}}")
	primary := s.primary(p)
	passive := p.Peer(primary)
	s.sql(p, primary, "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2)")
	s.insists("backup", "shop", "--wait")
	s.sql(p, primary, "INSERT INTO app.orders VALUES (3)")
	s.rotatesPasswords(p, passive)
	s.sql(p, primary, "INSERT INTO app.orders VALUES (4)")

	out, err := s.reseedsFromBackup(p, passive)
	if err != nil || !strings.Contains(out, "was copied from a backup, has caught up with "+primary) {
		s.Fatalf("reseed: %v\n%s", err, out)
	}
	s.insists("switchover", "shop", "--to", passive, "--wait")
	s.sql(p, passive, "INSERT INTO app.orders VALUES (5)")
	if rows := s.sql(p, passive, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.orders"); rows != "1,2,3,4,5" {
		s.Errorf("rows %q of the copy", rows)
	}

	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionFailoverReady)...))
	s.purges(p, passive)
	out, err = s.reseedsFromBackup(p, primary)
	if err == nil || !strings.Contains(err.Error(), string(jobapi.BackupTooOld)) {
		s.Errorf("from a backup that leads nowhere: %v\n%s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionFailoverReady)...))
	if rows := s.sql(p, primary, "SELECT COUNT(*) FROM app.orders"); rows != "5" {
		s.Errorf("the member that was to be copied has %s rows", rows)
	}
}

// reseedsFromBackup copies the passive from the newest backup, and returns what the plugin says.
func (s *scene) reseedsFromBackup(p *harness.Pair, passive string) (string, error) {
	s.Helper()
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionFailoverReady)...))
	return cluster.Plugin(s.ctx, s.namespace, "reseed", p.Name, passive, "--from", "backup", "--wait")
}

// rotatesPasswords changes the pair's passwords, and waits until the passive has the new ones.
func (s *scene) rotatesPasswords(p *harness.Pair, passive string) {
	s.Helper()
	const query = "SELECT GROUP_CONCAT(HEX(authentication_string), COALESCE(User_attributes, '')) FROM mysql.user WHERE User IN ('root', 'dbpair_clone')"
	before := s.sql(p, passive, query)
	s.insists("rotate", p.Name, "--passwords")
	s.must(harness.Eventually(s.ctx, 2*harness.Patience, "the passwords are changed", func(ctx context.Context) error {
		now, err := p.SQL(ctx, passive, query)
		if err != nil || now == before || strings.Contains(now, "additional_password") {
			return harness.NotYet("%v", err)
		}
		return nil
	}))
}

// purges removes every binary log of the primary but the last.
func (s *scene) purges(p *harness.Pair, primary string) {
	s.Helper()
	executed := s.sql(p, primary, "SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')")
	s.sql(p, primary, "FLUSH BINARY LOGS")
	s.must(harness.Eventually(s.ctx, harness.Patience, "the binary logs are purged", func(ctx context.Context) error {
		subset := "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 HOUR; SELECT GTID_SUBSET('" + executed + "', @@GLOBAL.gtid_purged)"
		if out, err := p.SQL(ctx, primary, subset); err != nil || out != "1" {
			return harness.NotYet("%q, %v", out, err)
		}
		return nil
	}))
}
