package archiver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"filippo.io/age"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/gtid"
)

// Options say what is archived, and how.
type Options struct {
	// Members are the servers of the pair.
	Members []Member
	// Alone archives a server that has no passive: the only member, while it is open.
	Alone bool
	// Pair is the UID of the pair, empty if it is not known.
	Pair string
	// Recipients can decrypt the archive; without any it is not encrypted.
	Recipients []age.Recipient
	// Flush is how long the first transaction of a segment waits for others.
	Flush time.Duration
	// Watermark is the time between two segments that say only up to when nothing is missing.
	Watermark time.Duration
	// Retry is the pause before another attempt to find or to read the passive.
	Retry time.Duration
	// Log gets a line for each thing that happens.
	Log *slog.Logger
	// Progress is called with each change, by the goroutine that archives; it may be nil.
	Progress func(Progress)
}

// DefaultOptions are those of the program.
func DefaultOptions() Options {
	return Options{
		Flush:     5 * time.Second,
		Watermark: 5 * time.Minute,
		Retry:     2 * time.Second,
		Log:       slog.New(slog.DiscardHandler),
	}
}

var (
	// ErrNoMember: no member is one that may be read now.
	ErrNoMember = errors.New("no member can be read now")
	// errRoles: the roles have moved since the session began.
	errRoles = errors.New("the roles have changed")
	// ErrFork: the archive has transactions that the pair has given up.
	ErrFork = errors.New("the archive has transactions that this member lacks")
)

// Run archives until ctx ends, which is no error. It goes on after every failure of a server
// and while the store cannot be reached. It returns when the store refuses what it is asked, and
// when another writer uses the archive (archive.ErrForeign).
func Run(ctx context.Context, objects archive.Objects, o Options) error {
	log, err := archive.Resume(ctx, objects, o.Pair)
	if err != nil {
		return err
	}
	r := runner{
		options: o,
		log:     log,
		id:      newServerID(),
	}
	log.Waiting = func(err error) error {
		o.Log.Warn("the store cannot be reached; it is tried again", "error", err)
		r.fails(err)
		return nil
	}
	r.tell()
	o.Log.Info("the archive goes on", "archived", log.All().String())
	var said string
	for {
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.reads("")
		var failure *storeError
		if errors.As(err, &failure) {
			return failure.error
		}
		r.fails(err)
		// It may fail for the same reason for hours.
		if err.Error() != said {
			o.Log.Warn("the reading ended; it begins again", "error", err)
			said = err.Error()
		}
		select {
		case <-time.After(o.Retry):
		case <-ctx.Done():
			return nil
		}
	}
}

// newServerID is one that no member has: their IDs are small.
func newServerID() uint32 {
	var raw [4]byte
	_, _ = rand.Read(raw[:]) // it never fails
	return binary.BigEndian.Uint32(raw[:]) | 1<<31
}

// storeError is an error of the archive, and not of a server.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// runner archives one session after the other.
type runner struct {
	options Options
	log     *archive.Log
	// id is the server ID that the sources see.
	id       uint32
	progress Progress
}

// session reads one member until something ends that. Its two connections end with it: that of
// the queries has to be the same from the first event to the last, so that a server that was
// started again is noticed.
func (r *runner) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now, err := r.choose(ctx)
	if err != nil {
		return err
	}
	if r.log.Fresh() {
		r.log.Start(now.purged)
	}
	if lacking := r.log.All().Subtract(now.known()); !lacking.IsEmpty() {
		return fmt.Errorf("%w: %s has no %s. It may still receive them; if the pair has given them up, archive into a new folder",
			ErrFork, now.member.Address, lacking)
	}
	if missing := now.purged.Subtract(r.log.All()); !missing.IsEmpty() {
		r.options.Log.Error("a gap: no member has these transactions any more", "missing", missing.String())
		gap, err := r.log.Gap(ctx, missing, now.uuid)
		if err != nil {
			return &storeError{err}
		}
		r.progress.Gap = &gap
		r.wrote(time.Time{})
	}
	conn, err := now.member.connect(ctx)
	if err != nil {
		return err
	}
	stream, err := begin(conn, r.log.All(), r.id, min(time.Second, r.options.Flush))
	if err != nil {
		return err
	}
	r.options.Log.Info("reads a member", "address", hostname(now.member.Address), "server", string(now.uuid), "alone", now.free)
	r.reads(hostname(now.member.Address))
	reading := &reading{
		runner: r,
		ctx:    ctx,
		found:  now,
	}
	return reading.run(stream)
}

// reading is what a session archives.
type reading struct {
	*runner

	ctx     context.Context
	found   found
	builder *archive.Builder

	// since is when the first transaction of the next segment came.
	since time.Time
	// written is when the last segment was, and checked when it was last seen that nothing is
	// missing without one.
	written time.Time
	checked time.Time
	// looked is when it was last asked whether the other member is alone, and vouched the moment of the
	// last state after which it was not.
	looked  time.Time
	vouched time.Time
	// goal is what has to be archived for nothing to be missing at the moment reached.
	goal    gtid.Set
	reached time.Time
}

// run archives what comes until that fails; it never returns nil.
func (s *reading) run(stream *dump) error {
	defer stream.end()
	var err error
	if s.builder, err = archive.NewBuilder(s.options.Recipients, s.emit); err != nil {
		return &storeError{err}
	}
	scanner := binlog.NewScanner(s.builder)
	for {
		if err := stream.next(scanner); err != nil {
			return s.explain(err)
		}
		if err := s.due(scanner); err != nil {
			return err
		}
	}
}

// explain says what to do about error 1236, at which a session begins that records the gap.
func (s *reading) explain(err error) error {
	if mysqlCode(err) == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return fmt.Errorf("%w; what it has purged will be recorded as a gap", err)
	}
	return err
}

// due writes a segment when it is time, between two transactions.
func (s *reading) due(scanner *binlog.Scanner) error {
	if !scanner.Outside() {
		return nil
	}
	now := time.Now()
	if s.builder.Pending() > 0 {
		if s.since.IsZero() {
			s.since = now
		}
		if now.Sub(s.since) < s.options.Flush {
			return nil
		}
		return s.builder.Flush()
	}
	if now.Sub(s.written) >= s.options.Watermark {
		return s.emit(archive.Draft{})
	}
	if now.Sub(s.checked) >= s.options.Flush {
		return s.check()
	}
	return nil
}

// check finds out, without writing a segment, whether the store has everything.
func (s *reading) check() error {
	s.checked = time.Now()
	now, err := s.settled(gtid.Set{})
	if err == nil {
		s.goesOn(s.complete(now, gtid.Set{}))
	}
	return err
}

// complete is a moment up to which nothing is missing once some transactions are archived, zero if
// there is none yet: what the server had at a moment may be still to come.
func (s *reading) complete(now state, adds gtid.Set) time.Time {
	if s.reached.IsZero() && now.current() && now.at.Equal(s.vouched) {
		s.goal = now.known()
		s.reached = now.at
	}
	if !s.log.All().Union(adds).Covers(s.goal) {
		return time.Time{}
	}
	complete := s.reached
	s.reached = time.Time{}
	return complete
}

// emit writes a segment, if its transactions may be archived.
func (s *reading) emit(d archive.Draft) error {
	s.since = time.Time{}
	s.written = time.Now()
	if d.More {
		return s.append(d, time.Time{})
	}
	if d.Transactions == 0 {
		s.looked = time.Time{} // it is written to say that nothing is missing
	}
	now, err := s.settled(d.Adds)
	if err != nil {
		return err
	}
	complete := s.complete(now, d.Adds)
	if d.Transactions == 0 && complete.IsZero() {
		return nil // nothing to say yet
	}
	return s.append(d, complete)
}

func (s *reading) append(d archive.Draft, complete time.Time) error {
	if err := s.log.Append(s.ctx, d, s.found.uuid, complete); err != nil {
		return &storeError{err}
	}
	s.wrote(complete)
	return nil
}

const (
	// settleLimit is how long a server may take to execute what it has sent.
	settleLimit = 30 * time.Second
	settlePause = 10 * time.Millisecond
)

// settled waits until the server has executed transactions that it has sent. It fails if the
// server may not be read any more: then they are read again from another.
func (s *reading) settled(adds gtid.Set) (state, error) {
	for deadline := time.Now().Add(settleLimit); ; {
		now, err := observe(s.found.queries)
		if err != nil {
			return state{}, err
		}
		if err := (sight{state: now, free: s.found.free}).fit(); err != nil || now.uuid != s.found.uuid {
			return state{}, fmt.Errorf("%w: %w", errRoles, err)
		}
		if now.executed.Covers(adds) {
			return now, s.lookElsewhere(now)
		}
		if time.Now().After(deadline) {
			return state{}, fmt.Errorf("the server has sent %s and does not execute it", adds.Subtract(now.executed))
		}
		select {
		case <-time.After(settlePause):
		case <-s.ctx.Done():
			return state{}, s.ctx.Err()
		}
	}
}
