package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrNoKey is returned for a bundle that holds no certificate authority.
var ErrNoKey = errors.New("no certificate authority that could have signed")

// Sign signs a message. The signature is another one each time.
func Sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

// Trusted are the keys whose signatures count. Safe for concurrent use.
type Trusted struct{ keys []*ecdsa.PublicKey }

// Trust reads the certificate authorities of a PEM bundle. Their time does not matter: the
// signature of an authority counts for as long as the bundle names it.
func Trust(bundle []byte) (*Trusted, error) {
	t := &Trusted{}
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !cert.IsCA {
			continue
		}
		if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
			t.keys = append(t.keys, key)
		}
	}
	if len(t.keys) == 0 {
		return nil, ErrNoKey
	}
	return t, nil
}

// Verify reports whether the signature is one of the message by a trusted key.
func (t *Trusted) Verify(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	for _, key := range t.keys {
		if ecdsa.VerifyASN1(key, sum[:], signature) {
			return true
		}
	}
	return false
}

// KeyID names a public key: the SHA-256 of its PKIX form, in hexadecimal digits; empty for a
// key that has no such form.
func KeyID(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
