package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// ensureMembers makes the StatefulSet. What cannot be changed on one that is there stays.
func (r *childrenReconciler) ensureMembers(ctx context.Context, v *childrenVisit) error {
	var live appsv1.StatefulSet
	found, err := r.Applier.Find(ctx, v.pair, v.name, &live)
	if err != nil {
		return err
	}
	claims := resources.ClaimsOf(v.pair)
	if found {
		if had, ok := resources.LiveClaims(&live); ok {
			claims = had
		}
	} else if err := r.awaitFormerPods(ctx, v); err != nil {
		return err
	}
	// A spec that is refused changes nothing that runs, and begins nothing.
	if !r.refuses(v) {
		set := resources.StatefulSet(v.pair, r.Agent, claims)
		if found && v.staysDown(&live) {
			set.Spec.WithReplicas(0)
		}
		if err := r.ensure(ctx, v, set, &appsv1.StatefulSet{}); err != nil {
			return err
		}
	}
	if !found || v.staysDown(&live) {
		return nil
	}
	return r.wakeStatefulSet(ctx, v, &live)
}

// staysDown: the pair hibernates, and its StatefulSet asks for no pods already. That it asks for
// none for the first time is a step of a plan, and that a primary was appointed since ends it.
func (v *childrenVisit) staysDown(live *appsv1.StatefulSet) bool {
	return v.pair.Spec.Hibernate && !v.held && scaleOf(live).Reading == failover.Read && scaleOf(live).Replicas == 0
}

// errFormerPods is wrapped while pods of a former StatefulSet have the members' names.
var errFormerPods = errors.New("pods of a former StatefulSet of this name are still ending")

// awaitFormerPods fails while a pod of a former StatefulSet is left. The controller of
// StatefulSets does not always notice the end of a pod that the StatefulSet it works for does
// not own, and never makes the member's pod then. A pod that nothing controls and nobody
// deletes is no reason to wait: the new StatefulSet adopts it.
func (r *childrenReconciler) awaitFormerPods(ctx context.Context, v *childrenVisit) error {
	var left []string
	for _, o := range ordinals {
		name := types.NamespacedName{Namespace: v.pair.Namespace, Name: string(o.Member(v.pair.Name))}
		var pod corev1.Pod
		err := r.Live.Get(ctx, name, &pod)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read pod %s: %w", name, err)
		}
		if pod.DeletionTimestamp == nil && metav1.GetControllerOf(&pod) == nil {
			continue
		}
		left = append(left, pod.Name)
		if pod.DeletionTimestamp != nil && hasFinalizer(&pod) && ofFormerPairPod(v, &pod) {
			// The former pair is gone; nobody asks for the evidence any more.
			base := pod.DeepCopy()
			pod.Finalizers = withoutFence(pod.Finalizers)
			patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
			if err := client.IgnoreNotFound(r.Client.Patch(ctx, &pod, patch, client.FieldOwner(cluster.FieldManager))); err != nil {
				return fmt.Errorf("let go of pod %s: %w", pod.Name, err)
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %w", strings.Join(left, ", "), errFormerPods)
	}
	return nil
}

// ofFormerPairPod reports whether a pod was made for another pair than this one, by what its
// agent was started with.
func ofFormerPairPod(v *childrenVisit, pod *corev1.Pod) bool {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name != resources.ContainerMysqld {
			continue
		}
		return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return e.Name == agentapi.EnvPairUID && e.Value != "" && e.Value != string(v.pair.UID)
		})
	}
	return false
}

const (
	// podMissingLimit is how long a member's pod may be missing before the StatefulSet is
	// touched; its controller makes one within a second.
	podMissingLimit = 4 * time.Second
	// wakeEvery is the time between two touches.
	wakeEvery = 10 * time.Second
)

// wakeStatefulSet touches the StatefulSet when a member's pod has been missing for some
// seconds: its controller works on it when it changes, and sometimes only then.
func (r *childrenReconciler) wakeStatefulSet(ctx context.Context, v *childrenVisit, live *appsv1.StatefulSet) error {
	now := r.Now()
	var missing []string
	for _, o := range ordinals {
		if a := v.memory.absences[o]; a.absent() && now.Sub(a.since) >= podMissingLimit {
			missing = append(missing, string(o.Member(v.pair.Name)))
		}
	}
	if len(missing) == 0 || live.DeletionTimestamp != nil || now.Sub(v.memory.wokenAt) < wakeEvery {
		return nil
	}
	v.memory.wokenAt = now
	base := live.DeepCopy()
	metav1.SetMetaDataAnnotation(&live.ObjectMeta, resources.AnnotationTouched, now.UTC().Format(time.RFC3339))
	if err := r.Client.Patch(ctx, live, client.MergeFrom(base), client.FieldOwner(touchManager)); err != nil {
		return fmt.Errorf("touch StatefulSet %s: %w", v.name, err)
	}
	v.log.Info("touched the StatefulSet: its controller has not made a pod", "missing", missing)
	return nil
}

// touchManager owns the annotation that wakes the controller of StatefulSets.
const touchManager = "dbpair-touch"
