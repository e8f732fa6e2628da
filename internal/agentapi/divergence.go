package agentapi

import "time"

// BinlogContents is what "agent quarantine executed" prints: what a member's own binary logs hold.
type BinlogContents struct {
	// GTIDs of them, what was purged before included.
	GTIDs string `json:"gtids"`
}

// BinlogChanges is what "agent quarantine changes" prints: what transactions of a member's own
// binary logs changed.
type BinlogChanges struct {
	// Transactions that were asked for and found.
	Transactions int64 `json:"transactions"`
	// GTIDs of them, and NotFound those that are in no binary log of this member any more.
	GTIDs    string `json:"gtids,omitempty"`
	NotFound string `json:"notFound,omitempty"`
	// First and Last are when the first and the last of them were committed where they were made.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Tables whose rows they changed.
	Tables []QuarantineTable `json:"tables,omitempty"`
	// WithStatements of them change more than rows, such as ALTER TABLE.
	WithStatements int64 `json:"withStatements,omitempty"`
	// Unread of them could not be read or decoded whole, so that not all of their rows are counted.
	Unread int64 `json:"unread,omitempty"`
	// Problem says which file could not be read, and why.
	Problem string `json:"problem,omitempty"`
}
