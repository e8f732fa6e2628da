package app

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func TestAllReplicasHaveOneKey(t *testing.T) {
	o := Options{Namespace: "ops", IdentitySecret: "identity"}
	client := fake.NewClientset()
	first, err := ensureIdentity(t.Context(), client.CoreV1(), o)
	if err != nil {
		t.Fatal(err)
	}
	// Another replica that read before the first one wrote.
	raced := hideSecretOnce(client, "identity")
	second, err := ensureIdentity(t.Context(), client.CoreV1(), o)
	if err != nil || !raced() {
		t.Fatal(raced(), err)
	}
	third, err := ensureIdentity(t.Context(), client.CoreV1(), o)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID() == "" || first.ID() != second.ID() || second.ID() != third.ID() {
		t.Errorf("keys %q, %q and %q", first.ID(), second.ID(), third.ID())
	}
}

// A key that is made again while agents pin the former one locks the operator out for minutes:
// that is a person's decision.
func TestAKeyThatCannotBeReadIsNotReplaced(t *testing.T) {
	o := Options{Namespace: "ops", IdentitySecret: "identity"}
	client := fake.NewClientset(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "identity"},
		Data:       map[string][]byte{keyIdentity: []byte("noise")},
	})
	_, err := ensureIdentity(t.Context(), client.CoreV1(), o)
	if err == nil || !strings.Contains(err.Error(), "kubectl -n ops delete secret identity") {
		t.Errorf("got %v", err)
	}
}

// hideSecretOnce answers the next reading of a Secret as if it were not there, which is what a
// replica sees that reads just before another one writes. raced reports whether that happened.
func hideSecretOnce(client *fake.Clientset, name string) (raced func() bool) {
	hidden := false
	client.PrependReactor("get", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
		if hidden {
			return false, nil, nil
		}
		hidden = true
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	})
	return func() bool { return hidden }
}
