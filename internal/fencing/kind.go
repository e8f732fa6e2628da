package fencing

import "slices"

// Kind names a kind of evidence that a member cannot accept writes. The name is the
// same in the docs, in an operation's status, in events, in logs and in metric labels.
type Kind string

// The kinds of proof, strongest first. docs/failover.md says what each rests on.
const (
	ProcessStopped   Kind = "ProcessStopped"
	Demoted          Kind = "Demoted"
	PodTerminated    Kind = "PodTerminated"
	AuthorityExpired Kind = "AuthorityExpired"
	NodeOutOfService Kind = "NodeOutOfService"
	HumanAck         Kind = "HumanAck"
	AckFenced        Kind = "AckFenced"
	// NeverHeld: the member has never been appointed in the life of this authority and
	// holds no known data, so there is nothing it could open. Only the first
	// appointment of a new pair uses it.
	NeverHeld Kind = "NeverHeld"
)

// Kinds lists every kind of proof, the strongest first. It is the one list of them: what ranks,
// documents or counts proofs goes by it.
var Kinds = []Kind{
	ProcessStopped,
	Demoted,
	PodTerminated,
	AuthorityExpired,
	NodeOutOfService,
	HumanAck,
	AckFenced,
	NeverHeld,
}

// StrongerThan reports whether evidence of this kind is stronger than that of another one. What is
// not in Kinds, the empty kind included, is the weakest.
func (k Kind) StrongerThan(other Kind) bool { return k.rank() < other.rank() }

func (k Kind) rank() int {
	if i := slices.Index(Kinds, k); i >= 0 {
		return i
	}
	return len(Kinds)
}

// EndsPod reports whether evidence of this kind says that the pod runs nothing any more and
// never will: it can be recorded, so that it outlives the operator and the pod's object.
func (k Kind) EndsPod() bool {
	return k == PodTerminated || k == NodeOutOfService || k == HumanAck
}
