package plugin

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// recordDeletions keeps the names in their order. A deletion has to name the object that was seen.
func recordDeletions(names *[]string) func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
	return func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
		asked := (&client.DeleteOptions{}).ApplyOptions(options)
		if asked.Preconditions == nil || asked.Preconditions.UID == nil || *asked.Preconditions.UID != object.GetUID() {
			return fmt.Errorf("%s is deleted whatever its UID", object.GetName())
		}
		*names = append(*names, object.GetName())
		return c.Delete(ctx, object)
	}
}

// TestReseedToANewVolume: the claim and then the pod of the passive are deleted, and nothing is
// before it was confirmed, nor while nobody serves clients.
func TestReseedToANewVolume(t *testing.T) {
	available := func(status metav1.ConditionStatus) *v1alpha1.DatabasePair {
		p := healthy()
		p.Status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionAvailable, status, "Serving", "")}
		return p
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name:      "data-shop-1",
		Namespace: "default",
		UID:       "claim-uid",
	}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      "shop-1",
			Namespace: "default",
			UID:       "pod-uid",
		},
		Spec: corev1.PodSpec{NodeName: "n3"},
	}
	args := []string{"reseed", "shop", "shop-1", "--new-volume"}
	for name, tt := range map[string]struct {
		status  metav1.ConditionStatus
		objects []client.Object
		typed   string
		args    []string
		want    []string
		prints  string
		wantErr string
	}{
		"the claim goes before the pod": {
			status: metav1.ConditionTrue, objects: []client.Object{claim, pod}, typed: "shop/12\n",
			want: []string{"data-shop-1", "shop-1"}, prints: "kubectl taint node n3 node.kubernetes.io/out-of-service",
		},
		"a claim that is gone already keeps nothing back": {
			status: metav1.ConditionTrue, objects: []client.Object{pod}, typed: "shop/12\n", want: []string{"shop-1"},
		},
		"scripts give the confirmation": {
			status: metav1.ConditionTrue, objects: []client.Object{claim, pod}, args: []string{"--confirm", "shop/12"},
			want: []string{"data-shop-1", "shop-1"},
		},
		"nothing without a confirmation": {
			status: metav1.ConditionTrue, objects: []client.Object{claim, pod}, typed: "yes\n", wantErr: "not confirmed",
		},
		"nothing by the confirmation of another epoch": {
			status: metav1.ConditionTrue, objects: []client.Object{claim, pod}, args: []string{"--confirm", "shop/11"},
			wantErr: "the pair is at shop/12 now",
		},
		"nothing while nobody serves clients": {
			status: metav1.ConditionFalse, objects: []client.Object{claim, pod}, typed: "shop/12\n", wantErr: "not Available",
		},
		"it is not waited for": {
			status: metav1.ConditionTrue, objects: []client.Object{claim, pod}, typed: "shop/12\n", args: []string{"--wait"},
			wantErr: "[new-volume wait]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var deleted []string
			var objects []client.Object
			for _, o := range tt.objects {
				objects = append(objects, o.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, append(objects, available(tt.status))...)
			w.client = interceptor.NewClient(w.client.(client.WithWatch), interceptor.Funcs{
				Delete: recordDeletions(&deleted),
			})
			out, asked, err := w.call(t, tt.typed, append(args, tt.args...)...)
			if (tt.wantErr == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("error %v, want %q", err, tt.wantErr)
			}
			if strings.Join(deleted, " ") != strings.Join(tt.want, " ") {
				t.Errorf("deleted %q, want %q", deleted, tt.want)
			}
			if !strings.Contains(out, tt.prints) || (tt.typed != "" && tt.wantErr == "" && !strings.Contains(asked, "its quarantine")) {
				t.Errorf("it asks %q and prints %q", asked, out)
			}
		})
	}
	t.Run("never of the primary", func(t *testing.T) {
		w := newWorld(t, available(metav1.ConditionTrue))
		if _, _, err := w.call(t, "shop/12\n", "reseed", "shop", "shop-0", "--new-volume"); err == nil || !strings.Contains(err.Error(), "not the passive") {
			t.Errorf("error %v", err)
		}
	})
}
