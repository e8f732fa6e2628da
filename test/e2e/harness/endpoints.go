package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// emptyTolerance is for two watches that tell of one change at different moments, and for
// a control plane that is short of processor time: between the write of the Service and
// its EndpointSlice stands a controller of the cluster. 0.2 s were seen beside other builds; what is
// looked for here, a Service that leads nowhere, lasts until it is corrected.
const emptyTolerance = 500 * time.Millisecond

// newPodsTolerance is for a fault that takes both pods away: the Service can be led to a new one
// only when that has an address, and the operator has to learn of it first.
const newPodsTolerance = 2 * time.Second

// EndpointsWatch fails a run in which the client Service has no endpoint while a member
// pod has an IP: clients would meet silence or a rate-limited ICMP answer there.
type EndpointsWatch struct {
	service string
	stop    context.CancelFunc
	factory informers.SharedInformerFactory

	mu        sync.Mutex
	tolerance time.Duration
	complete  bool
	pods      map[string]bool // has an IP
	slices    map[string]int  // number of addresses
	since     time.Time       // zero while all is well
	empties   []time.Duration
	changes   []history.Stamp
}

// WatchEndpoints begins to watch. The pair must be available.
func (p *Pair) WatchEndpoints(ctx context.Context) (*EndpointsWatch, error) {
	w := &EndpointsWatch{
		service:   p.Name,
		tolerance: emptyTolerance,
		pods:      map[string]bool{},
		slices:    map[string]int{},
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.factory = informers.NewSharedInformerFactoryWithOptions(p.Clientset, 0, informers.WithNamespace(p.Namespace))
	members := p.Members()
	pods := w.factory.Core().V1().Pods().Informer()
	endpointSlices := w.factory.Discovery().V1().EndpointSlices().Informer()
	podsRegistered, errPods := pods.AddEventHandler(w.handler(func(object any, gone bool) {
		if pod, ok := object.(*corev1.Pod); ok && (pod.Name == members[0] || pod.Name == members[1]) {
			ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			w.pods[pod.Name] = !gone && !ended && pod.Status.PodIP != ""
		}
	}))
	slicesRegistered, errSlices := endpointSlices.AddEventHandler(w.handler(func(object any, gone bool) {
		if slice, ok := object.(*discoveryv1.EndpointSlice); ok && slice.Labels[discoveryv1.LabelServiceName] == w.service {
			w.slices[slice.Name] = addresses(slice)
			w.changes = append(w.changes, Now())
			if gone {
				delete(w.slices, slice.Name)
			}
		}
	}))
	if err := errors.Join(errPods, errSlices); err != nil {
		return nil, fmt.Errorf("watch endpoints: %w", err)
	}
	w.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), podsRegistered.HasSynced, slicesRegistered.HasSynced) {
		return nil, fmt.Errorf("watch endpoints: %w", ctx.Err())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complete = true // no verdict before both lists are known
	w.judge()
	return w, nil
}

func addresses(slice *discoveryv1.EndpointSlice) int {
	n := 0
	for _, e := range slice.Endpoints {
		if e.Conditions.Ready == nil || *e.Conditions.Ready {
			n += len(e.Addresses)
		}
	}
	return n
}

func (w *EndpointsWatch) handler(take func(object any, gone bool)) cache.ResourceEventHandler {
	on := func(object any, gone bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		take(object, gone)
		w.judge()
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { on(o, false) },
		UpdateFunc: func(_, o any) { on(o, false) },
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			on(o, true)
		},
	}
}

func (w *EndpointsWatch) judge() {
	if !w.complete {
		return
	}
	endpoints := 0
	podHasIP := false
	for _, n := range w.slices {
		endpoints += n
	}
	for _, has := range w.pods {
		podHasIP = podHasIP || has
	}
	empty := endpoints == 0 && podHasIP
	switch {
	case empty && w.since.IsZero():
		w.since = time.Now()
	case !empty && !w.since.IsZero():
		w.empties = append(w.empties, time.Since(w.since))
		w.since = time.Time{}
	}
}

// Changes are when another EndpointSlice of the client Service was seen: each has every
// node's proxy write its rules again.
func (w *EndpointsWatch) Changes() []history.Stamp {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// BothPodsGo says that the fault takes both pods away at once.
func (w *EndpointsWatch) BothPodsGo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tolerance = newPodsTolerance
}

// Longest is the longest time without an endpoint so far.
func (w *EndpointsWatch) Longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.empties) == 0 {
		return 0
	}
	return slices.Max(w.empties)
}

// Stop ends the watch and reports the times without an endpoint that were longer than
// two watches may disagree.
func (w *EndpointsWatch) Stop() error {
	w.stop()
	w.factory.Shutdown()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.since.IsZero() {
		w.empties = append(w.empties, time.Since(w.since))
	}
	var long []time.Duration
	for _, d := range w.empties {
		if d > w.tolerance {
			long = append(long, d)
		}
	}
	if len(long) > 0 {
		return fmt.Errorf("service %s had no endpoint while a member pod had an IP, for %v", w.service, long)
	}
	return nil
}
