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

// AgentUpdate says when members get the agent of a newer operator.
// +kubebuilder:validation:Enum=Automatic;WithNextRestart
type AgentUpdate string

// The ways in which an agent is updated.
const (
	// AgentUpdateAutomatic: by a rollout, as soon as the operator has another one.
	AgentUpdateAutomatic AgentUpdate = "Automatic"
	// AgentUpdateWithNextRestart: when the member's pod is made again for another reason, or by kubectl
	// dbpair upgrade-agent.
	AgentUpdateWithNextRestart AgentUpdate = "WithNextRestart"
)

// AgentSpec is about the agents in the members' pods.
type AgentSpec struct {
	// update: WithNextRestart (a member gets the agent of a newer operator when its pod is made again, for
	// another reason or by kubectl dbpair upgrade-agent) or Automatic (a newer operator makes the pods again
	// by a rollout, with spec.rollout.mode Automatic). Both show it as condition AgentOutdated.
	// +optional
	// +kubebuilder:default=WithNextRestart
	Update AgentUpdate `json:"update,omitempty"`
}
