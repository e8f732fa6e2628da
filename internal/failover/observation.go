package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// Tri is a fact that may be unknown. The zero value is unknown.
type Tri string

// The answers.
const (
	Unknown Tri = ""
	Yes     Tri = "Yes"
	No      Tri = "No"
)

// Known makes a Tri of a bool.
func Known(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// Observation is everything Decide knows: facts with their instants, all of one clock.
type Observation struct {
	// Now is the instant of the decision, on the clock of all others here.
	Now time.Time
	// Settings are the desired state.
	Settings Settings
	// Authority as read, uncached.
	Authority Authority
	// Members by ordinal.
	Members [2]Member
	// Service is the client Service.
	Service Service
	// Evidence is what this operator process heard; never nil.
	Evidence *fencing.Book
	// Kept is what the pair's status and its operations have kept.
	Kept Kept
	// History is what the operator remembers about the pair beside the authority.
	History History
	// Operations that are not finished, oldest first.
	Operations []Operation
	// Refused are the writes that the API server has refused repeatedly, in a fixed order. No
	// step depends on them.
	Refused []RefusedWrite
	// Jobs are the operations that a Job is doing now: comparisons and repairs.
	Jobs []string
	// StatefulSet of the members.
	StatefulSet StatefulSet
	// RolloutHeld says why this pair has to wait with a rollout for other pairs; empty when it
	// has not.
	RolloutHeld string
	// FreshID is a random name that nothing has yet: a DataID if this look needs one.
	FreshID string
}

// Settings are the parts of the spec that decisions depend on.
type Settings struct {
	Namespace, Name string
	UID             pair.UID
	Generation      int64
	// CreatedAt is when the pair was made, in whole seconds.
	CreatedAt time.Time
	Paused    bool
	// Deleting: the pair is being deleted. Nothing is done to its roles any more.
	Deleting bool

	Lossless       bool
	ContinueAlone  bool
	PassiveTimeout time.Duration

	LeaseDuration, SafetyMargin time.Duration

	AutomaticFailover  bool
	WarnAfter          time.Duration
	DeadAfter          time.Duration
	InitialDelay       time.Duration
	ApplyTimeout       time.Duration
	MaxPerHour         int
	PromoteOnAckFenced bool
	// AsyncAnyProof: in Async an expired authority is proof enough.
	AsyncAnyProof bool
	AsyncMaxLag   time.Duration

	// PassiveMaxLag is the lag up to which the passive serves reads.
	PassiveMaxLag     time.Duration
	FallbackToPrimary bool

	// HoldsClients: while nobody may be open, clients are held at the candidate's door and
	// let through from there.
	HoldsClients bool

	// ReseedsDiverged: a passive with transactions that the primary lacks is copied again without
	// being asked for it, when it is shown that they were never acknowledged.
	ReseedsDiverged bool

	// Hibernate: both members are to be ended in order, and stay so while it is set.
	Hibernate bool
	// DrainTimeout is how long transactions in flight may take to end before the pair hibernates.
	DrainTimeout time.Duration

	// AutomaticRollout: the operator makes pods again that are not what the spec makes.
	AutomaticRollout bool

	// AutomaticAgentUpdate: so are pods that differ by their agent alone.
	AutomaticAgentUpdate bool

	// Copies: the pair is new and begins with a copy of other data. Volumes of an earlier pair
	// are not taken up then.
	Copies bool

	// AgentVersion is the version of the agent that this operator would install.
	AgentVersion string
}

// Members of the pair by ordinal.
func (s Settings) Members() [2]pair.MemberName { return pair.Members(s.Name) }

// Reading says how the read of an object went.
type Reading string

// The outcomes of a read. Unread is the zero value: nothing is known.
const (
	Unread    Reading = ""
	Read      Reading = "Read"
	Missing   Reading = "Missing"   // the API server says there is none
	Malformed Reading = "Malformed" // there is one, which makes no sense
	// NotAuthentic: there is one that no operator of this pair has signed.
	NotAuthentic Reading = "NotAuthentic"
)

// Authority is the Lease as it was read.
type Authority struct {
	Reading Reading
	// Record, when Read.
	Record authority.Record
	// Version is the resourceVersion every write is conditional on.
	Version string
	// Problem says what does not make sense, or why it could not be read.
	Problem string
	// AskedAt is the instant before the read was sent.
	AskedAt time.Time
}

// Reach is how the last attempt to reach an agent ended. Refused, timed out and reset
// are different facts; none of them means "down".
type Reach string

// The ends of an attempt.
const (
	NotTried Reach = ""
	Answered Reach = "Answered"
	Refused  Reach = "Refused"
	TimedOut Reach = "TimedOut"
	Reset    Reach = "Reset"
	NoPodIP  Reach = "NoAddress"
	// BadAnswer: something answered that is not this member's agent.
	BadAnswer Reach = "BadAnswer"
)

// String is for messages, in which nothing must not stand for an attempt that was not made.
func (r Reach) String() string {
	if r == NotTried {
		return "not reached yet"
	}
	return string(r)
}

// Member is what is known of one member.
type Member struct {
	Name pair.MemberName
	Pod  Pod
	// Reach of the last attempt to reach its agent.
	Reach Reach
	// State is the newest answer of the agent of the pod that is there now; nil when it
	// never answered.
	State *agentapi.State
	// HeardAt is when State was asked for last and came; the zero time for never.
	HeardAt time.Time
	// SilentSince is the end of the last successful attempt, or the first attempt that
	// this process made when none succeeded; the zero time when no attempt was made.
	SilentSince time.Time
	// MadeForPair: the member's volume claim was created after the pair, so that it can
	// hold no data of an earlier one. No when it is older.
	MadeForPair Tri
	// ClaimDeleting: the deletion of one of the member's volume claims was accepted. Its data
	// goes when its pod ends, or its binary logs do, without which its data is not used.
	ClaimDeleting bool
	// DeletingClaim is the name of that claim; empty stands for the one of the data.
	DeletingClaim string
}

// Silence says that the member's agent does not answer, and how the last attempt ended.
func (m Member) Silence() string {
	if m.Reach == NotTried {
		return fmt.Sprintf("the agent of %s has not answered yet", m.Name)
	}
	return fmt.Sprintf("the agent of %s does not answer (%s)", m.Name, m.Reach)
}

// Heard reports whether the member's agent answered the last attempt.
func (m Member) Heard() bool { return m.Reach == Answered && m.State != nil }

// OutdatedAgent is Pod.Outdated of a pod that differs from the template by its agent only.
const OutdatedAgent = "agent image"

// Pod is a member's pod as it was read.
type Pod struct {
	Reading Reading
	UID     pair.PodUID
	Node    string
	IP      string
	// CreatedAt is when the pod was made.
	CreatedAt time.Time
	// Deleting: its deletion was accepted.
	Deleting bool
	// EndsAt is when the grace period of its deletion is over; zero when it is not being deleted.
	EndsAt time.Time
	// Fenced: it carries the finalizer dbpair.io/fence.
	Fenced bool
	Labels map[string]string
	// Ended are the facts a PodTerminated proof is judged by.
	Ended fencing.PodFacts
	// NodeOutOfService: its node has the out-of-service taint.
	NodeOutOfService Tri
	// Outdated names what differs from the desired state and waits for a restart, such as image or
	// configuration; empty when nothing does.
	Outdated string
	// RestartAsked: a person asked for this very pod to be made again.
	RestartAsked bool
	// NeverRan: no mysqld container was ever started in this pod.
	NeverRan bool
	// Problem is why the pod does not run, such as Unschedulable or ImagePullBackOff with
	// its message.
	Problem string
}

// Door says whether a Service leads to mysqld or to the agent's door.
type Door string

// The two ports the client Service can lead to. LeadsOpen is also the value of the epoch's label.
const (
	LeadsOpen Door = "open"
	LeadsDoor Door = "door"
)

// Service is the client Service as it was read.
type Service struct {
	Reading Reading
	Version string
	// Epoch and Leads of its selector; Epoch is -1 when it selects no epoch, as one that
	// leads to a door does.
	Epoch pair.Epoch
	Leads Door
	// Member whose pod it selects, as its member label says; empty for none.
	Member pair.MemberName
	// PortLeads is where its target port leads.
	PortLeads Door
	// CreatedAt is when the Service was made.
	CreatedAt time.Time
	// Detached is the pod to whose mysqld port the endpoints still lead while the Service
	// has no selector; empty when it has one.
	Detached pair.PodUID
}

// Closed is a run of the primary's mysqld that was up and closed.
type Closed struct {
	Since       time.Time
	Incarnation pair.Incarnation
}

// RolledBack is what a primary was found to have lost: its disk was restored from an older
// state, and its peer has what it lacks.
type RolledBack struct {
	Primary pair.MemberName
	// DataID of the primary, PeerDataID of the other member, when that was found.
	DataID     pair.DataID
	PeerDataID pair.DataID
	GTIDs      string
}

// ErrantByMember is what comparisons found, by the member it was found in.
type ErrantByMember map[pair.MemberName]Errant

// Errant is what a comparison of two binlogs found.
type Errant struct {
	GTIDs string
	// DataID and Incarnation of the member it was found in.
	DataID      pair.DataID
	Incarnation pair.Incarnation
}

// Verb is what a person can ask for.
type Verb string

// The verbs; the plugin's subcommands have these names.
const (
	VerbNone         Verb = ""
	VerbFailover     Verb = "failover"
	VerbAdopt        Verb = "adopt"
	VerbFence        Verb = "fence"
	VerbConfirmDead  Verb = "confirm-dead"
	VerbForcePromote Verb = "force-promote"
	VerbRelease      Verb = "release"
	VerbReseed       Verb = "reseed"
	VerbSwitchover   Verb = "switchover"
)

// Operation is a person's, or the operator's own, unfinished operation.
type Operation struct {
	Name string
	// Verb of the operation.
	Verb Verb
	// Target member; empty when the verb takes none.
	Target pair.MemberName
	// Confirmed is the epoch of the typed confirmation; -1 for none.
	Confirmed pair.Epoch
	// GiveUp: a re-seed may give up transactions that the target alone has.
	GiveUp bool
	// ConfirmedPair is the pair's name in the typed confirmation.
	ConfirmedPair string
	// CreatedAt is when it was made, in whole seconds.
	CreatedAt time.Time
	// PairUID is the pair that it names by its UID; empty for none.
	PairUID pair.UID
	// DiscardUnapplied: a forced promotion may give up what the target cannot apply.
	DiscardUnapplied bool
	// Running: its phase is Running; else Pending.
	Running bool
	// ByOperator: the operator made it as the record of its own act.
	ByOperator bool
	// Drill: the schedule of drills asked for it.
	Drill bool
	// Epoch at which it was begun, and the primary then; from its status.
	Epoch pair.Epoch
	From  pair.MemberName
	// StartedAt is when it was begun; from its status.
	StartedAt time.Time
	// Message of its status.
	Message string
	// Canceled is why a person canceled it; empty when no one did.
	Canceled string
	// Switchover are its parameters; nil for other verbs.
	Switchover *Switchover
	// Backup that a re-seed copies; nil when it copies the primary.
	Backup *ServedBackup
}

// Switchover are the parameters of a planned switchover.
type Switchover struct {
	// Demote: the former primary's mysqld runs on as the passive. Else its pod is deleted.
	Demote bool
	// DrainTimeout is how long transactions in flight may take to end.
	DrainTimeout time.Duration
	// GiveUp: what is in flight then is not cut, and the switchover is given up.
	GiveUp bool
	// Deadline is how long all of it may take from the creation of the operation on, until
	// the primary is revoked.
	Deadline time.Duration
}
