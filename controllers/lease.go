package controllers

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// leaseStore keeps the authority of a pair in its Lease.
func leaseStore(leases kubernetes.Interface, p *v1alpha1.DatabasePair) *lease.Store {
	return &lease.Store{
		API:     leases.CoordinationV1().Leases(p.Namespace),
		Name:    p.Name,
		Labels:  resources.Labels(p.Name),
		Owners:  []metav1.OwnerReference{resources.OwnerReference(p)},
		Guarded: resources.LabelPair,
	}
}

// keepLease writes the Lease as it is once more when it says the right thing and lacks
// something: a signature, that of the present authority, or its labels and owner. An
// authority in doubt is left as it is, and what is under way signs what it writes.
func (r *PairReconciler) keepLease(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) error {
	rec := o.Authority.Record
	quiet := plan.Kind == failover.Settled || plan.Kind == failover.Waits || plan.Kind == failover.Holds
	idle := quiet && len(plan.Steps) == 0
	if o.Authority.Reading != failover.Read || !idle || v.pair.Spec.Paused {
		return nil
	}
	why := ""
	switch {
	case rec.Signed.Signature == "":
		why = "it was not signed"
	case v.session.store.Unclaimed():
		why = "it lacked its labels or its owner"
	case v.session.keyring.signedByFormer(o):
		why = "the pair has another certificate authority"
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if _, err := v.session.store.Write(ctx, rec, o.Authority.Version); err != nil {
		if errors.Is(err, lease.ErrConflict) {
			return nil // the next look reads what it is now
		}
		return fmt.Errorf("sign the authority: %w", err)
	}
	v.log.Info("signed the authority", "epoch", rec.Epoch, "why", why)
	return nil
}
