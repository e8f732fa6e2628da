package agentapi

import (
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

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
	// InFlight are sessions of clients that have been in flight for a second or longer, and those that
	// change a definition, the oldest first; at most 20.
	InFlight []Session `json:"inFlight,omitempty"`

	// ReceivingFor is for how long the receiver has streamed without a break, and ReceivedAge how
	// long ago it last stored something, be it a part of a transaction; both zero when it is not known.
	ReceivingFor time.Duration `json:"receivingFor,omitempty"`
	ReceivedAge  time.Duration `json:"receivedAge,omitempty"`

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
	// BinlogReaders are those who read this member's binary logs besides its peer.
	BinlogReaders []BinlogReader `json:"binlogReaders,omitempty"`

	PrivilegedAccounts []string `json:"privilegedAccounts,omitempty"`
	// PasswordsRevision is the revision of the internal Secret that mysqld's accounts
	// have.
	PasswordsRevision string `json:"passwordsRevision,omitempty"`
	// FormerAppPasswordUntil is until when the application's account takes its former password
	// as well, as the open primary knows it; absent when it does not.
	FormerAppPasswordUntil *time.Time `json:"formerAppPasswordUntil,omitempty"`
}

// ChannelThread is the receiver or the applier of a channel.
type ChannelThread struct {
	Running   bool   `json:"running"`
	LastErrno int    `json:"lastErrno,omitempty"`
	LastError string `json:"lastError,omitempty"`
}

// BinlogReader is a session that reads a member's binary logs and is not the peer's.
type BinlogReader struct {
	User string `json:"user"`
	// From is the address that it connects from, with a port where it came by the port for readers.
	From string `json:"from"`
	// ReplicaUUID is what it says of itself; empty when it says nothing, as mysqlbinlog.
	ReplicaUUID string `json:"replicaUUID,omitempty"`
	// For is the time since it began to read, or since mysqld last did something for it.
	For time.Duration `json:"for,omitempty"`
	// CaughtUp: it was sent everything. Where in the binary logs one is that was not, mysqld does not say.
	CaughtUp bool `json:"caughtUp,omitempty"`
}
