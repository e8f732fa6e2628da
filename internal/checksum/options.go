package checksum

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// Endpoint says how to reach one member.
type Endpoint = tablesql.Endpoint

// TableName names one table.
type TableName = tablesql.TableName

// Defaults of Options.
const (
	DefaultParallelism    = 2
	DefaultMaxLockTime    = 250 * time.Millisecond
	DefaultMaxLag         = time.Second
	DefaultMaxSnapshotAge = 5 * time.Minute
	DefaultLockAttempts   = 3
	DefaultChunkRows      = 20_000
	MinChunkRows          = 10_000
	DefaultMaxKeylessRows = 200_000
	DefaultMaxRowsKept    = 1000
	DefaultBusyShare      = 10 // percent
)

// Options of a run. Zero fields take the defaults above.
type Options struct {
	// Primary and Passive are the members in the roles they have now.
	Primary, Passive Endpoint

	// Include and Exclude are patterns of "schema.table" with * and ?, or of
	// "schema" for all its tables; an empty Include means all. Schemas of
	// mysqld itself are never compared row by row.
	Include, Exclude []string
	// Table compares this one alone, whatever Include and Exclude say.
	Table *TableName
	// SkipSchemaDrift leaves out the comparison of definitions, routines,
	// events and accounts.
	SkipSchemaDrift bool
	// Values adds the values of differing rows to the report. Without it the
	// report has keys and digests only.
	Values bool

	// Parallelism is how many sessions scan on each member.
	Parallelism int
	// MaxLockTime bounds how long a lock on the primary is held.
	MaxLockTime time.Duration
	// LockAttempts is how often the table lock is tried, each time for a
	// moment, before the table is compared without it; negative means never.
	LockAttempts int
	// MaxSnapshotAge is the age at which snapshots are renewed.
	MaxSnapshotAge time.Duration
	// ChunkRows is the size of a chunk, from MinChunkRows; where rows are large or slow,
	// chunks have fewer.
	ChunkRows int
	// MaxKeylessRows bounds a table without a usable key, which is one chunk
	// under one snapshot; a larger one is skipped.
	MaxKeylessRows int64
	// MaxRowsKept bounds the differing rows in the report, over all tables;
	// counts stay true beyond it.
	MaxRowsKept int
	// Throttle makes the run give way to load.
	Throttle Throttle

	// Resume continues an earlier run of the same pair and options.
	Resume *State
	// Save is called with the state after every chunk at most about once a
	// second and at the end of each table; nil saves nothing. It is called
	// from one goroutine at a time and should return at once.
	Save func(State)
	// OnRow, if set, gets every differing row that is found, also those
	// beyond MaxRowsKept; not those of an earlier run that is resumed, and again
	// those of a chunk or a table that has to be read again.
	// Called from one goroutine at a time.
	OnRow func(TableName, Row)

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets one line per table.
	Log logr.Logger
}

// Throttle says when a run gives way. A zero field takes its default; a
// negative one switches that limit off.
type Throttle struct {
	// MaxLag: while the passive is further behind, nothing is read.
	MaxLag time.Duration
	// ActiveClients: while so many clients or more are active on either member, chunks
	// are read by one session, with pauses (see BusyShare). Active is who began a statement
	// within the last second or two, or is in one and does not wait, for a commit, a lock
	// or the passive. Default 1.
	ActiveClients int
	// MaxHistory is the length of InnoDB's history list on either member at
	// which snapshots are given up until it is shorter. Default 1,000,000.
	MaxHistory int64
	// BusyShare is the share of one session's time that is used while busy, in
	// percent. Default 10.
	BusyShare int
}

func (o Options) withDefaults() Options {
	setInt := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	setDuration := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	setInt(&o.Parallelism, DefaultParallelism)
	setInt(&o.LockAttempts, DefaultLockAttempts)
	setInt(&o.ChunkRows, DefaultChunkRows)
	setInt(&o.MaxRowsKept, DefaultMaxRowsKept)
	setInt(&o.Throttle.ActiveClients, 1)
	setInt(&o.Throttle.BusyShare, DefaultBusyShare)
	setDuration(&o.MaxLockTime, DefaultMaxLockTime)
	setDuration(&o.MaxSnapshotAge, DefaultMaxSnapshotAge)
	setDuration(&o.Throttle.MaxLag, DefaultMaxLag)
	if o.MaxKeylessRows == 0 {
		o.MaxKeylessRows = DefaultMaxKeylessRows
	}
	if o.Throttle.MaxHistory == 0 {
		o.Throttle.MaxHistory = 1_000_000
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
	case o.Parallelism < 1 || o.Parallelism > 64:
		return fmt.Errorf("parallelism %d: want 1 to 64", o.Parallelism)
	case o.ChunkRows < MinChunkRows:
		return fmt.Errorf("chunkRows %d: want %d or more", o.ChunkRows, MinChunkRows)
	case o.MaxLockTime < 10*time.Millisecond:
		return fmt.Errorf("maxLockTime %s: want 10ms or more", o.MaxLockTime)
	case o.MaxSnapshotAge < time.Second:
		return fmt.Errorf("maxSnapshotAge %s: want 1s or more", o.MaxSnapshotAge)
	case o.Throttle.BusyShare > 100:
		return fmt.Errorf("busyShare %d: want 1 to 100 percent", o.Throttle.BusyShare)
	}
	return nil
}
