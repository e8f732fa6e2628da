package controllers

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pki"
)

// configuration makes the agents' ConfigMap as one visit does.
func (t *rotating) configuration() agentapi.Config {
	t.Helper()
	v := t.visit()
	if err := t.r.ensureConfiguration(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	var live corev1.ConfigMap
	if err := t.r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: v.names.Config()}, &live); err != nil {
		t.Fatal(err)
	}
	var config agentapi.Config
	if err := json.Unmarshal([]byte(live.Data[agentapi.ConfigFile]), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func (t *rotating) newKey() *pki.Key {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// An operator that agents do not know could not fail the pair over.
func TestAgentsLearnTheOperatorsKeyWhateverTheSpec(t *testing.T) {
	s := newRotating(t)
	s.r.Key = s.newKey()
	s.pair.Spec.MySQL.Image = "mysql:9.7"
	s.pair.Spec.Durability.PassiveTimeout.Duration = 3 * time.Second
	if got := s.configuration(); !slices.Equal(got.OperatorKeys, []string{s.r.Key.ID()}) {
		t.Errorf("keys %q, want %q", got.OperatorKeys, s.r.Key.ID())
	}
	s.r.Key = s.newKey()
	s.r.Allowed.Images = []string{"registry.test/*"}
	s.pair.Spec.Durability.PassiveTimeout.Duration = 9 * time.Second
	got := s.configuration()
	if !slices.Equal(got.OperatorKeys, []string{s.r.Key.ID()}) {
		t.Errorf("with a refused spec agents keep the keys %q, want %q", got.OperatorKeys, s.r.Key.ID())
	}
	if got.PassiveTimeout != 3*time.Second {
		t.Errorf("a refused spec was published: passiveTimeout %s", got.PassiveTimeout)
	}
}

// The operator shows each pair a certificate for the key that the pair's agents know.
func TestTheOperatorsCertificateIsForItsKey(t *testing.T) {
	s := newRotating(t)
	s.r.Key = s.newKey()
	s.secrets()
	conf, err := s.s.keyring.clientTLS("shop-0")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.ParseKey(s.s.keyring.credential.leaf.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.ID() != s.r.Key.ID() || len(conf.Certificates) != 1 {
		t.Errorf("the certificate is for key %s, want %s", leaf.ID(), s.r.Key.ID())
	}
}
