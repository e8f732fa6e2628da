package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/dbpair/dbpair/internal/signing"
)

// Key is a private key that outlives the certificates that are issued for it.
type Key struct{ key *ecdsa.PrivateKey }

// NewKey makes a key.
func NewKey() (*Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a private key: %w", err)
	}
	return &Key{key: key}, nil
}

// ParseKey reads a key back.
func ParseKey(keyPEM []byte) (*Key, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("parse a private key: %w", err)
	}
	return &Key{key: key}, nil
}

// PEM is the private key. It is a secret.
func (k *Key) PEM() ([]byte, error) { return encodeKey(k.key) }

// ID names the public key, as signing.KeyID does. It is no secret.
func (k *Key) ID() string { return signing.KeyID(&k.key.PublicKey) }
