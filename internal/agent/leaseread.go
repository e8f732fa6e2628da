package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
)

// leaseReader reads the one Lease straight from the API server. It is HTTP and not a
// typed client because the connection is the point: after a miss the next request goes
// over a new one, which may reach another API server.
type leaseReader struct {
	url, dir string
	local    bool // plain HTTP, for tests
	verify   authority.Verify

	mu        sync.Mutex
	transport *http.Transport
}

func newLeaseReader(opt Options, env Environment, getenv func(string) string, verify authority.Verify) (*leaseReader, error) {
	base := opt.APIServer
	if base == "" {
		host := getenv("KUBERNETES_SERVICE_HOST")
		port := getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return nil, fmt.Errorf("environment variables KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: " +
				"run in a pod, or give --api-server")
		}
		base = "https://" + net.JoinHostPort(host, port)
	}
	path := fmt.Sprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", url.PathEscape(env.Namespace), url.PathEscape(env.PairName))
	return &leaseReader{
		url:    strings.TrimSuffix(base, "/") + path,
		dir:    opt.TokenDir,
		local:  strings.HasPrefix(base, "http://"),
		verify: verify,
	}, nil
}

// read reads once. The outcome is Missing only on the API server's own word.
func (l *leaseReader) read(ctx context.Context, fresh bool) (authority.Record, authority.ReadOutcome, error) {
	if fresh {
		l.renew()
	}
	body, status, err := l.get(ctx)
	switch {
	case err != nil:
		l.renew()
		return authority.Record{}, authority.ReadFailed, fmt.Errorf("read Lease: %w", err)
	case status == http.StatusNotFound:
		return authority.Record{}, authority.ReadMissing, lease.ErrMissing
	case status != http.StatusOK:
		return authority.Record{}, authority.ReadFailed, fmt.Errorf("read Lease: the API server answers %d", status)
	}
	var object coordinationv1.Lease
	if err := json.Unmarshal(body, &object); err != nil {
		return authority.Record{}, authority.ReadFailed, fmt.Errorf("read Lease: %w", err)
	}
	record, err := lease.Parse(&object)
	if err == nil {
		err = l.verify.Authentic(record)
	}
	if err != nil {
		// Another party's writing confirms nothing and revokes nothing: it is as if there had
		// been no answer.
		return authority.Record{}, authority.ReadFailed, fmt.Errorf("read Lease: %w", err)
	}
	return record, authority.ReadFound, nil
}

func (l *leaseReader) get(ctx context.Context) ([]byte, int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "dbpair-agent")
	if !l.local {
		// The token is replaced while the pod runs.
		token, err := os.ReadFile(filepath.Join(l.dir, "token"))
		if err != nil {
			return nil, 0, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	transport, err := l.connect()
	if err != nil {
		return nil, 0, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return body, response.StatusCode, err
}

func (l *leaseReader) connect() (*http.Transport, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.transport != nil {
		return l.transport, nil
	}
	t := &http.Transport{
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     time.Minute,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if !l.local {
		ca, err := os.ReadFile(filepath.Join(l.dir, "ca.crt"))
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s/ca.crt holds no certificate", l.dir)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	l.transport = t
	return t, nil
}

func (l *leaseReader) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.transport != nil {
		l.transport.CloseIdleConnections()
		l.transport = nil
	}
}
