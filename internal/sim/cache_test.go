package sim

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
)

// objects are what an operator's caches hold: pods, Service, operations and the status. The
// Lease is never read from a cache.
type objects struct {
	pods       [2]failover.Pod
	claims     [2]bool // in deletion
	service    failover.Service
	set        failover.StatefulSet
	hibernate  bool
	operations []failover.Operation
	kept       failover.Kept
}

// cacheFaults are those of an operator's caches.
var cacheFaults = map[string]faultKind{
	// The watches of the operators bring nothing new.
	"cachesStale": func(w *world, f fault, _ *memberSim) {
		w.during(f, func() { w.cachesStale++ }, func() { w.cachesStale-- })
	},
	// The pod has lost the label by which caches select.
	"podUnlabeled": func(w *world, f fault, m *memberSim) {
		w.during(f, func() { m.hidden++ }, func() { m.hidden-- })
	},
}

// readObjects fills the caches, unless their watches bring nothing new, and reads from them;
// false when they were never filled.
func (o *operator) readObjects() (objects, bool) {
	w := o.w
	if w.cachesStale == 0 || o.cached == nil {
		o.api(func() any {
			fresh := &objects{
				service:    w.api.service,
				set:        w.api.set,
				hibernate:  w.hibernate,
				operations: w.api.unfinished(),
				kept: failover.Kept{
					Epoch:     w.api.status,
					Accepted:  w.api.accepted,
					Failovers: w.api.failovers(),
					Begun:     w.api.recorded(),
					Rollouts:  w.api.rollouts(),
				},
			}
			for i, m := range w.members {
				fresh.pods[i], fresh.claims[i] = w.api.podView(m, o), m.vol.claimDeleting
			}
			o.cached = fresh
			return nil
		})
	}
	if o.cached == nil {
		return objects{}, false
	}
	out := *o.cached
	for i, m := range w.members {
		out.pods[i] = o.readPod(m, out.pods[i])
	}
	return out, true
}

// readPod reads a pod as a controller does, from the cache and perhaps from the API server.
func (o *operator) readPod(m *memberSim, cached failover.Pod) failover.Pod {
	if m.hidden > 0 {
		cached = failover.Pod{Reading: failover.Missing}
	}
	from := podReader{get: func() (failover.Pod, error) { return cached, nil }}
	live := podReader{get: func() (failover.Pod, error) {
		got, err := o.api(func() any { return o.w.api.podView(m, o) })
		if err != nil {
			return failover.Pod{}, err
		}
		return got.(failover.Pod), nil
	}}
	var view failover.Pod
	from.read = &view
	live.read = &view
	var pod corev1.Pod
	err := cluster.Read(context.Background(), from, live, types.NamespacedName{Namespace: "ns", Name: string(m.name)}, &pod)
	switch {
	case apierrors.IsNotFound(err):
		return failover.Pod{Reading: failover.Missing}
	case err != nil:
		return failover.Pod{}
	}
	return view
}

// podReader is a client.Reader of one pod; what it has read last is in read.
type podReader struct {
	client.Reader
	get  func() (failover.Pod, error)
	read *failover.Pod
}

func (r podReader) Get(_ context.Context, name types.NamespacedName, into client.Object, _ ...client.GetOption) error {
	pod, err := r.get()
	switch {
	case err != nil:
		return err
	case pod.Reading == failover.Missing:
		return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name.Name)
	case pod.Reading != failover.Read:
		return errors.New("the caches are not filled yet")
	}
	*r.read = pod
	into.SetName(name.Name)
	into.SetUID(types.UID(pod.UID))
	return nil
}
