package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// newWholeAgent makes an agent as a container does, from files in a directory of this test.
func newWholeAgent(t *testing.T) *Agent {
	t.Helper()
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "ns"}, 0), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{
		"tls/ca.crt":  string(ca.CertPEM),
		"tls/tls.crt": string(leaf.CertPEM),
		"tls/tls.key": string(leaf.KeyPEM),
		"config/" + agentapi.ConfigFile: `{"pairName":"shop","domain":"shop-pods.ns.svc",` +
			`"leaseDuration":5000000000,"heartbeatInterval":1000000000}`,
	}
	for _, name := range passwordFiles {
		files["internal/"+name] = "secret"
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := New(Options{
		DataDir:     filepath.Join(dir, "data"),
		RunDir:      filepath.Join(dir, "run"),
		ConfigDir:   filepath.Join(dir, "config"),
		InternalDir: filepath.Join(dir, "internal"),
		TLSDir:      filepath.Join(dir, "tls"),
		APIServer:   "http://127.0.0.1:1",
		Mysqld:      "mysqld",
	}, Environment{PodName: "shop-0", Peer: "shop-1", PairName: "shop", Namespace: "ns"}, "test", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// emptyAtFirst are what a part may lack until something happens.
var emptyAtFirst = map[reflect.Type]bool{
	reflect.TypeFor[context.CancelFunc](): true,
	reflect.TypeFor[context.Context]():    true,
	reflect.TypeFor[*maintenance]():       true,
}

// unwired names the functions, interfaces and parts below a value that are nil.
func unwired(v reflect.Value, path string, seen map[uintptr]bool) (missing []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Func:
		own := strings.HasSuffix(packageOf(v.Type()), "internal/agent")
		if v.IsNil() {
			if emptyAtFirst[v.Type()] || (v.Kind() == reflect.Pointer && !own) {
				return nil
			}
			return []string{path}
		}
		if v.Kind() == reflect.Func || (v.Kind() == reflect.Pointer && (!own || seen[v.Pointer()])) {
			return nil
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		return unwired(v.Elem(), path, seen)
	case reflect.Struct:
		if !strings.HasSuffix(v.Type().PkgPath(), "internal/agent") {
			return nil
		}
		for i := range v.NumField() {
			missing = append(missing, unwired(v.Field(i), path+"."+v.Type().Field(i).Name, seen)...)
		}
	default:
	}
	return missing
}

// packageOf is the package of a type, or of what it points to.
func packageOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

func TestEveryPartHasWhatItNeeds(t *testing.T) {
	a := newWholeAgent(t)
	if missing := unwired(reflect.ValueOf(a), "agent", map[uintptr]bool{}); len(missing) != 0 {
		t.Errorf("not set: %q", missing)
	}
	a.owned.corrected = nil
	a.seeding.copier = nil
	if missing := unwired(reflect.ValueOf(a), "agent", map[uintptr]bool{}); len(missing) != 2 {
		t.Errorf("with two taken away it is not set: %q", missing)
	}
}
