package agentapi

import (
	"github.com/dbpair/dbpair/internal/pair"
)

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
