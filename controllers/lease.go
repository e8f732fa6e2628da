package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/signing"
)

var _ lease.Keyring = (*session)(nil)

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

// Sign signs with the pair's certificate authority, as it was when the surroundings were
// made last. After it was replaced the former one signs for a while: an agent that does not
// trust the new one yet would not believe what that signs.
func (s *session) Sign(message []byte) ([]byte, error) {
	s.mu.Lock()
	signer := s.credential.authority
	if s.credential.former != nil {
		signer = s.credential.former
	}
	s.mu.Unlock()
	if signer == nil {
		return nil, errNoCredential
	}
	return signer.Sign(message)
}

// Verify takes the signature of each authority whose certificates the members still trust.
func (s *session) Verify(message, signature []byte) (bool, error) {
	s.mu.Lock()
	signers := s.credential.signers
	s.mu.Unlock()
	if signers == nil {
		return false, errNoCredential
	}
	return signers.Verify(message, signature), nil
}

// acceptUnsigned notes whether the pair's Secret lacks the note that its Lease is signed.
func (s *session) acceptUnsigned(accept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsigned = accept
}

// unsignedCounts reports whether a Lease without a signature counts: once one with a
// signature was read it does not, and the Secret is to say so.
func (s *session) unsignedCounts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsigned && !s.signed
}

// sawRecord notes that the Lease that was read is signed.
func (s *session) sawRecord(r authority.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = s.signed || r.Signed.Signature != ""
}

// trustSpreads is how long a changed Secret takes at most until every kubelet has written it
// into its pods and the agents have read it.
const trustSpreads = 3 * time.Minute

// signedByFormer reports whether another authority than the present one signed the record,
// which every member that can be asked has had the time to trust.
func (s *session) signedByFormer(o failover.Observation) bool {
	s.mu.Lock()
	c := s.credential
	s.mu.Unlock()
	if c.authority == nil || o.Now.Sub(c.since) < trustSpreads {
		return false
	}
	for i := range o.Members {
		if !o.Members[i].Heard() {
			return false
		}
	}
	present, err := signing.Trust(c.authority.CertPEM)
	return err == nil && authority.Verify(present.Verify).Authentic(o.Authority.Record) != nil
}

// keepLease writes the Lease as it is once more when it says the right thing and lacks
// something: a signature, that of the present authority, or its labels and owner. An
// authority in doubt is left as it is, and what is under way signs what it writes.
func (r *PairReconciler) keepLease(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) error {
	rec := o.Authority.Record
	quiet := plan.Kind == failover.Settled || plan.Kind == failover.Waits || plan.Kind == failover.Holds
	if o.Authority.Reading != failover.Read || !quiet || len(plan.Steps) > 0 || v.pair.Spec.Paused {
		return nil
	}
	why := ""
	switch {
	case rec.Signed.Signature == "":
		why = "it was not signed"
	case v.session.store.Unclaimed():
		why = "it lacked its labels or its owner"
	case v.session.signedByFormer(o):
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
