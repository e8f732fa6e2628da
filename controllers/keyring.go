package controllers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/signing"
)

// keyring is what the operator signs with and trusts for one pair. Safe for concurrent use; the
// zero value has no credential yet.
type keyring struct {
	mu         sync.Mutex
	credential credential
	// unsigned: the pair's operators did not sign the Lease yet, so that one without a
	// signature counts, until one with a signature was read.
	unsigned bool
	signed   bool
}

var _ lease.Keyring = (*keyring)(nil)

// credential is what the operator shows the agents of this pair, and whom it trusts.
type credential struct {
	cert   tls.Certificate
	leaf   pki.Leaf
	roots  *x509.CertPool
	bundle string
	// authority signs the Lease; signers are those whose signature on it counts.
	authority *pki.Authority
	signers   *signing.Trusted
	// former signs instead for as long as members may not trust authority yet.
	former *pki.Authority
	// since is when the authority became this one, for this process.
	since time.Time
}

// errNoCredential is returned until the pair's certificates are made.
var errNoCredential = errors.New("the certificates of the pair are not made yet")

// trust renews the operator's own certificate for this pair when it is due, and what it
// trusts when that changed. It reports whether connections have to be made again.
func (k *keyring) trust(a *pki.Authority, bundle []byte, key *pki.Key, now time.Time) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.credential.since) >= trustSpreads {
		k.credential.former = nil
	}
	why := a.Due(k.credential.leaf, pki.Operator(), now)
	if why == "" && k.credential.bundle == string(bundle) {
		return false, nil
	}
	signers, err := signing.Trust(bundle)
	if err != nil {
		return false, fmt.Errorf("the pair's certificate authority: %w", err)
	}
	since := k.credential.since
	former := k.credential.former
	if present := k.credential.authority; present == nil || !present.Cert.Equal(a.Cert) {
		since = now
		if former == nil {
			former = present
		}
	}
	leaf, err := operatorLeaf(a, key, now)
	if err != nil {
		return false, fmt.Errorf("the operator's certificate: %w", err)
	}
	cert, err := leaf.KeyPair()
	if err != nil {
		return false, fmt.Errorf("the operator's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	k.credential = credential{
		cert:      cert,
		leaf:      leaf,
		roots:     roots,
		bundle:    string(bundle),
		authority: a,
		signers:   signers,
		former:    former,
		since:     since,
	}
	return true, nil
}

// operatorLeaf is a certificate of the operator for its key, or for one of its own without.
func operatorLeaf(a *pki.Authority, key *pki.Key, now time.Time) (pki.Leaf, error) {
	if key == nil {
		return a.Issue(pki.Operator(), now)
	}
	return a.IssueFor(pki.Operator(), key, now)
}

// clientTLS is how the operator speaks to the agent at this address.
func (k *keyring) clientTLS(serverName string) (*tls.Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.credential.roots == nil {
		return nil, errNoCredential
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   serverName,
		RootCAs:      k.credential.roots,
		Certificates: []tls.Certificate{k.credential.cert},
	}, nil
}

// Sign signs with the pair's certificate authority, as it was when the Secrets were
// looked at last. After it was replaced the former one signs for a while: an agent that does not
// trust the new one yet would not believe what that signs.
func (k *keyring) Sign(message []byte) ([]byte, error) {
	k.mu.Lock()
	signer := k.credential.authority
	if k.credential.former != nil {
		signer = k.credential.former
	}
	k.mu.Unlock()
	if signer == nil {
		return nil, errNoCredential
	}
	return signer.Sign(message)
}

// Verify takes the signature of each authority whose certificates the members still trust.
func (k *keyring) Verify(message, signature []byte) (bool, error) {
	k.mu.Lock()
	signers := k.credential.signers
	k.mu.Unlock()
	if signers == nil {
		return false, errNoCredential
	}
	return signers.Verify(message, signature), nil
}

// trusts reports whether the pair's agents can be asked.
func (k *keyring) trusts() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.credential.roots != nil
}

// acceptUnsigned notes whether the pair's Secret lacks the note that its Lease is signed.
func (k *keyring) acceptUnsigned(accept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsigned = accept
}

// unsignedCounts reports whether a Lease without a signature counts: once one with a
// signature was read it does not, and the Secret is to say so.
func (k *keyring) unsignedCounts() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsigned && !k.signed
}

// sawRecord notes that the Lease that was read is signed.
func (k *keyring) sawRecord(r authority.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signed = k.signed || r.Signed.Signature != ""
}

// trustSpreads is how long a changed Secret takes at most until every kubelet has written it
// into its pods and the agents have read it.
const trustSpreads = 3 * time.Minute

// signedByFormer reports whether another authority than the present one signed the record,
// which every member that can be asked has had the time to trust.
func (k *keyring) signedByFormer(o failover.Observation) bool {
	k.mu.Lock()
	c := k.credential
	k.mu.Unlock()
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
