//go:build e2e

package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
		{name: "volume full", want: undisturbed, inject: on(fillVolume), complaint: []string{"free"}},
		{name: "volume hangs", want: failsOver, inject: on(hangVolume)},
		{name: "volume gone", want: failsOver, inject: on(breakVolume)},
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
