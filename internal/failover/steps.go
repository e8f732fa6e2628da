package failover

import (
	"reflect"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// StepName names a step: in logs, failpoints, timelines and docs. It is the name of the step's type.
type StepName string

// Step is one thing to do. The set is closed: the types below.
type Step interface {
	Name() StepName
}

// nameOf is the name of a step's type.
func nameOf(s Step) StepName { return StepName(reflect.TypeOf(s).Name()) }

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
		// OfABackup: it copies the backup that is served, and replicates from the donor what followed.
		OfABackup bool
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
	// AdminConfirmation takes an administrator's confirmation for a proof.
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
	// ScaleDown has the StatefulSet ask for no pods, so that both end.
	ScaleDown struct{ Version string }
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
func (s CreateAuthority) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ChangeAuthority) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Initialize) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Seed) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Rewind) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Fence) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Cease) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Drain) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s AckFence) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Discard) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ReadLease) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ProvePod) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ProveNode) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s AdminConfirmation) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s BeginJoining) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ConcludeJoining) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s GiveUpData) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s DeletePod) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s AddFinalizer) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s RemoveFinalizer) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s LabelPod) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ScaleDown) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s PointService) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s DetachService) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Hold) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s ReleaseHeld) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s NoteOperation) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s Together) Name() StepName { return nameOf(s) }

// Name implements Step.
func (s InOrder) Name() StepName { return nameOf(s) }
