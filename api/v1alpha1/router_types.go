package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// RouterSpec is HAProxy before the pair: two pods that lead clients to the primary, and readers to
// the passive, and cut the sessions of a member that is it no longer.
type RouterSpec struct {
	// enabled makes the router, with the Service <pair>-router: port 3306 for the primary, port 3307
	// for the passive. Set to false, all of it is removed and its sessions end.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// image holds haproxy 2.8 or newer on its PATH.
	// +optional
	// +kubebuilder:default="haproxy:3.0"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// imagePullPolicy of the image.
	// +optional
	// +kubebuilder:default=IfNotPresent
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`
	// maxConnections is how many clients each pod takes at once on each of its two ports; further
	// ones wait. Each takes about 40 KiB of memory.
	// +optional
	// +kubebuilder:default=2000
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=50000
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// resources of each pod. Without any it requests 50m and 64Mi, and is limited to 256Mi.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// service is the Service <pair>-router.
	// +optional
	// +kubebuilder:default={}
	Service RouterServiceSpec `json:"service,omitempty"`
}

// RouterServiceSpec is the Service of the router.
// +kubebuilder:validation:XValidation:rule="!has(self.annotations) || self.annotations.all(k, !k.contains('dbpair.io/'))",message="spec.router.service.annotations: keys with dbpair.io/ belong to the operator; use other keys"
type RouterServiceSpec struct {
	// type of the Service.
	// +optional
	// +kubebuilder:default=ClusterIP
	Type ServiceType `json:"type,omitempty"`
	// annotations of the Service, for load balancers.
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	Annotations map[string]string `json:"annotations,omitempty"`
}
