package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// EndApplying stops the applier of a member that has applied everything it received, and
// empties its relay log. What is left there then is at most the beginning of a transaction
// whose source ended while it sent it: the applier holds its GTID and its row locks for as
// long as the receiver stays away, so a member must not be opened beside it. Stopping it
// rolls that transaction back.
//
// It fails with ErrReceiving while the receiver runs and with ErrUnapplied while something
// received is not applied. A member without a channel is success. It is idempotent, and
// replaces the relay log each time.
func (s *Server) EndApplying(ctx context.Context) error {
	const operation = "end applying"
	status, err := s.Status(ctx)
	if err != nil {
		return wrap(operation, err)
	}
	left := status.Received.Subtract(status.Executed)
	switch {
	case !status.Channel.Configured:
		return nil
	case status.Channel.Receiver != ReceiverStopped:
		return wrap(operation, ErrReceiving)
	case !left.IsEmpty():
		return fmt.Errorf("%s: %w: %s", operation, ErrUnapplied, left)
	}
	if err := s.stopApplierInHalf(ctx); err != nil {
		return wrap(operation, err)
	}
	return s.emptyRelayLog(ctx, operation)
}

// emptyRelayLog has mysqld replace the relay log, which it does at any change of a channel
// whose threads both stand still. (RESET REPLICA leaves a channel behind that does not start
// again while super_read_only is on.) A short run of the applier on the new relay log takes
// away the error that a killed coordinator leaves. It has one worker, since mysqld writes a row
// for each when it starts: 64 took 0.15 to 0.25 s of a switchover, one takes 5 ms.
func (s *Server) emptyRelayLog(ctx context.Context, operation string) error {
	return wrap(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var workers int
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.replica_parallel_workers").Scan(&workers); err != nil {
			return err
		}
		err := execEach(ctx, conn,
			"SET GLOBAL replica_parallel_workers = 1",
			"CHANGE REPLICATION SOURCE TO SOURCE_CONNECT_RETRY = 1",
			"START REPLICA SQL_THREAD",
			"STOP REPLICA SQL_THREAD")
		// Also when the time was up, which ends the connection: the applier must not go on with one worker.
		return errors.Join(err, s.setApplierWorkers(context.WithoutCancel(ctx), workers))
	}))
}

func (s *Server) setApplierWorkers(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Change)
	defer cancel()
	_, err := s.pool.ExecContext(ctx, fmt.Sprintf("SET GLOBAL replica_parallel_workers = %d", n))
	return err
}

// stopApplierInHalf stops the applier also in the middle of a transaction. STOP REPLICA
// alone waits up to a minute for the rest of such a transaction; the coordinator whose
// session is killed does not.
func (s *Server) stopApplierInHalf(ctx context.Context) error {
	const grace = 200 * time.Millisecond // an idle applier has stopped long before
	began := time.Now()
	return s.stopApplierBy(ctx, func(ctx context.Context) (bool, error) {
		half, err := s.appliesByHalf(ctx)
		return half || time.Since(began) > grace, err
	}, coordinatorThread)
}

// Names of the applier's threads in performance_schema.
const (
	coordinatorThread = "thread/sql/replica_sql"
	workerThread      = "thread/sql/replica_worker"
)

// stopApplierBy stops the applier and kills these of its threads again and again as soon as
// that is due, until it has stopped.
func (s *Server) stopApplierBy(ctx context.Context, due func(context.Context) (bool, error), threads ...string) error {
	const pulse = 10 * time.Millisecond
	stopped := make(chan error, 1)
	go func() { stopped <- s.StopApplier(ctx) }()
	for {
		select {
		case err := <-stopped:
			return err
		case <-time.After(pulse):
		}
		kill, err := due(ctx)
		if err == nil && kill {
			err = s.killThreads(ctx, threads)
		}
		if err != nil {
			return errors.Join(err, <-stopped)
		}
	}
}

func (s *Server) appliesByHalf(ctx context.Context) (bool, error) {
	var status Status
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error { return observeGlobals(ctx, conn, &status) })
	return !status.Applying.IsEmpty(), err
}

// killThreads ends threads of the applier by their names; one that has stopped is no error.
func (s *Server) killThreads(ctx context.Context, names []string) error {
	return s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var threads []session
		for _, name := range names {
			rows, err := conn.QueryContext(ctx,
				"SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE NAME = ? AND PROCESSLIST_ID IS NOT NULL", name)
			if err != nil {
				return err
			}
			err = eachRow(rows, func() error {
				var one session
				err := rows.Scan(&one.id)
				threads = append(threads, one)
				return err
			})
			if err != nil {
				return err
			}
		}
		_, err := killSessions(ctx, conn, threads)
		return err
	})
}
