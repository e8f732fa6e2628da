//go:build e2e

package e2e

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// onSecrets are attacks of a user who may read and write Secrets.
func (a *attackStage) onSecrets() []attack {
	ca := &corev1.Secret{ObjectMeta: a.meta("shop-ca")}
	passwords := &corev1.Secret{ObjectMeta: a.meta("shop-internal")}
	const written = "written by the dbpair operator only"
	return []attack{
		{
			name:    "replace the certificate authority",
			as:      editor,
			do:      change(a, ca, func(s *corev1.Secret) { s.Data[resources.KeyCA] = []byte("x") }),
			refusal: written,
		},
		{
			name:    "have a Lease without a signature count",
			as:      editor,
			do:      change(a, ca, func(s *corev1.Secret) { delete(s.Data, resources.KeyLeaseSigned) }),
			refusal: written,
		},
		{
			name:    "keep the operator from changing passwords",
			as:      editor,
			do:      change(a, passwords, func(s *corev1.Secret) { s.Immutable = ptr.To(true) }),
			refusal: written,
		},
		{
			name:    "delete the passwords that open the volumes",
			as:      editor,
			do:      func(c *harness.Cluster) error { return c.Delete(a.ctx, &corev1.Secret{ObjectMeta: a.meta("shop-ca")}) },
			refusal: "delete the DatabasePair",
		},
	}
}
