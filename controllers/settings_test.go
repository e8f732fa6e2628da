package controllers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/controllers"
	"github.com/dbpair/dbpair/internal/mycnf"
)

// TestTheAPIServerRefusesEverySettingThatIsOwned: the agent would refuse it at the next
// start of mysqld, which may be the start by which the pair survives.
func TestTheAPIServerRefusesEverySettingThatIsOwned(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	for _, row := range mycnf.OwnedSettings() {
		name := row.Name
		if strings.HasSuffix(name, "*") {
			name = strings.TrimSuffix(name, "*") + "x"
		}
		for _, spelling := range []string{name, "loose-" + strings.ReplaceAll(name, "_", "-")} {
			changed := p.DeepCopy()
			changed.Spec.MySQL.Config = map[string]v1alpha1.MySQLOptionValue{spelling: "1"}
			err := s.Patch(s.ctx, changed, client.MergeFrom(p), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), "owned by the operator") {
				t.Errorf("%s: %v", spelling, err)
			}
		}
	}
}

// TestASettingThatTheAgentWouldRefuseIsNotPublished: names that no mysqld has are too many
// for a rule of the API server.
func TestASettingThatTheAgentWouldRefuseIsNotPublished(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	config := &corev1.ConfigMap{}
	set := &appsv1.StatefulSet{}
	s.eventually("the configuration", func() error {
		return errors.Join(s.Get(s.ctx, s.key("shop-config"), config), s.Get(s.ctx, s.key("shop"), set))
	})
	change := func(settings map[string]v1alpha1.MySQLOptionValue) {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		base := p.DeepCopy()
		p.Spec.MySQL.Config = settings
		s.must(s.Patch(s.ctx, p, client.MergeFrom(base)))
	}
	ready := func(reason string, parts ...string) {
		t.Helper()
		s.eventually("Ready says "+strings.Join(parts, ", "), func() error {
			s.must(s.Get(s.ctx, s.key("shop"), p))
			c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
			if c == nil || c.ObservedGeneration != p.Generation {
				return errors.New("not of this generation")
			}
			if reason != "" && c.Reason != reason && !strings.Contains(c.Message, "spec.mysql.config") {
				return fmt.Errorf("%s: %s", c.Reason, c.Message)
			}
			for _, part := range parts {
				if !strings.Contains(c.Message, part) {
					return fmt.Errorf("%s lacks %s", c.Message, part)
				}
			}
			return nil
		})
	}
	change(map[string]v1alpha1.MySQLOptionValue{"max_conections": "100"})
	ready(controllers.ReasonSpecRefused, "spec.mysql.config", "max_conections", "correct the name", "stays as it is")
	now := &corev1.ConfigMap{}
	nowSet := &appsv1.StatefulSet{}
	s.must(s.Get(s.ctx, s.key("shop-config"), now))
	s.must(s.Get(s.ctx, s.key("shop"), nowSet))
	if now.ResourceVersion != config.ResourceVersion || nowSet.Generation != set.Generation {
		t.Error("the running generation was touched")
	}
	change(map[string]v1alpha1.MySQLOptionValue{"max_connections": "100"})
	s.eventually("the corrected setting is published", func() error {
		s.must(s.Get(s.ctx, s.key("shop-config"), now))
		var told struct {
			MySQL map[string]string `json:"mysql"`
		}
		if err := json.Unmarshal([]byte(now.Data["agent.json"]), &told); err != nil {
			return err
		}
		if told.MySQL["max_connections"] != "100" {
			return fmt.Errorf("config %s", now.Data["agent.json"])
		}
		return nil
	})
}

// TestOneManifestOfThreeManagersChangesNothing: values that are written without quotes, and
// defaults, must not make managers of the same manifest undo each other's fields.
func TestOneManifestOfThreeManagersChangesNothing(t *testing.T) {
	s := newScene(t)
	manifest := func() *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		s.must(yaml.Unmarshal([]byte(`
apiVersion: dbpair.io/v1alpha1
kind: DatabasePair
metadata: {name: shop}
spec:
  mysql:
    config: {max_connections: 200, local_infile: true, general_log: off, long_query_time: 0.5, innodb_buffer_pool_size: 2G, back_log: "90"}
  storage: {size: 1024Mi}
  durability: {passiveTimeout: 60s}
  podTemplate: {spec: {resources: {limits: {cpu: 2000m, memory: 4096Mi}}}}
`), &o.Object))
		o.SetNamespace(s.namespace)
		return o
	}
	apply := func(manager string) *unstructured.Unstructured {
		t.Helper()
		o := manifest()
		s.must(s.Apply(s.ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(manager)))
		return o
	}
	apply("kubectl")
	s.surrounded("shop") // the operator has written what it writes
	p := &v1alpha1.DatabasePair{}
	s.must(s.Get(s.ctx, s.key("shop"), p))
	generation := p.Generation
	for _, manager := range []string{"argocd-controller", "kustomize-controller", "kubectl", "argocd-controller", "kustomize-controller"} {
		if got := apply(manager).GetGeneration(); got != generation {
			t.Errorf("%s made generation %d of %d", manager, got, generation)
		}
	}
	s.must(s.Get(s.ctx, s.key("shop"), p))
	want := map[string]v1alpha1.MySQLOptionValue{
		"max_connections":         "200",
		"local_infile":            "ON",
		"general_log":             "OFF",
		"long_query_time":         "0.5",
		"innodb_buffer_pool_size": "2G",
		"back_log":                "90",
	}
	if diff := cmp.Diff(want, p.Spec.MySQL.Config); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DatabasePair"))
	s.must(s.Get(s.ctx, s.key("shop"), live))
	kept, _, err := unstructured.NestedMap(live.Object, "spec", "mysql", "config")
	s.must(err)
	asked, _, err := unstructured.NestedMap(manifest().Object, "spec", "mysql", "config")
	s.must(err)
	if diff := cmp.Diff(asked, kept); diff != "" {
		t.Errorf("the API server keeps other values than the manifest has (-manifest +kept):\n%s", diff)
	}
}

// TestOptionsThatCountAtBirthAreNotChanged: mysqld does not start on data that was made with
// another value, so the change would take one member after the other away.
func TestOptionsThatCountAtBirthAreNotChanged(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nmysql: {config: {innodb_page_size: 8K, max_connections: 100}}")
	s.must(err)
	change := func(config string) error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"mysql":{"config":`+config+`}}}`))
		return s.Patch(s.ctx, p.DeepCopy(), patch, client.DryRunAll)
	}
	born := func() {
		// The operator writes what it sees, which is a pair without data.
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"epoch":3}}`))
		s.must(s.Status().Patch(s.ctx, p.DeepCopy(), patch))
	}
	s.must(change(`{"innodb_page_size":"16K"}`))
	for config, option := range map[string]string{
		`{"innodb_page_size":"16K"}`:                        "innodb_page_size",
		`{"innodb_page_size":null}`:                         "innodb_page_size",
		`{"lower-case-table-names":1,"max_connections":90}`: "lower-case-table-names",
	} {
		s.eventually(config+" is refused", func() error {
			born()
			err := change(config)
			if err == nil || !strings.Contains(err.Error(), "spec.mysql.config: "+option+": counts only when the pair's data is made") {
				return fmt.Errorf("got %w", err)
			}
			return nil
		})
	}
	s.eventually("another option is changed", func() error {
		born()
		return change(`{"max_connections":90}`)
	})
}
