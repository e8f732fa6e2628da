package authority

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/pair"
)

// ErrNotAuthentic is wrapped when a record was not written by an operator of the pair. Such
// a record is no authority, whatever it says: it confirms nothing and revokes nothing.
var ErrNotAuthentic = errors.New("not signed by the operator of this pair")

// Verify reports whether a signature is one of the pair's certificate authority. A nil
// Verify takes none for valid.
type Verify func(message, signature []byte) bool

// Valid reports whether the statement about this pair carries a valid signature.
func (v Verify) Valid(uid pair.UID, s pair.SignedEpoch) bool {
	if v == nil || s.Signature == "" {
		return false
	}
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	return err == nil && v(s.Message(uid), signature)
}

// Authentic says why a record that was read is not to be believed; nil when an operator
// signed it as it is. Signed has to name the digest of what was read.
func (v Verify) Authentic(r Record) error {
	s := r.Signed
	switch {
	case s.Signature == "":
		return fmt.Errorf("%w: it has no signature", ErrNotAuthentic)
	case s.Epoch != r.Epoch || s.Holder != r.Holder || s.Ledger != r.Ledger.Version:
		return fmt.Errorf("%w: the signature is about epoch %d, ledger version %d and holder %q", ErrNotAuthentic, s.Epoch, s.Ledger, s.Holder)
	case !v.Valid(r.PairUID, s):
		return fmt.Errorf("%w: the signature does not fit what it says", ErrNotAuthentic)
	}
	return nil
}

// Statement is what has to be signed about a record with this digest of everything beside
// epoch, holder and ledger version.
func (r Record) Statement(digest string) pair.SignedEpoch {
	return pair.SignedEpoch{
		Epoch:  r.Epoch,
		Holder: r.Holder,
		Ledger: r.Ledger.Version,
		Digest: digest,
	}
}
