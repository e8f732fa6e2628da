package controllers

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// credential is the Secret of an operation's Job; nil when there is none.
func (s *jobStage) credential(name string) *corev1.Secret {
	s.Helper()
	var secret corev1.Secret
	err := s.c.Get(s.Context(), types.NamespacedName{Namespace: "ns", Name: s.jobOf(name)}, &secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.Fatal(err)
	}
	return &secret
}

// certificate is that of an operation's Job.
func (s *jobStage) certificate(name string) *x509.Certificate {
	s.Helper()
	secret := s.credential(name)
	if secret == nil {
		s.Fatalf("no Secret of the Job of %s", name)
	}
	block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.Fatal(err)
	}
	return cert
}

func TestACertificateLivesAsLongAsItsJob(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	first := s.certificate("c1")
	switch {
	case first.CheckSignatureFrom(s.ca.Cert) != nil:
		t.Error("not signed by the pair's certificate authority")
	case len(first.URIs) != 1 || first.URIs[0].String() != agentapi.JobURI("c1").String():
		t.Errorf("for %v", first.URIs)
	case first.NotAfter.After(s.now.Add(time.Hour)):
		t.Errorf("ends %s, it is %s", first.NotAfter, s.now)
	case !metav1.IsControlledBy(s.credential("c1"), s.operation("c1")):
		t.Error("does not go with the operation")
	}
	s.now = s.now.Add(30 * time.Minute)
	s.look()
	if !s.certificate("c1").Equal(first) {
		t.Error("renewed before it is due")
	}
	s.now = s.now.Add(15 * time.Minute)
	s.look()
	if second := s.certificate("c1"); second.Equal(first) || second.NotAfter.Before(s.now.Add(50*time.Minute)) {
		t.Errorf("not renewed while the Job runs: ends %s, it is %s", second.NotAfter, s.now)
	}
	s.answer("c1", jobapi.KeyResult, jobapi.Result{Outcome: jobapi.Done, Message: "equal"})
	s.look()
	s.is("c1", v1alpha1.OperationSucceeded, "equal")
	if s.credential("c1") != nil {
		t.Error("the certificate outlived its operation")
	}
}

func TestARunningJobFollowsTheCertificateAuthority(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	var secret corev1.Secret
	if err := s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "shop-ca"}, &secret); err != nil {
		t.Fatal(err)
	}
	next, err := pki.NewAuthority("shop", s.now)
	if err != nil {
		t.Fatal(err)
	}
	if secret.Data[resources.KeyCAKey], err = next.KeyPEM(); err != nil {
		t.Fatal(err)
	}
	secret.Data[resources.KeyCA] = next.Bundle(s.ca.CertPEM, s.now)
	if err := s.c.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(certifyEvery)
	s.look()
	if s.certificate("c1").CheckSignatureFrom(next.Cert) != nil {
		t.Error("the certificate is still of the former authority")
	}
	if !bytes.Equal(s.credential("c1").Data[resources.KeyCA], secret.Data[resources.KeyCA]) {
		t.Error("the Job does not trust what the members trust")
	}
}

func TestASecretThatIsNotTheOperationsIsNotUsed(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.jobOf("c1"), Namespace: "ns"}}
	if err := s.c.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	_, err := s.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}})
	if err == nil || !strings.Contains(err.Error(), "delete it") || len(s.jobs()) != 0 {
		t.Errorf("ended with %v and Jobs %v", err, s.jobs())
	}
}
