package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// walk is one run along the fence path: the sessions that still answer, and
// what was reached.
type walk struct {
	server *Server
	conns  []*sql.Conn
	result Fenced
}

func (s *Server) walkFence(ctx context.Context) (Fenced, error) {
	w := &walk{server: s, conns: s.fence.take()}
	defer func() { s.fence.giveBack(w.conns) }()
	if len(w.conns) == 0 {
		return Fenced{}, wrap("fence", ErrNotWarm)
	}
	w.step(ctx, "offline_mode", statement("SET GLOBAL offline_mode = ON"))
	w.step(ctx, "super_read_only", statement("SET GLOBAL super_read_only = ON"))
	w.step(ctx, "sessions", w.cutSessions)
	w.step(ctx, "read back", w.readBack)
	// Events can not write any more; this only keeps them from trying, and
	// brings the setting to what a closed member has.
	w.step(ctx, "event_scheduler", statement("SET GLOBAL event_scheduler = OFF"))
	return w.result, nil
}

func statement(text string) func(context.Context, *sql.Conn) error {
	return func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, text)
		return err
	}
}

// step runs fn on the next session that answers. One that misses the deadline
// is given up: the driver has cut it, while mysqld goes on with the statement,
// which is what a fence wants.
func (w *walk) step(ctx context.Context, name string, fn func(context.Context, *sql.Conn) error) {
	began := time.Now()
	err := ErrNotWarm
	for len(w.conns) > 0 {
		conn := w.conns[0]
		one, cancel := context.WithTimeout(ctx, w.server.cfg.Timeouts.Fence)
		err = preferContext(one, fn(one, conn))
		missed := one.Err() != nil
		cancel()
		lost := errors.Is(classify(err), ErrConnectionLost)
		if missed || lost {
			w.conns = w.conns[1:]
			_ = conn.Close()
		}
		if !lost || missed {
			break
		}
	}
	w.result.Steps = append(w.result.Steps, FenceStep{
		Name: name,
		Took: time.Since(began),
		Err:  wrap(name, err),
	})
}

// cutSessions ends what offline mode leaves: sessions whose rights pass it.
// Binlog readers stay, since a planned change of roles needs the last
// transactions to flow out.
func (w *walk) cutSessions(ctx context.Context, conn *sql.Conn) error {
	const rounds = 3 // a session that logs in while others are cut is met by the next
	for range rounds {
		all, err := listSessions(ctx, conn, w.server.nonce)
		if err != nil {
			return err
		}
		clients := choose(all, session.isClient)
		if len(clients) == 0 {
			return nil
		}
		killed, err := killSessions(ctx, conn, clients)
		w.result.Killed += killed
		if err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// readBack polls, inside its deadline, until the killed sessions are gone.
func (w *walk) readBack(ctx context.Context, conn *sql.Conn) error {
	deadline, _ := ctx.Deadline()
	for {
		var status Status
		for _, look := range []func(context.Context, *sql.Conn, *Status) error{
			w.server.observeSessions, observeCounters, observeGlobals,
		} {
			if err := look(ctx, conn, &status); err != nil {
				return err
			}
		}
		r := &w.result
		r.ReRead = true
		r.OfflineMode = status.OfflineMode
		r.ReadOnly = status.ReadOnly
		r.SuperReadOnly = status.SuperReadOnly
		r.ClientSessions = status.Sessions.Clients
		r.Executed = status.Executed
		r.Binlog = status.Binlog
		if err := w.readWaiting(ctx, conn, status.SemiSync.WaitSessions); err != nil {
			return err
		}
		const reserve = 200 * time.Millisecond // of the deadline, for one more look
		if r.ClientSessions == 0 || time.Until(deadline) < reserve {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// readWaiting reads the number of waiting commits a second time. One that is in the
// binlog and not counted yet cannot be: super_read_only, read before, is set only when no
// commit is under way.
func (w *walk) readWaiting(ctx context.Context, conn *sql.Conn, first int) error {
	var again Status
	if err := observeCounters(ctx, conn, &again); err != nil {
		return err
	}
	w.result.WaitingCommits = max(first, again.SemiSync.WaitSessions)
	return nil
}

func (s *Server) cutForeignDumpThreads(ctx context.Context, account string, peer gtid.ServerUUID) ([]DumpThread, error) {
	var cut []DumpThread
	err := s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		foreign := choose(all, func(one session) bool {
			return one.isDump() && one.dumpThread().IsForeign(account, peer)
		})
		for _, one := range foreign {
			cut = append(cut, one.dumpThread())
		}
		_, err = killSessions(ctx, conn, foreign)
		return err
	})
	return cut, wrap("cut foreign binlog readers", err)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
