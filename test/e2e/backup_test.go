//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// backedUpWithin is generous: a Job gives way to everybody else on the machine.
const backedUpWithin = 4 * time.Minute

// TestBackupsGoToAVolume has the passive backed up, on demand and by the schedule.
func TestBackupsGoToAVolume(t *testing.T) {
	t.Parallel()
	s := newScene(t, "backup")
	s.claimForBackups()
	p := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}}")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBackedUp,
		Status: metav1.ConditionUnknown,
		Reason: status.ReasonNeverBackedUp,
	}))
	primary := s.primary(p)
	s.sql(p, primary, "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2), (3)")

	out, err := cluster.Plugin(s.ctx, s.namespace, "backup", "shop", "--wait")
	if err != nil || !strings.Contains(out, "every object was read back") || !strings.Contains(out, "from "+p.Peer(primary)) {
		s.Fatalf("backup: %v\n%s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBackedUp,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonBackupCurrent,
	}))
	first := s.lastBackup(p)
	if first.ID == "" || first.Size == 0 || first.StoredTotal != 1 || len(first.Digest) != 64 {
		s.Errorf("the first backup: %+v", first)
	}
	if out, err := cluster.Plugin(s.ctx, s.namespace, "backups", "shop"); err != nil || !strings.Contains(out, first.ID) {
		s.Errorf("backups: %v\n%s", err, out)
	}

	made := s.storedBackup("shop", first.ID)
	if made.Status.From != p.Peer(primary) || made.Status.Verified != v1alpha1.BackupReadBack || made.Status.Location != first.Location {
		s.Errorf("its object: %+v", made.Status)
	}

	s.must(p.PatchSpec(s.ctx, "backup: {schedule: '* * * * *', timeZone: Europe/Berlin}"))
	s.must(harness.Eventually(s.ctx, backedUpWithin, "the schedule's backup", func(context.Context) error {
		if last := s.lastBackup(p); last.StoredTotal < 2 {
			return harness.NotYet("there is %q only", last.ID)
		}
		return nil
	}))
	s.must(p.PatchSpec(s.ctx, "backup: {suspend: true}"))
	s.deleteBackup(made)
}

// deleteBackup deletes the object of a backup with the policy Delete, and with it the backup.
func (s *scene) deleteBackup(b v1alpha1.DatabasePairBackup) {
	s.Helper()
	key := client.ObjectKeyFromObject(&b)
	s.must(cluster.Patch(s.ctx, &b, client.RawPatch(types.MergePatchType, []byte(`{"spec": {"deletionPolicy": "Delete"}}`))))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the finalizer of "+b.Name, func(ctx context.Context) error {
		if err := cluster.Get(ctx, key, &b); err != nil || len(b.Finalizers) == 0 {
			return harness.NotYet("%v, finalizers %v", err, b.Finalizers)
		}
		return nil
	}))
	s.must(cluster.Delete(s.ctx, &b))
	s.must(harness.Eventually(s.ctx, backedUpWithin, "the end of "+b.Name, func(ctx context.Context) error {
		if err := cluster.Get(ctx, key, &b); !apierrors.IsNotFound(err) {
			return harness.NotYet("it is still there: %v, %+v", err, b.Status)
		}
		return nil
	}))
	var all v1alpha1.DatabasePairOperationList
	s.must(cluster.List(s.ctx, &all, client.InNamespace(s.namespace)))
	removed := slices.ContainsFunc(all.Items, func(op v1alpha1.DatabasePairOperation) bool {
		result := op.Status.Result
		return result != nil && result.Expire != nil && slices.Contains(result.Expire.Removed, b.Spec.BackupID)
	})
	out, err := cluster.Plugin(s.ctx, s.namespace, "backups", b.Spec.PairRef.Name)
	if err != nil || !removed || strings.Contains(out, b.Spec.BackupID) {
		s.Errorf("removed by an operation: %v; the list (%v):\n%s", removed, err, out)
	}
}

// lastBackup is what the pair's status says of the newest backup; the zero value for none.
func (s *scene) lastBackup(p *harness.Pair) v1alpha1.BackupResult {
	s.Helper()
	object, err := p.Object(s.ctx)
	s.must(err)
	if object.Status.Backup == nil || object.Status.Backup.Last == nil {
		return v1alpha1.BackupResult{}
	}
	return *object.Status.Backup.Last
}

// storedBackup awaits the object of a backup, and its status.
func (s *scene) storedBackup(pair, id string) v1alpha1.DatabasePairBackup {
	s.Helper()
	var b v1alpha1.DatabasePairBackup
	key := types.NamespacedName{Namespace: s.namespace, Name: pair + "-" + strings.ToLower(id)}
	s.must(harness.Eventually(s.ctx, harness.Patience, "the object of backup "+id, func(ctx context.Context) error {
		if err := cluster.Get(ctx, key, &b); err != nil || b.Status.CompletionTime == nil {
			return harness.NotYet("%v, %+v", err, b.Status)
		}
		return nil
	}))
	return b
}

// claimForBackups makes the claim "backups", which the specs of the tests name as their destination.
func (s *scene) claimForBackups() {
	s.Helper()
	s.must(cluster.Create(s.ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "backups", Namespace: s.namespace},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}))
}
