package controllers_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dbpair/dbpair/internal/app"
)

// outage is a way to the API server that can be closed.
type outage struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func newOutage(t *testing.T, target string) *outage {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{
		listener: l,
		target:   target,
		closed:   true,
		conns:    map[net.Conn]bool{},
	}
	t.Cleanup(func() { _ = l.Close(); o.set(true) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go o.relay(c)
		}
	}()
	return o
}

func (o *outage) set(closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = closed
	for c := range o.conns {
		if closed {
			_ = c.Close()
		}
	}
}

// keep remembers a connection, or closes it during the outage.
func (o *outage) keep(c net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		_ = c.Close()
		return false
	}
	o.conns[c] = true
	return true
}

func (o *outage) relay(c net.Conn) {
	defer func() { _ = c.Close() }()
	if !o.keep(c) {
		return
	}
	up, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", o.target)
	if err != nil || !o.keep(up) {
		return
	}
	defer func() { _ = up.Close() }()
	go func() {
		_, _ = io.Copy(up, c)
		_ = up.Close()
	}()
	_, _ = io.Copy(c, up)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// A process that ends is started again with ever longer pauses, up to five minutes after the
// API server is back. So the operator waits inside the process, at its start and later.
func TestTheOperatorWaitsForTheAPIServer(t *testing.T) {
	s := newScene(t)
	host, err := url.Parse(env.conf.Host)
	s.must(err)
	way := newOutage(t, host.Host)
	conf := rest.CopyConfig(env.as(operatorUser, "system:serviceaccounts", "system:serviceaccounts:"+operatorNamespace))
	conf.Host = "https://" + way.listener.Addr().String()
	probes := freeAddress(t)
	options, err := app.Parse([]string{
		"--agent-image=example.test/dbpair:1", "--namespace=" + operatorNamespace, "--watch-namespaces=" + s.namespace,
		"--leader-elect", "--metrics-bind-address=0", "--health-probe-bind-address=" + probes,
	}, os.Stderr)
	s.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, conf, options) }()

	answers := func(path string, want int) {
		t.Helper()
		s.eventually(fmt.Sprintf("%s answers %d", path, want), func() error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+probes+path, http.NoBody)
			s.must(err)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				return fmt.Errorf("it answers %d", answer.StatusCode)
			}
			return nil
		})
	}
	for range 2 {
		answers("/healthz", http.StatusOK)
		answers("/readyz", http.StatusServiceUnavailable)
		way.set(false)
		answers("/readyz", http.StatusOK)
		way.set(true)
	}
	answers("/readyz", http.StatusServiceUnavailable)
	select {
	case err := <-ended:
		t.Fatalf("the operator ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the operator ends in %v when it is asked to", err)
	}
}
