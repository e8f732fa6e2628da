package mysqlops

import (
	"context"
	"time"
)

// Donor says where to clone from. The connection to the peer uses the member's own server
// certificate, which the account there asks for.
type Donor struct {
	Host     string
	Port     int
	User     string
	Password Secret
	// MaxBandwidth bounds the copy, in bytes a second, of which mysqld counts whole MiB, at least
	// one. With 0 mysqld's own setting counts.
	MaxBandwidth int64
	// TLS are the files to use; an empty one is left out. Without a CA the certificate
	// is not verified.
	TLS TLSFiles
	// NoTLS: the data comes in the clear.
	NoTLS bool
	// Recorded: it replays a recording, which it sends over one connection only and never resumes.
	Recorded bool
}

// CloneProgress is what mysqld says of a running or finished clone.
type CloneProgress struct {
	// Stage is MySQL's word for the newest stage that has begun, such as
	// "FILE COPY"; empty before the first.
	Stage string
	// Bytes and Total are of that stage; Total is an estimate.
	Bytes, Total int64
	// Started is on the member's own wall clock.
	Started time.Time
	// Failed is true when a stage failed.
	Failed bool
}

// CloneFrom replaces everything on this member by a copy of the donor. It
// blocks for as long as that takes, bounded by ctx only, and calls progress
// about once a second, if it is not nil. nil means that the copy is complete
// and mysqld is going down to start on it; its supervisor has to start it
// again. After the start ResetReplicaAll comes first. The member has to be closed
// and its replication stopped: super_read_only, though not read_only and offline
// mode, is off while the clone runs.
//
// An error wraps ErrClone when the donor or the copy failed; the data of the
// member may be gone by then.
func (s *Server) CloneFrom(ctx context.Context, donor Donor, progress func(CloneProgress)) error {
	return s.cloneFrom(ctx, donor, progress)
}
