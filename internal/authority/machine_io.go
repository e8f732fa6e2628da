package authority

import (
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Event is something that happened. Each carries the instant at which it did.
type Event interface{ when() Instant }

// Tick says that time has passed.
type Tick struct{ At Instant }

// ReadOutcome is how a reading of the Lease ended.
type ReadOutcome string

// The outcomes of a reading.
const (
	ReadFound   ReadOutcome = "Found"
	ReadMissing ReadOutcome = "Missing" // the API server says that there is no Lease
	ReadFailed  ReadOutcome = "Failed"  // no answer, or not one that can be read
)

// LeaseRead is the end of a ReadLease. AskedAt was read before the request was sent.
type LeaseRead struct {
	AskedAt, At Instant
	Outcome     ReadOutcome
	Record      Record
}

// VouchAnswered is the end of an AskVouch.
type VouchAnswered struct {
	At Instant
	// Nonce that came with the answer; that of the request when none came.
	Nonce string
	// Epoch that was asked for.
	Epoch pair.Epoch
	// Answered is false when no answer came in time.
	Answered bool
	// Given, and what the voucher knows.
	Given bool
	// Data that the voucher speaks for.
	Data         pair.DataID
	Known        pair.Epoch
	Holder       pair.Holder
	Open         bool
	ClaimsHolder bool
	// Signed shows that Known exists.
	Signed pair.SignedEpoch
	PeerMysqld
}

// PeerMysqld is what a voucher says of its mysqld and itself, so that the asker knows
// whether the voucher could take over from it.
type PeerMysqld struct {
	// ReportsMysqld: the voucher says what follows. One of an older version does not.
	ReportsMysqld bool
	// Incarnation of the mysqld that answers there; empty when none does.
	Incarnation pair.Incarnation
	// Ending: the voucher was asked to end.
	Ending bool
}

// VouchAsked: the peer asks for this agent's word.
type VouchAsked struct {
	At      Instant
	PairUID pair.UID
	Asker   pair.MemberName
	Epoch   pair.Epoch
	Nonce   string
	// Signed shows that Epoch exists.
	Signed pair.SignedEpoch
}

// CommandKind is what an operator may order of the machine.
type CommandKind string

// The commands.
const (
	CommandCease    CommandKind = "Cease"
	CommandFence    CommandKind = "Fence"
	CommandAckFence CommandKind = "AckFence"
	// CommandReadLease has the Lease read at once.
	CommandReadLease CommandKind = "ReadLease"
)

// Commanded is a command that came in.
type Commanded struct {
	At      Instant
	ID      string
	Kind    CommandKind
	PairUID pair.UID
	Epoch   pair.Epoch
	Ledger  pair.LedgerVersion
	// Signed shows that Epoch exists.
	Signed pair.SignedEpoch
}

// DataReady says that the volume holds data of this pair. EpochFile: what the machine
// was started with, or what it is given here, belongs to this data. Renewed: the data
// was made, copied or rewound just now, so that no unclean end is left.
type DataReady struct {
	At        Instant
	DataID    pair.DataID
	EpochFile bool
	Renewed   bool
}

// DataGone says that the data is void, or being replaced. mysqld does not run.
type DataGone struct{ At Instant }

// MysqldUp: mysqld answers and was read back as closed.
type MysqldUp struct {
	At          Instant
	Incarnation pair.Incarnation
}

// MysqldExited: its end was seen, or it could not be started.
type MysqldExited struct{ At Instant }

// Opened is the end of an Open.
type Opened struct {
	At Instant
	OK bool
}

// Closed is the end of a Close. Proven: no way to write, no client, nothing waiting,
// read back after the fact.
type Closed struct {
	At     Instant
	Proven bool
}

// WaitingSet is the end of a SetSemiSync.
type WaitingSet struct {
	At      Instant
	Version pair.LedgerVersion
	OK      bool
}

// SemiSyncLost: commits of the open mysqld did not wait though they had to, by someone else's
// hand. What of that the peer lacks is acknowledged, and is nobody's to cut off.
type SemiSyncLost struct{ At Instant }

// TailCovered: the peer's running mysqld has received this member's whole binlog, as it
// is in this incarnation, and streams.
type TailCovered struct {
	At          Instant
	Incarnation pair.Incarnation
}

// ReceiverIsStopped is the end of a StopReceiver.
type ReceiverIsStopped struct {
	At Instant
	OK bool
}

// Persisted is the end of a Persist: fsynced, the directory too.
type Persisted struct {
	At  Instant
	Seq int
	OK  bool
}

// VolumeBeat: the volume took a write that was begun at Begun, fsynced. An agent whose
// volume was detached from its machine, and perhaps attached to another one, sends no more.
type VolumeBeat struct{ At, Begun Instant }

// ClockJumped: the wall clock moved against CLOCK_BOOTTIME by more than T/4. Forward is
// by how much; negative for backward.
type ClockJumped struct {
	At      Instant
	Forward time.Duration
}

// Terminate: the agent was asked to end, and will be killed at Until.
type Terminate struct{ At, Until Instant }

// Reconfigured changes what may change at run time.
type Reconfigured struct {
	At                  Instant
	RestartInPlaceAfter time.Duration
}

func (e Tick) when() Instant              { return e.At }
func (e LeaseRead) when() Instant         { return e.At }
func (e VouchAnswered) when() Instant     { return e.At }
func (e VouchAsked) when() Instant        { return e.At }
func (e Commanded) when() Instant         { return e.At }
func (e DataReady) when() Instant         { return e.At }
func (e DataGone) when() Instant          { return e.At }
func (e MysqldUp) when() Instant          { return e.At }
func (e MysqldExited) when() Instant      { return e.At }
func (e Opened) when() Instant            { return e.At }
func (e Closed) when() Instant            { return e.At }
func (e WaitingSet) when() Instant        { return e.At }
func (e SemiSyncLost) when() Instant      { return e.At }
func (e TailCovered) when() Instant       { return e.At }
func (e ReceiverIsStopped) when() Instant { return e.At }
func (e Persisted) when() Instant         { return e.At }
func (e VolumeBeat) when() Instant        { return e.At }
func (e ClockJumped) when() Instant       { return e.At }
func (e Terminate) when() Instant         { return e.At }
func (e Reconfigured) when() Instant      { return e.At }

// Action is something the caller has to do. Actions of one Step are begun in order; none
// is waited for, except that SetDeadman takes effect before what follows it.
type Action interface{ action() }

// ReadLease reads the Lease from the API server, within Limit; Fresh asks for a new
// connection. Answer: LeaseRead.
type ReadLease struct {
	Limit time.Duration
	Fresh bool
}

// AskVouch asks the peer's agent for its confirmation, within Limit. Answer: VouchAnswered.
type AskVouch struct {
	// Nonce the answer has to carry.
	Nonce string
	Epoch pair.Epoch
	// Signed shows the peer that Epoch exists.
	Signed pair.SignedEpoch
	Limit  time.Duration
	Fresh  bool
}

// AnswerVouch is the word that was asked for.
type AnswerVouch struct {
	Nonce string
	Epoch pair.Epoch
	Given bool
	Why   string
	// Data that is spoken for.
	Data         pair.DataID
	Known        pair.Epoch
	Holder       pair.Holder
	Open         bool
	ClaimsHolder bool
	// Signed shows the peer that Known exists.
	Signed pair.SignedEpoch
	PeerMysqld
}

// Persist writes all of Durable and fsyncs it, the directory too. Answer: Persisted. A
// later one may overtake an earlier one only by replacing it.
type Persist struct {
	Seq     int
	Durable Durable
}

// StartMysqld starts mysqld closed, whatever its option files and persisted settings say. Answer: MysqldUp or MysqldExited.
type StartMysqld struct{}

// Open reads everything back and opens mysqld for clients, with commits waiting or not.
// The receiver is stopped before, and everything received is applied. Answer: Opened.
type Open struct {
	Epoch   pair.Epoch
	Waiting bool
	Ledger  pair.LedgerVersion
}

// Close cancels an Open under way and fences mysqld softly, by By. Answer: Closed.
type Close struct {
	Reason string
	By     Instant
}

// Kill sends SIGKILL to mysqld. Answer: MysqldExited.
type Kill struct{ Reason string }

// StopMysqld ends a proven closed mysqld with SIGTERM. Answer: MysqldExited.
type StopMysqld struct{}

// SetDeadman gives the deadman a new instant at which it kills mysqld; 0 for none.
type SetDeadman struct{ Deadline Instant }

// SetSemiSync switches the waiting of commits for the peer's ack. Waiting is false only
// at a Version at which this agent itself has read solo(self). Answer: WaitingSet.
type SetSemiSync struct {
	Waiting bool
	Version pair.LedgerVersion
}

// CheckTail compares this member's binlog with what the peer has received. Answer:
// TailCovered, or nothing.
type CheckTail struct{}

// StopReceiver stops the receiver; it is not started again before a Follow. Answer:
// ReceiverIsStopped.
type StopReceiver struct{ Epoch pair.Epoch }

// Follow replicates from the peer, the holder at Epoch, unless this member is errant.
type Follow struct{ Epoch pair.Epoch }

// Answer answers a command.
type Answer struct {
	ID    string
	Kind  CommandKind
	Epoch pair.Epoch
	// Ceased: Epoch is on the volume and nothing opens here at it or below.
	Ceased bool
	// ProcessStopped: no mysqld runs.
	ProcessStopped bool
	// Demoted: closed, read back after the command came.
	Demoted bool
	// ReceiverStopped: nothing is received any more, on the volume too.
	ReceiverStopped bool
}

// RefusalReason says why a command was refused.
type RefusalReason string

// The reasons.
const (
	RefusedStale     RefusalReason = "Stale"
	RefusedWrongPair RefusalReason = "WrongPair"
	RefusedFailed    RefusalReason = "Failed"
)

// Refuse refuses a command.
type Refuse struct {
	ID     string
	Reason RefusalReason
	Why    string
}

// Exit ends the agent: mysqld is gone and the agent was asked to end.
type Exit struct{}

func (ReadLease) action()    {}
func (AskVouch) action()     {}
func (AnswerVouch) action()  {}
func (Persist) action()      {}
func (StartMysqld) action()  {}
func (Open) action()         {}
func (Close) action()        {}
func (Kill) action()         {}
func (StopMysqld) action()   {}
func (SetDeadman) action()   {}
func (SetSemiSync) action()  {}
func (CheckTail) action()    {}
func (StopReceiver) action() {}
func (Follow) action()       {}
func (Answer) action()       {}
func (Refuse) action()       {}
func (Exit) action()         {}
