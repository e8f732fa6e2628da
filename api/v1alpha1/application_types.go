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
	// passwordOverlap is how long the former password of the application stays valid after
	// the key password of the Secret <pair>-app was changed, so that the application's pods can
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
