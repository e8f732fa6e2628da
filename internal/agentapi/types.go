package agentapi

import (
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Ports of a member's pod.
const (
	PortMySQL   = 3306
	PortAdmin   = 33062
	PortDoor    = 7306
	PortAgent   = 7443
	PortMetrics = 7080
	PortProbe   = 7081
)

// Paths of the agent's API.
const (
	PathState       = "/v1/state"        // GET, ?since=<revision>&wait=<duration> long-polls, &fresh=1 asks mysqld again
	PathVouch       = "/v1/vouch"        // POST VouchRequest (peer only)
	PathCease       = "/v1/cease"        // POST Command: raise the highest known epoch durably
	PathFence       = "/v1/fence"        // POST Command: cease, then close, then answer what was reached
	PathAckFence    = "/v1/ack-fence"    // POST Command: cease, stop the receiver durably, apply everything received
	PathDrain       = "/v1/drain"        // POST DrainCommand: the open member closes sessions outside a transaction
	PathSessions    = "/v1/sessions"     // GET: the sessions of clients
	PathReadLease   = "/v1/read-lease"   // POST Command: read the Lease now
	PathInitialize  = "/v1/initialize"   // POST InitializeCommand
	PathSeed        = "/v1/seed"         // POST SeedCommand
	PathRewind      = "/v1/rewind"       // POST RewindCommand
	PathSnapshot    = "/v1/snapshot"     // POST Command: GTIDs of the binlog up to its end, waiting commits included
	PathCovers      = "/v1/covers"       // POST CoversRequest: is this set received here?
	PathDiscard     = "/v1/discard"      // POST DiscardCommand: give up what was received and cannot be applied
	PathReleaseHeld = "/v1/release-held" // POST Command: let clients through the door at this epoch
	PathHold        = "/v1/hold"         // POST HoldCommand: hold clients at the door

	PathValidateConfig = "/v1/validate-config" // POST ValidateConfigRequest: would mysqld take these settings? (the operator alone)

	PathRepairLease  = "/v1/repair-lease"  // POST RepairLeaseCommand to the passive (a repair's Job, or the operator)
	PathRepairRights = "/v1/repair-rights" // POST RepairRightsCommand to the primary (likewise)
	PathSaveRows     = "/v1/save-rows"     // POST SaveRowsCommand to the passive (likewise)
	PathPermitRepair = "/v1/permit-repair" // POST PermitRepairCommand to both members (the operator alone)
)

// Command is the head of every command. The agent refuses it with ErrorStale when it
// has seen a higher epoch or ledger version, and with ErrorWrongPair when it serves
// another pair.
type Command struct {
	PairUID       pair.UID           `json:"pairUID"`
	Epoch         pair.Epoch         `json:"epoch"`
	LedgerVersion pair.LedgerVersion `json:"ledgerVersion"`
	// RequestID is random per request and comes back in the answer, so that an answer
	// cannot be taken for that of another request.
	RequestID string `json:"requestID"`
	// Signed is what the operator signed about Epoch, so that the agent can show it to its
	// peer.
	Signed pair.SignedEpoch `json:"signed,omitzero"`
}

// InitializeCommand makes an empty volume a data directory with the accounts of the
// pair. The agent reads the Lease itself and refuses unless Bootstrap names it.
type InitializeCommand struct {
	Command
	DataID pair.DataID `json:"dataID"`
}

// SeedCommand replaces the member's data by a CLONE of the donor's. The agent reads the
// Lease itself and refuses if it is holder, in sync or joining, or if the donor is not
// the holder. It marks its data void before it wipes anything.
type SeedCommand struct {
	Command
	Donor pair.MemberName `json:"donor"`
	// DonorHost is the donor's address, reached at PortAdmin.
	DonorHost string `json:"donorHost"`
	// Target is the DataID that is to be replaced; empty for an empty volume.
	Target pair.DataID `json:"target"`
	// DataID the new data will have.
	DataID pair.DataID `json:"dataID"`
}

// RewindCommand cuts the member's errant tail before mysqld starts. Refused like Seed.
type RewindCommand struct {
	Command
	// Holder's binlog contents; what is not in it is errant.
	HolderGTIDs string      `json:"holderGTIDs"`
	Target      pair.DataID `json:"target"`
	// KeepTail: nothing may be cut, because the tail may hold acknowledged writes. The member
	// goes on as a passive when it has no tail, and else publishes the tail and stays as it is.
	KeepTail bool `json:"keepTail,omitempty"`
}

// DiscardCommand gives up what the member has received and not applied: its relay log is saved
// in the quarantine, and then discarded, so that the member can be promoted without it. The
// agent reads the Lease itself and refuses unless no member is the holder and the member's
// receiver was stopped at Epoch. It answers when it is done, and is idempotent. What was given
// up shows in State.
type DiscardCommand struct {
	Command
	// Operation in which an admin allowed it; it is kept beside what is saved.
	Operation string `json:"operation"`
	// Target is the data whose relay log it is.
	Target pair.DataID `json:"target"`
}

// PermitRepairCommand permits an operation to repair one table at the epoch of the command:
// without it an agent refuses RepairLeaseCommand, RepairRightsCommand and SaveRowsCommand.
// It is idempotent. The permission ends by itself when For has passed; each of the Job's
// requests extends it by some minutes, for at most an hour after the operator's last.
type PermitRepairCommand struct {
	Command
	Operation string `json:"operation"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	// For is how long from now on, at most MaxPermitRepair; 0 ends that of Operation.
	For time.Duration `json:"for"`
}

// MaxPermitRepair is the longest time for which a repair is permitted at once.
const MaxPermitRepair = 15 * time.Minute

// RepairLeaseCommand lets the passive's applier force rows through for a while, which a
// repair needs, or ends that. The agent ends it by itself when For has passed and what was
// received by then is applied. Refused unless the member follows the primary of Epoch.
type RepairLeaseCommand struct {
	Command
	// Operation that repairs; the lease is of one at a time.
	Operation string `json:"operation"`
	// For is how long from now on; 0 ends the lease of Operation.
	For time.Duration `json:"for"`
}

// RepairRightsCommand lets the repair account write the rows of one table of the primary
// for a while, or ends that. The agent ends it by itself when For has passed and when the
// roles change.
type RepairRightsCommand struct {
	Command
	// Operation that repairs; the rights are of one at a time.
	Operation string `json:"operation"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	// For is how long from now on; 0 takes back what Operation was given.
	For time.Duration `json:"for"`
}

// SaveRowsCommand keeps rows in the quarantine on the passive's volume before a repair
// writes over them. The answer comes when they are on the disk.
type SaveRowsCommand struct {
	Command
	// Operation that repairs; it names the file.
	Operation string `json:"operation"`
	// Lines are appended to the file, one JSON value each.
	Lines []string `json:"lines"`
}

// HoldCommand begins the time for which the door holds clients, before the authority is
// changed: in a planned change of roles. In any other the agent begins it by itself. It
// lasts as long as the pair's configuration says and is not extended by a second command.
type HoldCommand struct {
	Command
	// Cancel ends it: the change was given up and the authority was not changed.
	Cancel bool `json:"cancel,omitempty"`
}

// AckFenceCommand has the candidate stop its receiver, once it has received GTIDs.
type AckFenceCommand struct {
	Command
	// Receive are the GTIDs to receive before; empty for none. The agent refuses when they do
	// not come in time, and goes on receiving.
	Receive string `json:"receive,omitempty"`
}

// DrainCommand has the open member close each session of a client as soon as it is outside a
// transaction. It is refused unless the member is open at the epoch of the command, ends by
// itself when For has passed, and is idempotent for one operation.
type DrainCommand struct {
	Command
	// Operation that switches over.
	Operation string `json:"operation"`
	// For is how long from now on; 0 ends the drain of Operation.
	For time.Duration `json:"for"`
}

// SessionsReply lists the sessions of clients, those in flight for longest first.
type SessionsReply struct {
	Sessions []Session `json:"sessions"`
}

// Session is one session of a client.
type Session struct {
	ID   int64  `json:"id"`
	User string `json:"user"`
	Host string `json:"host,omitempty"`
	// InFlight: it is inside a transaction, runs a statement or holds a lock.
	InFlight bool `json:"inFlight,omitempty"`
	// DDL: it changes a definition.
	DDL bool `json:"ddl,omitempty"`
	// Age of its transaction, or else of its statement.
	Age time.Duration `json:"age"`
	// Statement is the beginning of what it runs.
	Statement string `json:"statement,omitempty"`
}

// Drain is how far a drain is. All of it is about this run of the agent.
type Drain struct {
	Operation string `json:"operation"`
	// Left is how long it goes on unless it is renewed.
	Left time.Duration `json:"left"`
	// Rounds that were made; before the first nothing else is known.
	Rounds int `json:"rounds"`
	// Closed sessions, and those that were in flight in the last round.
	Closed   int `json:"closed"`
	InFlight int `json:"inFlight"`
	// Busy are the first of those in flight.
	Busy []Session `json:"busy,omitempty"`
}

// VouchRequest asks the peer for its confirmation.
type VouchRequest struct {
	PairUID pair.UID        `json:"pairUID"`
	Asker   pair.MemberName `json:"asker"`
	// Epoch the asker believes it holds, or wants to open at again.
	Epoch pair.Epoch `json:"epoch"`
	Nonce string     `json:"nonce"`
	// Signed shows that Epoch exists: an agent that does not know it believes nothing else.
	Signed pair.SignedEpoch `json:"signed,omitzero"`
}

// VouchReply is the peer's word: "I know no epoch above Epoch".
type VouchReply struct {
	Nonce        string          `json:"nonce"`
	Voucher      pair.MemberName `json:"voucher"`
	VoucherData  pair.DataID     `json:"voucherData"` // the data it speaks for
	AgentStart   pair.AgentStart `json:"agentStart"`
	Epoch        pair.Epoch      `json:"epoch"`
	Given        bool            `json:"given"`
	Why          string          `json:"why,omitempty"` // when not given
	KnownEpoch   pair.Epoch      `json:"knownEpoch"`
	Holder       string          `json:"holder,omitempty"` // pair.Holder.String() at KnownEpoch, when known
	Open         bool            `json:"open"`
	ClaimsHolder bool            `json:"claimsHolder"` // takes itself for the holder
	// Signed shows that KnownEpoch exists.
	Signed pair.SignedEpoch `json:"signed,omitzero"`

	// Mysqld says whether the voucher could take over; nil from an older agent.
	Mysqld *VoucherMysqld `json:"mysqld,omitempty"`
}

// VoucherMysqld is what a voucher says of its mysqld and itself.
type VoucherMysqld struct {
	// Incarnation of the mysqld that answers there; empty when none does.
	Incarnation pair.Incarnation `json:"incarnation,omitempty"`
	// Ending: the voucher's agent was asked to end.
	Ending bool `json:"ending,omitempty"`
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

// FenceReply answers a fence or cease command.
type FenceReply struct {
	RequestID string          `json:"requestID"`
	Member    pair.MemberName `json:"member"`
	PodUID    pair.PodUID     `json:"podUID"`
	Epoch     pair.Epoch      `json:"epoch"` // the epoch that was made durable
	Ceased    bool            `json:"ceased"`
	// ProcessStopped: no mysqld runs on this volume and none will be opened below or
	// at Epoch.
	ProcessStopped bool `json:"processStopped"`
	// Demoted: super_read_only and offline_mode on, no client session, re-read after.
	Demoted bool   `json:"demoted"`
	Why     string `json:"why,omitempty"`
	// BinlogGTIDs is what the binlog held when that was read, waiting commits included; only
	// when Demoted.
	BinlogGTIDs string `json:"binlogGTIDs,omitempty"`
	// ReceiverStopped answers an ack-fence command: the receiver is stopped, durably, and
	// starts again only at an epoch above Epoch that names the peer.
	ReceiverStopped bool `json:"receiverStopped,omitempty"`
	// AgentStart is the run of the agent that answered.
	AgentStart pair.AgentStart `json:"agentStart,omitempty"`
}

// Done answers a command that says nothing but that it was done or begun: look,
// initialize, seed, rewind. The progress of the last three shows in State.
type Done struct {
	RequestID string     `json:"requestID"`
	Epoch     pair.Epoch `json:"epoch"` // known, on the volume
}

// SnapshotReply is what the member's binlog holds up to its end.
type SnapshotReply struct {
	RequestID     string             `json:"requestID"`
	LedgerVersion pair.LedgerVersion `json:"ledgerVersion"` // acted on
	Incarnation   pair.Incarnation   `json:"incarnation"`
	Waiting       bool               `json:"waiting"` // commits wait for the peer
	// SemiSyncClients connected; the snapshot is of use only with exactly one.
	SemiSyncClients int `json:"semiSyncClients"`
	// PeerIncarnation of the one semi-sync client, as its receiver registered it.
	BinlogGTIDs string `json:"binlogGTIDs"`
}

// ValidateConfigRequest asks whether the mysqld of the member's image would take settings. It
// changes nothing, on whatever member and in whatever role.
type ValidateConfigRequest struct {
	PairUID pair.UID `json:"pairUID"`
	// Settings are all of spec.mysql.config, option to value.
	Settings map[string]string `json:"settings"`
}

// ValidateConfigReply answers it.
type ValidateConfigReply struct {
	// Problems say what mysqld would not take as it is given; none for settings that are fine.
	Problems []SettingProblem `json:"problems,omitempty"`
}

// SettingProblem is about one setting, or about all of them.
type SettingProblem struct {
	// Option is the setting's name as it was given; empty when it is not known which it is.
	Option  string `json:"option,omitempty"`
	Message string `json:"message"`
}

// CoversRequest asks whether a GTID set is received here.
type CoversRequest struct {
	Command
	GTIDs string `json:"gtids"`
}

// CoversReply answers it.
type CoversReply struct {
	RequestID   string           `json:"requestID"`
	Covers      bool             `json:"covers"`
	Incarnation pair.Incarnation `json:"incarnation"`
	Missing     string           `json:"missing,omitempty"`
	Errant      string           `json:"errant,omitempty"` // in this binlog, not in the set
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
	LongestHold time.Duration `json:"longestHold"`
}

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

	// FoundPairUID is the pair that the volume last served, when that was another one of
	// the same name. Its data becomes this pair's once the Lease names DataID at an epoch
	// above KnownEpoch.
	FoundPairUID pair.UID `json:"foundPairUID,omitempty"`
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

	// Drain is the drain of a planned switchover; nil for none.
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

// Discarded is what a member had received, could not apply, and gave up because an admin
// allowed it.
type Discarded struct {
	// Operation in which that was allowed, and the epoch at which it was done.
	Operation string      `json:"operation"`
	Epoch     pair.Epoch  `json:"epoch"`
	DataID    pair.DataID `json:"dataID"`
	// GTIDs that were given up, and their number.
	GTIDs        string `json:"gtids"`
	Transactions uint64 `json:"transactions"`
	// Directory on the member's volume where the relay log was saved before, and the names of
	// its files there.
	Directory string   `json:"directory"`
	Files     []string `json:"files"`
}

// Comparison is what an agent found when it last compared what this member has, received
// transactions included, with the holder's binlog. It is about one run of each mysqld and
// the data that each had: another run or other data has not been compared.
type Comparison struct {
	DataID            pair.DataID      `json:"dataID"`
	Incarnation       pair.Incarnation `json:"incarnation"`
	HolderDataID      pair.DataID      `json:"holderDataID"`
	HolderIncarnation pair.Incarnation `json:"holderIncarnation"`
	// Errant is the GTID set that this member has and the holder lacks.
	Errant string `json:"errant,omitempty"`
}

// Lack is what an agent found that its peer has executed and cannot send any more, since it is
// in none of the peer's binary logs, and that this member has not received. It is about the data
// of both.
type Lack struct {
	DataID     pair.DataID `json:"dataID"`
	PeerDataID pair.DataID `json:"peerDataID"`
	GTIDs      string      `json:"gtids"`
}

// SeenLedger is a ledger as an agent read it and its volume remembers it.
type SeenLedger struct {
	Epoch   pair.Epoch         `json:"epoch"`
	Version pair.LedgerVersion `json:"version"`
	// State is authority.LedgerState as text: both, solo or joining.
	State string          `json:"state"`
	First pair.MemberName `json:"first,omitempty"`
	// Incarnations are those the ledger names.
	Incarnations map[pair.MemberName]pair.Incarnation `json:"incarnations,omitempty"`
	// Holder at Epoch, as pair.Holder.String.
	Holder string `json:"holder,omitempty"`
}

// With is what is remembered after a record was read. What was read first of an epoch or of
// a version of the ledger stays: an operator writes each once, so that another content under
// the same number shows that the Lease was modified externally. s may be nil; neither it nor
// read is changed.
func (s *SeenLedger) With(read SeenLedger) *SeenLedger {
	if s == nil {
		return &read
	}
	next := *s
	if read.Epoch > s.Epoch {
		next.Epoch = read.Epoch
		next.Holder = read.Holder
	}
	if read.Version > s.Version {
		next.Version = read.Version
		next.State = read.State
		next.First = read.First
		next.Incarnations = read.Incarnations
	}
	return &next
}

// FoundVolume is the identity of a volume that belongs to another pair or member.
type FoundVolume struct {
	PairUID   pair.UID        `json:"pairUID"`
	Namespace string          `json:"namespace,omitempty"`
	Pair      string          `json:"pair,omitempty"`
	Member    pair.MemberName `json:"member"`
	DataID    pair.DataID     `json:"dataID,omitempty"`
	// KnownEpoch is the highest epoch on the volume.
	KnownEpoch pair.Epoch `json:"knownEpoch"`
	// Void: the data was given up for a seed that did not finish.
	Void bool `json:"void,omitempty"`
	// UncleanAt is the epoch of its open-at marker; zero after a clean stop.
	UncleanAt pair.Epoch  `json:"uncleanAt,omitempty"`
	Ledger    *SeenLedger `json:"ledger,omitempty"`
}

// Mysqld is the agent's child.
type Mysqld struct {
	Running     bool             `json:"running"`
	Incarnation pair.Incarnation `json:"incarnation,omitempty"`
	Exits       int              `json:"exits"`              // since the agent started
	LastExit    string           `json:"lastExit,omitempty"` // such as "exit 1" or "signal killed"
	Version     string           `json:"version,omitempty"`
}

// Server is what mysqld said of itself.
type Server struct {
	ServerUUID    string `json:"serverUUID"`
	SuperReadOnly bool   `json:"superReadOnly"`
	ReadOnly      bool   `json:"readOnly"`
	OfflineMode   bool   `json:"offlineMode"`
	GTIDExecuted  string `json:"gtidExecuted"`
	GTIDReceived  string `json:"gtidReceived"` // executed included
	// BinlogGTIDs is what the binlog holds up to its end, waiting commits included, and
	// what was purged from it. What is errant is judged by it.
	BinlogGTIDs string `json:"binlogGTIDs"`
	// PurgedGTIDs are in no binlog of this member any more: a replica that has not received
	// them has to be copied.
	PurgedGTIDs string `json:"purgedGTIDs,omitempty"`
	// ApplyingGTIDs is what the applier is in the middle of, received whole or by half.
	// It is not in BinlogGTIDs.
	ApplyingGTIDs  string `json:"applyingGTIDs,omitempty"`
	ClientSessions int    `json:"clientSessions"`
	// InFlight are sessions of clients that have been in flight for a second or longer, and those that change a definition, the oldest first; at most 20.
	InFlight []Session `json:"inFlight,omitempty"`

	Receiver ChannelThread `json:"receiver"`
	Applier  ChannelThread `json:"applier"`
	// SourceHost of the channel; empty without one.
	SourceHost      string `json:"sourceHost,omitempty"`
	LagSeconds      int64  `json:"lagSeconds"`
	LagTransactions int64  `json:"lagTransactions"`

	// Waiting: commits wait for the peer's ack.
	Waiting         bool          `json:"waiting"`
	WaitSessions    int           `json:"waitSessions"`
	OldestWait      time.Duration `json:"oldestWait"`
	SemiSyncClients int           `json:"semiSyncClients"`
	// ReplicaSemiSync: this member acknowledges what it receives.
	ReplicaSemiSync bool `json:"replicaSemiSync"`

	PrivilegedAccounts []string `json:"privilegedAccounts,omitempty"`
	// PasswordsRevision is the revision of the internal Secret that mysqld's accounts
	// have.
	PasswordsRevision string `json:"passwordsRevision,omitempty"`
}

// ChannelThread is the receiver or the applier of a channel.
type ChannelThread struct {
	Running   bool   `json:"running"`
	LastErrno int    `json:"lastErrno,omitempty"`
	LastError string `json:"lastError,omitempty"`
}

// SeedProgress is how far a CLONE is.
type SeedProgress struct {
	Donor     pair.MemberName `json:"donor"`
	Stage     string          `json:"stage"`
	Bytes     int64           `json:"bytes"`
	Estimated int64           `json:"estimated"`
}

// ProblemCode names what keeps a member from doing its part. It is also the reason of
// the event and of the condition it leads to.
type ProblemCode string

// The problems.
const (
	ProblemVolumeInUse      ProblemCode = "VolumeInUse"
	ProblemForeignVolume    ProblemCode = "ForeignVolume"
	ProblemVolumeUnreadable ProblemCode = "VolumeUnreadable"
	ProblemVolumeFull       ProblemCode = "VolumeFull"
	ProblemConfigInvalid    ProblemCode = "ConfigInvalid"
	ProblemSettingChanged   ProblemCode = "SettingChanged"
	ProblemNoMysqld         ProblemCode = "NoMysqld"
	ProblemMysqldTooOld     ProblemCode = "MysqldTooOld"
	ProblemMysqldExits      ProblemCode = "MysqldExits"
	ProblemOwnedVariable    ProblemCode = "OwnedVariableChanged"
	ProblemBinlogsLacking   ProblemCode = "BinlogsLacking"
	ProblemQuarantineLarge  ProblemCode = "QuarantineLarge"
	ProblemSettingDrift     ProblemCode = "SettingDrift"
	ProblemWritablePassive  ProblemCode = "PassiveFoundWritable"
	ProblemWrongPassword    ProblemCode = "WrongPassword"
	ProblemForeignReplica   ProblemCode = "ForeignReplica"
	ProblemSeedFailed       ProblemCode = "SeedFailed"
	ProblemAuthorityUnread  ProblemCode = "AuthorityUnreadable"
	ProblemReplication      ProblemCode = "ReplicationBroken"
	ProblemErrant           ProblemCode = "Errant"
	ProblemCertificate      ProblemCode = "CertificateInvalid"
)

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Code    ProblemCode `json:"code"`
	Message string      `json:"message"`
	// Count of occurrences since the agent started.
	Count int `json:"count,omitempty"`
}

// ErrorCode says why a command was refused.
type ErrorCode string

// The refusals.
const (
	ErrorStale     ErrorCode = "Stale"     // the agent knows a higher epoch or ledger version
	ErrorWrongPair ErrorCode = "WrongPair" // the agent serves another pair
	ErrorForbidden ErrorCode = "Forbidden" // this certificate may not ask that
	ErrorRefused   ErrorCode = "Refused"   // the agent's own reading of the Lease says no
	ErrorInternal  ErrorCode = "Internal"
	// ErrorMalformed: the request could not be read.
	ErrorMalformed ErrorCode = "Malformed"
)

// ErrorReply is the body of every answer that is not a success.
type ErrorReply struct {
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`
}

// Common names of client certificates.
const (
	RoleOperator = "dbpair-operator"
	// RolePeerPrefix is followed by the member's name.
	RolePeerPrefix = "dbpair-member:"
	// RoleJob is that of the Jobs that compare and repair; see JobURI.
	RoleJob = "dbpair-job"
)
