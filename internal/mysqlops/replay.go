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
	// replayPatience is how long a source may be away in a replay, and the member silent.
	replayPatience = 30 * time.Second
	// replayPulse is the time between two looks at a replay.
	replayPulse = 500 * time.Millisecond
	// askPatience is how long a source is asked where it ends, and askPulse the time between two questions.
	askPatience = 10 * time.Second
	askPulse    = time.Second
)

// Replay is how far a replay is, in transactions.
type Replay struct{ Done, Total uint64 }

// ReplayFlags are what a mysqld needs in addition to replay an archive on data that is void until it is
// complete: it leaves flushing to the operating system, and receives no more than a gibibyte before it is
// applied. A mysqld that is killed loses nothing by it, a machine may: the binary logs have to be flushed afterwards.
func ReplayFlags() []string {
	return []string{"--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2", "--relay-log-space-limit=1073741824"}
}

// ReplayFrom replicates from a source that stands for an archive until this member has executed
// exactly what that leads to, and forgets the source. The member has to be closed and without a
// channel. It blocks for as long as that takes, bounded by ctx only, and calls progress about
// twice a second, if it is not nil.
//
// An error wraps ErrReplay when the source has nothing to replay or refuses, a transaction cannot be
// applied, or the source is away for 30 seconds; the member has a part of the transactions then.
func (s *Server) ReplayFrom(ctx context.Context, source Source, progress func(Replay)) error {
	const operation = "replay an archive"
	target, err := awaitEndOf(ctx, source)
	if err != nil {
		return wrapSecret(operation, fmt.Errorf("%w: ask where it ends: %w", ErrReplay, err))
	}
	if target.IsEmpty() {
		return wrap(operation, fmt.Errorf("%w: its source has nothing to replay", ErrReplay))
	}
	return wrap(operation, s.replay(ctx, source, newReplaying(target, progress)))
}

// CatchUpWith replicates from a server until this member has executed the target, and forgets the source.
// Of what the server executes beyond that the member has some. Everything else is as in ReplayFrom.
func (s *Server) CatchUpWith(ctx context.Context, source Source, target gtid.Set, progress func(Replay)) error {
	r := newReplaying(target, progress)
	r.orMore = true
	return wrap("catch up with the primary", s.replay(ctx, source, r))
}

func (s *Server) replay(ctx context.Context, source Source, r *replaying) error {
	if _, err := s.ConfigureChannel(ctx, source, false); err != nil {
		return err
	}
	if err := s.StartApplier(ctx); err != nil {
		return err
	}
	if err := s.StartReceiver(ctx); err != nil {
		return err
	}
	if err := s.awaitReplayed(ctx, r); err != nil {
		return err
	}
	// A source that goes on sends again what was received beyond the target and is not applied.
	return s.ResetReplicaAll(ctx, r.orMore)
}

// awaitEndOf asks a source where it ends, again while nobody answers: what came before took long.
func awaitEndOf(ctx context.Context, source Source) (gtid.Set, error) {
	for begun := time.Now(); ; {
		end, err := endOf(ctx, source)
		if err == nil || errorNumber(err) != 0 || time.Since(begun) > askPatience {
			return end, err
		}
		select {
		case <-ctx.Done():
			return gtid.Set{}, ctx.Err()
		case <-time.After(askPulse):
		}
	}
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

// replaying is a replay as it was seen so far.
type replaying struct {
	target   gtid.Set
	orMore   bool // the source goes on
	progress func(Replay)
	total    uint64
	// answered is when the member answered last, and streamed when its source was there last.
	answered time.Time
	streamed time.Time
}

func newReplaying(target gtid.Set, progress func(Replay)) *replaying {
	if progress == nil {
		progress = func(Replay) {}
	}
	return &replaying{
		target:   target,
		progress: progress,
		answered: time.Now(),
		streamed: time.Now(),
	}
}

// awaitReplayed looks at a replay until it has come to its end.
func (s *Server) awaitReplayed(ctx context.Context, r *replaying) error {
	for {
		status, failed := s.Status(ctx)
		ended, err := r.look(status, failed)
		if ended || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(replayPulse):
		}
	}
}

// look reports whether the member is at the target. A member that is busy may be late with its answer.
func (r *replaying) look(status Status, failed error) (ended bool, err error) {
	if failed != nil {
		if time.Since(r.answered) > replayPatience {
			return false, failed
		}
		return false, nil
	}
	r.answered = time.Now()
	left := r.target.Subtract(status.Executed)
	if left.IsEmpty() && r.orMore {
		return true, nil
	}
	if left.IsEmpty() {
		return true, exactly(r.target, status.Executed)
	}
	r.total = max(r.total, left.Count())
	r.progress(Replay{
		Done:  r.total - left.Count(),
		Total: r.total,
	})
	if status.Channel.Receiver == ReceiverStreaming {
		r.streamed = r.answered
	}
	return false, replayFailure(status.Channel, time.Since(r.streamed))
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
