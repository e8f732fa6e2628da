package lease

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	annotationPrefix = "dbpair.io/"
	// signatureForm is the form of the digest and of the message that is signed.
	signatureForm = "v1:"
)

// Keyring signs what is written and verifies what is read.
type Keyring interface {
	// Sign signs a message with the pair's CA.
	Sign(message []byte) (signature []byte, err error)
	// Verify reports whether a signature is one of a CA that counts for the pair. An error
	// says that this cannot be told yet.
	Verify(message, signature []byte) (bool, error)
}

// Sign signs a Lease as Render left it.
func Sign(r authority.Record, l *coordinationv1.Lease, sign func(message []byte) (signature []byte, err error)) error {
	s := r.Statement(digest(l))
	signature, err := sign(s.Message(r.PairUID))
	if err != nil {
		return fmt.Errorf("sign the authority of pair %s: %w", r.PairUID, err)
	}
	l.Annotations[AnnotationSignature] = signatureForm + base64.StdEncoding.EncodeToString(signature)
	return nil
}

// signedOf is what a Lease shows to be signed about the record that it holds. A signature
// of another form is none.
func signedOf(l *coordinationv1.Lease, r authority.Record) pair.SignedEpoch {
	signature, ok := strings.CutPrefix(l.Annotations[AnnotationSignature], signatureForm)
	if !ok || signature == "" {
		return pair.SignedEpoch{}
	}
	s := r.Statement(digest(l))
	s.Signature = signature
	return s
}

// digest is of everything that the Lease says beside epoch, holder and ledger version: T,
// and every annotation of the pair as it is written. Those that this version does not know
// count too, so that an older agent can verify what a newer operator signed.
func digest(l *coordinationv1.Lease) string {
	var text []byte
	add := func(field string) {
		text = binary.BigEndian.AppendUint32(text, uint32(len(field)))
		text = append(text, field...)
	}
	seconds := int32(0)
	if l.Spec.LeaseDurationSeconds != nil {
		seconds = *l.Spec.LeaseDurationSeconds
	}
	add(strconv.Itoa(int(seconds)))
	for _, key := range slices.Sorted(maps.Keys(l.Annotations)) {
		if key != AnnotationSignature && strings.HasPrefix(key, annotationPrefix) {
			add(key)
			add(l.Annotations[key])
		}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
