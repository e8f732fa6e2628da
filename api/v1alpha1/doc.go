// Package v1alpha1 is the dbpair.io/v1alpha1 API: what a person writes about a
// replicated MySQL pair and what the operator answers.
//
// It holds types, their validation markers and the names of conditions, and
// nothing that acts on them. It imports apimachinery and k8s.io/api only, so that
// other programs can use it without the operator's dependencies.
//
// +kubebuilder:object:generate=true
// +groupName=dbpair.io
package v1alpha1
