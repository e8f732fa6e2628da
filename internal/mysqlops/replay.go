package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/gtid"
)

// ErrReplay: an archive of binary logs does not lead this member to its target.
var ErrReplay = errors.New("the archive was not replayed")

const (
	// replayPatience is how long a source may be away in a replay.
	replayPatience = 30 * time.Second
	// replayPulse is the time between two looks at a replay.
	replayPulse = 500 * time.Millisecond
)

// Replay is how far a replay is, in transactions.
type Replay struct{ Done, Total uint64 }

// ReplayFrom replicates from a source that stands for an archive until this member has executed
// exactly what that leads to, and forgets the source. The member has to be closed and without a
// channel. It blocks for as long as that takes, bounded by ctx only, and calls progress about
// twice a second, if it is not nil. A source without transactions is success at once.
//
// An error wraps ErrReplay when the source refuses, a transaction cannot be applied, or the source
// is away for 30 seconds; the member has a part of the transactions then.
func (s *Server) ReplayFrom(ctx context.Context, source Source, progress func(Replay)) error {
	const operation = "replay an archive"
	target, err := endOf(ctx, source)
	if err != nil {
		return wrapSecret(operation, fmt.Errorf("%w: ask where it ends: %w", ErrReplay, err))
	}
	if target.IsEmpty() {
		return nil
	}
	if _, err := s.ConfigureChannel(ctx, source, false); err != nil {
		return err
	}
	if err := s.StartApplier(ctx); err != nil {
		return err
	}
	if err := s.StartReceiver(ctx); err != nil {
		return err
	}
	if err := s.awaitReplayed(ctx, target, progress); err != nil {
		return wrap(operation, err)
	}
	return s.ResetReplicaAll(ctx, false)
}

// endOf asks a source what a member has executed that has replayed all of it.
func endOf(ctx context.Context, source Source) (gtid.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, donorTimeout)
	defer cancel()
	cfg, err := donorConfig(Donor{
		Host:     source.Host,
		Port:     source.Port,
		User:     source.User,
		Password: source.Password,
		TLS:      source.TLS,
	})
	if err != nil {
		return gtid.Set{}, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return gtid.Set{}, err
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	var text string
	if err := pool.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&text); err != nil {
		return gtid.Set{}, err
	}
	return gtid.Parse(text)
}

// awaitReplayed looks at a replay until it has come to its end.
func (s *Server) awaitReplayed(ctx context.Context, target gtid.Set, progress func(Replay)) error {
	var total uint64
	streamed := time.Now()
	for {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		left := target.Subtract(status.Executed)
		if left.IsEmpty() {
			return exactly(target, status.Executed)
		}
		total = max(total, left.Count())
		if progress != nil {
			progress(Replay{
				Done:  total - left.Count(),
				Total: total,
			})
		}
		if status.Channel.Receiver == ReceiverStreaming {
			streamed = time.Now()
		}
		if err := replayFailure(status.Channel, time.Since(streamed)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(replayPulse):
		}
	}
}

// exactly says that a member has executed more than a replay leads to; nil when it has not.
func exactly(target, executed gtid.Set) error {
	if beyond := executed.Subtract(target); !beyond.IsEmpty() {
		return fmt.Errorf("%w: %s was executed and is beyond the target", ErrReplay, beyond)
	}
	return nil
}

// replayFailure says why a replay does not go on, whose source is away for some time; nil when it does.
func replayFailure(channel ChannelStatus, away time.Duration) error {
	switch {
	case !channel.ApplierRunning && channel.ApplierError.Number != 0:
		return fmt.Errorf("%w: %w: %d %s", ErrReplay, ErrApplier, channel.ApplierError.Number, channel.ApplierError.Message)
	case channel.Receiver == ReceiverStopped:
		return fmt.Errorf("%w: its source answers: %d %s", ErrReplay, channel.ReceiverError.Number, channel.ReceiverError.Message)
	case away > replayPatience:
		return fmt.Errorf("%w: its source is away for %s: %d %s", ErrReplay, replayPatience, channel.ReceiverError.Number,
			channel.ReceiverError.Message)
	}
	return nil
}
