package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

func replicaAt(client *fake.Clientset, now *time.Time) *metricsCert {
	return &metricsCert{
		secrets:   client.CoreV1().Secrets("ops"),
		secret:    "metrics",
		service:   "dbpair-manager-metrics",
		namespace: "ops",
		now:       func() time.Time { return *now },
	}
}

// published is what a monitoring system is given.
func published(t *testing.T, client *fake.Clientset) *corev1.Secret {
	t.Helper()
	secret, err := client.CoreV1().Secrets("ops").Get(t.Context(), "metrics", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// scrape does a TLS handshake as Prometheus does it with a ServiceMonitor's tlsConfig, at a
// server with the options of the operator's metrics endpoint.
func scrape(t *testing.T, m *metricsCert, caPEM []byte, serverName string, at time.Time) error {
	t.Helper()
	conf := &tls.Config{}
	for _, option := range metricsOptions(Options{}, m).TLSOpts {
		option(conf)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		_ = tls.Server(far, conf).HandshakeContext(t.Context())
	}()
	return tls.Client(near, &tls.Config{
		RootCAs:    roots,
		ServerName: serverName,
		Time:       func() time.Time { return at },
	}).HandshakeContext(t.Context())
}

const metricsHost = "dbpair-manager-metrics.ops.svc"

func TestMetricsAreServedWithACertificateThatCanBeVerified(t *testing.T) {
	now := time.Now()
	client := fake.NewClientset()
	m := replicaAt(client, &now)
	if err := scrape(t, m, nil, metricsHost, now); err == nil {
		t.Error("without a certificate the handshake succeeded")
	}
	if err := m.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	ca := published(t, client).Data[resources.KeyCA]
	if err := scrape(t, m, ca, metricsHost, now); err != nil {
		t.Errorf("with the published certificate authority: %v", err)
	}
	if err := scrape(t, m, ca, "another.ops.svc", now); err == nil {
		t.Error("the certificate is valid for the name of another Service")
	}
	other, err := pki.NewAuthority("other", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := scrape(t, m, other.CertPEM, metricsHost, now); err == nil {
		t.Error("another certificate authority verifies the certificate")
	}
}

func TestReplicasPresentOneMetricsCertificate(t *testing.T) {
	now := time.Now()
	client := fake.NewClientset()
	first := replicaAt(client, &now)
	second := replicaAt(client, &now)
	if err := first.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The second replica reads that there is no Secret just before the first one writes it.
	raced := hideSecretOnce(client, "metrics")
	if err := second.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !raced() || !first.current.Load().Leaf.Equal(second.current.Load().Leaf) {
		t.Error("the replicas present different certificates")
	}
}

// A certificate authority lasts ten years, and another one is made when a third of that is
// left. Every other renewal must go unnoticed by a reader that read ca.crt long before.
func TestTheMetricsCertificateIsRenewedUnderOneAuthority(t *testing.T) {
	now := time.Now()
	client := fake.NewClientset()
	m := replicaAt(client, &now)
	var readersCA []byte
	authorities := 0
	certificates := map[string]bool{}
	for range 60 {
		if err := m.ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if readersCA != nil {
			if err := scrape(t, m, readersCA, metricsHost, now); errors.As(err, new(x509.UnknownAuthorityError)) {
				authorities++
			} else if err != nil {
				t.Fatalf("at %s: %v", now, err)
			}
		}
		certificates[string(m.current.Load().Certificate[0])] = true
		readersCA = published(t, client).Data[resources.KeyCA]
		if err := scrape(t, m, readersCA, metricsHost, now); err != nil {
			t.Fatalf("at %s: %v", now, err)
		}
		now = now.Add(pki.MemberLife / 2)
	}
	if authorities != 1 || len(certificates) < 20 {
		t.Errorf("%d changes of the certificate authority and %d certificates in seven years", authorities, len(certificates))
	}
}

func TestAMetricsCertificateOfTheAdministratorIsLeftAlone(t *testing.T) {
	for name, o := range map[string]Options{
		"no metrics":                  {MetricsAddress: "0"},
		"a folder with a certificate": {MetricsAddress: ":8443", MetricsCertDir: "/etc/metrics"},
	} {
		if m, err := newMetricsCert(nil, o); m != nil || err != nil {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if got := metricsOptions(Options{MetricsCertDir: "/etc/metrics"}, nil).CertDir; got != "/etc/metrics" {
		t.Errorf("the folder is %q", got)
	}
}
