package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/failover"
)

const (
	// eventsAfter is how long a member's pod may be missing or pending before the cluster's
	// events about it are read.
	eventsAfter = 5 * time.Second
	// eventsEvery is the time between two reads of one pair's events.
	eventsEvery = 10 * time.Second
	// eventField selects the events about one object.
	eventField = "involvedObject.uid"
)

// readEvents keeps, for each member whose pod is not made or does not begin, what the cluster
// itself says about that: a quota, a priority class, an admission webhook, a volume. A refused
// pod leaves no other trace, since there is no object whose status could say so. It is read
// beside the decisions, which do not depend on it.
func (r *PairReconciler) readEvents(ctx context.Context, v *visit, o failover.Observation) error {
	now := r.Now()
	if now.Sub(v.session.eventsReadAt) < eventsEvery {
		return nil
	}
	v.session.eventsReadAt = now
	for i := range o.Members {
		m := &o.Members[i]
		delete(v.session.refusedPods, m.Name)
		said, err := r.lastWarning(ctx, v, m, now)
		if err != nil {
			return err
		}
		if said != "" {
			v.session.refusedPods[m.Name] = said
		}
	}
	return nil
}

// lastWarning is the newest warning about a pod that is missing or pending; empty for none.
func (r *PairReconciler) lastWarning(ctx context.Context, v *visit, m *failover.Member, now time.Time) (string, error) {
	since, missing := v.session.podMissing[m.Name]
	var about []types.UID
	switch {
	case missing && now.Sub(since) >= eventsAfter:
		about = append(about, v.statefulSet)
	case m.Pod.NeverRan && now.Sub(m.Pod.CreatedAt) >= eventsAfter:
		about = append(about, types.UID(m.Pod.UID))
		for i := range v.claims {
			if strings.HasSuffix(v.claims[i].Name, "-"+string(m.Name)) {
				about = append(about, v.claims[i].UID)
			}
		}
	}
	var newest *corev1.Event
	for _, uid := range about {
		if uid == "" {
			continue
		}
		var list corev1.EventList
		if err := r.Live.List(ctx, &list, client.InNamespace(v.pair.Namespace), client.MatchingFields{eventField: string(uid)}); err != nil {
			return "", fmt.Errorf("read events about the pod of %s: %w", m.Name, err)
		}
		for i := range list.Items {
			e := &list.Items[i]
			// One StatefulSet makes the pods and claims of both members.
			if e.Type != corev1.EventTypeWarning || (missing && !strings.Contains(e.Message, string(m.Name))) {
				continue
			}
			if newest == nil || lastSeen(newest).Before(lastSeen(e)) {
				newest = e
			}
		}
	}
	if newest == nil {
		return "", nil
	}
	return newest.Reason + ": " + newest.Message, nil
}

func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
