package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// idleWindow is for how long requests are counted.
const idleWindow = time.Minute

// answered counts requests of everybody, by verb and resource. What the cluster's own
// components ask is there without a pair too, and is taken off.
var answered = regexp.MustCompile(`^apiserver_request_total\{.*,resource="([^"]+)".*,verb="([^"]+)".*\} (\S+)$`)

// noticeable is the least difference that one window of the cluster's own ups and downs
// lets tell, in requests per second.
const noticeable = 0.1

// idle prints what a pair that nobody writes to asks of the API server.
func (b *bench) idle(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil { // an operator that has just begun lists everything
		return err
	}
	without, err := b.requestRates(ctx)
	if err != nil {
		return err
	}
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	pair := b.Pair(namespace, "shop")
	if err := pair.Apply(ctx); err != nil {
		return err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	before, err := b.versions(ctx, pair)
	if err != nil {
		return err
	}
	with, err := b.requestRates(ctx)
	if err != nil {
		return err
	}
	after, err := b.versions(ctx, pair)
	if err != nil {
		return err
	}
	written := 0
	for name, version := range after {
		if before[name] != version {
			written++
		}
	}
	fmt.Printf("\nAn idle pair, for %s: %d of its %d objects were written.\n\n| request | with the pair | without | the pair's |\n| --- | --- | --- | --- |\n",
		idleWindow, written, len(after))
	for _, request := range slices.Sorted(maps.Keys(with)) {
		if own := with[request] - without[request]; own >= noticeable {
			fmt.Printf("| %s | %.2f/s | %.2f/s | %.2f/s |\n", request, with[request], without[request], own)
		}
	}
	fmt.Printf("\nEverything else differs by less than %.1f/s.\n\n", noticeable)
	b.cleanUp()
	return nil
}

// requestRates are requests per second over idleWindow, by verb and resource.
func (b *bench) requestRates(ctx context.Context) (map[string]float64, error) {
	before, err := b.requests(ctx)
	if err != nil {
		return nil, err
	}
	began := harness.Now()
	if err := pause(ctx, idleWindow); err != nil {
		return nil, err
	}
	rates, err := b.requests(ctx)
	for request := range rates {
		rates[request] = (rates[request] - before[request]) / harness.Now().Sub(began).Seconds()
	}
	return rates, err
}

// requests so far, by verb and resource. Watches are counted when they end.
func (b *bench) requests(ctx context.Context) (map[string]float64, error) {
	text, err := b.Clientset.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	sums := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if found := answered.FindStringSubmatch(lines.Text()); found != nil {
			n, err := strconv.ParseFloat(found[3], 64)
			if err != nil {
				return nil, fmt.Errorf("metric %q: %w", lines.Text(), err)
			}
			sums[found[2]+" "+found[1]] += n
		}
	}
	if len(sums) == 0 {
		return nil, errors.New("the API server has no metric apiserver_request_total")
	}
	return sums, nil
}

// versions of everything that the operator and the agents write of a pair.
func (b *bench) versions(ctx context.Context, pair *harness.Pair) (map[string]string, error) {
	found := map[string]string{}
	for _, list := range []client.ObjectList{&v1alpha1.DatabasePairList{}, &corev1.PodList{}, &corev1.ServiceList{}, &coordinationv1.LeaseList{}} {
		if err := b.List(ctx, list, client.InNamespace(pair.Namespace)); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
		kind := fmt.Sprintf("%T", list)
		err := meta.EachListItem(list, func(o runtime.Object) error {
			item, err := meta.Accessor(o)
			if err == nil {
				found[kind+" "+item.GetName()] = item.GetResourceVersion()
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", kind, err)
		}
	}
	return found, nil
}

// untilNotReady waits until the kubelet has withdrawn the pod's readiness.
func (b *bench) untilNotReady(ctx context.Context, was *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		pod := &corev1.Pod{}
		if err := b.Get(ctx, client.ObjectKeyFromObject(was), pod); err != nil {
			return fmt.Errorf("until %s is NotReady: %w", was.Name, err)
		}
		if pod.UID != was.UID || !ready(pod) {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("until %s is NotReady: %w", was.Name, err)
		}
	}
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
