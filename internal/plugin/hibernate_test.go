package plugin

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

func TestHibernateAndWakeWriteTheSpec(t *testing.T) {
	p := healthy()
	w := newWorld(t, p)
	hibernates := func() bool {
		t.Helper()
		var now v1alpha1.DatabasePair
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			t.Fatal(err)
		}
		return now.Spec.Hibernate
	}
	for _, c := range []struct {
		verb string
		want bool
	}{
		{"hibernate", true},
		{"hibernate", true},
		{"wake", false},
	} {
		out, _, err := w.call(t, "", c.verb, "shop")
		if err != nil || !strings.Contains(out, "shop") {
			t.Fatalf("%s: %q, %v", c.verb, out, err)
		}
		if got := hibernates(); got != c.want {
			t.Errorf("after %s spec.hibernate is %v", c.verb, got)
		}
	}
}

func TestHibernateWaitsForWhatThePairSays(t *testing.T) {
	p := healthy()
	p.Spec.Hibernate = true
	meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionFalse,
		Reason:  string(failover.RuleHibernated),
		Message: "the pair hibernates",

		ObservedGeneration: p.Generation,
	})
	out, _, err := newWorld(t, p).call(t, "", "hibernate", "shop", "--wait")
	if err != nil || !strings.Contains(out, "the pair hibernates") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAPausedPairDoesNotHibernate(t *testing.T) {
	p := healthy()
	p.Spec.Paused = true
	if _, _, err := newWorld(t, p).call(t, "", "hibernate", "shop"); err == nil || !strings.Contains(err.Error(), "is paused") {
		t.Errorf("got %v", err)
	}
}
