//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestBinaryLogsAreArchivedOverChangesOfRoles archives to a volume, over a switchover, the loss of a
// primary and a time in which the primary is alone, and reads the archive back.
func TestBinaryLogsAreArchivedOverChangesOfRoles(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "archive")
	s.claimForBackups()
	p := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true, flushInterval: 1s}}")
	s.archives(p)
	s.sql(p, s.primary(p), "CREATE TABLE app.orders (id INT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO app.orders (v) VALUES (1), (2)")
	s.awaitArchived(p)

	former := s.primary(p)
	if out, err := cluster.Plugin(s.ctx, s.namespace, "switchover", "shop", "--wait"); err != nil {
		s.Fatalf("switchover: %v\n%s", err, out)
	}
	if now := s.primary(p); now == former {
		s.Fatalf("%s is still the primary", now)
	}
	s.sql(p, s.primary(p), "INSERT INTO app.orders (v) VALUES (3)")
	s.awaitArchived(p)

	lost := s.primary(p)
	s.must(cluster.Delete(s.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: lost}}))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the other member is the primary", func(ctx context.Context) error {
		if now, err := p.Primary(ctx); err != nil || now == lost {
			return harness.NotYet("the primary is %q (%v)", now, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
	s.sql(p, s.primary(p), "INSERT INTO app.orders (v) VALUES (4)")
	s.awaitArchived(p)
	s.archivesAlone(p)
	s.archives(p)

	store := "file://" + jobapi.StoreDir + "/" + s.namespace + ".shop/" + s.uidOf(p)
	out, err := cluster.Exec(s.ctx, s.namespace, s.archiver(p).Name, resources.ContainerArchive, "/backup", "archive", "verify", "--store", store)
	if err != nil || strings.Contains(out, "gap") {
		s.Fatalf("verify: %v\n%s", err, out)
	}

	s.endArchive(p)
}

// TestAGapOfTheArchiveIsFollowedByABackup removes binary logs while nothing archives. The archive then
// says which transactions it lacks, and a backup that begins by itself ends the gap.
func TestAGapOfTheArchiveIsFollowedByABackup(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "gap")
	s.claimForBackups()
	p := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true, flushInterval: 1s}}")
	s.archives(p)
	s.sql(p, s.primary(p), "CREATE TABLE app.orders (id INT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO app.orders (v) VALUES (1)")
	s.awaitArchived(p)
	s.endArchive(p)

	s.sql(p, s.primary(p), "INSERT INTO app.orders (v) VALUES (2)")
	s.must(p.AwaitRow(s.ctx, p.Peer(s.primary(p)), "SELECT 1 FROM app.orders WHERE v = 2"))
	lost := s.executed(p)
	for _, member := range p.Members() {
		s.sql(p, member, "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW(6) + INTERVAL 1 SECOND")
	}
	s.must(p.PatchSpec(s.ctx, "backup: {binlog: {enabled: true}}"))

	s.must(p.Await(s.ctx, 2*harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionFalse,
		Reason: status.ReasonArchiveGap,
	}))
	s.awaitEvent(p, "BackupAfterGap")
	s.awaitPhase(p, s.newest(p, v1alpha1.OperationBackup), v1alpha1.OperationSucceeded)
	s.archives(p)
	s.sql(p, s.primary(p), "INSERT INTO app.orders (v) VALUES (3)")
	s.must(harness.Eventually(s.ctx, harness.Patience, "what follows is archived", func(ctx context.Context) error {
		object, err := p.Object(ctx)
		if err != nil {
			return err
		}
		archived, err := gtid.Parse(object.Status.Archive.GTIDs)
		if err != nil {
			return fmt.Errorf("status.archive.gtids: %w", err)
		}
		if lacking := s.executed(p).Subtract(archived).Subtract(lost); !lacking.IsEmpty() {
			return harness.NotYet("it lacks %s", lacking)
		}
		return nil
	}))
}

// endArchive switches the archive off and waits until its pod is gone.
func (s *scene) endArchive(p *harness.Pair) {
	s.Helper()
	s.must(p.PatchSpec(s.ctx, "backup: {binlog: {enabled: false}}"))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the archiver is removed", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := cluster.List(ctx, &pods, client.InNamespace(s.namespace), client.MatchingLabels(resources.ArchiveSelector("shop"))); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return harness.NotYet("%s is there", pods.Items[0].Name)
		}
		return nil
	}))
}

// executed is what the primary has executed by now.
func (s *scene) executed(p *harness.Pair) gtid.Set {
	s.Helper()
	executed, err := gtid.Parse(s.sql(p, s.primary(p), "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')"))
	s.must(err)
	return executed
}

// archivesAlone has the members cut off from each other, so that the primary goes on alone. What it
// writes then is archived although the passive, which can be read, does not receive it.
func (s *scene) archivesAlone(p *harness.Pair) {
	s.Helper()
	primary := s.primary(p)
	one, err := p.Pod(s.ctx, primary)
	s.must(err)
	other, err := p.Pod(s.ctx, p.Peer(primary))
	s.must(err)
	cut, err := harness.CutTraffic(s.ctx, []string{one.Status.PodIP}, []string{other.Status.PodIP}, true)
	s.must(err)
	s.onEnd(func() { _ = cut.Heal(context.WithoutCancel(s.ctx)) })
	s.sql(p, primary, "INSERT INTO app.orders (v) VALUES (5)") // it waits until the primary is alone
	s.awaitArchived(p)
	if rows := s.sql(p, p.Peer(primary), "SELECT COUNT(*) FROM app.orders WHERE v = 5"); rows != "0" {
		s.Fatalf("the passive has what was written while it was cut off")
	}
	s.must(cut.Heal(s.ctx))
	s.must(p.AwaitReady(s.ctx))
	s.sql(p, s.primary(p), "INSERT INTO app.orders (v) VALUES (6)")
	s.awaitArchived(p)
}

// archives waits for the condition.
func (s *scene) archives(p *harness.Pair) {
	s.Helper()
	s.must(p.Await(s.ctx, 2*harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonArchiveCurrent,
	}))
}

// awaitArchived waits until everything that the primary has executed by now is in the archive, as
// the pair's status says.
func (s *scene) awaitArchived(p *harness.Pair) {
	s.Helper()
	executed := s.executed(p)
	begin := time.Now()
	s.must(harness.Eventually(s.ctx, 2*harness.Patience, "everything is archived", func(ctx context.Context) error {
		object, err := p.Object(ctx)
		if err != nil {
			return err
		}
		archive := object.Status.Archive
		if archive == nil {
			return harness.NotYet("there is no status")
		}
		archived, err := gtid.Parse(archive.GTIDs)
		if err != nil {
			return fmt.Errorf("status.archive.gtids: %w", err)
		}
		if lacking := executed.Subtract(archived); !lacking.IsEmpty() || archive.Gap != nil {
			return harness.NotYet("it lacks %s, gap %v", lacking, archive.Gap)
		}
		return nil
	}))
	s.Logf("archived, and in the status, after %s", time.Since(begin))
}

// archiver is the pod that archives.
func (s *scene) archiver(p *harness.Pair) *corev1.Pod {
	s.Helper()
	var pods corev1.PodList
	s.must(cluster.List(s.ctx, &pods, client.InNamespace(s.namespace), client.MatchingLabels(resources.ArchiveSelector(p.Name))))
	if len(pods.Items) != 1 {
		s.Fatalf("%d archivers", len(pods.Items))
	}
	return &pods.Items[0]
}

func (s *scene) uidOf(p *harness.Pair) string {
	s.Helper()
	object, err := p.Object(s.ctx)
	s.must(err)
	return string(object.UID)
}
