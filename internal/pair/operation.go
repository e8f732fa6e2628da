package pair

// OperationPhase is how far an operation is. The API has this type under the same name.
// +kubebuilder:validation:Enum=Pending;Running;Succeeded;Failed;Abandoned
type OperationPhase string

// The phases. The last three are terminal.
const (
	OperationPending   OperationPhase = "Pending"
	OperationRunning   OperationPhase = "Running"
	OperationSucceeded OperationPhase = "Succeeded"
	OperationFailed    OperationPhase = "Failed"
	OperationAbandoned OperationPhase = "Abandoned"
)

// Terminal reports whether the phase never changes again.
func (p OperationPhase) Terminal() bool {
	return p == OperationSucceeded || p == OperationFailed || p == OperationAbandoned
}
