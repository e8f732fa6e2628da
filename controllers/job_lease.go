package controllers

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/signing"
)

// verifier verifies what the operators of a pair have signed. It signs nothing.
type verifier struct{ signers *signing.Trusted }

var _ lease.Keyring = verifier{}

// Sign implements lease.Keyring.
func (verifier) Sign([]byte) ([]byte, error) {
	return nil, errors.New("the controller of jobs does not write the Lease")
}

// Verify implements lease.Keyring.
func (k verifier) Verify(message, signature []byte) (bool, error) {
	return k.signers.Verify(message, signature), nil
}

// roles reads the Lease, which the status may be behind. What no operator of the pair has
// signed is authority.ErrNotAuthentic: anyone who may write Leases could otherwise choose the
// roles at which a Job writes rows.
func (r *JobReconciler) roles(ctx context.Context, v *jobVisit) (authority.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	store := leaseStore(r.Leases, v.pair)
	if err := r.trust(ctx, v, store); err != nil {
		return authority.Record{}, err
	}
	rec, _, err := store.Read(ctx)
	if err == nil && rec.PairUID != pair.UID(v.pair.UID) {
		err = fmt.Errorf("the Lease is about a former pair with the UID %s: %w", rec.PairUID, authority.ErrNotAuthentic)
	}
	return rec, err
}

// trust has the store believe the certificate authorities that the members of the pair trust.
func (r *JobReconciler) trust(ctx context.Context, v *jobVisit, store *lease.Store) error {
	var secret corev1.Secret
	name := types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.CA()}
	found, err := r.Applier.Find(ctx, v.pair, name, &secret)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("read Secret %s: %w", name, errNoCredential)
	}
	signers, err := signing.Trust(secret.Data[resources.KeyCA])
	if err != nil {
		return fmt.Errorf("the certificate authority of pair %s: %w", v.name, err)
	}
	unsigned := unsignedCounts(secret.Data)
	store.Keyring = verifier{signers: signers}
	store.AcceptUnsigned = func() bool { return unsigned }
	return nil
}

// unsignedCounts reports whether the Secret of a pair's certificate authority was made by an
// operator that did not sign the Lease, and no later one has noted that it does.
func unsignedCounts(data map[string][]byte) bool {
	return len(data[resources.KeyCAKey]) > 0 && len(data[resources.KeyLeaseSigned]) == 0
}
