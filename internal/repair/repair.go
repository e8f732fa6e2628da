package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/checksum"
)

// IdempotentApplier is someone who can make the passive's applier lenient.
type IdempotentApplier interface {
	// Hold sets replica_exec_mode=IDEMPOTENT on the passive until d has
	// passed or Release is called, whichever comes first, and returns once it
	// is in force. An applier that stopped at a row that is missing or there
	// already is started again. Called again it extends. Anyone who holds it restores STRICT
	// by itself, whatever becomes of the caller.
	Hold(ctx context.Context, d time.Duration) error
	// Release restores STRICT and returns once it is in force. It is
	// idempotent.
	Release(ctx context.Context) error
}

// SavedRow is both versions of one row before it is touched. Values are exact:
// SQL literals by column.
type SavedRow struct {
	Table   checksum.TableName `json:"table"`
	Kind    checksum.Kind      `json:"kind"`
	Key     []string           `json:"key"`
	Primary map[string]string  `json:"primary,omitempty"`
	Passive map[string]string  `json:"passive,omitempty"`
}

// Saver keeps both versions of rows.
type Saver interface {
	// Save keeps the rows and returns once they are on disk. An error stops
	// the repair before anything is written to a member.
	Save(ctx context.Context, rows []SavedRow) error
}

// Options of a repair.
type Options struct {
	// Primary and Passive are how both members are read, with the account of
	// checksums.
	Primary, Passive checksum.Endpoint
	// Writer is how the primary is written, with the account of repairs.
	Writer checksum.Endpoint
	// Table is what to repair.
	Table checksum.TableName
	// DryRun compares, checks what would be refused, and writes nothing.
	DryRun bool
	// IdempotentApplier and Saver are needed unless DryRun.
	IdempotentApplier IdempotentApplier
	Saver             Saver
	// Parallelism, MaxLockTime and Throttle are those of the comparisons.
	Parallelism int
	MaxLockTime time.Duration
	Throttle    checksum.Throttle
	// BatchRows is how many rows one transaction repairs at most. Default 200.
	BatchRows int
	// Passes bounds how often compare-and-repair is done before it gives up.
	// Default 3.
	Passes int
	// Progress, if set, is called after each step from one goroutine.
	Progress func(Progress)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	if o.BatchRows == 0 {
		o.BatchRows = 200
	}
	if o.Passes == 0 {
		o.Passes = 3
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	if err := errors.Join(o.Primary.Validate(), o.Passive.Validate()); err != nil {
		return err
	}
	switch {
	case o.Table.Schema == "" || o.Table.Name == "":
		return errors.New("no table: name schema and table")
	case o.BatchRows < 1 || o.BatchRows > 5000:
		return fmt.Errorf("batchRows %d: want 1 to 5000", o.BatchRows)
	case o.DryRun:
		return nil
	case o.IdempotentApplier == nil || o.Saver == nil:
		return errors.New("a repair that writes needs someone who makes the passive lenient, and a place to save rows")
	}
	return o.Writer.Validate()
}

// Step is what a repair is doing.
type Step string

// The steps, in order; a second pass begins again with Comparing.
const (
	Checking   Step = "Checking"
	Comparing  Step = "Comparing"
	Saving     Step = "Saving"
	Repairing  Step = "Repairing"
	Rechecking Step = "Rechecking"
)

// Progress is how far a repair has come.
type Progress struct {
	Step Step `json:"step"`
	Pass int  `json:"pass"`
	// Rows are those of this pass, Repaired the ones that are done.
	Rows     int64 `json:"rows"`
	Repaired int64 `json:"repaired"`
	// Checksum is the state of the comparison that is running.
	Checksum *checksum.State `json:"checksum,omitempty"`
}

// Result is the verdict.
type Result string

// The results.
const (
	// Repaired: rows were written, and the table compares equal now.
	Repaired Result = "Repaired"
	// NothingToDo: the table compared equal.
	NothingToDo Result = "NothingToDo"
	// Refused: see Reasons; nothing was written.
	Refused Result = "Refused"
	// StillDifferent: rows were written, and the table still differs.
	StillDifferent Result = "StillDifferent"
	// Planned: a dry run that would write.
	Planned Result = "Planned"
)

// Report is what a repair did.
type Report struct {
	Table  checksum.TableName `json:"table"`
	Result Result             `json:"result"`
	// Reasons why it is refused, or why rows still differ.
	Reasons []string `json:"reasons,omitempty"`
	// Missing, Extra and Changed are the rows found at first.
	Missing int64 `json:"missing"`
	Extra   int64 `json:"extra"`
	Changed int64 `json:"changed"`
	// Written counts the rows that were rewritten, over all passes.
	Written int64 `json:"written"`
	// Transactions counts the transactions on the primary.
	Transactions int `json:"transactions"`
	// Lenient is how long the passive was in IDEMPOTENT, in total, and
	// LongestLenient at one time.
	Lenient        time.Duration `json:"lenient"`
	LongestLenient time.Duration `json:"longestLenient"`
	Passes         int           `json:"passes"`
	// Before and After are the comparisons of the table.
	Before *checksum.TableReport `json:"before,omitempty"`
	After  *checksum.TableReport `json:"after,omitempty"`
	// Others are the comparisons of the tables that the passive applied
	// changes to while it was lenient.
	Others []checksum.TableReport `json:"others,omitempty"`
}
