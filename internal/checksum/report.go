package checksum

import (
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// TableState is the verdict on one table.
type TableState string

// The verdicts. A table that was not compared to its end has none of them.
const (
	// Consistent: every row compared, all equal.
	Consistent TableState = "Consistent"
	// Different: at least one row differs, see Differing.
	Different TableState = "Different"
	// Skipped: not compared, or not to its end; Reason says why.
	Skipped TableState = "Skipped"
)

// Kind says how a row differs, from the passive's point of view.
type Kind = tablesql.Kind

// The kinds.
const (
	// Missing: the primary has it, the passive does not.
	Missing = tablesql.Missing
	// Extra: the passive has it, the primary does not.
	Extra = tablesql.Extra
	// Changed: both have it, and it differs.
	Changed = tablesql.Changed
)

// Row is one differing row.
type Row = tablesql.Row

// TableReport is what became of one table.
type TableReport struct {
	Table  TableName  `json:"table"`
	State  TableState `json:"state"`
	Reason string     `json:"reason,omitempty"`
	// Rows and Bytes were read on the primary; Bytes is the size InnoDB states.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// Chunks is how many ranges were compared.
	Chunks int `json:"chunks"`
	// Seconds spent on the table, waiting included.
	Seconds float64 `json:"seconds"`
	// LongestLock is the longest time a lock was held on the primary for it.
	LongestLock time.Duration `json:"longestLock"`
	// Aligned is true when all its snapshots were taken under a table lock;
	// false when differences were told from writes by row locks.
	Aligned bool `json:"aligned"`
	// Restarts counts how often an ALTER made the scan begin again.
	Restarts int `json:"restarts,omitempty"`
	// Missing, Extra and Changed count the differing rows, all of them.
	Missing int64 `json:"missing,omitempty"`
	Extra   int64 `json:"extra,omitempty"`
	Changed int64 `json:"changed,omitempty"`
	// Differing holds the rows that were kept, see Options.MaxRowsKept.
	Differing []Row `json:"differing,omitempty"`
}

// DifferingRows is the number of rows that differ, kept or not.
func (t TableReport) DifferingRows() int64 { return t.Missing + t.Extra + t.Changed }

// SchemaDrift is one object besides rows that differs between the members.
type SchemaDrift struct {
	// Object is Table, View, Trigger, Routine, Event, User, Grant, Role or Schema.
	Object string `json:"object"`
	// Name is schema.name, or the account.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Primary and Passive are short forms of both sides; for accounts, digests.
	Primary string `json:"primary,omitempty"`
	Passive string `json:"passive,omitempty"`
}

// Report is the result of a run. It is bounded: rows by Options.MaxRowsKept,
// drift by a fixed number with the true count beside it.
type Report struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// PrimaryUUID and PassiveUUID are the servers that were compared.
	PrimaryUUID string `json:"primaryUUID"`
	PassiveUUID string `json:"passiveUUID"`
	// Tables has at most 200 of each state, the largest; Folded sums up the others.
	Tables []TableReport `json:"tables"`
	Folded Totals        `json:"folded"`
	// SchemaDrift has at most 200 entries; SchemaDriftCount is the true number.
	SchemaDrift      []SchemaDrift `json:"schemaDrift,omitempty"`
	SchemaDriftCount int           `json:"schemaDriftCount"`
	// RowsNotKept is how many differing rows are counted and not listed.
	RowsNotKept int64 `json:"rowsNotKept,omitempty"`
	// Throttled is the time spent giving way: to clients, and, in Shut of it, to a passive
	// that lags or to a long history, when nothing is read.
	Throttled time.Duration `json:"throttled"`
	Shut      time.Duration `json:"shut"`
	// Resumed counts the runs before this one that it continues.
	Resumed int `json:"resumed,omitempty"`
}

// Totals are sums over tables.
type Totals struct {
	Tables        int           `json:"tables"`
	Consistent    int           `json:"consistent"`
	Different     int           `json:"different"`
	Skipped       int           `json:"skipped"`
	Rows          int64         `json:"rows"`
	Bytes         int64         `json:"bytes"`
	DifferingRows int64         `json:"differingRows"`
	LongestLock   time.Duration `json:"longestLock"`
}

func (t *Totals) add(one TableReport) {
	t.Tables++
	switch one.State {
	case Consistent:
		t.Consistent++
	case Different:
		t.Different++
	case Skipped:
		t.Skipped++
	}
	t.Rows += one.Rows
	t.Bytes += one.Bytes
	t.DifferingRows += one.DifferingRows()
	t.LongestLock = max(t.LongestLock, one.LongestLock)
}

// Totals sums up all tables, folded ones included.
func (r Report) Totals() Totals {
	t := r.Folded
	for _, one := range r.Tables {
		t.add(one)
	}
	return t
}

// State is all that a later run needs to continue, and all that progress can
// be shown from. It is bounded like Report, and never changes once given out.
type State struct {
	// Report holds the finished tables and the drift found so far.
	Report Report `json:"report"`
	// Current are the tables that are being scanned.
	Current []Position `json:"current,omitempty"`
	// SchemasCompared is true once the drift of definitions is in Report.
	SchemasCompared bool `json:"schemasCompared"`
	// TablesTotal, RowsTotal and BytesTotal are what there is to do, rows by
	// InnoDB's estimate.
	TablesTotal int   `json:"tablesTotal"`
	RowsTotal   int64 `json:"rowsTotal"`
	BytesTotal  int64 `json:"bytesTotal"`
	// Waiting says what the run gives way to; empty while it reads.
	Waiting string `json:"waiting,omitempty"`
}

// RowsDone counts the rows that were compared so far.
func (s State) RowsDone() int64 {
	rows := s.Report.Totals().Rows
	for _, one := range s.Current {
		rows += one.Partial.Rows
	}
	return rows
}

// Position is how far one table has come.
type Position struct {
	// Partial is its report so far, for the chunks up to After.
	Partial TableReport `json:"partial"`
	// After is the upper bound of the last chunk up to which all are done, as
	// SQL literals of the key; empty before the first.
	After []string `json:"after,omitempty"`
	// Definition is a digest of the table's definition; another one means
	// that the table begins again.
	Definition string `json:"definition"`
}
