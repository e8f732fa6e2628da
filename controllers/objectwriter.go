package controllers

import (
	"context"
	"fmt"

	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

// objectWriter applies objects of pairs, and raises events about what it had to repair.
type objectWriter struct {
	applier *cluster.Applier
	events  recorder.EventRecorder
}

// ensure makes one object of a pair what it has to be. It is idempotent, and writes nothing when
// the object is so already; live is an empty object of the type, and holds what was found.
func (w objectWriter) ensure(ctx context.Context, p *v1alpha1.DatabasePair, wish cluster.Configuration, live object) error {
	did, err := w.applier.Ensure(ctx, p, wish, live)
	if err != nil {
		return err
	}
	if lost := lostLabels(live, resources.KeptLabels(p.Name)); did != cluster.Unchanged && live.GetUID() != "" && len(lost) > 0 {
		tellLabels(w.events, p, live, lost)
	} else if did == cluster.Repaired {
		tellOf(w.events, p, live, warning, "ChangeUndone",
			fmt.Sprintf("put %s %s back as it has to be: someone changed or removed it", kindOf(live), *wish.GetName()))
	}
	if did != cluster.Unchanged {
		logf.FromContext(ctx).Info("applied an object", "kind", kindOf(live), "name", *wish.GetName(), "outcome", did)
	}
	return nil
}
