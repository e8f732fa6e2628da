package harness

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// RouteWatch checks the order of a failover by resourceVersions, which etcd gives out in
// order: the client Service must not lead to a member's mysqld before the deletion of
// the former primary's pod was accepted.
type RouteWatch struct {
	members [2]string
	service string
	stop    context.CancelFunc
	factory informers.SharedInformerFactory

	mu      sync.Mutex
	open    map[string]string // route key and member -> UID of the pod that carries it
	deleted map[string]int64  // pod UID -> resourceVersion at which its deletion was seen
	demoted map[string]bool   // UIDs of pods that were demoted in a planned switchover, and stay
	moves   []move
}

// move is a write that led the Service to a mysqld.
type move struct {
	key     string
	version int64
	seen    history.Stamp
}

// WatchRoutes begins to watch. The pair must be available.
func (p *Pair) WatchRoutes(ctx context.Context) (*RouteWatch, error) {
	w := &RouteWatch{
		members: p.Members(),
		service: p.Name,
		open:    map[string]string{},
		deleted: map[string]int64{},
		demoted: map[string]bool{},
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.factory = informers.NewSharedInformerFactoryWithOptions(p.Clientset, 0, informers.WithNamespace(p.Namespace))
	pods := w.factory.Core().V1().Pods().Informer()
	services := w.factory.Core().V1().Services().Informer()
	podsRegistered, errPods := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.pod(o) },
		UpdateFunc: func(_, o any) { w.pod(o) },
		DeleteFunc: func(o any) { w.gone(o) },
	})
	if errPods != nil {
		return nil, fmt.Errorf("watch routes: %w", errPods)
	}
	w.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), podsRegistered.HasSynced) {
		return nil, fmt.Errorf("watch routes: %w", ctx.Err())
	}
	_, err := services.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.route(o) },
		UpdateFunc: func(_, o any) { w.route(o) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch routes: %w", err)
	}
	w.factory.Start(ctx.Done())
	return w, nil
}

func (w *RouteWatch) pod(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok || (pod.Name != w.members[0] && pod.Name != w.members[1]) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, value := range pod.Labels {
		if r, ok := resources.ParseRouteLabel(key, value); ok && r.Mode == resources.RouteOpen {
			w.open[key+" "+pod.Name] = string(pod.UID)
		}
	}
	if pod.DeletionTimestamp != nil && w.deleted[string(pod.UID)] == 0 {
		w.deleted[string(pod.UID)], _ = strconv.ParseInt(pod.ResourceVersion, 10, 64)
	}
}

func (w *RouteWatch) gone(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.deleted[string(pod.UID)] == 0 {
			w.deleted[string(pod.UID)], _ = strconv.ParseInt(pod.ResourceVersion, 10, 64)
		}
	}
}

func (w *RouteWatch) route(object any) {
	service, ok := object.(*corev1.Service)
	if !ok || service.Name != w.service {
		return
	}
	route, ok := resources.RouteOf(service)
	if !ok || route.Mode != resources.RouteOpen {
		return
	}
	version, _ := strconv.ParseInt(service.ResourceVersion, 10, 64)
	key := route.Key() + " " + string(route.Member)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.moves); n > 0 && w.moves[n-1].key == key {
		return
	}
	w.moves = append(w.moves, move{key, version, Now()})
}

// Stop ends the watch and reports wrong orders. Only now, since two watches tell of their
// events in an order of their own.
func (w *RouteWatch) Stop() error {
	w.stop()
	w.factory.Shutdown()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.judge()
}

// Moves are when the Service was seen to lead to another mysqld than before.
func (w *RouteWatch) Moves() []history.Stamp {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stamps []history.Stamp
	for _, m := range w.moves {
		stamps = append(stamps, m.seen)
	}
	return stamps
}

// Demoted says that this pod is demoted in a planned switchover: its deletion is not asked for.
func (w *RouteWatch) Demoted(uid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.demoted[uid] = true
}

func (w *RouteWatch) judge() error {
	var defects []error
	former := ""
	for _, m := range w.moves {
		uid := w.open[m.key]
		if uid == "" || uid == former {
			continue // the label is older than the watch, or nothing moved
		}
		at := w.deleted[former]
		early := at == 0 || at > m.version
		if early && former != "" && !w.demoted[former] {
			defects = append(defects, fmt.Errorf(
				"the Service led to the mysqld of pod %s at revision %d, but the deletion of the former primary's pod %s was seen at revision %d (0: never)",
				uid, m.version, former, at))
		}
		former = uid
	}
	return errors.Join(defects...)
}
