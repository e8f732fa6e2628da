package mysqlops

import (
	"context"
	"database/sql"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
)

// VerifyOwned reads every variable of want back and returns those that
// differ, sorted by name. Numbers, ON and 1, and paths with and without a
// final slash compare as mysqld means them.
func (s *Server) VerifyOwned(ctx context.Context, want []mycnf.Expectation) ([]Difference, error) {
	return s.verifyOwned(ctx, want)
}

// Globals returns the global variables of these names as text; a NULL is empty.
// A name that mysqld has no variable of is left out.
func (s *Server) Globals(ctx context.Context, names []string) (map[string]string, error) {
	var values map[string]string
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		values, err = readVariables(ctx, conn, names)
		return err
	})
	return values, wrap("read global variables", err)
}

// DriftError is the error of owned settings that differ. It is ErrNotAsOwned.
type DriftError struct{ Differences []Difference }

// CutForeignDumpThreads ends the sessions that read this member's binlog and
// do not log in as account or do not call themselves peer, and returns them.
// An empty peer accepts any reader of the account.
func (s *Server) CutForeignDumpThreads(ctx context.Context, account string, peer gtid.ServerUUID) ([]DumpThread, error) {
	return s.cutForeignDumpThreads(ctx, account, peer)
}

// EndReaders ends the sessions that read this member's binlog and do not log in as account, and
// all that came from ReaderHost, and counts those that it found. They have ended when a further
// call finds none. It is idempotent.
func (s *Server) EndReaders(ctx context.Context, account string) (int, error) {
	return s.endReaders(ctx, account)
}

// EndRemovedReaders ends the sessions from ReaderHost whose account was locked or dropped, and counts
// them. It reads the accounts, so it is not for a member whose commits wait. It is idempotent.
func (s *Server) EndRemovedReaders(ctx context.Context) (int, error) { return s.endRemovedReaders(ctx) }

// PurgeLimits say how much binlog to keep.
type PurgeLimits struct {
	// MaxBytes is the size to come down to; 0 means no limit.
	MaxBytes int64
	// MaxAge is the age of a file's last change from which on it may go; 0
	// means no limit.
	MaxAge time.Duration
	// Received is what the peer has; no file with anything beyond it goes.
	Received gtid.Set
	// WithoutPeer lets a file over MaxBytes go also when the peer lacks it: the peer has to
	// be copied again then.
	WithoutPeer bool
	// Backlog is the size up to which a file stays that has anything beyond Archived, whatever the
	// other limits say; 0 when nothing is archived.
	Backlog  int64
	Archived gtid.Set
	// KeepAll removes nothing and only counts.
	KeepAll bool
}

// Purged is what a purge did.
type Purged struct {
	// Files and Bytes are gone.
	Files int
	Bytes int64
	// Left is the size that remains, over the limit when the peer lacks too much.
	Left int64
	// Lacking is the part of Left, by whole files, that the peer has not received. It is
	// counted from half of MaxBytes on, and 0 below.
	Lacking int64
}

// PurgeBinlogs removes old binlog files as far as limits and the peer allow.
// It never removes the file being written. Idempotent. With commits waiting it
// does nothing and fails with ErrCommitsWaiting, since it would hang.
func (s *Server) PurgeBinlogs(ctx context.Context, limits PurgeLimits) (Purged, error) {
	return s.purgeBinlogs(ctx, limits)
}

// ReloadTLS makes mysqld read its certificate, key and CA again, on both
// ports. Sessions stay. On an error the old ones remain in use.
func (s *Server) ReloadTLS(ctx context.Context) error {
	return s.execAll(ctx, "reload TLS", "ALTER INSTANCE RELOAD TLS")
}
