package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// TLSFiles are paths on the member's own file system.
type TLSFiles struct {
	CA, Cert, Key string
}

// Source says where a member replicates from. The channel is the default one,
// finds its place by GTIDs, retries forever once a second and expects a
// heartbeat every second.
type Source struct {
	Host     string
	Port     int
	User     string
	Password Secret
	TLS      TLSFiles
}

// ConfigureChannel points the channel at source and reports whether that
// changed anything. It is idempotent, and while nothing but the password
// differs nothing is restarted, since a password cannot be read back: pass
// rotated=true to write it anyway.
//
// It never throws the relay log away: mysqld does that when both threads are
// stopped, so that the applier runs while the channel changes, and the call
// fails with ErrUnapplied when something received is not applied and the
// applier does not run. The receiver is stopped afterwards if anything
// changed; start it with StartReceiver.
func (s *Server) ConfigureChannel(ctx context.Context, source Source, rotated bool) (changed bool, err error) {
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		changed, err = configureChannel(ctx, conn, source, rotated)
		return err
	})
	return changed, wrapSecret("configure replication channel", err)
}

// StartReceiver starts the receiver; running already is success. That it has
// connected shows in Status.
func (s *Server) StartReceiver(ctx context.Context) error {
	return s.execAll(ctx, "start receiver", "START REPLICA IO_THREAD")
}

// StopReceiver stops the receiver only: nothing is received or acknowledged
// from here on, what was received is applied. Stopped already is success, and
// so is a member without a channel.
func (s *Server) StopReceiver(ctx context.Context) error {
	return s.stopThread(ctx, "stop receiver", "STOP REPLICA IO_THREAD")
}

// StartApplier starts the applier; running already is success.
func (s *Server) StartApplier(ctx context.Context) error {
	return s.execAll(ctx, "start applier", "START REPLICA SQL_THREAD")
}

// StopApplier stops the applier; stopped already is success, and so is a
// member without a channel.
func (s *Server) StopApplier(ctx context.Context) error {
	return s.stopThread(ctx, "stop applier", "STOP REPLICA SQL_THREAD")
}

// ResetReplicaAll forgets the channel and its relay log. After a CLONE it has
// to come first: the copy has its donor's channel, which points at the
// recipient itself. It fails with ErrUnapplied while something received is not
// applied, unless discard says that this is meant (after a CLONE it is).
func (s *Server) ResetReplicaAll(ctx context.Context, discard bool) error {
	if !discard {
		status, err := s.Status(ctx)
		if err != nil {
			return wrap("reset replica", err)
		}
		if left := status.Received.Subtract(status.Executed); !left.IsEmpty() {
			return fmt.Errorf("reset replica: %w: %s", ErrUnapplied, left)
		}
	}
	return s.execAll(ctx, "reset replica", "STOP REPLICA", "RESET REPLICA ALL")
}

// SetReplicaAcknowledges switches the replica side of semi-sync. A running
// receiver takes it up at its next start, so that a change restarts it.
func (s *Server) SetReplicaAcknowledges(ctx context.Context, on bool) error {
	const operation = "switch acknowledging"
	return wrap(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return setReplicaAcknowledges(ctx, conn, on)
	}))
}

// WaitApplied waits until set is executed here. It returns ErrDeadline when
// limit passes first and ErrApplier as soon as the applier has stopped with an
// error. Only ctx and limit bound it.
func (s *Server) WaitApplied(ctx context.Context, set gtid.Set, limit time.Duration) error {
	const operation = "wait for the applier"
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, err := s.waitAppliedOnce(ctx, set)
		if err != nil {
			return wrap(operation, preferContext(ctx, err))
		}
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return wrap(operation, ctx.Err())
		}
	}
}
