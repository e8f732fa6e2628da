package mysqlops

import (
	"context"

	"github.com/dbpair/dbpair/internal/mycnf"
)

// Correction is the summary of a correction: what was found wrong and set back.
type Correction struct {
	// Needed is false when nothing was wrong; the other fields are then zero.
	Needed bool
	// ReadOnly and SuperReadOnly are the values found.
	ReadOnly      bool
	SuperReadOnly bool
	// OfflineMode found; KeepWritable alone looks at it.
	OfflineMode bool
}

// OpenReadWrite opens a closed member: it verifies closed (which must hold the
// expectations of the closed state), switches the waiting for acknowledgements
// on or off, and only then lets writes and after them clients in, and reads
// everything back. When any step fails it closes again what it opened and
// returns the error; a *DriftError says which owned setting differs. Open
// already is not success: it needs a closed member, ErrNotClosed otherwise.
func (s *Server) OpenReadWrite(ctx context.Context, closed []mycnf.Expectation, waiting bool) error {
	return s.openReadWrite(ctx, closed, waiting)
}

// OpenReadOnly lets clients read on a member that stays closed for writes:
// super_read_only is verified first, then offline mode ends. It is idempotent.
func (s *Server) OpenReadOnly(ctx context.Context) error { return s.openReadOnly(ctx) }

// CloseReads takes a readable member offline again. It is idempotent.
func (s *Server) CloseReads(ctx context.Context) error {
	return s.execAll(ctx, "close for reads", "SET GLOBAL offline_mode = ON")
}

// KeepReadOnly corrects a member that must not accept writes and does: it sets
// super_read_only, and with it read_only, again and says what it had found.
// Its reading half is cheap enough for every tick.
func (s *Server) KeepReadOnly(ctx context.Context) (Correction, error) { return s.keepReadOnly(ctx) }

// KeepWritable corrects a member that is open and was made read-only or taken offline by
// someone else: it lifts that again, reads it back, and says what it had found. The caller
// holds a confirmation that outlives ctx, and lets nothing close the member meanwhile.
func (s *Server) KeepWritable(ctx context.Context) (Correction, error) { return s.keepWritable(ctx) }

// StartWaiting makes commits wait for the peer's acknowledgement, without a
// time limit and also when no replica is connected, and reads back that they do.
// It is idempotent and counts as no interruption.
func (s *Server) StartWaiting(ctx context.Context) error { return s.startWaiting(ctx) }

// StopWaiting lets commits through without acknowledgement. With soloVersion
// 0 it needs a member that is closed for writes and has no commit waiting:
// ErrNotClosed or ErrCommitsWaiting otherwise. A ledger version above 0 says
// that the caller itself has read solo(self) at that version; then waiting
// commits are released and their clients get OK. It is idempotent. Takes up
// to one second in mysqld.
func (s *Server) StopWaiting(ctx context.Context, soloVersion uint64) error {
	return s.stopWaiting(ctx, soloVersion)
}

// ReleaseApplier switches the source side off on a member that is closed for writes,
// ErrNotClosed otherwise, where it was left on by a change of roles or was switched on by
// hand. What waits there is the applier, without an end: no client can commit. It is
// idempotent.
func (s *Server) ReleaseApplier(ctx context.Context) error { return s.releaseApplier(ctx) }

// PrepareShutdown is for a member that is closed for writes, ErrNotClosed otherwise, and is
// about to be sent SIGTERM. It releases the applier, for which mysqld would wait forever, and
// ends all sessions of this handle, for which mysqld would wait two seconds. The handle is of
// no use afterwards, also when it returns an error.
func (s *Server) PrepareShutdown(ctx context.Context) error {
	defer s.Disconnect()
	return s.releaseApplier(ctx)
}

// CommitHeartbeat commits one row that says nothing, so that the replica gets
// an event to acknowledge and every older commit is released with it. It
// blocks until the commit is acknowledged or ctx or the change deadline ends;
// the commit then goes on waiting in mysqld. At most a few may be pending:
// ErrCommitsWaiting beyond that. ErrReadOnly on a member that is not open.
func (s *Server) CommitHeartbeat(ctx context.Context, ordinal int) error {
	return s.commitHeartbeat(ctx, ordinal)
}

// StopEvents switches the event scheduler off, as it must be on a closed member:
// the fence path leaves it alone, since events cannot write there any more. It is
// idempotent.
func (s *Server) StopEvents(ctx context.Context) error {
	return s.execAll(ctx, "stop the event scheduler", "SET GLOBAL event_scheduler = OFF")
}
