package controllers_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

func (s *scene) secretData(name string) map[string][]byte {
	s.Helper()
	var secret corev1.Secret
	s.must(s.Get(s.ctx, s.key(name), &secret))
	return secret.Data
}

// A rotation that is asked for as kubectl dbpair rotate asks is begun by the running operator
// against a real API server, and what a tenant adds to a member's Secret is not trusted.
func TestTheOperatorRotatesWhatIsAskedFor(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", "storage: {size: 1Gi}")
	s.must(err)
	s.surrounded("shop")
	n := resources.NamesOf(p)
	ca := s.secretData(n.CA())
	leaf := s.secretData(n.TLS(0))
	internal := s.secretData(n.Internal())
	block, _ := pem.Decode(leaf[corev1.TLSCertKey])
	cert, err := x509.ParseCertificate(block.Bytes)
	s.must(err)
	at := pki.IssuedAt(cert).Add(time.Second).UTC().Format(time.RFC3339)
	s.must(s.Get(s.ctx, s.key("shop"), p))
	before := p.DeepCopy()
	p.Annotations = map[string]string{
		v1alpha1.AnnotationRotateCA:           at,
		v1alpha1.AnnotationRotateCertificates: at,
		v1alpha1.AnnotationRotatePasswords:    at,
	}
	s.must(s.Patch(s.ctx, p, client.MergeFrom(before)))
	s.eventually("new certificates and passwords, and a published certificate authority", func() error {
		newCA := s.secretData(n.CA())
		newLeaf := s.secretData(n.TLS(0))
		newInternal := s.secretData(n.Internal())
		next := newCA["next.crt"]
		switch {
		case bytes.Equal(newLeaf[corev1.TLSCertKey], leaf[corev1.TLSCertKey]):
			return errors.New("the certificate is the former one")
		case bytes.Equal(newInternal["root"], internal["root"]):
			return errors.New("the password is the former one")
		case !bytes.Equal(newInternal["former.root"], internal["root"]) || !bytes.Equal(newCA["password.former.root"], internal["root"]):
			return errors.New("a member that knows the former password alone is locked out")
		case len(next) == 0 || !bytes.Contains(newLeaf[resources.KeyCA], next):
			return errors.New("no certificate authority is published")
		case !bytes.Contains(newLeaf[resources.KeyCA], ca[resources.KeyCA]):
			return errors.New("the present certificate authority is not trusted any more")
		}
		return nil
	})
	foreign, err := pki.NewAuthority("shop", time.Now())
	s.must(err)
	var member corev1.Secret
	s.must(s.Get(s.ctx, s.key(n.TLS(1)), &member))
	old := member.DeepCopy()
	member.Data[resources.KeyCA] = append(member.Data[resources.KeyCA], foreign.CertPEM...)
	s.must(s.Patch(s.ctx, &member, client.MergeFrom(old)))
	s.eventually("a foreign certificate authority is taken out again", func() error {
		for _, name := range []string{n.CA(), n.TLS(0), n.TLS(1), n.App()} {
			if bytes.Contains(s.secretData(name)[resources.KeyCA], foreign.CertPEM) {
				return errors.New("it is in " + name)
			}
		}
		return nil
	})
}
