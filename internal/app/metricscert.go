package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

const (
	// metricsCertEvery is how often the certificate of the metrics endpoint is checked.
	metricsCertEvery = time.Hour
	// metricsCertRetry is the time between two attempts after one that failed.
	metricsCertRetry = 10 * time.Second
)

// metricsCert is the certificate of the metrics endpoint. It is kept in a Secret beside its
// certificate authority, so that all replicas present the same one and a monitoring system
// can verify it. It is safe for concurrent use.
type metricsCert struct {
	secrets corev1client.SecretInterface
	// secret is the name of the Secret, service that of the Service that leads to the
	// endpoint, both in namespace.
	secret    string
	service   string
	namespace string
	now       func() time.Time

	current atomic.Pointer[tls.Certificate]
}

// newMetricsCert returns nil when there is no metrics endpoint, or one with a certificate of
// the administrator's.
func newMetricsCert(conf *rest.Config, o Options) (*metricsCert, error) {
	if o.MetricsAddress == "0" || o.MetricsCertDir != "" {
		return nil, nil
	}
	client, err := corev1client.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("make the client for the certificate of the metrics endpoint: %w", err)
	}
	return &metricsCert{
		secrets:   client.Secrets(o.Namespace),
		secret:    o.MetricsSecret,
		service:   o.MetricsService,
		namespace: o.Namespace,
		now:       o.now(),
	}, nil
}

// get is the certificate for a handshake. Without one the handshake fails: a certificate
// that nobody can verify would only teach readers not to verify.
func (m *metricsCert) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := m.current.Load(); cert != nil {
		return cert, nil
	}
	return nil, fmt.Errorf("the certificate in Secret %s/%s is not available yet; the operator's log says why", m.namespace, m.secret)
}

// run keeps the certificate valid until ctx ends. Metrics that cannot be served keep no
// pair from failing over, so an error is only logged.
func (m *metricsCert) run(ctx context.Context, log logr.Logger) {
	for {
		next := metricsCertEvery
		if err := m.ensure(ctx); err != nil && ctx.Err() == nil {
			log.Error(err, "the metrics endpoint has no valid certificate; trying again", "secret", m.secret, "after", metricsCertRetry)
			next = metricsCertRetry
		}
		if !pause(ctx, next) {
			return
		}
	}
}

// ensure takes the certificate of the Secret, and writes a new one when that is missing,
// unreadable, for other names or two thirds of its life old. It is idempotent. When another
// replica writes at the same time, one of the two writes is refused, and that replica reads
// what the other wrote.
func (m *metricsCert) ensure(ctx context.Context) error {
	const attempts = 3
	var err error
	for range attempts {
		err = m.tryEnsure(ctx)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return err
}

func (m *metricsCert) tryEnsure(ctx context.Context) error {
	live, err := m.secrets.Get(ctx, m.secret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("read Secret %s/%s: %w", m.namespace, m.secret, err)
	}
	if missing {
		live = &corev1.Secret{}
	}
	data, err := m.renewed(live.Data)
	if err != nil {
		return err
	}
	switch {
	case missing:
		_, err = m.secrets.Create(ctx, m.object(data), metav1.CreateOptions{})
	case !equalData(live.Data, data):
		err = m.patch(ctx, live.ResourceVersion, data)
	}
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", m.namespace, m.secret, err)
	}
	cert, err := pki.Leaf{CertPEM: data[corev1.TLSCertKey], KeyPEM: data[corev1.TLSPrivateKeyKey]}.KeyPair()
	if err != nil {
		return err
	}
	m.current.Store(&cert)
	return nil
}

// renewed is what the Secret is to hold: data itself while that is good.
func (m *metricsCert) renewed(data map[string][]byte) (map[string][]byte, error) {
	now := m.now()
	ca, err := pki.ParseAuthority(data[resources.KeyCA], data[resources.KeyCAKey])
	if err != nil || now.After(pki.RenewAt(ca.Cert)) {
		if ca, err = pki.NewAuthority(m.service, now); err != nil {
			return nil, err
		}
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	leaf := pki.Leaf{CertPEM: data[corev1.TLSCertKey], KeyPEM: data[corev1.TLSPrivateKeyKey]}
	subject := pki.Metrics(m.service, m.namespace)
	if ca.Due(leaf, subject, now) != "" {
		if leaf, err = ca.Issue(subject, now); err != nil {
			return nil, err
		}
	}
	return map[string][]byte{
		// A former certificate authority stays until it expires: other replicas present a
		// certificate of it until they read the Secret again.
		resources.KeyCA:         ca.Bundle(data[resources.KeyCA], now),
		resources.KeyCAKey:      key,
		corev1.TLSCertKey:       leaf.CertPEM,
		corev1.TLSPrivateKeyKey: leaf.KeyPEM,
	}, nil
}

func (m *metricsCert) object(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.namespace,
			Name:      m.secret,
			Labels:    map[string]string{resources.LabelName: resources.Product},
		},
		Type: corev1.SecretTypeTLS,
		Data: data,
	}
}

// patch writes the keys of data, if the Secret is still of that resourceVersion.
func (m *metricsCert) patch(ctx context.Context, resourceVersion string, data map[string][]byte) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": resourceVersion},
		"data":     data,
	})
	if err != nil {
		return err
	}
	_, err = m.secrets.Patch(ctx, m.secret, types.MergePatchType, body, metav1.PatchOptions{})
	return err
}

// equalData reports whether a Secret has all the keys of want with these values.
func equalData(got, want map[string][]byte) bool {
	for key, value := range want {
		if !bytes.Equal(got[key], value) {
			return false
		}
	}
	return true
}
