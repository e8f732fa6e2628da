package mysqlops

import (
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// Status is what one look at a mysqld showed. The parts are read one after
// the other within a few milliseconds, in an order that makes the sets safe to
// compare (see Binlog).
type Status struct {
	Version    string
	ServerUUID gtid.ServerUUID
	// Uptime is mysqld's own, in whole seconds.
	Uptime time.Duration

	ReadOnly       bool
	SuperReadOnly  bool
	OfflineMode    bool
	EventScheduler bool

	// Executed is gtid_executed: committed here. A commit that waits for its
	// acknowledgement is not in it.
	Executed gtid.Set
	// Purged is the part of Executed that is in no binlog any more.
	Purged gtid.Set
	// Binlog holds everything that sessions of this member wrote to the binlog up
	// to its end, waiting commits included (and Purged). It can also hold a
	// transaction that is just about to be written; it never lacks one that is,
	// except for what the applier writes at this moment (see Applying).
	Binlog gtid.Set
	// Applying is what the applier is in the middle of: received whole, or by half
	// when the source ended while it sent it. It counts as received only once it is
	// in Received, and as executed only once it is in Executed.
	Applying gtid.Set
	// Received is everything this member could apply by itself: what its
	// receiver has written whole to the relay log, and Executed.
	Received gtid.Set

	Channel     ChannelStatus
	SemiSync    SemiSync
	Sessions    Sessions
	DumpThreads []DumpThread
}

// IsClosed reports whether the member refuses clients and writes.
func (s Status) IsClosed() bool { return s.ReadOnly && s.SuperReadOnly && s.OfflineMode }

// IsReadable reports whether the member serves reads and refuses writes.
func (s Status) IsReadable() bool { return s.ReadOnly && s.SuperReadOnly && !s.OfflineMode }

// IsOpen reports whether anybody could write: the answer is yes as soon as
// one of the locks is missing.
func (s Status) IsOpen() bool { return !s.ReadOnly || !s.SuperReadOnly }

// ChannelStatus is the state of the one replication channel, the default one.
type ChannelStatus struct {
	// Configured is false after ResetReplicaAll and on a new member; all
	// other fields are then zero.
	Configured bool
	SourceHost string
	SourcePort int
	SourceUser string
	// SourceUUID is empty until the receiver has connected for the first time.
	SourceUUID gtid.ServerUUID

	Receiver      ReceiverState
	ReceiverError ChannelError
	// Heartbeats counts since mysqld's start; LastHeartbeat is on the
	// member's own wall clock and zero before the first.
	Heartbeats    uint64
	LastHeartbeat time.Time

	ApplierRunning bool
	ApplierError   ChannelError

	// LagTransactions counts what is received and not applied.
	LagTransactions uint64
	// Lag is the age of the oldest received transaction that is not applied,
	// by the clock of the member that committed it; 0 when nothing is left.
	Lag time.Duration
}

// ReceiverState is what the receiver thread says of itself.
type ReceiverState string

// The states of a receiver.
const (
	ReceiverStopped    ReceiverState = "Stopped"
	ReceiverConnecting ReceiverState = "Connecting"
	ReceiverStreaming  ReceiverState = "Streaming"
)

// ChannelError is the last error of a receiver or applier; Number 0 is none.
type ChannelError struct {
	Number  int
	Message string
	Time    time.Time
}

// SemiSync is the state of semi-synchronous replication at both ends.
type SemiSync struct {
	// SourceEnabled: commits here wait for an acknowledgement.
	SourceEnabled bool
	// SourceActive is false when the source side is enabled but not waiting;
	// with wait_no_replica=ON and no timeout that does not happen.
	SourceActive bool
	// SourceStrict: a commit that waits does so without a time limit, also while no
	// replica is connected, for one acknowledgement, and before anybody can read it.
	SourceStrict bool
	// Interruptions counts how often the waiting ended since mysqld's start, by
	// whatever hand: switched off, or a time limit. It is the only trace of one that
	// is over. FLUSH STATUS sets it to 0.
	Interruptions int
	// Acknowledged counts commits that were acknowledged since mysqld's start or
	// the last FLUSH STATUS. While it stands still nothing that waits is released.
	Acknowledged int
	// ReplicaEnabled is the setting, ReplicaActive what the present
	// connection has negotiated: a setting made while the receiver runs
	// counts from its next start.
	ReplicaEnabled bool
	ReplicaActive  bool
	// WaitSessions counts sessions that wait for an acknowledgement. One
	// session can stand for a whole group of commits.
	WaitSessions int
	// Clients counts connected replicas that acknowledge.
	Clients int
	// OldestWait is the age of the oldest commit that a session waits with; 0 when
	// none waits. A commit of the event scheduler has no session, see Acknowledged.
	OldestWait time.Duration
}

// Waits reports whether every commit waits for the replica's acknowledgement, as long as it
// takes.
func (s SemiSync) Waits() bool { return s.SourceEnabled && s.SourceActive && s.SourceStrict }

// Sessions counts the sessions of others: without mysqld's own threads, this
// agent's sessions and the accounts of dbpair.
type Sessions struct {
	Clients int
	// InTransaction counts clients with an open transaction or a running
	// statement.
	InTransaction int
	// Jobs counts the clients that are Jobs of dbpair, which compare and repair.
	Jobs           int
	ThreadsRunning int
}

// DumpThread is a session that reads this member's binlog.
type DumpThread struct {
	SessionID int64
	User      string
	Host      string
	// ReplicaUUID is what the reader says of itself; empty when it says nothing.
	ReplicaUUID gtid.ServerUUID
	// Command is MySQL's word: "Binlog Dump" or "Binlog Dump GTID".
	Command string

	// Port that it connects from, Since when it reads and CaughtUp, that it was sent everything;
	// read where there is a reader with another account than the peer's.
	Port     int
	Since    time.Duration
	CaughtUp bool
}

// ArchiverPrefix begins the UUID by which an archiver of a pair's binary logs calls itself, so that it
// can be told from the peer: both log in with the account of replication.
const ArchiverPrefix = "0a5c417e-"

// IsArchiver reports whether the reader says that it archives binary logs.
func (d DumpThread) IsArchiver() bool {
	return strings.HasPrefix(string(d.ReplicaUUID), ArchiverPrefix)
}

// IsForeign reports whether the reader is not the peer's receiver: it logs in as another
// account, or calls itself by another UUID. An empty peer accepts any reader of the account.
func (d DumpThread) IsForeign(account string, peer gtid.ServerUUID) bool {
	return d.User != account || (peer != "" && d.ReplicaUUID != peer)
}

// Difference is one setting that is not as dbpair owns it.
type Difference struct {
	Variable string
	Want     string
	// Got is the value read; Missing says that the server has no such variable.
	Got     string
	Missing bool
}

// PrivilegedAccount is an account whose rights pass read_only or offline_mode.
type PrivilegedAccount struct {
	// Account is in MySQL's notation, `user`@`host`.
	Account string
	// Rights are the ones that pass, sorted.
	Rights []string
	// Locked accounts cannot log in.
	Locked bool
}
