package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/dbpair/dbpair/internal/agent/door"
)

// listen begins to answer on every port. They are up before the volume is taken, so
// that the agent can say what it waits for and the door turns clients away.
func (a *Agent) listen(ctx context.Context, failed chan<- error) error {
	entrance, err := door.Listen(ctx, a.opt.listen(a.opt.DoorPort))
	if err != nil {
		return fmt.Errorf("listen for the door: %w", err)
	}
	go func() { failed <- a.door.Serve(entrance) }()
	readers, err := door.Listen(ctx, a.opt.listen(a.opt.BinlogPort))
	if err != nil {
		return fmt.Errorf("listen for readers of the binary logs: %w", err)
	}
	go func() { failed <- a.readers.port.Serve(readers) }()
	var ports net.ListenConfig
	api, err := ports.Listen(ctx, "tcp", a.opt.listen(a.opt.AgentPort))
	if err != nil {
		return fmt.Errorf("listen for the agent's API: %w", err)
	}
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	probes.HandleFunc("GET /readyz", a.reports.serveReady)
	probe, err := ports.Listen(ctx, "tcp", a.opt.listen(a.opt.ProbePort))
	if err != nil {
		return fmt.Errorf("listen for probes: %w", err)
	}
	figures := http.NewServeMux()
	figures.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}))
	metrics, err := ports.Listen(ctx, "tcp", a.opt.listen(a.opt.MetricsPort))
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	role, err := ports.Listen(ctx, "tcp", a.opt.listen(a.opt.RolePort))
	if err != nil {
		return fmt.Errorf("listen for routers: %w", err)
	}
	serve := func(l net.Listener, h http.Handler) *http.Server {
		s := &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       2 * time.Minute,
			TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
			ErrorLog:          quiet(),
		}
		go func() { failed <- s.Serve(l) }()
		return s
	}
	servers := []*http.Server{
		serve(tls.NewListener(api, a.certs.server()), a.handler()),
		serve(probe, probes),
		serve(metrics, figures),
		serve(tls.NewListener(netutil.LimitListener(role, roleConnections), a.certs.anonymous()), a.roles.handler()),
	}
	go func() {
		<-ctx.Done()
		_ = entrance.Close()
		a.door.Close()
		_ = readers.Close()
		a.readers.port.End()
		for _, s := range servers {
			_ = s.Close()
		}
	}()
	return nil
}
