package resources

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"

	"software.sslmate.com/src/go-pkcs12"
)

// trustStore turns certificates from PEM into PKCS #12. The same certificates always make
// the same bytes, so that a Secret with them does not change at every reconciliation: the
// salts come from the certificates, which are no secret.
func trustStore(certificatesPEM []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for rest := certificatesPEM; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate of the CA: %w", err)
		}
		// Java keeps one certificate of a name, and during a rotation there are two CAs.
		entries = append(entries, pkcs12.TrustStoreEntry{
			Cert:         certificate,
			FriendlyName: fmt.Sprintf("dbpair-ca-%d", len(entries)),
		})
	}
	if len(entries) == 0 {
		return nil, errors.New("certificate of the CA: no certificate in it")
	}
	salts := rand.NewChaCha8(sha256.Sum256(certificatesPEM))
	store, err := pkcs12.Modern2023.WithRand(salts).EncodeTrustStoreEntries(entries, TrustStorePassword)
	if err != nil {
		return nil, fmt.Errorf("trust store: %w", err)
	}
	return store, nil
}
