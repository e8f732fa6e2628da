package pki

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"
)

// Leaf is a certificate with its key, PEM encoded.
type Leaf struct {
	CertPEM []byte
	KeyPEM  []byte
}

// Subject says whom a certificate names and where it may be presented.
type Subject struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
	// URIs say what the certificate is for.
	URIs []*url.URL
	// Server: it may also be presented by a server. Every one may be by a client.
	Server bool
	Life   time.Duration
}

// Issue makes a key and signs a certificate for it. The certificate never outlives the
// authority.
func (a *Authority) Issue(s Subject, now time.Time) (Leaf, error) {
	key, err := NewKey()
	if err != nil {
		return Leaf{}, fmt.Errorf("issue a certificate for %s: %w", s.CommonName, err)
	}
	return a.IssueFor(s, key, now)
}

// IssueFor signs a certificate for a key that exists. The certificate never outlives the
// authority.
func (a *Authority) IssueFor(s Subject, key *Key, now time.Time) (Leaf, error) {
	if now.After(a.Cert.NotAfter) {
		return Leaf{}, fmt.Errorf("issue a certificate for %s: the authority expired on %s", s.CommonName, a.Cert.NotAfter.Format(time.RFC3339))
	}
	serial, err := newSerial()
	if err != nil {
		return Leaf{}, err
	}
	end := now.Add(s.Life)
	if end.After(a.Cert.NotAfter) {
		end = a.Cert.NotAfter
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if s.Server {
		usage = append(usage, x509.ExtKeyUsageServerAuth)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"dbpair"}, CommonName: s.CommonName},
		NotBefore:    now.Add(-backdate),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usage,
		DNSNames:     s.DNSNames,
		IPAddresses:  s.IPs,
		URIs:         s.URIs,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.key.Public(), a.key)
	if err != nil {
		return Leaf{}, fmt.Errorf("sign the certificate of %s: %w", s.CommonName, err)
	}
	keyPEM, err := key.PEM()
	if err != nil {
		return Leaf{}, err
	}
	return Leaf{CertPEM: encodeCert(der), KeyPEM: keyPEM}, nil
}

// Due says why a certificate has to be made again, or nothing: it is unreadable, of
// another authority, for another subject, or a third of its life is left.
func (a *Authority) Due(l Leaf, s Subject, now time.Time) (why string) {
	cert, err := l.check()
	if err != nil {
		return "it cannot be used: " + err.Error()
	}
	if cert.CheckSignatureFrom(a.Cert) != nil {
		return "it is of another authority"
	}
	if cert.Subject.CommonName != s.CommonName {
		return "it names " + cert.Subject.CommonName
	}
	for _, name := range s.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return "it lacks the name " + name
		}
	}
	for _, ip := range s.IPs {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return "it lacks the address " + ip.String()
		}
	}
	for _, name := range cert.DNSNames {
		if !slices.Contains(s.DNSNames, name) {
			return "it has the name " + name + ", which is not wanted any more"
		}
	}
	for _, ip := range cert.IPAddresses {
		if !slices.ContainsFunc(s.IPs, ip.Equal) {
			return "it has the address " + ip.String() + ", which is not wanted any more"
		}
	}
	if !slices.EqualFunc(cert.URIs, s.URIs, func(x, y *url.URL) bool { return x.String() == y.String() }) {
		return "it is for something else"
	}
	if now.After(RenewAt(cert)) {
		return "it expires on " + cert.NotAfter.UTC().Format(time.RFC3339)
	}
	return ""
}

// SignedBy says when the certificate was made and whether this authority signed it; the zero
// time if it cannot be read.
func (l Leaf) SignedBy(ca *x509.Certificate) (issued time.Time, signed bool) {
	cert, err := firstCertificate(l.CertPEM)
	if err != nil {
		return time.Time{}, false
	}
	return IssuedAt(cert), cert.CheckSignatureFrom(ca) == nil
}

// RenewAt is the time at which a third of the certificate's life is left.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

// KeyPair is the leaf as crypto/tls wants it.
func (l Leaf) KeyPair() (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(l.CertPEM, l.KeyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load a certificate: %w", err)
	}
	return pair, nil
}

func (l Leaf) check() (*x509.Certificate, error) {
	cert, err := firstCertificate(l.CertPEM)
	if err != nil {
		return nil, fmt.Errorf("tls.crt: %w", err)
	}
	key, err := parseKey(l.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("tls.key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("tls.key does not belong to tls.crt")
	}
	return cert, nil
}
