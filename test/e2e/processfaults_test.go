//go:build e2e

package e2e

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
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
	now := ptr.To[int64](0)
	runFaults(t, "process", []fault{
		{
			name:   "mysqld killed",
			want:   failsOver,
			proofs: stoppedOrGone,
			inject: signal(unix.SIGKILL, harness.RoleMysqld),
		},
		{name: "mysqld stopped", want: failsOver, inject: stopped(harness.RoleMysqld)},
		{name: "agent killed", want: either, inject: signal(unix.SIGKILL, harness.RoleAgent)},
		{name: "agent stopped", want: failsOver, inject: stopped(harness.RoleAgent)},
		{name: "pod deleted", want: failsOver, inject: deletePod(nil)},
		{name: "pod force-deleted", want: failsOver, inject: deletePod(now)},
		{name: "both pods deleted", want: either, inject: deleteBothPods(nil)},
		{name: "both pods force-deleted", want: either, inject: deleteBothPods(now)},
		{name: "StatefulSet deleted", want: either, inject: deleteStatefulSet},
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

// deleteBothPods deletes both members' pods one right after the other.
func deleteBothPods(grace *int64) injection {
	return func(st *stage) (func(context.Context) error, error) {
		st.run.BothPodsGo()
		var errs []error
		for _, name := range []string{st.primary, st.passive} {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: name}}
			errs = append(errs, cluster.Delete(st.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: grace}))
		}
		return nil, errors.Join(errs...)
	}
}

// deleteStatefulSet deletes it with its pods. The operator makes it again.
func deleteStatefulSet(st *stage) (func(context.Context) error, error) {
	st.run.BothPodsGo()
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.pair.Name}}
	return nil, cluster.Delete(st.ctx, set, client.PropagationPolicy(metav1.DeletePropagationBackground))
}

func deletePod(grace *int64) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.primary}}
		return nil, cluster.Delete(st.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: grace})
	}
}
