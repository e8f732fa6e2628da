package controllers

import (
	"context"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// budget writes the disruption budget that the plan allows. It does so beside
// the looks, in their order: the budget guards against evictions, and a failover does not
// wait for it. It is written for a paused pair, too, whose evictions nothing would answer.
func (r *PairReconciler) budget(ctx context.Context, v *visit, plan failover.Plan) {
	if plan.Rule == RuleNameConflict {
		return
	}
	ctx = context.WithoutCancel(ctx)
	v.session.budgets.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, budgetTimeout)
		defer cancel()
		if err := r.ensureBudget(ctx, v, plan.Evictable); err != nil && !apierrors.IsConflict(err) {
			v.log.Error(err, "the disruption budget was not written")
		}
	})
}

const budgetTimeout = 5 * time.Second

// ensureBudget lets a member be evicted only while the pair could do without it. It is
// written before a step that makes the state worse.
func (r *PairReconciler) ensureBudget(ctx context.Context, v *visit, ready bool) error {
	w := objectWriter{applier: r.Applier, events: r.Events}
	return w.ensure(ctx, v.pair, resources.DisruptionBudget(v.pair, ready), &policyv1.PodDisruptionBudget{})
}
