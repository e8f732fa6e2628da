//go:build e2e

package e2e

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestProcessFaults: what happens inside the primary's pod. One pair, since no node is
// touched other cases may run beside it.
func TestProcessFaults(t *testing.T) {
	t.Parallel()
	stoppedOrGone := []fencing.Kind{fencing.ProcessStopped, fencing.Demoted, fencing.PodTerminated}
	runFaults(t, "process", []fault{
		{name: "mysqld killed", want: failsOver, proofs: stoppedOrGone, inject: signal(unix.SIGKILL, harness.RoleMysqld)},
		{name: "mysqld stopped", want: failsOver, inject: stopped(harness.RoleMysqld)},
		{name: "agent killed", want: either, inject: signal(unix.SIGKILL, harness.RoleAgent)},
		{name: "agent stopped", want: failsOver, inject: stopped(harness.RoleAgent)},
		{name: "pod deleted", want: failsOver, inject: deletePod(nil)},
		{name: "pod force-deleted", want: failsOver, inject: deletePod(ptr.To[int64](0))},
	})
}

func signal(sig unix.Signal, roles ...harness.Role) injection {
	return func(st *stage) (func(context.Context) error, error) {
		return nil, st.pair.Signal(st.ctx, st.primary, sig, roles...)
	}
}

// stopped is a SIGSTOP that ends with the process; what is still there in the end goes
// on.
func stopped(role harness.Role) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pod, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		processes, err := harness.Processes(pod.UID)
		if err != nil {
			return nil, err
		}
		heal := func(context.Context) error {
			for _, p := range processes {
				if p.Role == role {
					_ = unix.Kill(p.PID, unix.SIGCONT) // gone, if all went well
				}
			}
			return nil
		}
		return heal, st.pair.Signal(st.ctx, st.primary, unix.SIGSTOP, role)
	}
}

func deletePod(grace *int64) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.primary}}
		return nil, cluster.Delete(st.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: grace})
	}
}
