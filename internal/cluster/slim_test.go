package cluster_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

func labeled(name string, labels map[string]string, kind, owner string) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: name, Namespace: "ns", Labels: labels}
	if kind != "" {
		out.OwnerReferences = []metav1.OwnerReference{{
			Kind:       kind,
			Name:       owner,
			UID:        "u",
			Controller: ptr.To(true),
		}}
	}
	return out
}

// Otherwise anyone who may write a Secret could fill the operator's memory with his own.
func TestCachesKeepNoContentOfOthers(t *testing.T) {
	ours := resources.Labels("shop")
	job := resources.JobLabels("shop")
	big := strings.Repeat("x", 1<<20)
	for name, tc := range map[string]struct {
		object client.Object
		kept   bool
	}{
		"a Secret of the pair":                    {secretOf(labeled("shop-internal", ours, "DatabasePair", "shop"), "p"), true},
		"the certificate authority":               {secretOf(labeled("shop-ca", ours, "", ""), "p"), true},
		"a Secret of another name":                {secretOf(labeled("shop-more", ours, "DatabasePair", "shop"), "p"), false},
		"a Secret that something else controls":   {secretOf(labeled("shop-app", ours, "Deployment", "web"), "p"), false},
		"a Secret of the pair that is very large": {secretOf(labeled("shop-app", ours, "DatabasePair", "shop"), big), false},
		"the ConfigMap of the agents":             {configOf(labeled("shop-config", ours, "DatabasePair", "shop"), "config.json", "{}"), true},
		"another ConfigMap":                       {configOf(labeled("web", ours, "", ""), "index.html", "<p>"), false},
		"what a Job says":                         {configOf(labeled("shop-job-1", job, "DatabasePairOperation", "op"), jobapi.KeyProgress, "{}"), true},
		"a Job's report":                          {configOf(labeled("shop-job-1", job, "DatabasePairOperation", "op"), jobapi.KeyReport, "{}"), false},
		"a Job that says too much":                {configOf(labeled("shop-job-1", job, "DatabasePairOperation", "op"), jobapi.KeyProgress, big), false},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := cluster.Slim(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			switch o := out.(type) {
			case *corev1.Secret:
				kept = len(o.Data)
			case *corev1.ConfigMap:
				kept = len(o.Data)
			}
			if (kept > 0) != tc.kept {
				t.Errorf("%d keys are kept", kept)
			}
		})
	}
}

func secretOf(meta metav1.ObjectMeta, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"password": []byte(value)}}
}

func configOf(meta metav1.ObjectMeta, key, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{key: value}}
}

func TestWhatACacheDroppedIsReadFromTheServer(t *testing.T) {
	whole := secretOf(labeled("shop-app", resources.Labels("shop"), "DatabasePair", "shop"), strings.Repeat("x", 1<<20))
	out, err := cluster.Slim(whole.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	cached := fake.NewClientBuilder().WithObjects(out.(client.Object)).Build()
	live := fake.NewClientBuilder().WithObjects(whole).Build()
	var got corev1.Secret
	if err := cluster.Read(context.Background(), cached, live, types.NamespacedName{Namespace: "ns", Name: "shop-app"}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Data["password"]) != 1<<20 {
		t.Errorf("%d bytes were read", len(got.Data["password"]))
	}
}
