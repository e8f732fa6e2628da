package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// farewell is when a pair was first seen gone, and which of its pods were asked to end.
type farewell struct {
	since time.Time
	asked map[pair.PodUID]bool
}

// deleting lets go of a pair that is on its way out: nothing of the operator's may hold
// it up.
func (r *PairReconciler) deleting(ctx context.Context, v *visit) (ctrl.Result, error) {
	_, err := r.letGo(ctx, v.name)
	r.tellRefused(v, v.session.writes.repeated(r.Now()))
	return ctrl.Result{RequeueAfter: requeueSoon}, err
}

// gone lets the pods of a pair go that is not there any more, and forgets it when they
// are gone too.
func (r *PairReconciler) gone(ctx context.Context, name types.NamespacedName) (ctrl.Result, error) {
	// The cache said so; what follows cannot be taken back.
	if err := r.Live.Get(ctx, name, &v1alpha1.DatabasePair{}); !apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: requeueSoon}, err
	}
	left, err := r.letGo(ctx, name)
	if s := r.sessions.find(name); left && s != nil && err == nil {
		if s.farewell.since.IsZero() {
			s.farewell.since = r.Now()
		}
		if r.Now().Sub(s.farewell.since) < rememberGone {
			return ctrl.Result{RequeueAfter: requeueSoon}, nil
		}
	}
	if !left {
		r.Agents.forget(name)
		r.sessions.forget(name)
		r.turns.release(name)
		r.Applier.Forget(name)
		forgetMetrics(name)
	}
	return ctrl.Result{}, err
}

// rememberGone is how long the pods of a pair that is gone are asked to end.
const rememberGone = 10 * time.Minute

// namespaceEnding: a namespace that is deleted loses its pods before it loses its pairs,
// and they would wait for each other.
func namespaceEnding(ctx context.Context, cached client.Reader, name string) (bool, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := cached.Get(ctx, types.NamespacedName{Name: name}, namespace)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return namespace.DeletionTimestamp != nil, nil
}

// letGo takes the fence finalizer off the pods of a pair that is being deleted or gone,
// and closes those that end: a primary would else wait out its grace period for someone
// to take over. It reports whether pods are left. Pods that nobody deletes, since the
// pair was deleted without them, go on.
func (r *PairReconciler) letGo(ctx context.Context, name types.NamespacedName) (left bool, err error) {
	var pods corev1.PodList
	byPair := client.MatchingLabels{resources.LabelPair: name.Name}
	if err := r.Client.List(ctx, &pods, client.InNamespace(name.Namespace), byPair); err != nil {
		return false, fmt.Errorf("list the pods of %s: %w", name, err)
	}
	errs := []error{r.addUnlabeled(ctx, name, &pods)}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil {
			r.closeForGood(ctx, name, pod)
		}
		if !hasFinalizer(pod) {
			continue
		}
		base := pod.DeepCopy()
		pod.Finalizers = withoutFence(pod.Finalizers)
		patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
		errs = append(errs, client.IgnoreNotFound(r.Client.Patch(ctx, pod, patch, client.FieldOwner(cluster.FieldManager))))
	}
	return len(pods.Items) > 0, errors.Join(errs...)
}

// addUnlabeled adds the members' pods that lost their label but still carry the finalizer:
// no one else takes it off.
func (r *PairReconciler) addUnlabeled(ctx context.Context, name types.NamespacedName, pods *corev1.PodList) error {
	var errs []error
	for _, o := range ordinals {
		m := string(o.Member(name.Name))
		if slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return pod.Name == m }) {
			continue
		}
		var pod corev1.Pod
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: name.Namespace, Name: m}, &pod)
		if err == nil && hasFinalizer(&pod) {
			pods.Items = append(pods.Items, pod)
		}
		errs = append(errs, client.IgnoreNotFound(err))
	}
	return errors.Join(errs...)
}

// closeForGood tells the agent of a pod that ends that no authority will name it again.
// It is a help to end sooner, not a proof, and without this process's memory of the pair
// it is left out.
func (r *PairReconciler) closeForGood(ctx context.Context, name types.NamespacedName, pod *corev1.Pod) {
	s := r.sessions.find(name)
	uid := pair.PodUID(pod.UID)
	if s == nil || s.history.Accepted == nil {
		return
	}
	if s.farewell.asked[uid] || pod.Status.PodIP == "" {
		return
	}
	if s.farewell.asked == nil {
		s.farewell.asked = map[pair.PodUID]bool{}
	}
	s.farewell.asked[uid] = true
	agent := r.Agents.client(agentKey{pair: name, pod: uid}, pair.MemberName(pod.Name), pod.Status.PodIP)
	command := agentapi.Command{
		PairUID:       s.history.Accepted.PairUID,
		Epoch:         s.history.Accepted.Epoch + 1,
		LedgerVersion: s.history.Accepted.Ledger.Version,
		RequestID:     string(uuid.NewUUID()),
	}
	log := logf.FromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, commandPatience)
		defer cancel()
		if _, err := agent.Fence(ctx, command); err != nil {
			log.Info("a member that ends was not told so; it waits out its grace period", "member", pod.Name, "why", err.Error())
		}
	}()
}

// commandPatience bounds a command that nobody waits for.
const commandPatience = 10 * time.Second
