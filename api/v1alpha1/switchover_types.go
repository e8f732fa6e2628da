package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OldPrimary says what becomes of the former primary in a planned switchover.
// +kubebuilder:validation:Enum=DeletePod;Demote
type OldPrimary string

// What becomes of the former primary.
const (
	// DeletePod deletes its pod before clients are led to the new primary.
	DeletePod OldPrimary = "DeletePod"
	// DemotePrimary leaves its mysqld running, read-only, as the passive.
	DemotePrimary OldPrimary = "Demote"
)

// OnDrainTimeout says what happens to transactions that are in flight after drainTimeout.
// +kubebuilder:validation:Enum=Cut;GiveUp
type OnDrainTimeout string

// The ends of a drain that takes too long.
const (
	// CutTransactions ends them: their clients get an error.
	CutTransactions OnDrainTimeout = "Cut"
	// GiveUpSwitchover leaves them and the primary as they are.
	GiveUpSwitchover OnDrainTimeout = "GiveUp"
)

// SwitchoverSpec is how a planned switchover is done where its operation does not say
// otherwise.
// +kubebuilder:validation:XValidation:rule="duration(self.drainTimeout) < duration(self.deadline)",message="spec.switchover.drainTimeout must be shorter than spec.switchover.deadline; lower it or raise the deadline"
type SwitchoverSpec struct {
	// oldPrimary: DeletePod (the former primary's pod is deleted before clients are led to
	// the new one, and the pair has one copy until it is back) or Demote (its mysqld runs on,
	// read-only, and follows the new primary at once).
	// +optional
	// +kubebuilder:default=DeletePod
	OldPrimary OldPrimary `json:"oldPrimary,omitempty"`
	// drainTimeout is how long transactions in flight may take to end.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="spec.switchover.drainTimeout must be from 100ms to 1h"
	DrainTimeout metav1.Duration `json:"drainTimeout,omitempty"`
	// onTimeout: Cut ends the transactions that are in flight then, GiveUp gives the switchover up.
	// +optional
	// +kubebuilder:default=Cut
	OnTimeout OnDrainTimeout `json:"onTimeout,omitempty"`
	// deadline is how long a switchover may take as a whole, from the creation of its
	// operation, the waiting for a pair that is fit included. One that is not past the point
	// of revoking the primary by then is given up.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('24h')",message="spec.switchover.deadline must be from 5s to 24h"
	Deadline metav1.Duration `json:"deadline,omitempty"`
	// drill is a schedule of switchovers, by which the procedure is known to work before it is
	// needed. Without one there are none.
	// +optional
	Drill *DrillSpec `json:"drill,omitempty"`
}

// SwitchoverParameters are those of one planned switchover; what is absent is taken from
// spec.switchover of the pair.
type SwitchoverParameters struct {
	// oldPrimary: DeletePod or Demote.
	// +optional
	OldPrimary OldPrimary `json:"oldPrimary,omitempty"`
	// drainTimeout is how long transactions in flight may take to end.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="spec.switchover.drainTimeout must be from 100ms to 1h"
	DrainTimeout *metav1.Duration `json:"drainTimeout,omitempty"`
	// onTimeout: Cut or GiveUp.
	// +optional
	OnTimeout OnDrainTimeout `json:"onTimeout,omitempty"`
}

// OperationDrain is what became of the sessions of clients in a planned switchover.
type OperationDrain struct {
	// closed sessions were outside a transaction and lost nothing.
	// +optional
	Closed int32 `json:"closed,omitempty"`
	// cut sessions were inside a transaction or a statement when drainTimeout had passed.
	// +optional
	Cut int32 `json:"cut,omitempty"`
	// sessions names those that were cut, at most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=512
	Sessions []string `json:"sessions,omitempty"`
}

// OperationHeld is the account of the clients who waited at a door while the roles changed.
type OperationHeld struct {
	// clients that waited, whatever became of them.
	Clients int32 `json:"clients"`
	// longest is for how long one of them waited at most.
	Longest metav1.Duration `json:"longest"`
}

// AnnotationCancel on an operation of type Switchover cancels it as long as the other member
// was not appointed; the value says why.
const AnnotationCancel = "dbpair.io/cancel"
