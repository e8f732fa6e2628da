package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// Pods changes the member pods of one namespace and reads them for proofs. It implements
// execute.Pods and execute.Witnesses.
type Pods struct {
	Client    client.Client
	Live      client.Reader
	Namespace string
	// StatefulSet is the name of the members' StatefulSet.
	StatefulSet string
	// Seen is what this operator saw of a pod before.
	Seen func(pair.PodUID) Seen
}

var (
	_ execute.Pods      = Pods{}
	_ execute.Witnesses = Pods{}
)

// Delete implements execute.Pods.
func (p Pods) Delete(ctx context.Context, s fencing.Subject) error {
	pod := &corev1.Pod{}
	pod.Name = string(s.Member)
	pod.Namespace = p.Namespace
	uid := types.UID(s.PodUID)
	err := p.Client.Delete(ctx, pod, client.Preconditions{UID: &uid})
	if apierrors.IsConflict(err) {
		// Another pod has the name, so this one is gone.
		return nil
	}
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("delete pod %s: %w", s, err)
	}
	p.awaitSeen(ctx, s, func(pod *corev1.Pod) bool { return pod == nil || pod.DeletionTimestamp != nil })
	return nil
}

// seenWithin is how long a write waits for this operator's own watch to show it.
const seenWithin = 500 * time.Millisecond

// awaitSeen returns once this operator's watch shows what it has just written, or after
// seenWithin: the next look follows within milliseconds, and what it did not see it would
// do once more. The function gets nil when the pod is gone.
func (p Pods) awaitSeen(ctx context.Context, s fencing.Subject, shows func(*corev1.Pod) bool) {
	awaitSeen(ctx, func(ctx context.Context) (bool, error) {
		pod := &corev1.Pod{}
		err := p.Client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: string(s.Member)}, pod)
		if apierrors.IsNotFound(err) || (err == nil && string(pod.UID) != string(s.PodUID)) {
			pod = nil
			err = nil
		}
		return err == nil && shows(pod), err
	})
}

func awaitSeen(ctx context.Context, shows func(context.Context) (bool, error)) {
	const often = 2 * time.Millisecond
	_ = wait.PollUntilContextTimeout(ctx, often, seenWithin, true, shows)
}

// AddFinalizer implements execute.Pods.
func (p Pods) AddFinalizer(ctx context.Context, s fencing.Subject) error {
	err := p.change(ctx, s, func(pod *corev1.Pod) error {
		if slices.Contains(pod.Finalizers, pair.FinalizerFence) {
			return nil
		}
		if pod.DeletionTimestamp != nil {
			// The API server takes no new finalizer on a pod that is being deleted.
			return fmt.Errorf("pod %s is being deleted: %w", s, execute.ErrConflict)
		}
		pod.Finalizers = append(pod.Finalizers, pair.FinalizerFence)
		return nil
	})
	if err != nil {
		return err
	}
	p.awaitSeen(ctx, s, func(pod *corev1.Pod) bool {
		return pod == nil || slices.Contains(pod.Finalizers, pair.FinalizerFence)
	})
	return nil
}

// RemoveFinalizer implements execute.Pods.
func (p Pods) RemoveFinalizer(ctx context.Context, s fencing.Subject) error {
	err := p.change(ctx, s, func(pod *corev1.Pod) error {
		pod.Finalizers = slices.DeleteFunc(pod.Finalizers, func(f string) bool { return f == pair.FinalizerFence })
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ScaleDown implements execute.Pods.
func (p Pods) ScaleDown(ctx context.Context, version string) error {
	name := types.NamespacedName{Namespace: p.Namespace, Name: p.StatefulSet}
	set := &appsv1.StatefulSet{}
	if err := p.Client.Get(ctx, name, set); err != nil {
		return fmt.Errorf("read StatefulSet %s: %w", name, err)
	}
	if set.ResourceVersion != version {
		return fmt.Errorf("StatefulSet %s is at version %s, observed was %s: %w", name, set.ResourceVersion, version, execute.ErrConflict)
	}
	base := set.DeepCopy()
	set.Spec.Replicas = new(int32)
	err := p.Client.Patch(ctx, set, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager))
	if apierrors.IsConflict(err) {
		return fmt.Errorf("StatefulSet %s has changed: %w", name, execute.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("scale StatefulSet %s down: %w", name, err)
	}
	awaitSeen(ctx, func(ctx context.Context) (bool, error) {
		seen := &appsv1.StatefulSet{}
		err := p.Client.Get(ctx, name, seen)
		return err == nil && seen.Spec.Replicas != nil && *seen.Spec.Replicas == 0, err
	})
	return nil
}

// Label implements execute.Pods. It returns once this operator's watch has shown the
// labels, or after seenWithin: kube-controller-manager watches pods and Services
// apart, and when it sees a Service before the label that the Service selects, it empties
// the slice, stumbles over its own stale cache and tries again a second later.
func (p Pods) Label(ctx context.Context, s fencing.Subject, set map[string]string, remove []string) error {
	if err := p.label(ctx, s, set, remove); err != nil {
		return err
	}
	p.awaitSeen(ctx, s, func(pod *corev1.Pod) bool {
		if pod == nil {
			return true
		}
		for k, v := range set {
			if pod.Labels[k] != v {
				return false
			}
		}
		return true
	})
	return nil
}

func (p Pods) label(ctx context.Context, s fencing.Subject, set map[string]string, remove []string) error {
	return p.change(ctx, s, func(pod *corev1.Pod) error {
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		for k, v := range set {
			pod.Labels[k] = v
		}
		for _, k := range remove {
			delete(pod.Labels, k)
		}
		return nil
	})
}

// change patches the pod with this UID, on condition that it is still as it was read. The
// cache lags behind this operator's own writes, two of which often follow each other
// within milliseconds: a conflict is answered by one more attempt on what is there now.
func (p Pods) change(ctx context.Context, s fencing.Subject, f func(*corev1.Pod) error) error {
	err := p.changeAsRead(ctx, p.Client, s, f)
	if errors.Is(err, errPodChanged) {
		err = p.changeAsRead(ctx, p.Live, s, f)
	}
	return err
}

// errPodChanged: the same pod has another version than the one that was read.
var errPodChanged = fmt.Errorf("the pod has changed: %w", execute.ErrConflict)

func (p Pods) changeAsRead(ctx context.Context, from client.Reader, s fencing.Subject, f func(*corev1.Pod) error) error {
	pod := &corev1.Pod{}
	if err := from.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: string(s.Member)}, pod); err != nil {
		return fmt.Errorf("read pod %s: %w", s, err)
	}
	if string(pod.UID) != string(s.PodUID) {
		return fmt.Errorf("pod %s was replaced by %s: %w", s, pod.UID, execute.ErrConflict)
	}
	base := pod.DeepCopy()
	if err := f(pod); err != nil {
		return err
	}
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if data, err := client.MergeFrom(base).Data(pod); err == nil && string(data) == "{}" {
		return nil
	}
	err := p.Client.Patch(ctx, pod, patch, client.FieldOwner(FieldManager))
	if apierrors.IsConflict(err) {
		return fmt.Errorf("patch pod %s: %w", s, errPodChanged)
	}
	if err != nil {
		return fmt.Errorf("patch pod %s: %w", s, err)
	}
	return nil
}

// Pod implements execute.Witnesses.
func (p Pods) Pod(ctx context.Context, s fencing.Subject) (fencing.PodFacts, error) {
	pod := &corev1.Pod{}
	if err := p.Live.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: string(s.Member)}, pod); err != nil {
		return fencing.PodFacts{}, fmt.Errorf("read pod %s: %w", s, err)
	}
	return PodFacts(pod, p.Seen(pair.PodUID(pod.UID))), nil
}

// Node implements execute.Witnesses.
func (p Pods) Node(ctx context.Context, name string) (fencing.NodeFacts, error) {
	node := &corev1.Node{}
	if err := p.Live.Get(ctx, types.NamespacedName{Name: name}, node); err != nil {
		return fencing.NodeFacts{}, fmt.Errorf("read node %s: %w", name, err)
	}
	return fencing.NodeFacts{Name: node.Name, OutOfService: OutOfService(node)}, nil
}

// OutOfService reports whether an admin marked the node as running nothing any more.
func OutOfService(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeOutOfService
	})
}

// Seen is what was seen of the mysqld containers of a pod, each by its ID; empty for none.
type Seen struct {
	// Running is the newest that ran.
	Running string
	// EndedEarly is the newest that had ended while the pod was not being deleted.
	EndedEarly string
}

// Update takes what the pod shows now.
func (s Seen) Update(pod *corev1.Pod) Seen {
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		switch {
		case c.Name != resources.ContainerMysqld:
		case c.State.Running != nil:
			s.Running = c.ContainerID
		case c.State.Terminated != nil && pod.DeletionTimestamp == nil:
			s.EndedEarly = c.State.Terminated.ContainerID
		}
	}
	return s
}

// PodFacts are the facts from which the end of a pod is judged.
func PodFacts(pod *corev1.Pod, seen Seen) fencing.PodFacts {
	facts := fencing.PodFacts{
		UID:         pair.PodUID(pod.UID),
		Deleting:    pod.DeletionTimestamp != nil,
		LastRunning: seen.Running,
		EndedEarly:  seen.EndedEarly,
	}
	if pod.DeletionTimestamp != nil {
		facts.DeletionAsked = pod.DeletionTimestamp.Time
		if g := pod.DeletionGracePeriodSeconds; g != nil {
			facts.DeletionAsked = facts.DeletionAsked.Add(-secondsOf(*g))
		}
	}
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		if c.Name != resources.ContainerMysqld || c.State.Terminated == nil {
			continue
		}
		facts.Terminated = true
		facts.ContainerID = c.State.Terminated.ContainerID
		facts.Reason = c.State.Terminated.Reason
		facts.FinishedAt = c.State.Terminated.FinishedAt.Time
	}
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	facts.KubeletEnded = ended && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		// Anyone who disrupts a pod from outside, the garbage collector among them, names another
		// reason and may write the phase without asking the kubelet. A kubelet that evicts
		// a pod or shuts its node down names its own, and ends the containers first.
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason != corev1.PodReasonTerminationByKubelet
	})
	return facts
}
