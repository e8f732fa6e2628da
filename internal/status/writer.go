package status

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// Manager owns the status of pairs.
const Manager = "dbpair-status"

// Quiet is the shortest time between two writes that report nothing but figures, such as
// the lag, or another wording of the last decision.
const Quiet = 30 * time.Second

// Write is the only writer of a pair's status. It writes nothing when nothing changed,
// and figures alone only when the last write is Quiet ago. The patch is conditional on
// the version that was read; a conflict is returned as it is and means: look again.
func Write(
	ctx context.Context,
	c client.Client,
	p *v1alpha1.DatabasePair,
	next v1alpha1.DatabasePairStatus,
	last, now time.Time,
) (bool, error) {
	if equality.Semantic.DeepEqual(p.Status, next) {
		return false, nil
	}
	if now.Sub(last) < Quiet && equality.Semantic.DeepEqual(withoutFigures(p.Status), withoutFigures(next)) {
		return false, nil
	}
	after := p.DeepCopy()
	after.Status = next
	patch := client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, after, patch, client.FieldOwner(Manager)); err != nil {
		return false, fmt.Errorf("write the status of pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	return true, nil
}

// isCurrentArchive: the message of this condition has a moment that advances all the time.
func isCurrentArchive(c metav1.Condition) bool {
	return c.Type == v1alpha1.ConditionArchiving && c.Status == metav1.ConditionTrue
}

// withoutFigures is a status without what changes all the time.
func withoutFigures(s v1alpha1.DatabasePairStatus) v1alpha1.DatabasePairStatus {
	out := *s.DeepCopy()
	out.Lag = ""
	if out.Bootstrap != nil {
		out.Bootstrap.Bytes = 0
		out.Bootstrap.TotalBytes = 0
	}
	if out.Archive != nil {
		out.Archive.Until = nil
		out.Archive.Current = nil
		out.Archive.GTIDs = ""
		out.Archive.Segments = 0
	}
	if i := slices.IndexFunc(out.Conditions, isCurrentArchive); i >= 0 {
		out.Conditions[i].Message = ""
	}
	if out.LastDecision != nil {
		out.LastDecision.Message = ""
	}
	for i := range out.Members {
		out.Members[i].LagSeconds = nil
		out.Members[i].Copy = nil
	}
	return out
}
