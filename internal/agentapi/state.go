package agentapi

import (
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Phase is what a member's agent is doing.
type Phase string

// The phases of an agent.
const (
	PhaseStarting     Phase = "Starting"      // the agent has just started
	PhaseVolumeInUse  Phase = "VolumeInUse"   // another process holds the volume
	PhaseForeign      Phase = "ForeignVolume" // the volume belongs to another pair or member
	PhaseVolumeLost   Phase = "VolumeLost"    // the volume cannot be read or written
	PhaseEmpty        Phase = "Empty"         // an empty volume; waits to be initialized or seeded
	PhaseInitializing Phase = "Initializing"
	PhaseSeeding      Phase = "Seeding"
	PhaseVoid         Phase = "Void"       // data was given up for a seed that has not finished
	PhaseHeld         Phase = "Held"       // unclean end; waits until it is known who the holder is
	PhaseRecovering   Phase = "Recovering" // mysqld starts and does not answer yet
	PhaseClosed       Phase = "Closed"
	PhaseOpening      Phase = "Opening"
	PhaseOpen         Phase = "Open"
	PhaseClosing      Phase = "Closing"
	PhaseFailed       Phase = "Failed" // mysqld cannot be started; Problems says why
)

// State is everything an agent says about its member.
type State struct {
	// Revision grows with every change that matters to a reader.
	Revision int64 `json:"revision"`

	PairUID      pair.UID        `json:"pairUID"`
	Member       pair.MemberName `json:"member"`
	PodUID       pair.PodUID     `json:"podUID"`
	AgentStart   pair.AgentStart `json:"agentStart"`
	AgentVersion string          `json:"agentVersion"`

	// KnownEpoch is the highest epoch known, fsynced.
	KnownEpoch pair.Epoch `json:"knownEpoch"`
	// ActedLedger is the ledger version last acted on.
	ActedLedger pair.LedgerVersion `json:"actedLedger"`
	DataID      pair.DataID        `json:"dataID,omitempty"`

	Phase Phase `json:"phase"`
	// OpenEpoch is the epoch at which the member is open; only in PhaseOpen.
	OpenEpoch pair.Epoch `json:"openEpoch,omitempty"`
	// SemiSyncLostAt is the ledger version acted on when this agent last found that commits
	// had not waited though they had to, by an external change: what was acknowledged
	// then may be missing on the peer. Zero for never.
	SemiSyncLostAt pair.LedgerVersion `json:"waitingLostAt,omitempty"`
	// WrongSettings are owned settings of the running mysqld, as "name: want, is", that
	// are not as they must be and could not be set right. Such a member cannot be opened.
	WrongSettings []string `json:"wrongSettings,omitempty"`
	// Settings is what the running mysqld has of the settings that the agent was given last; nil before it was
	// looked at, and from an agent of an earlier version.
	Settings *RunningSettings `json:"settings,omitempty"`
	// Libraries are what mysqld has loaded beside what it is made of; nil before they were read
	// in this run of mysqld, and from an earlier agent.
	Libraries *Libraries `json:"libraries,omitempty"`
	// ReceiverStoppedAt is the epoch of the ack fence; zero when there is none.
	ReceiverStoppedAt pair.Epoch `json:"receiverStoppedAt,omitempty"`
	// AppliedAll: since the ack fence everything received is applied and flushed, the
	// applier is stopped, and what was received by half is rolled back.
	AppliedAll bool `json:"appliedAll,omitempty"`
	// Discarded is the last discard of received transactions on this data; nil for none.
	Discarded *Discarded `json:"discarded,omitempty"`
	// UncleanAt is the epoch of an open-at marker found at the start; TailCommitted says that
	// a mysqld was started since, so that the tail can no longer be rewound.
	UncleanAt     pair.Epoch `json:"uncleanAt,omitempty"`
	TailCommitted bool       `json:"tailCommitted,omitempty"`

	// RewindRefused is why the tail of this data cannot be cut, in a sentence; empty when
	// that was not found. Ordering the same rewind again does not help.
	RewindRefused string `json:"rewindRefused,omitempty"`
	// TailKept are the transactions that the primary lacked when RewindRefused was found, as far
	// as they are known; it may have received or replaced them since.
	TailKept string `json:"tailKept,omitempty"`

	// NeedsConfirmation: this member is the holder and closed, and opens at this epoch only with
	// its peer's word; without the peer it takes a new appointment.
	NeedsConfirmation bool `json:"needsConfirmation,omitempty"`
	// TailUncovered: closed until the peer has received this member's whole binlog, or
	// the ledger says solo.
	TailUncovered bool `json:"tailUncovered,omitempty"`
	// Ending: the agent was asked to end (SIGTERM).
	Ending bool `json:"ending,omitempty"`
	// EndsIn is how long an agent that was asked to end has left, by the grace period of its
	// pod; less when anyone who ends it gives less. Zero when it was not asked.
	EndsIn time.Duration `json:"endsIn,omitempty"`
	// LeaseEpoch is the epoch of the Lease when it was last read; below KnownEpoch the
	// authority was rolled back. LeaseReadAge is -1 before the first reading.
	LeaseEpoch   pair.Epoch    `json:"leaseEpoch,omitempty"`
	LeaseReadAge time.Duration `json:"leaseReadAge"`

	// PeerSilentFor is how long the peer's agent has not answered this one.
	PeerSilentFor time.Duration `json:"peerSilentFor"`
	// ConfirmationAge since before the last confirmation was asked for; -1 for none.
	ConfirmationAge time.Duration `json:"confirmationAge"`

	// Door is what becomes of clients at the agent's door; nil from an agent that cannot hold
	// them.
	Door *Door `json:"door,omitempty"`

	Mysqld Mysqld `json:"mysqld"`
	// LastOpen is the last time that this member accepted writes; nil when it has not since
	// this agent's start.
	LastOpen *OpenInterval `json:"lastOpen,omitempty"`
	// Server is what mysqld answered last; nil when it never did in this incarnation.
	Server *Server `json:"server,omitempty"`
	// ServerAge is how old Server is.
	ServerAge time.Duration `json:"serverAge"`

	// Compared is the last comparison with the holder's binlog; nil when none was made.
	Compared *Comparison `json:"compared,omitempty"`

	// Lacks is what the peer has executed and cannot send to this member; nil for nothing, and
	// on a member that is open.
	Lacks *Lack `json:"lacks,omitempty"`

	// Seed is the progress of a CLONE.
	Seed *SeedProgress `json:"seed,omitempty"`

	// VolumeLow is the share of the volume, in percent, below which its free space has fallen: 20
	// or 10; zero while more is free.
	VolumeLow int `json:"volumeLow,omitempty"`
	// BinlogVolumeLow is the same of the volume of binary logs, where they have one of their own.
	BinlogVolumeLow int `json:"binlogVolumeLow,omitempty"`
	// Quarantine is what was given up and is kept on the volume; nil before it was measured.
	Quarantine *QuarantineUse `json:"quarantine,omitempty"`

	// TellsRole: the agent has the listener for routers.
	TellsRole bool `json:"tellsRole,omitempty"`

	// Drain is the last drain of this open primary; nil for none.
	Drain *Drain `json:"drain,omitempty"`

	// ForcesRowsFor is the repair for which the applier forces rows through now.
	ForcesRowsFor string `json:"forcesRowsFor,omitempty"`

	Problems []Problem `json:"problems,omitempty"`

	// Ledger is the newest ledger this agent has read, kept on its volume; nil when it
	// never read one.
	Ledger *SeenLedger `json:"ledger,omitempty"`
	// Found is what a volume says of itself that belongs to another pair or member; only
	// in PhaseForeign.
	Found *FoundVolume `json:"found,omitempty"`
}

// Libraries are components and plugins that a mysqld has loaded. Neither INSTALL COMPONENT nor
// INSTALL PLUGIN is replicated.
type Libraries struct {
	// Components are names, without file://, and Plugins libraries of which a plugin is active,
	// both sorted and without those that every member has for replication and cloning.
	Components []string `json:"components,omitempty"`
	Plugins    []string `json:"plugins,omitempty"`
}

// OpenInterval is one time for which a member accepted writes. Both ends are ages at the
// moment of the answer by the agent's own clock, so that the clocks of two nodes need not
// agree: what remains is the way of the answer, some milliseconds.
type OpenInterval struct {
	Epoch pair.Epoch `json:"epoch"`
	// OpenedAge since mysqld was made writable.
	OpenedAge time.Duration `json:"openedAge"`
	// ClosedAge since it could answer the last write: it was proven closed, was sent SIGKILL, or
	// had ended. Zero while it is open.
	ClosedAge time.Duration `json:"closedAge,omitempty"`
}

// RunningSettings says which settings of the user the running mysqld has taken over.
type RunningSettings struct {
	// Sum names the settings that the agent was given last, as SettingsSum does.
	Sum string `json:"sum"`
	// Waits are those of them that act at the next start of mysqld only, by name.
	Waits []string `json:"waits,omitempty"`
}

// Door is what an agent's door does.
type Door struct {
	// Released is the newest epoch at which the operator lets clients through.
	Released pair.Epoch `json:"released,omitempty"`
	// Held are the clients that wait now, and Relayed those that were let through and are
	// connected still.
	Held    int `json:"held"`
	Relayed int `json:"relayed"`
	// LongestHold is the longest time that a client was held during the newest change of roles.
	// HeldInAll is how many were held during it so far; an agent of an earlier version does not say.
	LongestHold time.Duration `json:"longestHold"`
	HeldInAll   int           `json:"heldInAll,omitempty"`
	// CanForward: the agent knows HoldCommand's ForwardTo.
	CanForward bool `json:"canForward,omitempty"`
	// ForwardedFor is for how long clients have been relayed to the primary; 0 when they are not.
	ForwardedFor time.Duration `json:"forwardedFor,omitempty"`
}

// SeedProgress is how far a CLONE is.
type SeedProgress struct {
	Donor     pair.MemberName `json:"donor"`
	Stage     string          `json:"stage"`
	Bytes     int64           `json:"bytes"`
	Estimated int64           `json:"estimated"`
	// BytesPerSecond is the rate over the last seconds, and Remaining what this stage still takes at
	// that rate; zero for unknown.
	BytesPerSecond int64         `json:"bytesPerSecond,omitempty"`
	Remaining      time.Duration `json:"remaining,omitempty"`
}

// Discarded is what a member gave up: what it had received and could not apply, because an admin
// allowed it, or, when Former is set, what its former data had and the primary lacked, for a copy.
type Discarded struct {
	// Operation in which that was allowed, and the epoch at which it was done. Both are empty for a copy.
	Operation string     `json:"operation"`
	Epoch     pair.Epoch `json:"epoch"`
	// DataID of the data whose relay log it was, or of the copy.
	DataID pair.DataID `json:"dataID"`
	// Former is the data that was given up for the copy.
	Former pair.DataID `json:"former,omitempty"`
	// GTIDs that were given up, and their number.
	GTIDs        string `json:"gtids"`
	Transactions uint64 `json:"transactions"`
	// Directory on the member's volume where the relay log, or the binary logs, were saved before, and the names of
	// the files there.
	Directory string   `json:"directory"`
	Files     []string `json:"files"`
	// List of the first transactions that a copy gave up, at most MostGivenUp of them, each with at most
	// MostGivenUpTables tables and no rows.
	List []QuarantineTransaction `json:"list,omitempty"`
	// NotSaved are GTIDs of them that no saved binary log holds any more.
	NotSaved string `json:"notSaved,omitempty"`
	// Problem says why not all is known of what a copy gave up.
	Problem string `json:"problem,omitempty"`
}

// Bounds of the list of what was given up.
const (
	MostGivenUp       = 20
	MostGivenUpTables = 8
)
