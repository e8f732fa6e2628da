package agentapi

import "time"

// QuarantineKind says why something is in the quarantine.
type QuarantineKind string

// The kinds.
const (
	// QuarantineData: the binary logs of data that was given up for a copy.
	QuarantineData QuarantineKind = "Data"
	// QuarantineTail: the end of a binary log, acknowledged to nobody, that was cut off.
	QuarantineTail QuarantineKind = "Tail"
	// QuarantineRelayLog: what was received and discarded by a forced promotion.
	QuarantineRelayLog QuarantineKind = "RelayLog"
	// QuarantineRepair: both versions of the rows that a repair wrote over.
	QuarantineRepair QuarantineKind = "Repair"
	// QuarantineUnfinished: what a crash left of a copy into the quarantine.
	QuarantineUnfinished QuarantineKind = "Unfinished"
	// QuarantineOther: nothing that an agent makes.
	QuarantineOther QuarantineKind = "Other"
)

// QuarantineList is what "agent quarantine list" prints: the quarantine of one volume.
type QuarantineList struct {
	// Entries, oldest first.
	Entries []QuarantineEntry `json:"entries"`
	// Bytes that all entries take, and the limit above which old ones are removed.
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"`
}

// QuarantineUse is what the quarantine of a member takes, and what was removed from it.
type QuarantineUse struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Limit   int64 `json:"limit"`
	// Kept says why entries that are due to be removed stay for now; empty when none does.
	Kept string `json:"kept,omitempty"`
	// Removal is the last one of this agent process; nil for none.
	Removal *QuarantineRemoval `json:"removal,omitempty"`
}

// QuarantineRemoval is what was removed from a quarantine at one time.
type QuarantineRemoval struct {
	At time.Time `json:"at"`
	// Entries that were removed, at most MostRemoved of them, out of Total.
	Entries []QuarantineRemoved `json:"entries"`
	Total   int                 `json:"total"`
	Bytes   int64               `json:"bytes"`
}

// MostRemoved is how many entries a removal names.
const MostRemoved = 10

// QuarantineRemoved is an entry that was removed.
type QuarantineRemoved struct {
	Name    string         `json:"name"`
	Kind    QuarantineKind `json:"kind"`
	SavedAt time.Time      `json:"savedAt"`
	Bytes   int64          `json:"bytes"`
	// GTIDs of the transactions in it, as far as they could be read, shortened.
	GTIDs string `json:"gtids,omitempty"`
}

// QuarantineEntry is one thing in the quarantine that is kept or removed as a whole.
type QuarantineEntry struct {
	// Name is its path below the quarantine's directory.
	Name string         `json:"name"`
	Kind QuarantineKind `json:"kind"`
	// SavedAt is when it was put there.
	SavedAt time.Time `json:"savedAt"`
	// Operation that gave it up; empty when there was none, or it is not on record.
	Operation string `json:"operation,omitempty"`
	// GTIDs of the transactions in it, as far as they could be read.
	GTIDs string           `json:"gtids,omitempty"`
	Bytes int64            `json:"bytes"`
	Files []QuarantineFile `json:"files"`
	// Kept: a person has marked it, it is never removed.
	Kept bool `json:"kept,omitempty"`
	// RemovableFrom is when it may be removed, if the quarantine is above its limit then.
	RemovableFrom time.Time `json:"removableFrom"`
	// Problem says which of its files could not be read, and why.
	Problem string `json:"problem,omitempty"`
}

// QuarantineFile is a file of an entry.
type QuarantineFile struct {
	// Name is its path below the entry's directory; the entry's own last element for a file.
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	// SHA256 in hexadecimal; only where one entry was asked for.
	SHA256 string `json:"sha256,omitempty"`
}

// QuarantineRecord is one line of what "agent quarantine show" prints: one of its fields is set.
// The last line is the summary; without it the answer was cut off.
type QuarantineRecord struct {
	Transaction *QuarantineTransaction `json:"transaction,omitempty"`
	Problem     *QuarantineProblem     `json:"problem,omitempty"`
	Summary     *QuarantineSummary     `json:"summary,omitempty"`
}

// QuarantineTransaction is one transaction of an entry.
type QuarantineTransaction struct {
	// GTID is empty for a transaction without one.
	GTID string    `json:"gtid,omitempty"`
	At   time.Time `json:"at"`
	// File and Offset of its first event, in bytes.
	File   string            `json:"file"`
	Offset int64             `json:"offset"`
	Tables []QuarantineTable `json:"tables,omitempty"`
	// Statements that are no row changes, such as ALTER TABLE; the first ones, shortened.
	Statements     []string `json:"statements,omitempty"`
	MoreStatements int64    `json:"moreStatements,omitempty"`
	// Rows as SQL comments; only where they were asked for, up to a limit.
	Rows []string `json:"rows,omitempty"`
	// Incomplete: its end is not there.
	Incomplete bool `json:"incomplete,omitempty"`
	// Unread says why rows of it could not be decoded; they are not counted.
	Unread string `json:"unread,omitempty"`
}

// QuarantineTable counts the rows of a table that were changed.
type QuarantineTable struct {
	Schema   string `json:"schema"`
	Table    string `json:"table"`
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}

// QuarantineProblem is a file that could not be read to its end.
type QuarantineProblem struct {
	File string `json:"file"`
	// Offset of the first event that could not be read, in bytes.
	Offset  int64  `json:"offset"`
	Message string `json:"message"`
}

// QuarantineSummary ends what is shown of an entry.
type QuarantineSummary struct {
	Transactions int64 `json:"transactions"`
	// GTIDs of those transactions.
	GTIDs string `json:"gtids,omitempty"`
	// Tables of all transactions, also of those that were not printed.
	Tables []QuarantineTable `json:"tables,omitempty"`
	// NotPrinted transactions and rows are beyond the limits that were asked for.
	NotPrinted     int64 `json:"notPrinted,omitempty"`
	RowsNotPrinted int64 `json:"rowsNotPrinted,omitempty"`
}
