package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/controllers"
)

// Name of the operator in its Lease, its events and its requests.
const Name = "dbpair-manager"

// Scheme knows every type the operator uses.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// noticeDeadConnections makes a connection to an API server that went silent known within
// seconds: by default it takes three quarters of a minute, longer than a failover may.
func noticeDeadConnections() error {
	for name, seconds := range map[string]string{
		"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "3", "HTTP2_PING_TIMEOUT_SECONDS": "2",
	} {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, seconds); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// AddControllers adds the operator's controllers to a manager.
func AddControllers(ctx context.Context, mgr manager.Manager, o Options) error {
	// Reads and writes of authorities have a limit of requests each: many observations, which
	// read, must not keep a failover from its write.
	leases, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make the client that reads Leases: %w", err)
	}
	leaseWrites, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make the client that writes Leases: %w", err)
	}
	r := &controllers.PairReconciler{
		Client:      mgr.GetClient(),
		Live:        mgr.GetAPIReader(),
		Leases:      leases,
		LeaseWrites: leaseWrites,
		Events:      mgr.GetEventRecorder(Name),
		Now:         o.now(),
		Agent:       o.AgentImage,
		Version:     o.Version,
		Namespace:   o.Namespace,
		Failpoint:   failpoint(),
		Key:         o.Key,
		Allowed:     controllers.Allowed{Images: o.AllowedImages, PriorityClasses: o.AllowedPriorityClasses},
		Off:         o.Off,

		MaxParallelRollouts: o.MaxParallelRollouts,
	}
	if err := r.Setup(ctx, mgr, o.Concurrent); err != nil {
		return err
	}
	jobs := &controllers.JobReconciler{
		Client: mgr.GetClient(),
		Live:   mgr.GetAPIReader(),
		Leases: leases,
		Events: mgr.GetEventRecorder(Name),
		Now:    o.now(),
		Image:  o.AgentImage,
		Permit: r.PermitRepair,
		Off:    o.Off,
	}
	if err := jobs.Setup(mgr, o.Concurrent); err != nil {
		return err
	}
	users := &controllers.UserReconciler{
		Client: mgr.GetClient(),
		Live:   mgr.GetAPIReader(),
		Events: mgr.GetEventRecorder(Name),
		Now:    o.now(),
		Agents: r,
	}
	if err := users.Setup(mgr, o.Concurrent); err != nil {
		return err
	}
	return addBackups(mgr, o)
}

// addBackups adds the controller of DatabasePairBackups, with the feature.
func addBackups(mgr manager.Manager, o Options) error {
	if o.Off.Backup {
		return nil
	}
	backups := &controllers.StoredBackupReconciler{
		Client: mgr.GetClient(),
		Live:   mgr.GetAPIReader(),
		Events: mgr.GetEventRecorder(Name),
		Now:    o.now(),
	}
	return backups.Setup(mgr, o.Concurrent)
}

// metricsOptions serve metrics with TLS to readers that the API server authenticates and lets
// get /metrics.
func metricsOptions(o Options, cert *metricsCert) metricsserver.Options {
	out := metricsserver.Options{
		BindAddress:    o.MetricsAddress,
		SecureServing:  true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		CertDir:        o.MetricsCertDir,
		TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }},
	}
	if cert != nil {
		out.TLSOpts = append(out.TLSOpts, func(c *tls.Config) { c.GetCertificate = cert.get })
	}
	return out
}

func managerOptions(o Options, cert *metricsCert) manager.Options {
	out := manager.Options{
		Scheme:  Scheme(),
		Cache:   cacheOptions(o.WatchNamespaces),
		Metrics: metricsOptions(o, cert),
		// The probes are answered beside the managers: a manager can be made only while the API
		// server answers, and the process outlives that.
		HealthProbeBindAddress: "0",
		PprofBindAddress:       o.PprofAddress,
		// A manager that ended is followed by another one in the same process.
		Controller:                    config.Controller{SkipNameValidation: ptr.To(true)},
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              Name,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.LeaseDuration,
		RenewDeadline:                 &o.RenewDeadline,
		RetryPeriod:                   &o.RetryPeriod,
	}
	return out
}
