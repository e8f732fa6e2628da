package failover

import (
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// Kind says what a plan is, and with it what the conditions say.
type Kind string

// The kinds of plan.
const (
	// Settled: everything is as wished.
	Settled Kind = "Settled"
	// Acts: Steps has something to do.
	Acts Kind = "Acts"
	// Waits: something is under way elsewhere.
	Waits Kind = "Waits"
	// Holds: something is not as wished, nobody's doubt, and not the operator's to change
	// unasked.
	Holds Kind = "Holds"
	// Doubts: nothing may be done without a missing proof or a person's word.
	Doubts Kind = "Doubts"
)

// Plan is what Decide says.
type Plan struct {
	// Rule that spoke.
	Rule RuleName
	Kind Kind
	// Fact is one sentence about what was seen.
	Fact string
	// Verb resolves it; VerbNone when nobody has to act.
	Verb Verb
	// Remedy is the verb with the members that it can name, and what it may cost.
	Remedy Remedy
	// Missing are the pods whose proof is missing, in a doubt.
	Missing []fencing.Subject
	// Steps in order; the first is executed, then everything is looked at again.
	Steps []Step
	// After is the longest time until the next look; zero leaves it to the caller.
	After time.Duration
	// State names the state of the pair: of the plans that are due the first by precedence,
	// whichever has its turn now, so that conditions stay the same while several take turns.
	State Note
	// Retried: the first step has failed before over the same authority.
	Retried bool
	// Notes are other rules that hold a fact worth showing, in order.
	Notes []Note
	// FailoverReady, from the same observation.
	FailoverReady Readiness
	// Evictable: an eviction of the primary would be answered by a failover without loss.
	Evictable bool
	// Operation is the record that this act belongs to; nil for none.
	Operation *OperationNote
}

// Stated is the plan with what names the state of the pair in place of what has its turn.
func (p Plan) Stated() Plan {
	if s := p.State; s.Rule != "" {
		p.Rule = s.Rule
		p.Kind = s.Kind
		p.Fact = s.Fact
		p.Verb = s.Verb
		p.Remedy = s.Remedy
	}
	return p
}

// doubt is the doubt that the pair is in, if it is in one.
func (p Plan) doubt() (Note, bool) {
	for _, n := range append([]Note{p.State}, p.Notes...) {
		if n.Kind == Doubts {
			return n, true
		}
	}
	return Note{}, false
}

// Note is a fact that another rule found.
type Note struct {
	Rule RuleName
	Kind Kind
	Fact string
	Verb Verb
	// Remedy is the verb with the members that it can name, and what it may cost.
	Remedy Remedy
}

// Readiness says whether the pair could fail over now without loss, and if not, why.
type Readiness struct {
	Ready bool
	Rule  RuleName
	Fact  string
}

// OperationPhase is how far an operation is.
type OperationPhase string

// The phases an operation can be put into.
const (
	OperationPending   OperationPhase = "Pending"
	OperationRunning   OperationPhase = "Running"
	OperationSucceeded OperationPhase = "Succeeded"
	OperationFailed    OperationPhase = "Failed"
	OperationAbandoned OperationPhase = "Abandoned"
)

// OperationNote is what is to be written into a DatabasePairOperation. The recorder
// makes the object when there is none; writing the same note twice changes nothing.
type OperationNote struct {
	Name  string
	Verb  Verb
	Rule  RuleName
	Phase OperationPhase
	Epoch pair.Epoch
	From  pair.MemberName
	To    pair.MemberName
	Proof fencing.Kind
	// GTIDs, as far as they are known; what is empty changes nothing that was noted.
	GTIDs GTIDs
	// Discarded is what the promoted member gave up unapplied; nil for nothing.
	Discarded *agentapi.Discarded
	// WriteGap is zero while it is not known.
	WriteGap time.Duration
	// OnlyUpdate: an object that is gone is not made again.
	OnlyUpdate bool
	// Drained is what became of the sessions of clients; nil while it is not known.
	Drained *Drained
	// Message says how it goes, or what has to be done.
	Message string
}

// Drained is the account of a drain: the sessions that were closed outside a transaction, and
// those that were cut in the middle of one, the first of them by name.
type Drained struct {
	Closed   int
	Cut      int
	Sessions []string
}

// GTIDs are sets as text: what the candidate had when it had stopped receiving, and when it
// was appointed, and what the former primary's binlog held by its last answer.
type GTIDs struct{ Received, Executed, Promoted, Former string }

// StepName names a step: in logs, failpoints, timelines and docs.
type StepName string

// The steps. There are no others.
const (
	StepCreateAuthority   StepName = "CreateAuthority"
	StepChangeAuthority   StepName = "ChangeAuthority"
	StepInitialize        StepName = "Initialize"
	StepSeed              StepName = "Seed"
	StepRewind            StepName = "Rewind"
	StepFence             StepName = "Fence"
	StepDrain             StepName = "Drain"
	StepCease             StepName = "Cease"
	StepAckFence          StepName = "AckFence"
	StepDiscard           StepName = "Discard"
	StepReadLease         StepName = "ReadLease"
	StepProvePod          StepName = "ProvePod"
	StepProveNode         StepName = "ProveNode"
	StepAdminConfirmation StepName = "AdminConfirmation"
	StepBeginJoining      StepName = "BeginJoining"
	StepConcludeJoining   StepName = "ConcludeJoining"
	StepGiveUpData        StepName = "GiveUpData"
	StepDeletePod         StepName = "DeletePod"
	StepAddFinalizer      StepName = "AddFinalizer"
	StepRemoveFinalizer   StepName = "RemoveFinalizer"
	StepLabelPod          StepName = "LabelPod"
	StepPointService      StepName = "PointService"
	StepDetachService     StepName = "DetachService"
	StepHold              StepName = "Hold"
	StepReleaseHeld       StepName = "ReleaseHeld"
	StepNoteOperation     StepName = "NoteOperation"
	StepTogether          StepName = "Together"
	StepInOrder           StepName = "InOrder"
)

// StepNames lists every step.
var StepNames = []StepName{
	StepCreateAuthority, StepChangeAuthority, StepInitialize, StepSeed, StepRewind, StepFence, StepCease,
	StepAckFence, StepDrain, StepDiscard, StepReadLease, StepProvePod, StepProveNode, StepAdminConfirmation,
	StepBeginJoining, StepConcludeJoining, StepGiveUpData,
	StepDeletePod, StepAddFinalizer, StepRemoveFinalizer, StepLabelPod, StepPointService, StepDetachService,
	StepHold, StepReleaseHeld, StepNoteOperation, StepTogether, StepInOrder,
}

// Step is one thing to do. The set is closed: the types below.
type Step interface {
	Name() StepName
}

// Step types. Version fields are the resourceVersion the effect is conditional on.
type (
	// CreateAuthority makes the Lease; it must not be there.
	CreateAuthority struct{ Record authority.Record }
	// ChangeAuthority applies a named change to the record as observed, by
	// compare-and-swap.
	ChangeAuthority struct {
		From    authority.Record
		Version string
		Change  authority.Change
	}
	// Initialize asks a member to make its empty volume a data directory.
	Initialize struct {
		Member pair.MemberName
		DataID pair.DataID
	}
	// Seed asks a member to copy the donor's data.
	Seed struct {
		Member, Donor pair.MemberName
		// Target is the data that is replaced; empty for an empty volume.
		Target, DataID pair.DataID
	}
	// Rewind asks a member to cut its tail: what the holder's binlog has not. The holder
	// is asked for its binlog's contents first.
	Rewind struct {
		Member, Holder pair.MemberName
		Target         pair.DataID
		// KeepTail: nothing may be cut; the member goes on only when it has no tail.
		KeepTail bool
	}
	// Fence asks the agent of a subject to cease and close at the present epoch.
	Fence struct{ Subject fencing.Subject }
	// Cease asks an agent to make the present epoch durable.
	Cease struct{ Subject fencing.Subject }
	// AckFence asks the candidate to cease, stop its receiver and apply all it has. About
	// are the former holder's pods whose acknowledgements end with it.
	AckFence struct {
		Subject fencing.Subject
		About   []fencing.Subject
		// Receive are GTIDs that it receives before it stops; empty for none.
		Receive string
	}
	// Drain has the open primary's agent close sessions as soon as they are outside a
	// transaction, for as long as For says from now on; 0 ends that.
	Drain struct {
		Subject   fencing.Subject
		Operation string
		For       time.Duration
	}
	// Discard asks a member that is promoted by force to save and give up what it has received
	// and cannot apply, as the operation allows.
	Discard struct {
		Subject   fencing.Subject
		Operation string
		Target    pair.DataID
	}
	// ReadLease asks an agent to read the Lease now.
	ReadLease struct{ Member pair.MemberName }
	// ProvePod reads a pod, uncached, and judges whether its end is proven.
	ProvePod struct{ Subject fencing.Subject }
	// ProveNode reads the node of a subject's pod.
	ProveNode struct {
		Subject fencing.Subject
		Node    string
	}
	// AdminConfirmation takes a person's word for a proof.
	AdminConfirmation struct {
		Subject fencing.Subject
		Word    fencing.Word
	}
	// BeginJoining compares the passive's binlog with the primary's and, when nothing in
	// it is errant, makes the primary wait again.
	BeginJoining struct {
		From             authority.Record
		Version          string
		Primary, Passive fencing.Subject
	}
	// ConcludeJoining takes a snapshot of the primary's binlog, asks the passive whether
	// it has received it, and if so makes the ledger both.
	ConcludeJoining struct {
		From             authority.Record
		Version          string
		Primary, Passive fencing.Subject
	}
	// GiveUpData compares the passive's binlog with the primary's and, when nothing in it is
	// errant, gives the passive's data up for a copy of this name.
	GiveUpData struct {
		From             authority.Record
		Version          string
		Primary, Passive fencing.Subject
		NewData          pair.DataID
	}
	// DeletePod deletes one pod, by its UID.
	DeletePod struct{ Subject fencing.Subject }
	// AddFinalizer puts dbpair.io/fence on a pod.
	AddFinalizer struct{ Subject fencing.Subject }
	// RemoveFinalizer takes it off.
	RemoveFinalizer struct{ Subject fencing.Subject }
	// LabelPod sets and removes labels of one pod.
	LabelPod struct {
		Subject fencing.Subject
		Set     map[string]string
		Remove  []string
	}
	// PointService leads the client Service to a member's door, or to the mysqld of its pod
	// that has the epoch's label: selector and target port in one write.
	PointService struct {
		Version string
		Epoch   pair.Epoch
		Leads   Door
		Member  pair.MemberName
	}
	// DetachService takes the selector off the client Service: its endpoints stay as they
	// are, whatever becomes of the pod they lead to.
	DetachService struct {
		Version string
		From    fencing.Subject
	}
	// Hold has the door of a switchover's candidate begin to hold clients, before the authority
	// changes; with ForwardTo it relays them to the primary's mysqld there, and with Cancel it
	// ends either.
	Hold struct {
		Subject   fencing.Subject
		Cancel    bool
		ForwardTo string
	}
	// ReleaseHeld has the door of a new primary let clients through to its mysqld: the pod
	// that the Service led to before is being deleted.
	ReleaseHeld struct{ Subject fencing.Subject }
	// NoteOperation writes an operation's record.
	NoteOperation struct{ Note OperationNote }
	// Together are steps that do not depend on each other and may run at once.
	Together struct{ Steps []Step }
	// InOrder are steps each of which begins when the one before it has succeeded.
	InOrder struct{ Steps []Step }
)

// Name implements Step.
func (CreateAuthority) Name() StepName { return StepCreateAuthority }

// Name implements Step.
func (ChangeAuthority) Name() StepName { return StepChangeAuthority }

// Name implements Step.
func (Initialize) Name() StepName { return StepInitialize }

// Name implements Step.
func (Seed) Name() StepName { return StepSeed }

// Name implements Step.
func (Rewind) Name() StepName { return StepRewind }

// Name implements Step.
func (Fence) Name() StepName { return StepFence }

// Name implements Step.
func (Cease) Name() StepName { return StepCease }

// Name implements Step.
func (Drain) Name() StepName { return StepDrain }

// Name implements Step.
func (AckFence) Name() StepName { return StepAckFence }

// Name implements Step.
func (Discard) Name() StepName { return StepDiscard }

// Name implements Step.
func (ReadLease) Name() StepName { return StepReadLease }

// Name implements Step.
func (ProvePod) Name() StepName { return StepProvePod }

// Name implements Step.
func (ProveNode) Name() StepName { return StepProveNode }

// Name implements Step.
func (AdminConfirmation) Name() StepName { return StepAdminConfirmation }

// Name implements Step.
func (BeginJoining) Name() StepName { return StepBeginJoining }

// Name implements Step.
func (ConcludeJoining) Name() StepName { return StepConcludeJoining }

// Name implements Step.
func (GiveUpData) Name() StepName { return StepGiveUpData }

// Name implements Step.
func (DeletePod) Name() StepName { return StepDeletePod }

// Name implements Step.
func (AddFinalizer) Name() StepName { return StepAddFinalizer }

// Name implements Step.
func (RemoveFinalizer) Name() StepName { return StepRemoveFinalizer }

// Name implements Step.
func (LabelPod) Name() StepName { return StepLabelPod }

// Name implements Step.
func (PointService) Name() StepName { return StepPointService }

// Name implements Step.
func (DetachService) Name() StepName { return StepDetachService }

// Name implements Step.
func (Hold) Name() StepName { return StepHold }

// Name implements Step.
func (ReleaseHeld) Name() StepName { return StepReleaseHeld }

// Name implements Step.
func (NoteOperation) Name() StepName { return StepNoteOperation }

// Name implements Step.
func (Together) Name() StepName { return StepTogether }

// Name implements Step.
func (InOrder) Name() StepName { return StepInOrder }
