package app

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/controllers"
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
		if by.Transform == nil && kind != "*v1.Job" {
			t.Errorf("%s is cached with its managed fields", kind)
		}
	}
}
