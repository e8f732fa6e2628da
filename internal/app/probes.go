package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// probes answers the kubelet for as long as the process runs. The zero value is alive and
// not ready.
type probes struct{ isReady atomic.Bool }

func (p *probes) ready() { p.isReady.Store(true) }

func (p *probes) notReady() { p.isReady.Store(false) }

// serve answers /healthz and /readyz at an address, until the function that it returns is
// called; "0" or an empty address is none.
func (p *probes) serve(ctx context.Context, address string) (stop func(), err error) {
	if address == "0" || address == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.isReady.Load() {
			http.Error(w, "the operator waits for the API server or fills its caches", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok")
	})
	const timeout = 5 * time.Second
	server := &http.Server{
		Handler:      mux,
		ReadTimeout:  timeout,
		WriteTimeout: timeout,
		IdleTimeout:  timeout,
	}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}
