package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

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

// donorSecret reads one key of a user's Secret, which no cache has.
func (r *PairReconciler) donorSecret(ctx context.Context, v *visit, field string, ref v1alpha1.KeyReference) (string, error) {
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: v.name.Namespace, Name: ref.Name}, &secret)
	why := ""
	switch {
	case apierrors.IsNotFound(err):
		why = fmt.Sprintf("there is no Secret %s in this namespace: make it", ref.Name)
	case err != nil:
		return "", fmt.Errorf("read Secret %s: %w", ref.Name, err)
	case len(secret.Data[ref.Key]) == 0:
		why = fmt.Sprintf("Secret %s has no key %s: add it", ref.Name, ref.Key)
	default:
		return string(secret.Data[ref.Key]), nil
	}
	return "", v.session.awaits(status.ReasonSecretMissing, "spec.bootstrap.donor."+field+": "+why)
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
