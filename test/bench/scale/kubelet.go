package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// kubelet plays the controller of StatefulSets and the kubelets: it makes pods and volume claims, says that they run, and ends
// pods that are deleted on nodes that live.
type kubelet struct {
	client.Client
	pairs map[types.NamespacedName]*standIn
}

// startKubelet makes a kubelet that works until ctx ends, and returns when its caches are filled.
func startKubelet(ctx context.Context, w *world, pairs map[types.NamespacedName]*standIn) (*kubelet, error) {
	mgr, err := ctrl.NewManager(w.conf, ctrl.Options{
		Scheme:  app.Scheme(),
		Cache:   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return nil, err
	}
	k := &kubelet{Client: mgr.GetClient(), pairs: pairs}
	for name, c := range map[string]struct {
		of client.Object
		do reconcile.Func
	}{
		"leases":   {&coordinationv1.Lease{}, k.lease},
		"services": {&corev1.Service{}, k.service},
	} {
		if err := ctrl.NewControllerManagedBy(mgr).Named(name).For(c.of).Complete(c.do); err != nil {
			return nil, err
		}
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("sets").For(&appsv1.StatefulSet{}).Owns(&corev1.Pod{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).Complete(reconcile.Func(k.set))
	if err != nil {
		return nil, err
	}
	if _, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.DatabasePair{}); err != nil {
		return nil, err
	}
	go func() { _ = mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, ctx.Err()
	}
	return k, nil
}

func (k *kubelet) lease(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	p := k.pairs[r.NamespacedName]
	var l coordinationv1.Lease
	if err := k.Get(ctx, r.NamespacedName, &l); p == nil || err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	record, err := lease.Parse(&l)
	if err == nil {
		p.read(record)
	}
	return ctrl.Result{}, err
}

func (k *kubelet) service(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	p := k.pairs[r.NamespacedName]
	var s corev1.Service
	if err := k.Get(ctx, r.NamespacedName, &s); p == nil || err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p.routed(cluster.ObserveService(&s))
	return ctrl.Result{}, nil
}

// set looks at one StatefulSet.
func (k *kubelet) set(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	p := k.pairs[r.NamespacedName]
	var set appsv1.StatefulSet
	if err := k.Get(ctx, r.NamespacedName, &set); p == nil || err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	for _, m := range p.members {
		if err := k.claim(ctx, &set, m); err != nil {
			return ctrl.Result{}, err
		}
		if err := k.pod(ctx, &set, m); err != nil {
			return ctrl.Result{}, err
		}
	}
	want := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation,
		Replicas:           2,
		ReadyReplicas:      2,
		AvailableReplicas:  2,
		CurrentReplicas:    2,
		UpdatedReplicas:    2,
		CurrentRevision:    revision(&set),
		UpdateRevision:     revision(&set),
	}
	if equality.Semantic.DeepEqual(set.Status, want) {
		return ctrl.Result{}, nil
	}
	set.Status = want
	return ctrl.Result{}, ignoreConflict(k.Status().Update(ctx, &set))
}

// ignoreConflict: what changed meanwhile is looked at again anyway.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func revision(set *appsv1.StatefulSet) string {
	text, _ := json.Marshal(set.Spec.Template)
	h := fnv.New32a()
	_, _ = h.Write(text)
	return fmt.Sprintf("%s-%x", set.Name, h.Sum32())
}

func (k *kubelet) claim(ctx context.Context, set *appsv1.StatefulSet, m *member) error {
	names := resources.Names{Pair: m.of.name.Name, Namespace: m.of.name.Namespace}
	claim := &corev1.PersistentVolumeClaim{}
	err := k.Get(ctx, client.ObjectKey{Namespace: names.Namespace, Name: names.Claim(m.ordinal)}, claim)
	if !apierrors.IsNotFound(err) {
		return err
	}
	template := &set.Spec.VolumeClaimTemplates[0]
	claim.Namespace = names.Namespace
	claim.Name = names.Claim(m.ordinal)
	claim.Labels = maps.Clone(set.Spec.Selector.MatchLabels)
	maps.Copy(claim.Labels, template.Labels)
	claim.Spec = *template.Spec.DeepCopy()
	if err := k.Create(ctx, claim); err != nil {
		return client.IgnoreAlreadyExists(err)
	}
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.Capacity = claim.Spec.Resources.Requests
	return k.Status().Update(ctx, claim)
}

func (k *kubelet) pod(ctx context.Context, set *appsv1.StatefulSet, m *member) error {
	pod := &corev1.Pod{}
	err := k.Get(ctx, client.ObjectKey{Namespace: set.Namespace, Name: string(m.name())}, pod)
	switch {
	case apierrors.IsNotFound(err):
		return k.makePod(ctx, set, m)
	case err != nil:
		return err
	case pod.DeletionTimestamp != nil:
		return k.endPod(ctx, pod, m)
	case pod.Status.Phase != corev1.PodRunning:
		return k.runPod(ctx, pod, m)
	}
	return nil
}

func (k *kubelet) makePod(ctx context.Context, set *appsv1.StatefulSet, m *member) error {
	pod := &corev1.Pod{
		ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(),
		Spec:       *set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Namespace = set.Namespace
	pod.Name = string(m.name())
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision(set)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	pod.Spec.NodeName = m.node
	pod.Spec.Hostname = pod.Name
	names := resources.Names{Pair: m.of.name.Name, Namespace: m.of.name.Namespace}
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: set.Spec.VolumeClaimTemplates[0].Name,
		VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: names.Claim(m.ordinal)},
		},
	})
	if err := k.Create(ctx, pod); err != nil {
		return client.IgnoreAlreadyExists(err)
	}
	return k.runPod(ctx, pod, m)
}

// runPod says that the pod runs, and begins its agent.
func (k *kubelet) runPod(ctx context.Context, pod *corev1.Pod, m *member) error {
	now := metav1.Now()
	pod.Status = corev1.PodStatus{
		Phase:     corev1.PodRunning,
		PodIP:     m.address,
		PodIPs:    []corev1.PodIP{{IP: m.address}},
		StartTime: &now,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name:        resources.ContainerMysqld,
			ContainerID: "containerd://" + string(pod.UID),
			Ready:       true,
			Started:     ptr.To(true),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	m.of.began(m.ordinal, pairUID(pod), pair.PodUID(pod.UID))
	return ignoreConflict(k.Status().Update(ctx, pod))
}

// pairUID is the UID of the pair, which the agent's container has in its environment.
func pairUID(pod *corev1.Pod) pair.UID {
	for _, c := range pod.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == agentapi.EnvPairUID {
				return pair.UID(e.Value)
			}
		}
	}
	return ""
}

// endPod says that the pod's containers have ended and lets it go, unless its node is gone.
func (k *kubelet) endPod(ctx context.Context, pod *corev1.Pod, m *member) error {
	m.of.mu.Lock()
	lost := !m.lostAt.IsZero()
	m.of.mu.Unlock()
	if lost {
		return nil
	}
	if status := &pod.Status.ContainerStatuses[0]; status.State.Terminated == nil {
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			FinishedAt:  metav1.NewTime(time.Now().Add(time.Second)),
			Reason:      "Completed",
			ContainerID: status.ContainerID,
		}}
		if err := k.Status().Update(ctx, pod); err != nil {
			return ignoreConflict(client.IgnoreNotFound(err))
		}
	}
	if pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0 {
		return nil // the operator removes its finalizer
	}
	return client.IgnoreNotFound(k.Delete(ctx, pod, client.GracePeriodSeconds(0)))
}
