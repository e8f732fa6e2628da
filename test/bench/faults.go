package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// killBothMysqlds ends both mysqlds at once.
func killBothMysqlds(ctx context.Context, pair *harness.Pair, _ string) (func(context.Context) error, error) {
	for _, member := range pair.Members() {
		if err := pair.Signal(ctx, member, unix.SIGKILL, harness.RoleMysqld); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// terminateAgent is what a kubelet sends first when its node shuts down.
func terminateAgent(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	return nil, pair.Signal(ctx, primary, unix.SIGTERM, harness.RoleAgent)
}

func deletePod(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	return nil, pair.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pair.Namespace, Name: primary}})
}

// drainNode cordons the primary's node and evicts the primary, as kubectl drain does: an
// eviction that the disruption budget refuses is asked for again.
func drainNode(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	pod, err := pair.Pod(ctx, primary)
	if err != nil {
		return nil, err
	}
	cordon := func(ctx context.Context, unschedulable bool) error {
		patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.NodeName}}
		return pair.Patch(ctx, node, client.RawPatch("application/merge-patch+json", patch))
	}
	heal := func(ctx context.Context) error { return cordon(ctx, false) }
	if err := cordon(ctx, true); err != nil {
		return heal, err
	}
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pair.Namespace, Name: primary}}
	for {
		err := pair.Clientset.PolicyV1().Evictions(pair.Namespace).Evict(ctx, eviction)
		if !apierrors.IsTooManyRequests(err) {
			return heal, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return heal, errors.Join(err, fmt.Errorf("evict %s: refused by the disruption budget", primary))
		}
	}
}

func killNode(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	pod, err := pair.Pod(ctx, primary)
	if err != nil {
		return nil, err
	}
	node := pair.Node(pod.Spec.NodeName)
	heal := func(ctx context.Context) error {
		if err := node.Start(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx)
	}
	return heal, node.Kill(ctx)
}
