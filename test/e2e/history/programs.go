package history

// Step is what a program was in the middle of.
type Step string

// The steps of a program: it connects, begins a transaction on a connection that may have been closed
// while nobody used it, and is in the middle of one.
const (
	StepConnect Step = "connect"
	StepBegin   Step = "begin"
	StepMiddle  Step = "middle"
)

// Try is one thing that a program tried: a whole transaction, or a connection that failed.
type Try struct {
	Program string `json:"program"`
	Worker  int    `json:"worker"`
	Sent    Stamp  `json:"sent"`
	Done    Stamp  `json:"done"`
	// Step is where it failed, and Error what the driver said; both empty when it succeeded.
	Step  Step   `json:"step,omitempty"`
	Error string `json:"error,omitempty"`
	// Hung: it had no answer when the run ended.
	Hung bool `json:"hung,omitempty"`
}

// OK reports whether the transaction was committed.
func (t Try) OK() bool { return t.Step == "" && !t.Hung }
