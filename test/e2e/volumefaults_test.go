//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestVolumeFaults: what happens to the primary's volume. The pair's volumes are disks
// of their own, so that the nodes stay whole.
func TestVolumeFaults(t *testing.T) {
	harness.NeedsLong(t)
	var disks *harness.Disks
	prepare := func(s *scene) string {
		var err error
		disks, err = cluster.NewDisks(s.ctx, s.namespace)
		s.must(err)
		own := disks
		s.afterEnd(func() {
			ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
			defer cancel()
			if err := own.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		return "storage: {storageClassName: " + disks.Class + "}"
	}
	on := func(f func(*stage, *harness.Disk) (func(context.Context) error, error)) injection {
		return func(st *stage) (func(context.Context) error, error) {
			return f(st, disks.On(st.nodes[st.primary].Name))
		}
	}
	runFaults(t, "volume", []fault{
		{
			name:      "volume full",
			want:      undisturbed,
			inject:    on(fillVolume),
			complaint: []string{"free"},
		},
		{name: "volume hangs", want: failsOver, inject: on(hangVolume)},
		{name: "volume gone", want: failsOver, inject: on(breakVolume)},
		{
			name:   "volume of the primary goes back in time",
			want:   failsOver,
			inject: on(goBack),
			doubt:  failover.RulePrimaryDataRolledBack,
		},
	}, prepare)
}

func fillVolume(st *stage, disk *harness.Disk) (func(context.Context) error, error) {
	return disk.Empty, disk.Fill(st.ctx)
}

func hangVolume(st *stage, disk *harness.Disk) (func(context.Context) error, error) {
	return disk.Resume, disk.Hang(st.ctx)
}

// breakVolume lets the disk fail, and in the end puts an empty one in its place: the
// member has to be copied again.
func breakVolume(st *stage, disk *harness.Disk) (func(context.Context) error, error) {
	heal := func(ctx context.Context) error {
		if err := disk.Replace(ctx); err != nil {
			return err
		}
		// The next pod may stand on the broken one already.
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.primary}}
		return client.IgnoreNotFound(cluster.Delete(ctx, pod))
	}
	return heal, disk.Break(st.ctx)
}

// goBack ends both members at once, and the primary's volume comes back without the last writes,
// as after a snapshot was restored. The passive has them, and a person has it promoted, so that
// nothing is lost.
func goBack(st *stage, disk *harness.Disk) (func(context.Context) error, error) {
	node := st.nodes[st.primary].Name
	heal := func(ctx context.Context) error {
		return errors.Join(cordon(ctx, node, false), st.pasted(ctx, "force-promote", st.passive))
	}
	before, err := st.pair.Pod(st.ctx, st.primary)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(disk.Snapshot(st.ctx), st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 200)); err != nil {
		return nil, err
	}
	// The next pod of the primary waits for its volume.
	if err := cordon(st.ctx, node, true); err != nil {
		return heal, err
	}
	if _, err := deleteBothPods(ptr.To[int64](0))(st); err != nil {
		return heal, err
	}
	if err := harness.Eventually(st.ctx, harness.Patience, "the next pod of "+st.primary, func(ctx context.Context) error {
		pod, err := st.pair.Pod(ctx, st.primary)
		if err != nil || pod.UID == before.UID {
			return harness.NotYet("the former one is there (%v)", err)
		}
		return nil
	}); err != nil {
		return heal, err
	}
	return heal, errors.Join(disk.GoBack(st.ctx), cordon(st.ctx, node, false))
}

// cordon keeps new pods off a node, or lets them on it again.
func cordon(ctx context.Context, node string, off bool) error {
	object := &corev1.Node{}
	object.Name = node
	return cluster.Patch(ctx, object, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, off)))
}
