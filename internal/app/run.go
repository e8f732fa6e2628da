package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// askEvery is the time between two questions whether the API server is there.
	askEvery = time.Second
	// askTimeout is how long an answer may take.
	askTimeout = 2 * time.Second
	// outageLimit is how long the API server may be away before the manager is ended, to be
	// replaced by a new one once the API server is back. The watches of a manager that has
	// been cut off for longer wait up to half a minute between two attempts, so a new manager
	// is ready sooner, and with fresh caches.
	outageLimit = 5 * time.Second
)

// Run runs the operator until ctx ends; it returns an error only for what no waiting can
// change. While the API server is away it waits and says so in the log: a process that ends
// is started again by the kubelet with ever longer pauses, up to five minutes after the API
// server is back, and nobody would fail over meanwhile. The lead is given up when a manager
// ends, so that another replica takes over at once.
func Run(ctx context.Context, conf *rest.Config, o Options) error {
	if err := noticeDeadConnections(); err != nil {
		return err
	}
	leaveRoom()
	conf = rest.CopyConfig(conf)
	conf.QPS = float32(o.QPS)
	conf.Burst = o.Burst
	conf.UserAgent = Name + "/" + o.Version
	s := &server{
		conf:    conf,
		options: o,
		log:     ctrl.Log.WithName("app"),
	}
	stopProbes, err := s.probes.serve(ctx, o.ProbeAddress)
	if err != nil {
		return err
	}
	defer stopProbes()
	if s.cert, err = newMetricsCert(conf, o); err != nil {
		return err
	}
	if s.cert != nil {
		go s.cert.run(ctx, s.log)
	}
	api, err := newAPIServer(conf)
	if err != nil {
		return err
	}
	for api.await(ctx, s.log) {
		err := s.manage(ctx, api)
		s.probes.notReady()
		if ctx.Err() != nil {
			return nil
		}
		s.log.Error(err, "the manager ended; the operator starts another one")
		pause(ctx, askEvery)
	}
	return nil
}

// server starts one manager after the other.
type server struct {
	conf    *rest.Config
	options Options
	log     logr.Logger
	probes  probes
	// cert is nil when the metrics endpoint needs none that the operator makes.
	cert *metricsCert
}

// manage runs one manager, until it ends or the API server has been away for outageLimit.
func (s *server) manage(ctx context.Context, api *apiServer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mgr, err := ctrl.NewManager(s.conf, managerOptions(s.options, s.cert))
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	client, err := corev1client.NewForConfigAndClient(s.conf, mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make the client for the operator's key: %w", err)
	}
	if s.options.Key, err = ensureIdentity(ctx, client, s.options); err != nil {
		return err
	}
	if err := AddControllers(ctx, mgr, s.options); err != nil {
		return err
	}
	go func() {
		if mgr.GetCache().WaitForCacheSync(ctx) {
			s.probes.ready()
		}
	}()
	go api.watch(ctx, func() { cancel(errAPIServerAway) })
	err = mgr.Start(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errAPIServerAway) {
		return cause
	}
	if err != nil {
		return fmt.Errorf("run the manager: %w", err)
	}
	return errors.New("the manager stopped")
}

var errAPIServerAway = fmt.Errorf("the API server has not answered for %s", outageLimit)

// apiServer asks the API server whether it is there.
type apiServer struct {
	client *http.Client
	url    string
}

func newAPIServer(conf *rest.Config) (*apiServer, error) {
	client, err := rest.HTTPClientFor(conf)
	if err != nil {
		return nil, fmt.Errorf("make a client for the API server: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(conf)
	if err != nil {
		return nil, fmt.Errorf("the address of the API server: %w", err)
	}
	return &apiServer{client: client, url: base.JoinPath("readyz").String()}, nil
}

// ask returns nil when the API server is ready. One that does not let this client ask is
// there, too.
func (a *apiServer) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("ask the API server: it answers %s", answer.Status)
	}
	return nil
}

// await blocks until the API server is ready and returns true, or false when ctx ends first.
// It says in the log that it waits, and why, when it begins and then every half a minute.
func (a *apiServer) await(ctx context.Context, log logr.Logger) bool {
	const sayEvery = 30
	for n := 0; ctx.Err() == nil; n++ {
		err := a.ask(ctx)
		if err == nil {
			if n > 0 {
				log.Info("the API server answers", "after", time.Duration(n)*askEvery)
			}
			return true
		}
		if n%sayEvery == 0 {
			log.Info("waiting for the API server; nothing is failed over meanwhile", "reason", err.Error())
		}
		pause(ctx, askEvery)
	}
	return false
}

// watch calls away once the API server has not been ready for outageLimit, and returns then
// or when ctx ends.
func (a *apiServer) watch(ctx context.Context, away func()) {
	last := time.Now()
	for pause(ctx, askEvery) {
		if a.ask(ctx) == nil {
			last = time.Now()
		} else if time.Since(last) >= outageLimit && ctx.Err() == nil {
			away()
			return
		}
	}
}

// pause waits, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
