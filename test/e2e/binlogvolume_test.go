//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestBinaryLogsHaveAVolumeOfTheirOwn: a pair with spec.storage.binlog begins, fails over when the
// primary is killed, has the former one back, and has the passive copied again when that has lost the volume with its
// binary logs, and only that.
func TestBinaryLogsHaveAVolumeOfTheirOwn(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "binlog-volume")
	p := s.readyPair("shop", "storage: {size: 1Gi, binlog: {size: 1Gi}}")
	run, err := p.NewRun(s.ctx)
	s.must(err)
	defer run.Close()
	s.must(run.Load(s.ctx, writers, writePause))
	s.must(run.Clients.AwaitAcks(s.ctx, harness.Patience, 20))
	former := s.primary(p)
	files, err := cluster.Exec(s.ctx, s.namespace, former, "mysqld", "sh", "-c", "ls /binlog/mysql /data/mysql")
	s.must(err)
	if _, data, _ := strings.Cut(files, "/data/mysql:"); strings.Contains(data, "binlog.") || !strings.Contains(files, "binlog.index") {
		t.Errorf("the volumes hold\n%s", files)
	}

	s.must(p.Signal(s.ctx, former, unix.SIGKILL, harness.RoleMysqld))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the other member is the primary", func(ctx context.Context) error {
		if now, err := p.Primary(ctx); err != nil || now == former {
			return harness.NotYet("the primary is %q: %v", now, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))

	lost := s.claimUID(pair.BinlogClaim(pair.MemberName(former)))
	kept := s.claimUID(pair.DataClaim(pair.MemberName(former)))
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.namespace,
		Name:      pair.BinlogClaim(pair.MemberName(former)),
	}}
	s.must(cluster.Delete(s.ctx, claim))
	s.awaitComplaint(p, claim.Name, "is being deleted", "kubectl delete pod "+former)
	s.must(cluster.Delete(s.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: former}}))
	s.must(harness.Eventually(s.ctx, harness.Patience, "a new claim", func(ctx context.Context) error {
		var now corev1.PersistentVolumeClaim
		err := cluster.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: claim.Name}, &now)
		if err != nil || now.UID == lost {
			return harness.NotYet("%s is %s: %v", claim.Name, now.UID, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
	if now := s.claimUID(pair.DataClaim(pair.MemberName(former))); now != kept {
		t.Error("the volume of the data was replaced, too")
	}
	s.must(run.Clients.AwaitAcks(s.ctx, harness.Patience, 20))
	result, err := run.Verify(s.ctx)
	s.must(err)
	t.Logf("%d writes acknowledged, longest gap %s", result.Acknowledged, result.Gap.Length())
}

func (s *scene) claimUID(name string) types.UID {
	s.Helper()
	var claim corev1.PersistentVolumeClaim
	s.must(cluster.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, &claim))
	return claim.UID
}
