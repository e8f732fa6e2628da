package controllers_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/internal/resources"
)

const (
	hostileObjects = 1000
	// hostileSize is the content of each ConfigMap.
	hostileSize = 64 << 10
	// hostileMemory is what an object may cost the operator: its metadata, not its content.
	hostileMemory = 16 << 10
)

// reconciles counts the reconciles of pairs so far, of all pairs.
func reconciles(t *testing.T) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "controller" && label.GetValue() == "databasepair" {
					total += m.GetCounter().GetValue()
				}
			}
		}
	}
	return total
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Objects with a pair's labels in a tenant's namespace must use up neither the memory nor the
// time of the operator, which fails over the pairs of all tenants.
func TestAThousandHostileObjectsCostLittle(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", "storage: {size: 1Gi}")
	s.must(err)
	s.surrounded("shop")
	memory := heap()
	before := reconciles(t)
	content := strings.Repeat("x", hostileSize)
	var writers errgroup.Group
	writers.SetLimit(8)
	for i := range hostileObjects {
		meta := metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("hostile-%d", i), Labels: resources.Labels("shop")}
		var o client.Object = &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"x": content}}
		if i%4 == 0 {
			o = &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}
		}
		writers.Go(func() error { return s.Create(s.ctx, o) })
	}
	s.must(writers.Wait())
	// The operator still answers: another pair of the namespace gets its objects.
	_, err = s.pair("till", "storage: {size: 1Gi}")
	s.must(err)
	s.surrounded("till")
	grown := heap() - memory
	done := reconciles(t) - before
	t.Logf("%d objects: %d KiB of memory, %.0f reconciles", hostileObjects, grown>>10, done)
	if grown > hostileObjects*hostileMemory {
		t.Errorf("%d objects of %d KiB cost %d KiB of memory", hostileObjects, hostileSize>>10, grown>>10)
	}
	if done > 2*hostileObjects {
		t.Errorf("%d objects cause %.0f reconciles", hostileObjects, done)
	}
}
