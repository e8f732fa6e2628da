//go:build e2e

package e2e

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestARestoreDrillProvesABackup restores a backup and the archive after it in a pod beside the pair.
func TestARestoreDrillProvesABackup(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "drill")
	s.claimForBackups()
	p := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true, flushInterval: 1s}}")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionRestorable,
		Status: metav1.ConditionUnknown,
		Reason: status.ReasonNeverDrilled,
	}))
	primary := s.primary(p)
	s.sql(p, primary, "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2), (3)")
	if out, err := cluster.Plugin(s.ctx, s.namespace, "backup", "shop", "--wait"); err != nil {
		s.Fatalf("backup: %v\n%s", err, out)
	}
	s.sql(p, primary, "INSERT INTO app.orders VALUES (4)")
	out, err := cluster.Plugin(s.ctx, s.namespace, "drill", "shop", "--wait")
	if err != nil || !strings.Contains(out, "was restored in") || !strings.Contains(out, "GTIDs after the replay: ") {
		s.Fatalf("drill: %v\n%s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionRestorable,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonProven,
	}))
	object, err := p.Object(s.ctx)
	s.must(err)
	found := object.Status.Backup.RestoreDrill.Last
	if found.Backup != s.lastBackup(p).ID || found.Tables < 20 || found.RestoreTime.Duration <= 0 || found.Until == nil {
		s.Errorf("found %+v", found)
	}
}
