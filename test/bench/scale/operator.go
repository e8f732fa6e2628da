package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/resources"
)

// version is what the operator was built with; the stand-ins say that they are of the same.
const version = "bench"

// operator is a process of the operator's program.
type operator struct {
	w       *world
	program string
	// token may read the metrics, roots verify who serves them.
	token string
	roots *x509.CertPool

	metrics, probes, pprof string
	process                *exec.Cmd
	ended                  chan error
}

func newOperator(ctx context.Context, w *world, program string) (*operator, error) {
	o := &operator{w: w, program: program}
	reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "prometheus"}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus"},
		RoleRef: rbacv1.RoleRef{
			APIGroup: rbacv1.GroupName,
			Kind:     "ClusterRole",
			Name:     "dbpair-metrics-reader",
		},
		Subjects: []rbacv1.Subject{{
			Kind:      rbacv1.ServiceAccountKind,
			Namespace: operatorNamespace,
			Name:      reader.Name,
		}},
	}
	if err := errors.Join(w.admin.Create(ctx, reader), w.admin.Create(ctx, binding)); err != nil {
		return nil, err
	}
	hours := int64(24 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hours}}
	if err := w.admin.SubResource("token").Create(ctx, reader, request); err != nil {
		return nil, fmt.Errorf("make a token for the metrics: %w", err)
	}
	o.token = request.Status.Token
	return o, nil
}

// start starts a process; end it with stop.
func (o *operator) start(ctx context.Context) error {
	for _, at := range []*string{&o.metrics, &o.probes, &o.pprof} {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		*at = address
	}
	log, err := os.OpenFile(filepath.Join(o.w.folder, "operator.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	o.process = exec.CommandContext(ctx, o.program,
		"--agent-image=example.test/dbpair:bench", "--namespace="+operatorNamespace, "--leader-elect",
		"--metrics-bind-address="+o.metrics, "--health-probe-bind-address="+o.probes, "--pprof-bind-address="+o.pprof)
	o.process.Env = append(os.Environ(), "KUBECONFIG="+o.w.kubeconfig())
	o.process.Stderr = log
	if err := o.process.Start(); err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	o.ended = make(chan error, 1)
	go func(p *exec.Cmd, ended chan<- error) { ended <- p.Wait() }(o.process, o.ended)
	return nil
}

// stop asks the process to end and waits until it has.
func (o *operator) stop() error {
	if err := o.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-o.ended
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// use is what the process has used so far.
type use struct {
	at time.Time
	// processor time, and memory in bytes: now and at most.
	processor    time.Duration
	memory, peak int64
}

// use reads what the kernel says of the process.
func (o *operator) use() (use, error) {
	const ticks = 100 // per second, on every architecture that Linux runs Go on
	folder := filepath.Join("/proc", strconv.Itoa(o.process.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return use{}, fmt.Errorf("the operator has ended (see operator.log): %w", err)
	}
	out := use{at: time.Now()}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	const user, system = 11, 12
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return use{}, err
		}
		out.processor += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(filepath.Join(folder, "status"))
	if err != nil {
		return use{}, err
	}
	out.memory = kilobytes(string(status), "VmRSS:") << 10
	out.peak = kilobytes(string(status), "VmHWM:") << 10
	return out, nil
}

func kilobytes(status, field string) int64 {
	_, after, _ := strings.Cut(status, field)
	var n int64
	_, _ = fmt.Sscanf(after, "%d", &n)
	return n
}

// scrape reads the operator's metrics.
func (o *operator) scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	if o.roots == nil {
		var secret corev1.Secret
		err := o.w.admin.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: app.Name + "-metrics"}, &secret)
		if err != nil {
			return nil, err
		}
		o.roots = x509.NewCertPool()
		o.roots.AppendCertsFromPEM(secret.Data[resources.KeyCA])
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    o.roots,
		ServerName: app.Name + "-metrics." + operatorNamespace + ".svc",
	}
	body, err := get(ctx, &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}, "https://"+o.metrics+"/metrics", o.token)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(string(body)))
}

// profile has the process profiled and writes that to a file.
func (o *operator) profile(ctx context.Context, path, file string) error {
	body, err := get(ctx, &http.Transport{DisableKeepAlives: true}, "http://"+o.pprof+path, "")
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

func get(ctx context.Context, transport http.RoundTripper, url, token string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// sum adds up the values of a family whose labels are as given.
func sum(families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	total := 0.0
	for _, m := range families[name].GetMetric() {
		fits := 0
		for _, l := range m.GetLabel() {
			if want, asked := labels[l.GetName()]; asked && want == l.GetValue() {
				fits++
			}
		}
		if fits == len(labels) {
			total += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return total
}
