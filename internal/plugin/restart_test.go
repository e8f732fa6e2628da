package plugin

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestRestartNamesThePodsThatAreToGo(t *testing.T) {
	p := healthy()
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: p.Namespace, UID: types.UID("uid-of-" + name)}}
	}
	w := newWorld(t, p, pod("shop-0"), pod("shop-1"))
	asked := func() map[string]string {
		t.Helper()
		var now v1alpha1.DatabasePair
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for key, value := range now.Annotations {
			if member, ok := strings.CutPrefix(key, v1alpha1.AnnotationRestartPrefix); ok {
				found[member] = value
			}
		}
		return found
	}
	if _, _, err := w.call(t, "", "restart", "shop", "--member", "shop-7"); err == nil || !strings.Contains(err.Error(), "no member of pair") {
		t.Errorf("of a stranger: %v", err)
	}
	out, _, err := w.call(t, "", "restart", "shop", "--member", "shop-1")
	if err != nil || !strings.Contains(out, "shop-1") {
		t.Fatalf("%q, %v", out, err)
	}
	if got := asked(); len(got) != 1 || got["shop-1"] != "uid-of-shop-1" {
		t.Errorf("asked for %v", got)
	}
	if _, _, err := w.call(t, "", "restart", "shop"); err != nil {
		t.Fatal(err)
	}
	if got := asked(); len(got) != 2 || got["shop-0"] != "uid-of-shop-0" {
		t.Errorf("asked for %v", got)
	}
}

func TestAPausedPairIsNotRestarted(t *testing.T) {
	p := healthy()
	p.Spec.Paused = true
	w := newWorld(t, p)
	if _, _, err := w.call(t, "", "restart", "shop"); err == nil || !strings.Contains(err.Error(), "is paused") {
		t.Errorf("got %v", err)
	}
}
