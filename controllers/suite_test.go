package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/resources"
)

// operator is the identity that the operator has in a cluster. In these tests it runs
// with it, and so with its real role.
const (
	operatorNamespace = "dbpair-system"
	operatorUser      = "system:serviceaccount:dbpair-system:dbpair-manager"
)

// env is the API server of all tests of this package; nil without its programs.
var env *world

type world struct {
	admin  client.Client
	conf   *rest.Config
	writes writes
}

// writes are the operator's requests that change something.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) add(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, r.Method+" "+r.URL.Path)
}

// in are those in a namespace: pairs of other tests may still be attended to.
func (w *writes) in(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.list), func(one string) bool { return !strings.Contains(one, "/namespaces/"+namespace+"/") })
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard())
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "SKIPPED: no kube-apiserver and etcd; export KUBEBUILDER_ASSETS=$(hack/envtest.sh)")
		if os.Getenv("DBPAIR_REQUIRE_ENVTEST") == "1" {
			return 1
		}
		return m.Run()
	}
	server, conf, err := startServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		return 1
	}
	defer func() { _ = server.Stop() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if env, err = newWorld(ctx, conf); err != nil {
		fmt.Fprintln(os.Stderr, "set up the tests:", err)
		return 1
	}
	return m.Run()
}

// startServer starts the API server, on other ports where someone took one of those that
// were free a moment before.
func startServer() (server *envtest.Environment, conf *rest.Config, err error) {
	const attempts = 3
	for range attempts {
		server = &envtest.Environment{
			CRDDirectoryPaths:        []string{"../config/crd/bases"},
			ErrorIfCRDPathMissing:    true,
			ControlPlaneStartTimeout: 2 * time.Minute,
			ControlPlaneStopTimeout:  time.Minute,
		}
		if conf, err = server.Start(); err == nil {
			break
		}
		_ = server.Stop()
	}
	return server, conf, err
}

func newWorld(ctx context.Context, conf *rest.Config) (*world, error) {
	conf.QPS = 500
	conf.Burst = 1000
	admin, err := client.New(conf, client.Options{Scheme: app.Scheme()})
	if err != nil {
		return nil, err
	}
	w := &world{admin: admin, conf: conf}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := admin.Create(ctx, namespace); err != nil {
		return nil, err
	}
	for _, pattern := range []string{"../config/rbac/role.yaml", "../config/rbac/role_binding.yaml", "../config/admission/*.yaml"} {
		if err := w.applyFiles(ctx, pattern); err != nil {
			return nil, err
		}
	}
	if err := w.awaitPolicies(ctx); err != nil {
		return nil, err
	}
	return w, w.startOperator(ctx)
}

// awaitPolicies waits until the API server applies the admission policies, which it does a
// moment after they are made.
func (w *world) awaitPolicies(ctx context.Context) error {
	probe := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"storage": map[string]any{"size": "1Gi"},
		"mysql":   map[string]any{"config": map[string]any{"read_only": false}},
	}}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DatabasePair"))
	probe.SetNamespace(operatorNamespace)
	probe.SetName("probe")
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		err = w.admin.Create(ctx, probe.DeepCopy(), client.DryRunAll)
		if err != nil && strings.Contains(err.Error(), "owned by the operator") {
			return nil
		}
	}
	return fmt.Errorf("the admission policies are not in force after a minute: %w", err)
}

func (w *world) applyFiles(ctx context.Context, pattern string) error {
	return eachObject(pattern, func(o *unstructured.Unstructured) error { return w.admin.Create(ctx, o) })
}

// applyPolicies makes the policies of another operator, as its chart would, and removes
// them after the test: they have its name, apply in one namespace, and let users pass.
func (w *world) applyPolicies(ctx context.Context, t *testing.T, name, namespace string, users ...string) error {
	t.Helper()
	return eachObject("../config/admission/*.yaml", func(o *unstructured.Unstructured) error {
		if o.GetKind() != "ValidatingAdmissionPolicy" && o.GetKind() != "ValidatingAdmissionPolicyBinding" {
			return nil
		}
		body, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(body), `"dbpair-`, `"`+name+"-")
		text = strings.ReplaceAll(text, "['"+operatorUser+"']", "['"+strings.Join(users, "','")+"']")
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			return err
		}
		if o.GetKind() == "ValidatingAdmissionPolicyBinding" {
			err = unstructured.SetNestedStringMap(o.Object, map[string]string{corev1.LabelMetadataName: namespace},
				"spec", "matchResources", "namespaceSelector", "matchLabels")
		}
		if err == nil {
			err = w.admin.Create(ctx, o)
		}
		t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(ctx), o) })
		return err
	})
}

func eachObject(pattern string, do func(*unstructured.Unstructured) error) error {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no files %s: %w", pattern, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(text)), 4096)
		for {
			var o unstructured.Unstructured
			if err := decoder.Decode(&o); err != nil {
				break
			}
			if o.GetKind() == "" {
				continue
			}
			if err := do(&o); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return nil
}

// startOperator runs the operator's controllers as the operator's ServiceAccount.
func (w *world) startOperator(ctx context.Context) error {
	conf := w.as(operatorUser, "system:serviceaccounts", "system:serviceaccounts:"+operatorNamespace)
	conf.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events") {
				w.writes.add(r)
			}
			return next.RoundTrip(r)
		})
	}
	options, err := app.Parse([]string{"--agent-image=example.test/dbpair:1", "--namespace=" + operatorNamespace}, os.Stderr)
	if err != nil {
		return err
	}
	options.Version = "1"
	options.MetricsAddress = "0"
	options.ProbeAddress = "0"
	failed := make(chan error, 1)
	go func() { failed <- app.Run(ctx, conf, options) }()
	select {
	case err := <-failed:
		return fmt.Errorf("the operator ended: %w", err)
	case <-time.After(300 * time.Millisecond):
		return nil
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// as is a configuration with which requests are another user's.
func (w *world) as(user string, groups ...string) *rest.Config {
	conf := rest.CopyConfig(w.conf)
	conf.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return conf
}

// scene is one test's namespace.
type scene struct {
	*testing.T
	ctx       context.Context
	namespace string
	client.Client
}

// newScene skips, loudly, without an API server.
func newScene(t *testing.T) *scene {
	t.Helper()
	if env == nil {
		t.Skip("SKIPPED: no kube-apiserver and etcd; export KUBEBUILDER_ASSETS=$(hack/envtest.sh)")
	}
	fmt.Println("TIER envtest:", t.Name())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := env.admin.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return &scene{
		T:         t,
		ctx:       t.Context(),
		namespace: namespace.Name,
		Client:    env.admin,
	}
}

func (s *scene) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.namespace, Name: name}
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// pair makes a pair as a person would, from YAML.
func (s *scene) pair(name, spec string) (*v1alpha1.DatabasePair, error) {
	s.Helper()
	o := &unstructured.Unstructured{}
	text := "apiVersion: dbpair.io/v1alpha1\nkind: DatabasePair\nmetadata: {name: \"" + name + "\", namespace: " + s.namespace + "}\nspec:\n" + indent(spec)
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		s.Fatalf("%v in\n%s", err, text)
	}
	if err := s.Create(s.ctx, o); err != nil {
		return nil, err
	}
	p := &v1alpha1.DatabasePair{}
	return p, s.Get(s.ctx, s.key(name), p)
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// surrounded waits until the last of a pair's objects is there.
func (s *scene) surrounded(name string) {
	s.Helper()
	n := resources.Names{Pair: name, Namespace: s.namespace}
	s.eventually("the objects of "+name, func() error {
		for _, secret := range []string{n.CA(), n.Internal(), n.App(), n.TLS(0), n.TLS(1)} {
			if err := s.Get(s.ctx, s.key(secret), &corev1.Secret{}); err != nil {
				return err
			}
		}
		p := &v1alpha1.DatabasePair{}
		if err := s.Get(s.ctx, s.key(name), p); err != nil {
			return err
		}
		if len(p.Status.Conditions) == 0 {
			return errors.New("no conditions yet")
		}
		return nil
	})
}

// eventually polls until ok returns nothing.
func (s *scene) eventually(what string, ok func() error) {
	s.Helper()
	var last error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = ok(); last == nil {
			return
		}
	}
	s.Fatalf("%s: %v", what, last)
}
