//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestVolumeFollows: the primary goes on alone and its node is lost for good, but its volume
// can be used on another node. Kubernetes' own procedure for such a node, the taint
// out-of-service, has to bring the data back: nothing may be lost.
func TestVolumeFollows(t *testing.T) {
	harness.NeedsLong(t)
	var disk *harness.SharedDisk
	prepare := func(s *scene) string {
		var err error
		disk, err = cluster.NewSharedDisk(s.ctx, s.namespace)
		s.must(err)
		own := disk
		s.afterEnd(func() {
			ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
			defer cancel()
			if err := own.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		return "storage: {storageClassName: " + disk.Class + "}"
	}
	lose := func(st *stage) (func(context.Context) error, error) { return loseNodeOfSolo(st, disk) }
	runFaults(t, "follows", []fault{
		{name: "node of a solo primary lost for good", want: staysPut, inject: lose},
	}, prepare)
}

// loseNodeOfSolo kills the node of a primary that goes on alone, and says with the taint
// that it is out of service.
func loseNodeOfSolo(st *stage, disk *harness.SharedDisk) (func(context.Context) error, error) {
	join, err := goAlone(st)
	if err != nil {
		return join, err
	}
	if err := st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 200); err != nil {
		return join, err
	}
	restart, err := killNode(st)
	name := st.nodes[st.primary].Name
	heal := func(ctx context.Context) error {
		return errors.Join(restart(ctx), disk.MountOn(ctx, name), taint(ctx, name, false))
	}
	if err := errors.Join(err, join(st.ctx)); err != nil {
		return heal, err
	}
	return heal, taint(st.ctx, name, true)
}

// taint puts the taint out-of-service on a node, or takes it off.
func taint(ctx context.Context, node string, outOfService bool) error {
	taints := "[]"
	if outOfService {
		taints = fmt.Sprintf(`[{"key":%q,"value":"nodeshutdown","effect":"NoExecute"}]`, corev1.TaintNodeOutOfService)
	}
	object := &corev1.Node{}
	object.Name = node
	return cluster.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"taints":`+taints+`}}`)))
}
