package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// keyIdentity is the key of the Secret under which the operator's private key is.
const keyIdentity = "operator.key"

// ensureIdentity returns the operator's private key, by which the agents of all pairs know
// it. It is kept in a Secret of the operator's own namespace, where those who may read the
// Secrets of pairs cannot, and is the same for all replicas and across restarts. It is made
// when there is none; of two replicas that make one, the first one's counts.
func ensureIdentity(ctx context.Context, client corev1client.SecretsGetter, o Options) (*pki.Key, error) {
	secrets := client.Secrets(o.Namespace)
	name := o.IdentitySecret
	live, err := secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		live, err = createIdentity(ctx, secrets, o)
		if apierrors.IsAlreadyExists(err) {
			live, err = secrets.Get(ctx, name, metav1.GetOptions{})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the operator's key, Secret %s/%s: %w", o.Namespace, name, err)
	}
	key, err := pki.ParseKey(live.Data[keyIdentity])
	if err != nil {
		return nil, fmt.Errorf("the operator's key, Secret %s/%s: %s: %w; "+
			"agents know the operator by this key: restore the Secret, or delete it "+
			"(kubectl -n %s delete secret %s), and agents take commands again within two minutes",
			o.Namespace, name, keyIdentity, err, o.Namespace, name)
	}
	return key, nil
}

func createIdentity(ctx context.Context, secrets corev1client.SecretInterface, o Options) (*corev1.Secret, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	text, err := key.PEM()
	if err != nil {
		return nil, err
	}
	return secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Namespace,
			Name:      o.IdentitySecret,
			Labels:    map[string]string{resources.LabelName: resources.Product},
		},
		Immutable: ptr.To(true),
		Data:      map[string][]byte{keyIdentity: text},
	}, metav1.CreateOptions{})
}
