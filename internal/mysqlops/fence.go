package mysqlops

import (
	"context"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// FenceStep is one statement of the fence path.
type FenceStep struct {
	Name string
	Took time.Duration
	// Err is nil when the step was confirmed in time.
	Err error
}

// Fenced is what a soft fence reached, read back after the fact. It is
// evidence, not a verdict.
type Fenced struct {
	OfflineMode   bool
	ReadOnly      bool
	SuperReadOnly bool
	// ClientSessions counts what is left: sessions of others, privileged ones
	// included, replication excluded.
	ClientSessions int
	// WaitingCommits is the higher of two readings.
	WaitingCommits int
	// Executed and Binlog are read last.
	Executed gtid.Set
	Binlog   gtid.Set
	// ReRead is false when the facts above could not be read.
	ReRead bool
	// Killed counts the sessions this fence had to end itself.
	Killed int
	// Steps is the path taken, in order.
	Steps []FenceStep
}

// Complete reports whether the evidence says "closed": no client, no way to
// write, nothing waiting, all of it read back.
func (f Fenced) Complete() bool {
	return f.ReRead && f.OfflineMode && f.ReadOnly && f.SuperReadOnly && f.ClientSessions == 0 && f.WaitingCommits == 0
}

// Fence closes the member softly: offline mode, super_read_only, sessions cut,
// privileged ones included, everything read back. It uses warm sessions only
// and never logs in; without one it fails with ErrNotWarm. Each statement has
// its own deadline and the path goes on after a missed one, so that the
// evidence says exactly what was reached; the error is nil when the path was
// walked, whatever it reached. The waiting for acknowledgements stays as it is:
// StopWaiting comes afterwards, if the evidence is complete.
//
// It blocks for at most about five times Timeouts.Fence. With commits waiting
// for an acknowledgement it cannot reach super_read_only, and no statement
// can: that mysqld has to be killed.
func (s *Server) Fence(ctx context.Context) (Fenced, error) {
	return s.walkFence(ctx)
}
