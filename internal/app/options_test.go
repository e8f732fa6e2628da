package app

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/controllers"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestParseNamesTheFlagThatIsWrong(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "dbpair-system")
	t.Setenv("DBPAIR_AGENT_IMAGE", "example.test/dbpair:1")
	for name, tc := range map[string]struct{ args, says string }{
		"nothing":                       {"", ""},
		"what the chart says":           {"--leader-elect --metrics-bind-address=:8443 --watch-namespaces=a,b", ""},
		"a namespace that is none":      {"--watch-namespaces=a,B!", "--watch-namespaces"},
		"a deadline above the lease":    {"--leader-elect-renew-deadline=10s", "--leader-elect-renew-deadline"},
		"a retry above the deadline":    {"--leader-elect-retry-period=4s", "--leader-elect-retry-period"},
		"a pull policy of nobody":       {"--agent-image-pull-policy=Sometimes", "--agent-image-pull-policy"},
		"no image":                      {"--agent-image=", "--agent-image"},
		"no identity":                   {"--identity-secret=", "--identity-secret"},
		"a Secret without a name":       {"--metrics-secret=", "--metrics-secret"},
		"a certificate of one's own":    {"--metrics-secret= --metrics-cert-dir=/etc/metrics", ""},
		"no namespace":                  {"--namespace=", "--namespace"},
		"no rollouts":                   {"--max-parallel-rollouts=0", "--max-parallel-rollouts"},
		"no workers":                    {"--max-concurrent-reconciles=0", "--max-concurrent-reconciles"},
		"no requests":                   {"--kube-api-qps=0", "--kube-api-qps"},
		"profiles without a port":       {"--pprof-bind-address=127.0.0.1", "--pprof-bind-address"},
		"a level of another logger":     {"--log-level=trace", "--log-level"},
		"a feature of another operator": {"--features=checksum,archive", "--features"},
		"no feature":                    {"--features=", ""},
		"an argument that is no flag":   {"run", "run"},
		"a flag that does not exist":    {"--sync-period=1s", "sync-period"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.Fields(tc.args), &bytes.Buffer{})
			switch {
			case tc.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
	for args, want := range map[string]controllers.Off{
		"":                           {},
		"--features=":                {Checksum: true, Repair: true, Backup: true},
		"--features=repair":          {Checksum: true, Backup: true},
		"--features=checksum":        {Repair: true, Backup: true},
		"--features=repair,checksum": {Backup: true},
		"--features=backup":          {Checksum: true, Repair: true},
	} {
		o, err := Parse(strings.Fields(args), &bytes.Buffer{})
		if err != nil || o.Off != want {
			t.Errorf("%q turns off %+v (%v), want %+v", args, o.Off, err, want)
		}
	}
	if _, err := Parse([]string{"--help"}, &bytes.Buffer{}); !errors.Is(err, ErrHelp) {
		t.Errorf("--help gives %v", err)
	}
}

func TestOnlyLabeledSecretsAreCached(t *testing.T) {
	o := cacheOptions([]string{"a"})
	if len(o.DefaultNamespaces) != 1 {
		t.Errorf("namespaces %v", o.DefaultNamespaces)
	}
	for object, by := range o.ByObject {
		kind := fmt.Sprintf("%T", object)
		if kind == "*v1.Node" {
			continue
		}
		if by.Label == nil || by.Label.Empty() {
			t.Errorf("%s is cached without a label", kind)
		}
	}
}

// TestWhatIsAppliedKeepsItsManagedFields: without them every object would look as if someone had changed it.
func TestWhatIsAppliedKeepsItsManagedFields(t *testing.T) {
	notApplied := []string{"*v1.Pod", "*v1.Node", "*v1.Secret", "*v1.ConfigMap"}
	for object, by := range cacheOptions(nil).ByObject {
		kind := fmt.Sprintf("%T", object)
		if by.Transform != nil && !slices.Contains(notApplied, kind) {
			t.Errorf("%s is cached without its managed fields", kind)
		}
	}
	stripped, err := cluster.Slim(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name:          "shop-app",
		Labels:        map[string]string{resources.LabelPair: "shop"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "dbpair"}},
	}})
	if err != nil || len(stripped.(*corev1.Secret).ManagedFields) != 1 {
		t.Errorf("a Secret of a pair is cached without its managed fields: %+v, %v", stripped, err)
	}
}
