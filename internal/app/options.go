package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dbpair/dbpair/controllers"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// Options are the operator's flags.
type Options struct {
	// Version of this build; also that of the agents it brings.
	Version string

	MetricsAddress string
	// MetricsCertDir holds tls.crt and tls.key of the metrics endpoint; when empty the operator
	// makes a certificate and keeps it in the Secret MetricsSecret of its own namespace, valid
	// for the names of the Service MetricsService.
	MetricsCertDir string
	MetricsSecret  string
	MetricsService string
	ProbeAddress   string
	// PprofAddress is where profiles of the operator are served, without TLS and to everyone who
	// reaches it; nowhere when empty.
	PprofAddress string
	// IdentitySecret is the Secret in the operator's namespace that keeps its private key.
	IdentitySecret string
	// Key is the operator's private key; Run reads it from IdentitySecret.
	Key *pki.Key

	LeaderElect   bool
	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration

	WatchNamespaces []string
	Concurrent      int
	// MaxParallelRollouts is how many pairs may have their pods made again at the same time.
	MaxParallelRollouts int
	QPS                 float64
	Burst               int

	AgentImage resources.Image
	// Namespace and Pod of the operator itself.
	Namespace string

	// AllowedImages and AllowedPriorityClasses are patterns for what pairs may ask for;
	// everything when empty.
	AllowedImages          []string
	AllowedPriorityClasses []string
	// Off are the features that this operator does without.
	Off controllers.Off

	LogLevel string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o Options) now() func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}

// ErrHelp is returned when the flags were only asked for.
var ErrHelp = flag.ErrHelp

// Parse reads flags and environment. What is wrong is named with its flag.
func Parse(args []string, out io.Writer) (Options, error) {
	o := Options{Namespace: os.Getenv("POD_NAMESPACE")}
	set := flag.NewFlagSet("manager", flag.ContinueOnError)
	set.SetOutput(out)
	var namespaces, pull, images, classes, features string
	set.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8443",
		"address of the metrics endpoint, served with TLS to anyone who may get /metrics; 0 for none")
	set.StringVar(&o.MetricsCertDir, "metrics-cert-dir", "",
		"folder with tls.crt and tls.key of the metrics endpoint; when empty the operator makes a certificate itself")
	set.StringVar(&o.MetricsSecret, "metrics-secret", Name+"-metrics",
		"Secret in the operator's namespace for the certificate that it makes, with the certificate authority in ca.crt")
	set.StringVar(&o.MetricsService, "metrics-service", Name+"-metrics",
		"Service that leads to the metrics endpoint: the certificate that the operator makes is valid for its names")
	set.StringVar(&o.IdentitySecret, "identity-secret", Name+"-identity",
		"Secret in the operator's namespace for the private key by which agents know the operator")
	set.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	set.StringVar(&o.PprofAddress, "pprof-bind-address", "",
		"address of /debug/pprof, without TLS, for profiles of the operator; a loopback address such as 127.0.0.1:6060; none when empty")
	set.BoolVar(&o.LeaderElect, "leader-elect", false, "work only while holding the operator's own Lease; needed with more than one replica")
	set.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", 6*time.Second,
		"how long a standing-by replica waits for a leader that is gone")
	set.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", 4*time.Second,
		"how long a leader tries to renew before it ends; shorter than the lease duration")
	set.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", time.Second,
		"time between attempts to renew or take the lead; shorter than the renew deadline")
	set.StringVar(&namespaces, "watch-namespaces", "", "comma-separated namespaces whose pairs are looked after; all when empty")
	set.IntVar(&o.Concurrent, "max-concurrent-reconciles", controllers.DefaultConcurrent,
		"pairs that are worked on at once; an agent that does not answer holds one up for about a second")
	set.IntVar(&o.MaxParallelRollouts, "max-parallel-rollouts", 1,
		"pairs whose pods are made again at the same time after a change of their spec; the others wait")
	set.Float64Var(&o.QPS, "kube-api-qps", 200, "requests per second to the API server, sustained; "+
		"the authorities of the pairs are read and written beside that, each with a limit of the same size")
	set.IntVar(&o.Burst, "kube-api-burst", 400, "requests to the API server at once")
	set.StringVar(&o.AgentImage.Name, "agent-image", os.Getenv("DBPAIR_AGENT_IMAGE"),
		"image that brings the agent into the members' pods (env DBPAIR_AGENT_IMAGE)")
	set.StringVar(&pull, "agent-image-pull-policy", string(corev1.PullIfNotPresent), "Always, IfNotPresent or Never")
	set.StringVar(&o.Namespace, "namespace", o.Namespace, "namespace of the operator (env POD_NAMESPACE)")
	set.StringVar(&images, "allowed-images", "",
		"comma-separated patterns of images that pairs may run as mysqld (* for any characters); all when empty")
	set.StringVar(&classes, "allowed-priority-classes", "",
		"comma-separated patterns of priority classes that pairs may ask for; all when empty")
	set.StringVar(&features, "features", strings.Join(featureNames, ","),
		"comma-separated features that are on; operations of the others are refused, and the operator needs no rights for them")
	set.StringVar(&o.LogLevel, "log-level", "info", "debug, info or error")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	o.AgentImage.PullPolicy = corev1.PullPolicy(pull)
	o.WatchNamespaces = list(namespaces)
	o.AllowedImages = list(images)
	o.AllowedPriorityClasses = list(classes)
	var unknown error
	o.Off, unknown = offWithout(list(features))
	return o, errors.Join(unknown, o.check())
}

// The features that can be turned off.
const (
	featureChecksum = "checksum"
	featureRepair   = "repair"
	featureBackup   = "backup"
)

var featureNames = []string{featureChecksum, featureRepair, featureBackup}

// offWithout are the features that are not named.
func offWithout(on []string) (controllers.Off, error) {
	var errs []error
	for _, name := range on {
		if !slices.Contains(featureNames, name) {
			errs = append(errs, fmt.Errorf("--features: there is no feature %q: want any of %s", name, strings.Join(featureNames, ", ")))
		}
	}
	return controllers.Off{
		Checksum: !slices.Contains(on, featureChecksum),
		Repair:   !slices.Contains(on, featureRepair),
		Backup:   !slices.Contains(on, featureBackup),
	}, errors.Join(errs...)
}

// list splits a comma-separated value.
func list(text string) []string {
	var out []string
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

func (o Options) check() error {
	_, unknownLevel := level(o.LogLevel)
	return errors.Join(o.checkNames(), o.checkElection(), o.checkLimits(), o.checkNamespaces(), unknownLevel)
}

// checkNames is about what the operator needs to know of itself and of its objects.
func (o Options) checkNames() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.AgentImage.Name == "" {
		add("--agent-image or DBPAIR_AGENT_IMAGE is needed: the image that holds the agent")
	}
	if !slices.Contains([]corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, o.AgentImage.PullPolicy) {
		add("--agent-image-pull-policy %q: want Always, IfNotPresent or Never", o.AgentImage.PullPolicy)
	}
	if o.Namespace == "" {
		add("--namespace or POD_NAMESPACE is needed: the namespace of the operator")
	}
	if o.MetricsCertDir == "" && (o.MetricsSecret == "" || o.MetricsService == "") {
		add("--metrics-secret and --metrics-service are needed unless --metrics-cert-dir names a folder")
	}
	if o.IdentitySecret == "" {
		add("--identity-secret is needed: the Secret for the operator's private key")
	}
	return errors.Join(errs...)
}

// checkElection is about the times of the election of a leader.
func (o Options) checkElection() error {
	var errs []error
	if o.RenewDeadline >= o.LeaseDuration {
		errs = append(errs, fmt.Errorf("--leader-elect-renew-deadline %s must be shorter than --leader-elect-lease-duration %s",
			o.RenewDeadline, o.LeaseDuration))
	}
	if o.RetryPeriod*12/10 >= o.RenewDeadline {
		errs = append(errs, fmt.Errorf("--leader-elect-retry-period %s must be shorter than "+
			"--leader-elect-renew-deadline %s by more than a fifth", o.RetryPeriod, o.RenewDeadline))
	}
	return errors.Join(errs...)
}

// checkLimits is about how much is done at once.
func (o Options) checkLimits() error {
	var errs []error
	if o.Concurrent < 1 {
		errs = append(errs, fmt.Errorf("--max-concurrent-reconciles %d: want at least 1", o.Concurrent))
	}
	if o.MaxParallelRollouts < 1 {
		errs = append(errs, fmt.Errorf("--max-parallel-rollouts %d: want at least 1", o.MaxParallelRollouts))
	}
	if o.QPS <= 0 || o.Burst < 1 {
		errs = append(errs, errors.New("--kube-api-qps and --kube-api-burst must be positive"))
	}
	if _, _, err := net.SplitHostPort(o.PprofAddress); o.PprofAddress != "" && err != nil {
		errs = append(errs, fmt.Errorf("--pprof-bind-address %q: want an address and a port, such as 127.0.0.1:6060", o.PprofAddress))
	}
	return errors.Join(errs...)
}

func (o Options) checkNamespaces() error {
	var errs []error
	for _, n := range o.WatchNamespaces {
		if why := validation.IsDNS1123Label(n); len(why) > 0 {
			errs = append(errs, fmt.Errorf("--watch-namespaces: %q is no namespace: %s", n, why[0]))
		}
	}
	return errors.Join(errs...)
}
