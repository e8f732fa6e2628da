package controllers

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/status"
)

// beginning adds to the order to make a pair's first data what the data is copied from or loaded
// of; nothing for a pair that begins empty. What is missing in the namespace is kept for the status, and
// is an ErrConflict.
func (r *PairReconciler) beginning(ctx context.Context, v *visit, c *agentapi.InitializeCommand) (err error) {
	if spec := v.pair.Spec.Bootstrap; spec != nil && spec.Dump != nil {
		v.session.bootstrap = awaited{}
		c.Dump, err = r.dump(ctx, v, spec.Dump)
		return err
	}
	c.Donor, err = r.foreignDonor(ctx, v)
	return err
}

// foreignDonor is what the first member of a new pair is to copy; nil for a pair that begins
// empty. What is missing in the namespace is kept for the status, and is an ErrConflict.
func (r *PairReconciler) foreignDonor(ctx context.Context, v *visit) (*agentapi.ForeignDonor, error) {
	spec := v.pair.Spec.Bootstrap
	if spec == nil {
		return nil, nil
	}
	if spec.Backup != nil {
		return r.vaultDonor(ctx, v)
	}
	v.session.bootstrap = awaited{}
	source := spec.Donor
	out := &agentapi.ForeignDonor{
		Host:  source.Host,
		Port:  int(source.Port),
		User:  source.User,
		NoTLS: source.TLS == v1alpha1.DonorTLSDisabled,
	}
	password, err := r.donorSecret(ctx, v, "passwordSecretRef", source.PasswordSecretRef)
	if err != nil {
		return nil, err
	}
	out.Password = password
	if source.CASecretRef != nil {
		if out.CA, err = r.donorSecret(ctx, v, "caSecretRef", *source.CASecretRef); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// donorSecret reads one key of a Secret that a field of spec.bootstrap.donor names.
func (r *PairReconciler) donorSecret(ctx context.Context, v *visit, field string, ref v1alpha1.KeyReference) (string, error) {
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	value, why, err := named.value(ctx, ref, "spec.bootstrap.donor."+field)
	if why != "" {
		err = v.session.awaits(status.ReasonSecretMissing, why)
	}
	return string(value), err
}

// awaited is what the copy that a pair begins with waits for.
type awaited struct {
	// reason of the condition Bootstrapped; empty for nothing.
	reason string
	fact   string
}

// awaits keeps for the status what the copy waits for. It returns an ErrConflict, so that the
// step is tried again.
func (s *session) awaits(reason, fact string) error {
	s.bootstrap = awaited{reason: reason, fact: fact}
	return fmt.Errorf("%w: %s", execute.ErrConflict, fact)
}
