package plugin

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestUpgradeAgentNamesThePodsWithAFormerAgent(t *testing.T) {
	p := healthy()
	with := func(image string) corev1.PodSpec {
		return corev1.PodSpec{InitContainers: []corev1.Container{{Name: resources.ContainerInstall, Image: image}}}
	}
	pod := func(name, image string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: p.Namespace, UID: types.UID("uid-of-" + name)},
			Spec:       with(image),
		}
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}}
	set.Spec.Template.Spec = with("agent:2")
	for name, c := range map[string]struct {
		images []string
		want   []string
		says   string
	}{
		"both are former": {
			images: []string{"agent:1", "agent:1"},
			want:   []string{"shop-0", "shop-1"},
			says:   "shop-0 and shop-1",
		},
		"one is": {
			images: []string{"agent:2", "agent:1"},
			want:   []string{"shop-1"},
			says:   "shop-1",
		},
		"none is": {
			images: []string{"agent:2", "agent:2"},
			says:   "have the operator's agent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy(), set.DeepCopy(), pod("shop-0", c.images[0]), pod("shop-1", c.images[1]))
			out, _, err := w.call(t, "", "upgrade-agent", "shop")
			if err != nil || !strings.Contains(out, c.says) {
				t.Fatalf("%q, %v", out, err)
			}
			var now v1alpha1.DatabasePair
			if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
				t.Fatal(err)
			}
			var asked int
			for key := range now.Annotations {
				if strings.HasPrefix(key, v1alpha1.AnnotationRestartPrefix) {
					asked++
				}
			}
			for _, member := range c.want {
				if got := now.Annotations[v1alpha1.AnnotationRestartPrefix+member]; got != "uid-of-"+member {
					t.Errorf("%s: asked for the pod %q", member, got)
				}
			}
			if asked != len(c.want) {
				t.Errorf("asked for %d pods, want %d", asked, len(c.want))
			}
		})
	}
}
