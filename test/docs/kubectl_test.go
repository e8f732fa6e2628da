package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// notRun are the commands of kubectl that an API server alone cannot answer, by the beginning of their line, with the reason or the
// test that runs them.
var notRun = map[string]string{
	"kubectl logs":                                  "needs a node; the tutorial runs the same verb",
	"kubectl cp":                                    "needs a node, and a pod of the reader's",
	"kubectl port-forward pod/restore 33062":        "needs a node",
	"kubectl apply --server-side -k config/default": "test/e2e installs the operator by it",
	"kubectl apply -k config/prometheus":            "needs the kinds of the Prometheus operator; promtool reads what it applies",
	"kubectl rollout restart":                       "names the verb alone",
}

// TestTheCommandsOfKubectlRun runs every command of kubectl that is not the plugin's as it is typed, against an API server that has
// the objects of testdata/cluster.yaml. Those of a story are run by test/e2e.
func TestTheCommandsOfKubectlRun(t *testing.T) {
	w := newTerminal(t)
	found := 0
	used := map[string]bool{}
	done := map[string]bool{}
	for _, c := range commands(t) {
		if c.Args[0] != "kubectl" || isPlugin(c.Args) || c.Story != "" || namesVerb(c) || done[c.Text] || isNotRun(c, used) {
			continue
		}
		done[c.Text] = true
		found++
		if out, err := w.typed(c.Text); err != nil {
			t.Errorf("%s: %v: %s", c, err, out)
		}
	}
	if found < 30 {
		t.Errorf("only %d commands of kubectl were run", found)
	}
	for entry := range notRun {
		if !used[entry] {
			t.Errorf("no document has a command %q any more: take it out of the list", entry)
		}
	}
}

// TestWrongCommandsOfKubectlFail: the API server tells a right command from a wrong one.
func TestWrongCommandsOfKubectlFail(t *testing.T) {
	w := newTerminal(t)
	for _, line := range []string{
		"kubectl get dbp shp",
		"kubectl patch dbp shop --type merge -p '{\"spec\":{\"durability\":{\"onPassiveLoss\":\"Stop\"}}}'",
		"kubectl get dbp --outptu wide",
		"kubectl get secret shop-app -o jsonpath='{.data.pasword}' --allow-missing-template-keys=false",
	} {
		if out, err := w.typed(line); err == nil {
			t.Errorf("%s succeeds: %s", line, out)
		}
	}
}

// namesVerb: a line of text that names a verb, as in "kubectl get", or what is done to an object of no name.
func namesVerb(c Command) bool {
	words := slices.DeleteFunc(slices.Clone(c.Args), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	return c.Inline && (len(words) <= 2 || strings.Join(words, " ") == "kubectl delete pod")
}

func isNotRun(c Command, used map[string]bool) bool {
	for entry := range notRun {
		if strings.HasPrefix(strings.Join(c.Args, " "), entry) {
			used[entry] = true
			return true
		}
	}
	return false
}

// terminal is a shell in a copy of the repository's folders, with kubectl for the API server of the tests.
type terminal struct {
	t       *testing.T
	c       client.Client
	folder  string
	objects []map[string]any
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	w := &terminal{t: t, c: admin(t), folder: t.TempDir()}
	text, err := os.ReadFile("testdata/cluster.yaml")
	w.must(err)
	for _, one := range strings.Split(string(text), "\n---\n") {
		var object map[string]any
		w.must(yaml.UnmarshalStrict([]byte(one), &object))
		w.objects = append(w.objects, object)
	}
	user, err := server.AddUser(adminUser, nil)
	w.must(err)
	kubeconfig, err := user.KubeConfig()
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.folder, "kubeconfig"), kubeconfig, 0o600))
	for _, name := range []string{"config", "charts"} {
		there, err := filepath.Abs(filepath.Join(root, name))
		w.must(err)
		w.must(os.Symlink(there, filepath.Join(w.folder, name)))
	}
	for _, name := range []string{"password", "tls.crt", "tls.key", "key.json"} { // of Secrets that are made of files
		w.must(os.WriteFile(filepath.Join(w.folder, name), []byte("x"), 0o600))
	}
	return w
}

// typed runs a line in a cluster that has all objects.
func (w *terminal) typed(line string) (string, error) {
	w.t.Helper()
	w.seed()
	line = strings.ReplaceAll(line, " --watch", "") // which does not end
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = w.folder
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(w.folder, "kubeconfig"),
		"PATH="+os.Getenv("KUBEBUILDER_ASSETS")+":"+os.Getenv("PATH"), "HOME="+w.folder,
		"NAMESPACE=default", "OLD=shop", "NEW=shop2") // of the script that restores a lost pair
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := cmd.Run()
	return out.String(), err
}

// seed makes what a former command has removed or changed.
func (w *terminal) seed() {
	w.t.Helper()
	for _, wanted := range w.objects {
		object := &unstructured.Unstructured{Object: wanted}
		there := object.DeepCopy()
		err := w.c.Get(w.t.Context(), client.ObjectKeyFromObject(object), there)
		if err == nil {
			continue
		}
		if !apierrors.IsNotFound(err) {
			w.t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
		made := object.DeepCopy()
		w.must(w.c.Create(w.t.Context(), made))
		w.must(w.unprotect(w.t.Context(), made))
		if status, has := wanted["status"]; has {
			made.Object["status"] = status
			w.must(w.c.Status().Update(w.t.Context(), made))
		}
	}
}

// unprotect takes away the finalizer of volumes, as the controllers of a real cluster do once no pod needs the volume.
func (w *terminal) unprotect(ctx context.Context, object *unstructured.Unstructured) error {
	if kind := object.GetKind(); kind != "PersistentVolumeClaim" && kind != "PersistentVolume" {
		return nil
	}
	object.SetFinalizers(nil)
	if err := w.c.Update(ctx, object); err != nil {
		return fmt.Errorf("finalizers of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

func (w *terminal) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
