package signing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/signing"
)

func TestOnlyCertificateAuthoritiesAreTrusted(t *testing.T) {
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(pki.Operator(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, bundle := range map[string][]byte{
		"nothing": nil,
		"text":    []byte("x"),
		"a leaf":  leaf.CertPEM,
		"a key":   leaf.KeyPEM,
	} {
		if _, err := signing.Trust(bundle); !errors.Is(err, signing.ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	trusted, err := signing.Trust(append(append([]byte{}, leaf.CertPEM...), ca.CertPEM...))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := ca.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if !trusted.Verify([]byte("message"), signature) {
		t.Error("a signature of the authority does not count")
	}
	if trusted.Verify([]byte("messages"), signature) || trusted.Verify([]byte("message"), nil) || trusted.Verify([]byte("message"), []byte("x")) {
		t.Error("a signature of something else counts")
	}
}
