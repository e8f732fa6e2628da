package v1alpha1

// RolloutMode says who makes pods again.
// +kubebuilder:validation:Enum=Automatic;OnDelete
type RolloutMode string

// The rollout modes.
const (
	// AutomaticRollout: the operator does, the passive first.
	AutomaticRollout RolloutMode = "Automatic"
	// RolloutOnDelete: a person does, by deleting the pods.
	RolloutOnDelete RolloutMode = "OnDelete"
)

// RolloutSpec says how changes reach the members' pods.
type RolloutSpec struct {
	// mode: Automatic (the operator makes the passive's pod again, waits until it is in sync, switches
	// over to it, and makes the former primary's pod again) or OnDelete (a member runs by its former
	// template until someone deletes its pod).
	// +optional
	// +kubebuilder:default=Automatic
	Mode RolloutMode `json:"mode,omitempty"`
}

// AnnotationRestartPrefix, followed by a member's name, on a pair asks for that member's pod to be made
// again. The value is the UID of the pod that is to go: once another one stands in its place, it has
// no effect.
const AnnotationRestartPrefix = "restart.dbpair.io/"
