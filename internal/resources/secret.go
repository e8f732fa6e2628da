package resources

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// SecretTypeApp is the type that servicebinding.io gives to Secrets of MySQL.
const SecretTypeApp corev1.SecretType = "servicebinding.io/mysql"

// Keys of the Secrets.
const (
	keyPassword = "password"
	// KeyUsername and KeyPassword are those of the application's account.
	KeyUsername = "username"
	KeyPassword = keyPassword
	KeyCA       = "ca.crt"
	KeyCAKey    = "ca.key"
	// KeyLeaseSigned says that a Lease without a signature is not the pair's authority.
	KeyLeaseSigned = "lease.signed"
)

// InternalKeys are the keys of the Secret of the pair's own accounts.
func InternalKeys() []string {
	return []string{
		agentapi.PasswordFileRoot, agentapi.PasswordFileReplication,
		agentapi.PasswordFileClone, agentapi.PasswordFileMonitor,
		agentapi.PasswordFileChecksum, agentapi.PasswordFileRepair,
	}
}

// FormerKeys are the keys of the former passwords that agents take while a rotation is on
// its way.
func FormerKeys() []string {
	var keys []string
	for _, name := range agentapi.FormerPasswords() {
		keys = append(keys, agentapi.FormerPasswordFile(name))
	}
	return keys
}

// InternalSecret holds the passwords of the pair's own accounts, one for each of
// InternalKeys, and while a rotation is on its way those of FormerKeys.
func InternalSecret(p *v1alpha1.DatabasePair, passwords map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return secret(p, NamesOf(p).Internal(), corev1.SecretTypeOpaque, passwords)
}

// CASecret holds the pair's certificate authority; nothing mounts it. It goes with the
// pair only if the volumes do.
//
// signed says that the pair's Lease is signed, so that one without a signature is not
// believed any more.
func CASecret(p *v1alpha1.DatabasePair, certPEM, keyPEM []byte, signed bool) *corev1ac.SecretApplyConfiguration {
	data := map[string][]byte{KeyCA: certPEM, KeyCAKey: keyPEM}
	if signed {
		data[KeyLeaseSigned] = []byte("v1")
	}
	s := secret(p, NamesOf(p).CA(), corev1.SecretTypeOpaque, data)
	if p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted != v1alpha1.DeleteVolumes {
		s.OwnerReferences = nil
		s.Labels = KeptLabels(p.Name)
	}
	return s
}

// TLSSecret holds a member's certificate.
func TLSSecret(p *v1alpha1.DatabasePair, o pair.Ordinal, caPEM, certPEM, keyPEM []byte) *corev1ac.SecretApplyConfiguration {
	return secret(p, NamesOf(p).TLS(o), corev1.SecretTypeTLS, map[string][]byte{
		KeyCA:                   caPEM,
		corev1.TLSCertKey:       certPEM,
		corev1.TLSPrivateKeyKey: keyPEM,
	})
}

func secret(p *v1alpha1.DatabasePair, name string, kind corev1.SecretType, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithType(kind).
		WithData(data)
}
