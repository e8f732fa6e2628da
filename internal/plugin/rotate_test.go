package plugin

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestRotateAsksForWhatWasNamed(t *testing.T) {
	w := newWorld(t, healthy())
	if _, _, err := w.call(t, "", "rotate", "shop"); err == nil || !strings.Contains(err.Error(), "--ca, --certificates or --passwords") {
		t.Errorf("without a flag: %v", err)
	}
	out, _, err := w.call(t, "", "rotate", "shop", "--ca", "--passwords")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "kubectl events") {
		t.Errorf("out = %q", out)
	}
	var p v1alpha1.DatabasePair
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "shop"}, &p); err != nil {
		t.Fatal(err)
	}
	for annotation, want := range map[string]bool{
		v1alpha1.AnnotationRotateCA: true, v1alpha1.AnnotationRotatePasswords: true, v1alpha1.AnnotationRotateCertificates: false,
	} {
		if _, err := time.Parse(time.RFC3339, p.Annotations[annotation]); (err == nil) != want {
			t.Errorf("%s = %q", annotation, p.Annotations[annotation])
		}
	}
}
