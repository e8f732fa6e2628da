package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// window is what an operator with nothing to do was seen to need.
type window struct {
	// cores are seconds of processor time per second; memory, peak and heap are bytes: what the process has at the end, had at most
	// since its start, and what of it was in use after a collection.
	cores              float64
	memory, peak, heap int64
	// requests to the API server per second, by method.
	requests map[string]float64
}

// writes are the requests that change something, per second.
func (w window) writes() float64 {
	total := 0.0
	for method, rate := range w.requests {
		if method != http.MethodGet {
			total += rate
		}
	}
	return total
}

// scrapeEvery is the time between two scrapes: each costs the operator a handshake.
const scrapeEvery = 5 * time.Second

// watch watches the operator for the time that the options say.
func (b *bench) watch(ctx context.Context, name string) (window, error) {
	out := window{requests: map[string]float64{}, heap: math.MaxInt64}
	before, err := b.operator.use()
	if err != nil {
		return out, err
	}
	counted, err := b.requests(ctx)
	if err != nil {
		return out, err
	}
	profiled := b.profiled(ctx, name)
	for time.Since(before.at) < b.window {
		if err := pause(ctx, scrapeEvery); err != nil {
			return out, err
		}
		metrics, err := b.operator.scrape(ctx)
		if err != nil {
			return out, err
		}
		out.heap = min(out.heap, int64(sum(metrics, "go_memstats_heap_alloc_bytes", nil)))
	}
	after, err := b.operator.use()
	if err != nil {
		return out, err
	}
	counts, err := b.requests(ctx)
	if err != nil {
		return out, err
	}
	passed := after.at.Sub(before.at).Seconds()
	out.cores = (after.processor - before.processor).Seconds() / passed
	out.memory = after.memory
	out.peak = after.peak
	for method, n := range counts {
		out.requests[method] = (n - counted[method]) / passed
	}
	return out, <-profiled
}

// requests are how many the operator has sent to the API server since its start, by method; watches count when they begin.
func (b *bench) requests(ctx context.Context) (map[string]float64, error) {
	metrics, err := b.operator.scrape(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, m := range metrics["rest_client_requests_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "method" {
				out[l.GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	return out, nil
}

// profiled has the operator profiled if the options say so. The channel says when that is done.
func (b *bench) profiled(ctx context.Context, name string) <-chan error {
	out := make(chan error, 1)
	if b.profiles == "" {
		out <- nil
		return out
	}
	go func() {
		seconds := int(b.window.Seconds()) - 1
		file := filepath.Join(b.profiles, name)
		err := b.operator.profile(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), file+".cpu")
		if err == nil {
			err = b.operator.profile(ctx, "/debug/pprof/heap?gc=1", file+".heap")
		}
		out <- err
	}()
	return out
}

// crowd makes objects that are none of the operator's, of the kinds that it watches, and watches it again.
func (b *bench) crowd(ctx context.Context, r *result) error {
	if r.unrelated == 0 {
		return nil
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	note("an operator is watched before and after %d objects are made that are not its own", r.unrelated)
	alone, err := b.watch(ctx, fmt.Sprintf("alone-%d", r.pairs))
	if err != nil {
		return err
	}
	r.alone = alone
	if err := b.makeUnrelated(ctx, r.unrelated); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	r.crowded, err = b.watch(ctx, fmt.Sprintf("crowded-%d", r.pairs))
	return err
}

func (b *bench) makeUnrelated(ctx context.Context, n int) error {
	const namespace = "others"
	if err := b.world.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	labels := map[string]string{"app": "another"}
	text := map[string]string{"text": strings.Repeat("x", 2000)}
	for i := range n {
		m := metav1.ObjectMeta{
			Namespace: namespace,
			Name:      fmt.Sprintf("other-%d", i),
			Labels:    maps.Clone(labels),
		}
		kinds := []client.Object{
			&corev1.ConfigMap{ObjectMeta: m, Data: text},
			&corev1.Secret{ObjectMeta: m, StringData: text},
			&corev1.Pod{ObjectMeta: m, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.test/app"}}}},
			&corev1.Service{ObjectMeta: m, Spec: corev1.ServiceSpec{Selector: labels, ClusterIP: corev1.ClusterIPNone}},
		}
		if err := b.world.admin.Create(ctx, kinds[i%len(kinds)]); err != nil {
			return err
		}
	}
	return nil
}
