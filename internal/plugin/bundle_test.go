package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// fakeLogs answers with the log of a container.
type fakeLogs map[containerLog]string

func (f fakeLogs) open(_ context.Context, l containerLog, _ int64) (io.ReadCloser, error) {
	text, ok := f[l]
	if !ok {
		return nil, fmt.Errorf("no log of %s in pod %s", l.container, l.pod)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// The values of the test's Secrets. Each must be in no bundle.
var secretsOfTest = map[string]map[string]string{
	"shop-app": {
		"username": "app",
		"host":     "shop.default.svc",
		"password": `a"pp'ly+two words&<never`,
		"uri":      "mysql://app:hush-hush@shop.default.svc:3306/app",
		"my.cnf":   "[client]\nuser=app\npassword=hush-hush-file\n",
	},
	"shop-internal": {"root": "r00t-of-all", "monitor": "watching-you"},
	"shop-ca": {
		"ca.crt": "-----BEGIN CERTIFICATE-----",
		"ca.key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\nggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----\n",
	},
}

// mustNotBeThere are forms of the secret values.
func mustNotBeThere() []string {
	var out []string
	for name, data := range secretsOfTest {
		for key, value := range data {
			if !publicKeys[key] {
				out = append(out, value, base64.StdEncoding.EncodeToString([]byte(value)))
			}
			out = append(out, "last-applied of "+name)
		}
	}
	return append(out, quoted(secretsOfTest["shop-app"]["password"], true), quoted(secretsOfTest["shop-app"]["password"], false),
		`a"pp''ly+two words&<never`, `a&#34;pp&#39;ly`, "ly+two words", "words&<never", "words&lt;never",
		"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw", "ggSjAgEAAoIBAQC7VJTUt9Us8cKj", "sidecar-password")
}

func called(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:      name,
		Namespace: "default",
		Labels:    resources.Labels("shop"),
	}
}

func podOf(name string, statuses ...corev1.ContainerStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: called(name), Status: corev1.PodStatus{ContainerStatuses: statuses}}
}

// leaky is a world whose objects, logs and agents show secret values wherever they can.
func leaky(t *testing.T) *world {
	t.Helper()
	app := secretsOfTest["shop-app"]
	p := decidedBy("InSync", "Settled", "shop-1 could take over; root is "+secretsOfTest["shop-internal"]["root"])
	op := failoverOnRecord()
	op.Status.Message = "as " + app["password"]
	op.Status.Timeline[0].Message = strings.Repeat("a long line is folded ", 4) + app["password"] + " at some place"
	member := podOf("shop-0", corev1.ContainerStatus{Name: "mysqld", RestartCount: 1})
	member.Spec.Containers = []corev1.Container{{
		Name: "sidecar",
		Env: []corev1.EnvVar{
			{Name: "DB_PASSWORD", Value: "sidecar-password"},
			{Name: "PLAIN", Value: "a-plain-value"},
		},
	}}
	unlabeled := podOf("shop-1", corev1.ContainerStatus{
		Name:  "mysqld",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
	})
	unlabeled.Labels = nil
	config := &corev1.ConfigMap{ObjectMeta: called("shop-config"), Data: map[string]string{agentapi.ConfigFile: app["password"]}}
	config.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: app["password"]}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "shop-abcde", Namespace: "default"}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "shop"}
	operator := podOf("dbpair-0", corev1.ContainerStatus{Name: "manager"})
	operator.Namespace = "dbpair-system"
	operator.Labels = labelsOfOperators
	event := pairEvent("leak", "pair-uid", "Leak", "the URI is "+app["uri"], 0)
	others := podOf("till-0")
	others.Labels = resources.Labels("till")
	objects := []client.Object{
		p, op, member, unlabeled, config, slice, operator, event, others,
		&appsv1.StatefulSet{ObjectMeta: called("shop")},
		&corev1.PersistentVolumeClaim{ObjectMeta: called("data-shop-0")},
		&corev1.Service{ObjectMeta: called("shop")},
		&coordinationv1.Lease{ObjectMeta: called("shop")},
		&networkingv1.NetworkPolicy{ObjectMeta: called("shop")},
		&policyv1.PodDisruptionBudget{ObjectMeta: called("shop")},
	}
	for name, data := range secretsOfTest {
		s := &corev1.Secret{ObjectMeta: called(name), Data: map[string][]byte{}}
		s.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "last-applied of " + name}
		for key, value := range data {
			s.Data[key] = []byte(value)
		}
		objects = append(objects, s)
	}
	w := newWorld(t, objects...)
	var all string
	for _, data := range secretsOfTest {
		for _, value := range data {
			all += value + "\n" + quoted(value, true) + "\n" + base64.StdEncoding.EncodeToString([]byte(value)) + "\n"
		}
	}
	w.logs = fakeLogs{
		{namespace: "default", pod: "shop-0", container: "mysqld"}: "of shop-0\n" + all,
		{
			namespace: "default",
			pod:       "shop-0",
			container: "mysqld",
			previous:  true,
		}: "before that\n" + all,
		{namespace: "dbpair-system", pod: "dbpair-0", container: "manager"}: "of the operator at shop.default.svc\n" + all,
	}
	return w
}

// unpacked are the files of a bundle.
func unpacked(t *testing.T, text []byte) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}

// bundled are the files of the bundle that report writes.
func bundled(t *testing.T, w *world) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.tar.gz")
	if _, _, err := w.call(t, "", "report", "shop", "--output", file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(t, text)
}

func TestNoSecretIsInABundle(t *testing.T) {
	for name, text := range bundled(t, leaky(t)) {
		for _, secret := range mustNotBeThere() {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q:\n%s", name, secret, text)
			}
		}
	}
}

func TestABundleHasWhatBelongsToAPair(t *testing.T) {
	files := bundled(t, leaky(t))
	for name, parts := range map[string][]string{
		"about.txt":                        {"DatabasePair shop in namespace default", "kubectl dbpair test"},
		"status.txt":                       {"shop in namespace default", "MEMBER"},
		"why.txt":                          {"Last decision", "InSync"},
		"objects/pair.yaml":                {"kind: DatabasePair\n", "epoch: 12"},
		"objects/operations.yaml":          {"kind: DatabasePairOperation\n", "shop-failover-8", hidden},
		"timelines/shop-failover-8.html":   {"<h1>shop-failover-8</h1>"},
		"objects/events.yaml":              {"kind: Event\n", "the URI is " + hidden},
		"objects/statefulset.yaml":         {"kind: StatefulSet\n"},
		"objects/pods.yaml":                {"kind: Pod\n", "name: shop-0", "name: shop-1", "a-plain-value"},
		"objects/claims.yaml":              {"kind: PersistentVolumeClaim\n", "data-shop-0"},
		"objects/services.yaml":            {"kind: Service\n"},
		"objects/endpointslices.yaml":      {"kind: EndpointSlice\n", "shop-abcde"},
		"objects/lease.yaml":               {"kind: Lease\n"},
		"objects/configmaps.yaml":          {"kind: ConfigMap\n", agentapi.ConfigFile},
		"objects/networkpolicies.yaml":     {"kind: NetworkPolicy\n"},
		"objects/poddisruptionbudget.yaml": {"kind: PodDisruptionBudget\n"},
		"objects/secrets.yaml":             {"name: shop-app", "- password\n", "name: shop-internal", "- root\n", "- ca.key\n"},
		"logs/shop-0.mysqld.log":           {"of shop-0\n", hidden},
		"logs/shop-0.mysqld.previous.log":  {"before that\n"},
		"operator/dbpair-0.manager.log":    {"of the operator at shop.default.svc\n"},
		"operator/pods.yaml":               {"name: dbpair-0"},
		"unread.txt":                       {"All was read."},
	} {
		text, ok := files["shop-report/"+name]
		for _, part := range parts {
			if !ok || !strings.Contains(text, part) {
				t.Errorf("%s lacks %q:\n%s", name, part, text)
			}
		}
	}
	for name, text := range files {
		if strings.Contains(text, "till-0") || strings.Contains(text, "last-applied-configuration") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// What a person may not read is listed, and the rest is written all the same.
func TestABundleListsWhatCouldNotBeRead(t *testing.T) {
	w := leaky(t)
	forbidden := func(what string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: what}, "", errors.New("you are only a guest"))
	}
	w.client = interceptor.NewClient(w.client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			switch list.(type) {
			case *corev1.SecretList:
				return forbidden("secrets")
			case *corev1.EventList:
				return forbidden("events")
			}
			var o client.ListOptions
			if o.ApplyOptions(opts); o.Namespace != "default" {
				return forbidden("pods")
			}
			return c.List(ctx, list, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*corev1.Secret); ok {
				return forbidden("secrets")
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	w.logs = fakeLogs{}
	files := bundled(t, w)
	unread := files["shop-report/unread.txt"]
	for _, part := range []string{
		"list of secrets: ", "list of events: ", "the operator's pods and logs (--operator-namespace", "only a guest",
		"logs/shop-0.mysqld.log: no log", "logs/shop-0.mysqld.previous.log: no log",
	} {
		if !strings.Contains(unread, part) {
			t.Errorf("%q is missing in:\n%s", part, unread)
		}
	}
	if strings.Contains(unread, "shop-1.mysqld") {
		t.Errorf("a log is missed of a container that never ran:\n%s", unread)
	}
	if _, ok := files["shop-report/objects/secrets.yaml"]; ok || files["shop-report/objects/statefulset.yaml"] == "" {
		t.Errorf("the bundle has %d files", len(files))
	}
}

// lostNode never answers.
type lostNode struct{}

func (lostNode) open(ctx context.Context, _ containerLog, _ int64) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestALostNodeDoesNotKeepTheRestOfABundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{cluster: cluster{logs: lostNode{}}}
		b.addLog(t.Context(), containerLog{pod: "shop-0"}, "logs/shop-0.mysqld.log")
		if len(b.files) != 0 || len(b.unread) != 1 || !strings.Contains(b.unread[0], "logs/shop-0.mysqld.log: context deadline") {
			t.Errorf("files %v, unread %v", b.files, b.unread)
		}
	})
}

func TestReportOfAPairThatDoesNotExist(t *testing.T) {
	if out, _, err := newWorld(t).call(t, "", "report", "shop"); err == nil || !strings.Contains(err.Error(), `no DatabasePair "shop"`) {
		t.Errorf("%v, printed %q", err, out)
	}
}

func TestATailIsTheNewestWholeLines(t *testing.T) {
	newest := tail{limit: 100}
	for i := range 1000 {
		if _, err := fmt.Fprintf(&newest, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(newest.text(), "\n")
	whole := strings.HasPrefix(lines[1], "line ") && lines[len(lines)-2] == "line 999"
	if len(newest.text()) > 140 || lines[0] != "[older lines are left out]" || !whole {
		t.Errorf("%q", lines)
	}
	little := tail{limit: 100}
	if _, err := little.Write([]byte("all of it")); err != nil || little.text() != "all of it" {
		t.Errorf("%q, %v", little.text(), err)
	}
}
