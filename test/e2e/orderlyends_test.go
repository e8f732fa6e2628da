//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// evictable limits what a pod may write outside its volume, so that a test can have the
// kubelet evict it.
const evictable = "podTemplate: {spec: {resources: {limits: {ephemeral-storage: 512Mi}}}}"

// TestOrderlyEnds: the primary's container is ended by its node while nobody has asked the
// API server to delete the pod. That is what a node does that shuts down or runs out of
// disk.
func TestOrderlyEnds(t *testing.T) {
	t.Parallel()
	runFaults(t, "orderly", []fault{
		{name: "container ended by SIGTERM, passive in sync", want: failsOver, inject: signal(unix.SIGTERM, harness.RoleAgent)},
		{name: "container ended by SIGTERM, primary alone", want: staysPut, inject: alone(signal(unix.SIGTERM, harness.RoleAgent))},
		{name: "pod evicted by its kubelet, passive in sync", want: failsOver, inject: evict},
		{
			name:   "pod evicted by its kubelet, primary alone",
			want:   staysPut,
			inject: alone(evict),
			long:   true,
		},
	}, func(*scene) string { return evictable })
}

// TestOrderlyEndsAsync: the same where commits do not wait for the passive.
func TestOrderlyEndsAsync(t *testing.T) {
	t.Parallel()
	runFaults(t, "orderly-async", []fault{
		{name: "container ended by SIGTERM", want: either, inject: signal(unix.SIGTERM, harness.RoleAgent)},
		{
			name:   "pod evicted by its kubelet",
			want:   either,
			inject: evict,
			long:   true,
		},
	}, func(*scene) string { return evictable }, func(*scene) string { return "durability: {mode: Async}" })
}

// evict writes more outside the primary's volume than the pod may, and waits until the
// kubelet has ended the pod for it.
func evict(st *stage) (func(context.Context) error, error) {
	pod, err := st.pair.Pod(st.ctx, st.primary)
	if err != nil {
		return nil, err
	}
	// The kubelet may end the container under the command, which is what it is for.
	_, fillErr := st.pair.Exec(st.ctx, st.namespace, st.primary, resources.ContainerMysqld, "sh", "-c", "dd if=/dev/zero of=/tmp/e2e-fill bs=1048576 count=700")
	return nil, harness.Eventually(st.ctx, harness.Patience, "eviction of "+st.primary, func(ctx context.Context) error {
		now, err := st.pair.Pod(ctx, st.primary)
		if err != nil || now.UID != pod.UID {
			return nil //nolint:nilerr // the pod is gone: the eviction is over
		}
		for _, c := range now.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return harness.NotYet("phase %s, %v", now.Status.Phase, fillErr)
	})
}

// alone has the fault meet a primary that goes on alone: the passive is cut off first, and
// heard again when the fault ends.
func alone(inject injection) injection {
	return func(st *stage) (func(context.Context) error, error) {
		join, err := goAlone(st)
		if err != nil {
			return join, err
		}
		heal, err := inject(st)
		return func(ctx context.Context) error {
			if heal == nil {
				return join(ctx)
			}
			return errors.Join(heal(ctx), join(ctx))
		}, err
	}
}

// goAlone cuts the passive off until the ledger lets the primary go on alone.
func goAlone(st *stage) (func(context.Context) error, error) {
	heal, err := cutPeer(true)(st)
	if err != nil {
		return heal, err
	}
	return heal, st.awaitLedger(authority.Solo)
}

func (st *stage) awaitLedger(want authority.LedgerState) error {
	st.Helper()
	return harness.Eventually(st.ctx, harness.Patience, fmt.Sprintf("ledger %s", want), func(context.Context) error {
		record, err := lease.Parse(st.lease())
		if err != nil || record.Ledger.State != want {
			return harness.NotYet("ledger %s, %v", record.Ledger.State, err)
		}
		return nil
	})
}
