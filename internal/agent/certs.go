package agent

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/signing"
)

// certs are the member's certificate and the pair's authority, read again when the files
// change.
type certs struct {
	dir string

	mu   sync.Mutex
	sum  [32]byte
	leaf tls.Certificate
	pool *x509.CertPool
	// signers are the CA's keys: what they signed about the authority counts.
	signers *signing.Trusted
}

func readCerts(dir string) (*certs, error) {
	c := &certs{dir: dir}
	_, err := c.reload()
	return c, err
}

func (c *certs) files() mysqlops.TLSFiles {
	return mysqlops.TLSFiles{
		CA:   filepath.Join(c.dir, "ca.crt"),
		Cert: filepath.Join(c.dir, "tls.crt"),
		Key:  filepath.Join(c.dir, "tls.key"),
	}
}

// reload reads the files and reports whether they are others than before. On an error
// the old ones stay in use.
func (c *certs) reload() (changed bool, err error) {
	files := c.files()
	var text [3][]byte
	hash := sha256.New()
	for i, path := range []string{files.CA, files.Cert, files.Key} {
		if text[i], err = os.ReadFile(path); err != nil {
			return false, fmt.Errorf("read certificates: %w; they come from the member's TLS Secret", err)
		}
		hash.Write(text[i])
	}
	leaf, err := tls.X509KeyPair(text[1], text[2])
	if err != nil {
		return false, fmt.Errorf("read certificates in %s: %w; delete the member's TLS Secret to have it made again", c.dir, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text[0]) {
		return false, fmt.Errorf("read certificates: %s holds no certificate", files.CA)
	}
	signers, err := signing.Trust(text[0])
	if err != nil {
		return false, fmt.Errorf("read certificates: %s: %w", files.CA, err)
	}
	sum := [32]byte(hash.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = sum != c.sum
	c.sum = sum
	c.leaf = leaf
	c.pool = pool
	c.signers = signers
	return changed, nil
}

// verify reports whether the operator of this pair signed a message, with any of the keys
// that are trusted now.
func (c *certs) verify(message, signature []byte) bool {
	c.mu.Lock()
	signers := c.signers
	c.mu.Unlock()
	return signers.Verify(message, signature)
}

func (c *certs) get() (tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaf, c.pool
}

// server is the configuration of the agent's API: each connection takes the newest.
func (c *certs) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			leaf, pool := c.get()
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{leaf},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    pool,
			}, nil
		},
	}
}

// anonymous is the configuration of the listener for routers, which asks for no client certificate.
func (c *certs) anonymous() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			leaf, _ := c.get()
			return &leaf, nil
		},
	}
}

// client is the configuration for a connection to someone of this common name.
func (c *certs) client(commonName string) (*tls.Config, error) {
	leaf, pool := c.get()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{leaf},
		RootCAs:      pool,
		// The chain is verified below, and the name is the common name: an address says
		// nothing about whom the operator gave the certificate to.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("no certificate")
			}
			between := x509.NewCertPool()
			for _, cert := range state.PeerCertificates[1:] {
				between.AddCert(cert)
			}
			cert := state.PeerCertificates[0]
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between}); err != nil {
				return err
			}
			if cert.Subject.CommonName != commonName {
				return fmt.Errorf("the certificate is of %q, want %q", cert.Subject.CommonName, commonName)
			}
			return nil
		},
	}, nil
}
