package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"
)

// adminUser may do everything, as who types the commands of the documents.
var adminUser = envtest.User{Name: "admin", Groups: []string{"system:masters"}}

// server is the API server of the tests of this package; nil without its programs.
var server *envtest.Environment

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
	const attempts = 3 // other ports where someone took one that was free a moment before
	var err error
	for range attempts {
		server = &envtest.Environment{
			CRDDirectoryPaths:        []string{filepath.Join(root, "config/crd/bases")},
			ErrorIfCRDPathMissing:    true,
			ControlPlaneStartTimeout: 2 * time.Minute,
			ControlPlaneStopTimeout:  time.Minute,
		}
		if _, err = server.Start(); err == nil {
			break
		}
		_ = server.Stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		return 1
	}
	defer func() { _ = server.Stop() }()
	return m.Run()
}

func admin(t *testing.T) client.Client {
	t.Helper()
	if server == nil {
		t.Skip("SKIPPED: no kube-apiserver and etcd; export KUBEBUILDER_ASSETS=$(hack/envtest.sh)")
	}
	c, err := client.New(server.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryManifestIsAccepted: the API server takes each block of YAML, with fields that it knows. A part of a spec is put into the
// smallest pair, or, when it has containers, into a pod.
func TestEveryManifestIsAccepted(t *testing.T) {
	c := admin(t)
	makeNamespace(t, c)
	blocks, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, b := range blocks {
		if b.Language != "yaml" {
			continue
		}
		found++
		if err := accepted(t.Context(), c, b.Text); err != nil {
			t.Errorf("%s:%d: %v", b.File, b.Line, err)
		}
	}
	if found < 15 {
		t.Errorf("only %d blocks of YAML were found", found)
	}
}

// TestWrongManifestsAreNot accepted.
func TestWrongManifestsAreNot(t *testing.T) {
	c := admin(t)
	makeNamespace(t, c)
	for text, want := range map[string]string{
		"spec: {backup: {shedule: '@daily'}}":                        "shedule",
		"spec: {failover: {mode: Sometimes}}":                        "mode",
		"spec: {rejoin: {quarantineRetention: {size: 1}}":            "yaml",
		"schedule: '@daily'":                                         "spec",
		"spec: {containers: [{name: a, image: b, volumeMonts: []}]}": "volumeMonts",
	} {
		if err := accepted(t.Context(), c, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", text, err, want)
		}
	}
}

// manifestNamespace has none of the objects that the documents speak of.
const manifestNamespace = "manifests"

func makeNamespace(t *testing.T, c client.Client) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: manifestNamespace}}
	if err := c.Create(t.Context(), namespace); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
}

func accepted(ctx context.Context, c client.Client, text string) error {
	var given map[string]any
	if err := yaml.Unmarshal([]byte(text), &given); err != nil {
		return fmt.Errorf("yaml: %w", err)
	}
	object := &unstructured.Unstructured{Object: given}
	if object.GetKind() == "" {
		spec, _, err := unstructured.NestedMap(given, "spec")
		if err != nil || spec == nil || len(given) > 1 {
			return errors.New("neither an object nor a part of one that begins with spec")
		}
		object = whole(spec)
	}
	object.SetNamespace(manifestNamespace)
	return c.Create(ctx, object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}

// whole is the object that a part of a spec is of.
func whole(spec map[string]any) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	out.SetName("shop")
	if _, pod := spec["containers"]; pod {
		out.SetAPIVersion("v1")
		out.SetKind("Pod")
		return out
	}
	out.SetAPIVersion("dbpair.io/v1alpha1")
	out.SetKind("DatabasePair")
	storage, _ := spec["storage"].(map[string]any)
	if storage == nil {
		storage = map[string]any{}
		spec["storage"] = storage
	}
	if storage["size"] == nil {
		storage["size"] = "1Gi"
	}
	return out
}
