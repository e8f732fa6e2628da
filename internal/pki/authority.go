package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/dbpair/dbpair/internal/signing"
)

// Lifetimes. A certificate is renewed when a third of its life is left, so that a
// renewal that fails for weeks is still no outage.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	MemberLife    = 90 * 24 * time.Hour
	OperatorLife  = 24 * time.Hour
	// JobLife is short because nobody takes a certificate back: it is renewed while the Job
	// runs, and ends soon after it.
	JobLife = time.Hour
	// backdate covers clocks that differ.
	backdate = 10 * time.Minute
)

// Authority is a pair's certificate authority.
type Authority struct {
	Cert    *x509.Certificate
	CertPEM []byte
	key     *ecdsa.PrivateKey
}

// NewAuthority makes an authority for the pair.
func NewAuthority(pairName string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the authority of pair %s: %w", pairName, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial keeps two authorities of one name apart in a bundle.
		Subject: pkix.Name{
			Organization: []string{"dbpair"},
			CommonName:   "dbpair-ca:" + pairName,
			SerialNumber: serial.Text(16),
		},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(AuthorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority of pair %s: %w", pairName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the new authority of pair %s: %w", pairName, err)
	}
	return &Authority{
		Cert:    cert,
		CertPEM: encodeCert(der),
		key:     key,
	}, nil
}

// ParseAuthority reads an authority back. Of a bundle the first certificate counts.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	cert, err := firstCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("parse ca.crt: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("parse ca.key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("parse authority: ca.key does not belong to ca.crt")
	}
	if !cert.IsCA {
		return nil, errors.New("parse authority: ca.crt is not a certificate authority")
	}
	return &Authority{
		Cert:    cert,
		CertPEM: encodeCert(cert.Raw),
		key:     key,
	}, nil
}

// KeyPEM is the authority's private key. It is a secret.
func (a *Authority) KeyPEM() ([]byte, error) { return encodeKey(a.key) }

// Sign signs a message with the authority's key, as package signing does.
func (a *Authority) Sign(message []byte) ([]byte, error) { return signing.Sign(a.key, message) }

// Bundle is what someone must trust to know both this authority's certificates and
// those that earlier authorities still have out: this one first, then each one of older
// that has not expired.
func (a *Authority) Bundle(older []byte, now time.Time) []byte {
	out := bytes.Clone(a.CertPEM)
	seen := map[string]bool{string(a.Cert.Raw): true}
	for rest := older; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return out
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if !cert.IsCA || now.After(cert.NotAfter) || seen[string(cert.Raw)] {
			continue
		}
		seen[string(cert.Raw)] = true
		out = append(out, encodeCert(cert.Raw)...)
	}
}

// Keep are those certificates of a bundle for which keep is true.
func Keep(bundle []byte, keep func(*x509.Certificate) bool) []byte {
	var out []byte
	for rest := bundle; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return out
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && keep(cert) {
			out = append(out, encodeCert(cert.Raw)...)
		}
	}
}

// IssuedAt is when a certificate of this package was made.
func IssuedAt(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(backdate) }

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseKey(keyPEM []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA P-256 key")
	}
	return key, nil
}

func firstCertificate(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}
