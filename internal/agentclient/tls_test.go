package agentclient_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// identity is a certificate and the certificate authority that it trusts.
type identity struct {
	pair tls.Certificate
	pool *x509.CertPool
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	dir := t.TempDir()
	if err := mysqldtest.WriteCerts(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		t.Fatal("ca.crt holds no certificate")
	}
	return identity{pair: pair, pool: pool}
}

func (i identity) client() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{i.pair},
		RootCAs:      i.pool,
		MinVersion:   tls.VersionTLS13,
	}
}

// listen answers over mutual TLS, as an agent does, and returns its address.
func listen(t *testing.T, i identity, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{i.pair},
		ClientCAs:    i.pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// serve makes an agent that answers with handler, and a client that it trusts.
func serve(t *testing.T, handler http.Handler) *agentclient.Client {
	t.Helper()
	i := newIdentity(t)
	client := &agentclient.Client{
		Address: listen(t, i, handler),
		TLS:     func() (*tls.Config, error) { return i.client(), nil },
	}
	t.Cleanup(client.Renew)
	return client
}

func TestBothSidesShowACertificateOfTheSameAuthority(t *testing.T) {
	ours := newIdentity(t)
	theirs := newIdentity(t)
	bare := ours.client()
	bare.Certificates = nil
	stranger := theirs.client()
	stranger.RootCAs = ours.pool
	renamed := ours.client()
	renamed.ServerName = "shop-1.shop-pods.ns.svc"
	served := 0
	address := listen(t, ours, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served++
		_, _ = io.WriteString(w, `{}`)
	}))
	for name, tc := range map[string]struct {
		conf *tls.Config
		ok   bool
	}{
		"of the same authority":                 {ours.client(), true},
		"a client without a certificate":        {bare, false},
		"a client of another authority":         {stranger, false},
		"a client that trusts another":          {theirs.client(), false},
		"a server whose name is not asked for":  {renamed, false},
		"of the same authority, after failures": {ours.client(), true},
	} {
		t.Run(name, func(t *testing.T) {
			before := served
			client := &agentclient.Client{
				Address: address,
				TLS:     func() (*tls.Config, error) { return tc.conf, nil },
			}
			defer client.Renew()
			_, err := client.Sessions(t.Context())
			if (err == nil) != tc.ok || errors.Is(err, agentclient.ErrRefused) {
				t.Errorf("%v, want success: %v", err, tc.ok)
			}
			if reached := served > before; reached != tc.ok {
				t.Errorf("the request was served: %v, want %v", reached, tc.ok)
			}
		})
	}
}

func TestWithoutCertificatesNothingIsSent(t *testing.T) {
	lost := errors.New("tls.key is not there")
	client := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was served") }))
	client.TLS = func() (*tls.Config, error) { return nil, lost }
	if _, err := client.Sessions(t.Context()); !errors.Is(err, lost) {
		t.Errorf("%v, want %v", err, lost)
	}
}
