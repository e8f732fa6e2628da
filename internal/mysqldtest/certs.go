package mysqldtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// WriteCerts makes a CA and one certificate for loopback, fit for servers and
// clients, in dir: ca.crt, tls.crt, tls.key. In dir/job are those of the Jobs
// that compare and repair, of the same CA.
func WriteCerts(dir string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "dbpair test CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	ca := testCA{
		template: template,
		der:      der,
		key:      caKey,
	}
	if err := ca.write(dir, pkix.Name{CommonName: "dbpair test member"}, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth); err != nil {
		return err
	}
	jobs := filepath.Join(dir, "job")
	if err := os.MkdirAll(jobs, 0o755); err != nil {
		return err
	}
	// As mysqlops.JobSubject says it.
	return ca.write(jobs, pkix.Name{Organization: []string{"dbpair"}, CommonName: "dbpair-job"}, x509.ExtKeyUsageClientAuth)
}

// testCA signs the certificates of a test.
type testCA struct {
	template *x509.Certificate
	der      []byte
	key      *ecdsa.PrivateKey
}

// write makes a certificate of the CA in dir, beside the CA's own.
func (ca testCA) write(dir string, subject pkix.Name, usage ...x509.ExtKeyUsage) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      subject,
		NotBefore:    ca.template.NotBefore,
		NotAfter:     ca.template.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usage,
		DNSNames:     []string{"localhost"},
		// The last two are for tests in which both members have one port.
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 1, 0, 1), net.IPv4(127, 2, 0, 1)},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca.template, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{
		{"ca.crt", "CERTIFICATE", ca.der, 0o644},
		{"tls.crt", "CERTIFICATE", leafDER, 0o644},
		{"tls.key", "PRIVATE KEY", keyDER, 0o600},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := os.WriteFile(filepath.Join(dir, file.name), text, file.mode); err != nil {
			return err
		}
	}
	return nil
}
