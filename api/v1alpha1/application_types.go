package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TLSMode says whether clients must use TLS.
// +kubebuilder:validation:Enum=Required;Preferred
type TLSMode string

// Whether clients must use TLS.
const (
	// TLSRequired turns clients without TLS away.
	TLSRequired TLSMode = "Required"
	// TLSPreferred serves clients without TLS, too.
	TLSPreferred TLSMode = "Preferred"
)

// ApplicationSpec is about the application's account.
type ApplicationSpec struct {
	// user is the account, made with the pair's first data, with all rights on database.
	// +optional
	// +kubebuilder:default=app
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_.-]*$')",message="spec.application.user must begin with a letter or _ and have letters, digits, _, . and - only"
	// +kubebuilder:validation:XValidation:rule="self != 'root' && !self.startsWith('mysql.') && !self.startsWith('dbpair')",message="spec.application.user must not be an account of MySQL or of the pair: not root, and nothing that begins with mysql. or dbpair"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.application.user cannot be changed: the account was made with the pair's data; make another account in mysqld"
	User string `json:"user,omitempty"`
	// database is the application's schema, made with the pair's first data.
	// +optional
	// +kubebuilder:default=app
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_-]*$')",message="spec.application.database must have letters, digits, _ and - only, and not begin with -"
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['mysql', 'sys', 'information_schema', 'performance_schema', 'dbpair'])",message="spec.application.database must not be a schema of MySQL or of the pair: mysql, sys, information_schema, performance_schema, dbpair"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.application.database cannot be changed: the schema was made with the pair's data; make another one in mysqld"
	Database string `json:"database,omitempty"`
	// passwordSecretRef is a key of a Secret of this namespace with the password of user: 1 to 255
	// bytes of UTF-8 without control characters. It is read again every fifteen seconds. Without it
	// the operator makes one, and the key password of the Secret <pair>-app is its owner's to change.
	// +optional
	PasswordSecretRef *KeyReference `json:"passwordSecretRef,omitempty"`
	// passwordOverlap is how long the former password of the application stays valid after
	// the password was changed, so that the application's pods can
	// take up the new one one after the other. 0s ends it after a minute, also for a change that
	// was made before.
	// +optional
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="spec.application.passwordOverlap must be from 0s to 720h"
	PasswordOverlap metav1.Duration `json:"passwordOverlap,omitempty"`
}

// ApplicationStatus is about the application's account.
type ApplicationStatus struct {
	// formerPasswordUntil is until when the application's former password is valid beside
	// the one in the Secret <pair>-app; absent when it is not.
	// +optional
	FormerPasswordUntil *metav1.Time `json:"formerPasswordUntil,omitempty"`
}
