//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestAPairIsRestoredToAMoment drops a table of a pair that changed its roles after the backup, loses
// the pair, and restores what was there before, by the archive.
func TestAPairIsRestoredToAMoment(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "moment")
	s.claimForBackups()
	old := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true, flushInterval: 1s}}")
	s.archives(old)
	s.sql(old, s.primary(old), "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2)")
	s.insists("backup", "shop", "--wait")
	s.sql(old, s.primary(old), "INSERT INTO app.orders VALUES (3)")
	s.insists("switchover", "shop", "--wait")
	const dropped = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1"
	s.sql(old, s.primary(old), "INSERT INTO app.orders VALUES (4);"+
		"SET GTID_NEXT = '"+dropped+"'; DROP TABLE app.orders; SET GTID_NEXT = 'AUTOMATIC'; CREATE TABLE app.later (id INT PRIMARY KEY)")
	s.awaitArchived(old)
	saved, err := cluster.Shell(s.ctx, "kubectl get databasepair shop -n "+s.namespace+" -o yaml")
	s.must(err)
	manifest := filepath.Join(t.TempDir(), "shop.yaml")
	s.must(os.WriteFile(manifest, []byte(saved), 0o600))
	s.lose(old)

	s.restores(manifest, "shop2", "--before-gtid", dropped)
	p := cluster.Pair(s.namespace, "shop2")
	s.must(p.Await(s.ctx, 2*harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBootstrapped,
		Status:  metav1.ConditionTrue,
		Reason:  status.ReasonDataCopied,
		Message: "up to the moment before " + dropped,
	}))
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionAvailable)...))
	primary := s.primary(p)
	if rows := s.sql(p, primary, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.orders"); rows != "1,2,3,4" {
		s.Errorf("rows %q", rows)
	}
	const later = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app' AND table_name = 'later'"
	if n := s.sql(p, primary, later); n != "0" {
		s.Errorf("what came after the target is there")
	}
	s.sql(p, primary, "INSERT INTO app.orders VALUES (5)")

	s.restores(manifest, "shop3", "--time", "2999-01-01T00:00:00Z")
	s.must(cluster.Pair(s.namespace, "shop3").Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBootstrapped,
		Status:  metav1.ConditionFalse,
		Reason:  string(jobapi.TargetUnreachable),
		Message: "in the future; what can be restored is ",
	}))
}

// TestAVaultThatDiesInAReplay deletes the pod of the vault, at once, in the middle of what a new pair
// replays of an archive. The pair has every row up to the target in the end, and none beyond it.
func TestAVaultThatDiesInAReplay(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	const (
		first = 100
		all   = 8000
	)
	s := newScene(t, "vault-dies")
	s.claimForBackups()
	old := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true, flushInterval: 1s}}")
	s.archives(old)
	s.sql(old, s.primary(old), `CREATE TABLE app.counted (id INT PRIMARY KEY AUTO_INCREMENT, v VARBINARY(4096));
DELIMITER //
CREATE PROCEDURE app.fill(n INT) BEGIN DECLARE i INT DEFAULT 0;
	WHILE i < n DO INSERT INTO app.counted (v) VALUES (RANDOM_BYTES(1000)); SET i = i + 1; END WHILE; END//
DELIMITER ;
`)
	s.sql(old, s.primary(old), fmt.Sprintf("CALL app.fill(%d)", first))
	s.insists("backup", "shop", "--wait")
	s.sql(old, s.primary(old), fmt.Sprintf("CALL app.fill(%d)", all-first))
	target := s.sql(old, s.primary(old), "SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')")
	s.sql(old, s.primary(old), "CALL app.fill(50)")
	s.awaitArchived(old)
	if out, err := cluster.Plugin(s.ctx, s.namespace, "restore", "shop", "--as", "shop2", "--gtid", target); err != nil {
		s.Fatalf("restore: %v\n%s", err, out)
	}
	p := cluster.Pair(s.namespace, "shop2")
	const count = "SELECT COUNT(*) FROM app.counted"
	rows := 0
	s.must(harness.Eventually(s.ctx, 2*harness.Patience, "a part is replayed", func(ctx context.Context) error {
		text, err := p.SQL(ctx, "shop2-0", count)
		if err == nil {
			rows, err = strconv.Atoi(text)
		}
		if err != nil || rows <= first {
			return harness.NotYet("%s rows, %v", text, err)
		}
		return nil
	}))
	vaults := &corev1.Pod{}
	s.must(cluster.DeleteAllOf(s.ctx, vaults, client.InNamespace(s.namespace), client.MatchingLabels(resources.VaultSelector("shop2")),
		client.GracePeriodSeconds(0)))
	if rows >= all {
		s.Fatalf("%d rows were replayed before the pod was deleted: the test has to write more", rows)
	}
	s.Logf("the vault died when %d of %d rows were replayed", rows, all)
	s.must(p.Await(s.ctx, 3*harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonDataCopied,
	}))
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionAvailable)...))
	if got := s.sql(p, s.primary(p), count); got != strconv.Itoa(all) {
		s.Errorf("%s rows at the target, want %d", got, all)
	}
	if got := s.sql(p, s.primary(p), "SELECT GTID_SUBSET('"+target+"', @@GLOBAL.gtid_executed)"); got != "1" {
		s.Errorf("the pair has not executed the target")
	}
}

// insists repeats a verb of the plugin until it succeeds: on a busy machine a failover can come between.
func (s *scene) insists(args ...string) {
	s.Helper()
	s.must(harness.Eventually(s.ctx, 2*harness.Patience, args[0], func(ctx context.Context) error {
		if out, err := cluster.Plugin(ctx, s.namespace, args...); err != nil {
			return harness.NotYet("%v\n%s", err, out)
		}
		return nil
	}))
}

// restores makes a pair of what a pair was that is gone.
func (s *scene) restores(manifest, name string, target ...string) {
	s.Helper()
	args := append([]string{"restore", "shop", "--as", name, "-f", manifest}, target...)
	if out, err := cluster.Plugin(s.ctx, s.namespace, args...); err != nil {
		s.Fatalf("restore: %v\n%s", err, out)
	}
}
