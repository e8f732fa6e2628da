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

// podEvents are, for each member whose pod is not made or does not begin, what the cluster's
// events say about that, empty for nothing, and when they were last read.
type podEvents struct {
	warnings [2]string
	readAt   time.Time
}

// readEvents keeps, for each member whose pod is not made or does not begin, what the cluster
// itself says about that: a quota, a priority class, an admission webhook, a volume. A refused
// pod leaves no other trace, since there is no object whose status could say so. It is read
// beside the decisions, which do not depend on it.
func (r *PairReconciler) readEvents(ctx context.Context, v *visit, o failover.Observation) error {
	now := r.Now()
	known := &v.session.podEvents
	if now.Sub(known.readAt) < eventsEvery {
		return nil
	}
	known.readAt = now
	known.warnings = [2]string{}
	for i := range o.Members {
		var err error
		if known.warnings[i], err = r.lastWarning(ctx, v, i, &o.Members[i]); err != nil {
			return err
		}
	}
	return nil
}

// lastWarning is the newest warning about a pod that is missing or pending; empty for none.
func (r *PairReconciler) lastWarning(ctx context.Context, v *visit, member int, m *failover.Member) (string, error) {
	var newest *corev1.Event
	for _, uid := range eventSubjects(v, v.absences[member], m, r.Now()) {
		var list corev1.EventList
		if err := r.Live.List(ctx, &list, client.InNamespace(v.pair.Namespace), client.MatchingFields{eventField: string(uid)}); err != nil {
			return "", fmt.Errorf("read events about the pod of %s: %w", m.Name, err)
		}
		for i := range list.Items {
			e := &list.Items[i]
			if concerns(e, m, uid == v.statefulSet) && (newest == nil || lastSeen(newest).Before(lastSeen(e))) {
				newest = e
			}
		}
	}
	if newest == nil {
		return "", nil
	}
	return newest.Reason + ": " + newest.Message, nil
}

// eventSubjects are the objects whose events say why a member's pod is missing or pending;
// none while it is neither, or has not been for long.
func eventSubjects(v *visit, a absence, m *failover.Member, now time.Time) []types.UID {
	if a.absent() {
		if now.Sub(a.since) < eventsAfter || v.statefulSet == "" {
			return nil
		}
		return []types.UID{v.statefulSet}
	}
	if !m.Pod.NeverRan || now.Sub(m.Pod.CreatedAt) < eventsAfter {
		return nil
	}
	about := []types.UID{types.UID(m.Pod.UID)}
	for i := range v.claims {
		if strings.HasSuffix(v.claims[i].Name, "-"+string(m.Name)) {
			about = append(about, v.claims[i].UID)
		}
	}
	return about
}

// concerns: it is a warning about this member. One StatefulSet makes the pods and claims of
// both.
func concerns(e *corev1.Event, m *failover.Member, ofStatefulSet bool) bool {
	return e.Type == corev1.EventTypeWarning && (!ofStatefulSet || strings.Contains(e.Message, string(m.Name)))
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
