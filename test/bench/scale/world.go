package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/dbpair/dbpair/internal/app"
)

// The operator's identity, as the manifests of config/ have it.
const (
	operatorNamespace = "dbpair-system"
	operatorUser      = "system:serviceaccount:" + operatorNamespace + ":" + app.Name
)

// world is an API server with everything that an operator finds in a cluster but pairs.
type world struct {
	server *envtest.Environment
	conf   *rest.Config
	admin  client.Client
	// folder holds the operator's configuration of the API server, and its log.
	folder string
}

// newWorld starts an API server and etcd. Close it.
func newWorld(ctx context.Context) (*world, error) {
	server := &envtest.Environment{
		CRDDirectoryPaths:        []string{"config/crd/bases"},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	w := &world{server: server}
	var err error
	if w.folder, err = os.MkdirTemp("", "dbpair-scale-"); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(w.folder, "apiserver.log"))
	if err != nil {
		return nil, err
	}
	apiServer := server.ControlPlane.GetAPIServer()
	apiServer.Err = log
	// Every pair has several Services, and the range of envtest has 254 addresses.
	apiServer.Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	// Some clusters have it: who names an owner that waits for its object has to be allowed to finalize that owner.
	apiServer.Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	if w.conf, err = server.Start(); err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	return w, w.prepare(ctx)
}

func (w *world) prepare(ctx context.Context) error {
	w.conf.QPS = 2000
	w.conf.Burst = 4000
	var err error
	if w.admin, err = client.New(w.conf, client.Options{Scheme: app.Scheme()}); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := w.admin.Create(ctx, namespace); err != nil {
		return err
	}
	for _, pattern := range []string{
		"config/rbac/role.yaml",
		"config/rbac/role_binding.yaml",
		"config/rbac/service_account.yaml",
		"config/rbac/metrics_reader_role.yaml",
		"config/admission/*.yaml",
	} {
		if err := w.apply(ctx, pattern); err != nil {
			return err
		}
	}
	user, err := w.server.AddUser(envtest.User{
		Name:   operatorUser,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace},
	}, w.conf)
	if err != nil {
		return fmt.Errorf("make the operator's user: %w", err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		return err
	}
	return os.WriteFile(w.kubeconfig(), text, 0o600)
}

func (w *world) kubeconfig() string { return filepath.Join(w.folder, "kubeconfig") }

func (w *world) apply(ctx context.Context, pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no files %s (run in the repository's root): %w", pattern, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(text)), 4096)
		for {
			var o unstructured.Unstructured
			if decoder.Decode(&o) != nil {
				break
			}
			if kind := o.GetKind(); kind == "" || kind == "Kustomization" {
				continue
			}
			if err := w.admin.Create(ctx, &o); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	return nil
}

func (w *world) close() {
	_ = w.server.Stop()
	_ = os.RemoveAll(w.folder)
}

// await polls until ok returns nothing, for at most so long.
func await(ctx context.Context, what string, limit time.Duration, ok func() error) error {
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if last = ok(); last == nil {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s, after %s: %w", what, limit, last)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(d):
		return nil
	}
}
