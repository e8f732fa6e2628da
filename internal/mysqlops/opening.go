package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/mycnf"
)

// maxPendingHeartbeats bounds the commits that heartbeats leave waiting.
const maxPendingHeartbeats = 4

// infiniteWait is the longest semi-sync timeout, in milliseconds: 49 days,
// and with every look of the agent the setting is verified anyway.
const infiniteWait = "4294967295"

var waitingOn = []string{
	"SET GLOBAL rpl_semi_sync_source_timeout = " + infiniteWait,
	"SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
	"SET GLOBAL rpl_semi_sync_source_wait_for_replica_count = 1",
	"SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC",
	"SET GLOBAL rpl_semi_sync_source_enabled = ON",
}

func (s *Server) openReadWrite(ctx context.Context, closed []mycnf.Expectation, waiting bool) error {
	const operation = "open for writes"
	status, err := s.Status(ctx)
	if err != nil {
		return wrap(operation, err)
	}
	if !status.IsClosed() && !status.IsReadable() {
		return wrap(operation, ErrNotClosed)
	}
	differences, err := s.verifyOwned(ctx, closed)
	if err != nil {
		return wrap(operation, err)
	}
	if status.IsReadable() {
		// Its readers stay: they lose nothing by the opening.
		differences = slices.DeleteFunc(differences, func(d Difference) bool { return d.Variable == "offline_mode" })
	}
	if len(differences) > 0 {
		return wrap(operation, &DriftError{Differences: differences})
	}
	if err = s.switchWaiting(ctx, waiting); err != nil {
		return wrap(operation, err)
	}
	err = s.execAll(ctx, operation,
		"SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF", "SET GLOBAL offline_mode = OFF", "SET GLOBAL event_scheduler = ON")
	if err == nil {
		err = s.confirmOpen(ctx, waiting)
	}
	if err != nil {
		// The caller's context may be what failed; closing must not depend on it.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeouts.Change)
		defer cancel()
		return errors.Join(wrap(operation, err), s.execAll(back, "close again",
			"SET GLOBAL event_scheduler = OFF", "SET GLOBAL offline_mode = ON", "SET GLOBAL super_read_only = ON"))
	}
	return nil
}

func (s *Server) switchWaiting(ctx context.Context, on bool) error {
	if on {
		return s.startWaiting(ctx)
	}
	return s.stopWaiting(ctx, 0)
}

func (s *Server) confirmOpen(ctx context.Context, waiting bool) error {
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	readOnly := status.ReadOnly || status.SuperReadOnly
	if readOnly || status.OfflineMode || status.SemiSync.SourceEnabled != waiting {
		return fmt.Errorf("%w: read_only %t, super_read_only %t, offline_mode %t, waiting %t after opening",
			ErrNotAsOwned, status.ReadOnly, status.SuperReadOnly, status.OfflineMode, status.SemiSync.SourceEnabled)
	}
	return nil
}

func (s *Server) openReadOnly(ctx context.Context) error {
	const operation = "open for reads"
	if _, err := s.keepReadOnly(ctx); err != nil {
		return wrap(operation, err)
	}
	return s.execAll(ctx, operation, "SET GLOBAL offline_mode = OFF")
}

func (s *Server) keepReadOnly(ctx context.Context) (Correction, error) {
	const operation = "keep read only"
	var found Correction
	look := func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only").Scan(&found.ReadOnly, &found.SuperReadOnly)
	}
	if err := s.read(ctx, look); err != nil {
		return Correction{}, wrap(operation, err)
	}
	if found.ReadOnly && found.SuperReadOnly {
		return Correction{}, nil
	}
	found.Needed = true
	return found, s.execAll(ctx, operation, "SET GLOBAL super_read_only = ON", "SET GLOBAL event_scheduler = OFF")
}

func (s *Server) keepWritable(ctx context.Context) (Correction, error) {
	const operation = "keep writable"
	look := func() (c Correction, err error) {
		err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
			return conn.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.offline_mode").
				Scan(&c.ReadOnly, &c.SuperReadOnly, &c.OfflineMode)
		})
		c.Needed = c.ReadOnly || c.SuperReadOnly || c.OfflineMode
		return c, err
	}
	found, err := look()
	if err != nil {
		return Correction{}, wrap(operation, err)
	}
	if !found.Needed {
		return Correction{}, nil
	}
	err = s.execAll(ctx, operation,
		"SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF", "SET GLOBAL offline_mode = OFF")
	if err != nil {
		return found, err
	}
	if now, err := look(); err != nil || now.Needed {
		return found, wrap(operation, errors.Join(err, ErrReadOnly))
	}
	return found, nil
}

// forceWaiting ends the state in which mysqld has given up to wait: switching on what is on
// already does not, and commits pass until the replica has caught up. Nothing is released by
// it that waits.
var forceWaiting = []string{
	"SET GLOBAL rpl_semi_sync_source_wait_no_replica = OFF",
	"SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
}

func (s *Server) startWaiting(ctx context.Context) error {
	const operation = "start waiting for acknowledgements"
	if err := s.execAll(ctx, operation, waitingOn...); err != nil {
		return err
	}
	for _, more := range [][]string{forceWaiting, nil} {
		var status Status
		look := func(ctx context.Context, conn *sql.Conn) error { return observeCounters(ctx, conn, &status) }
		if err := s.read(ctx, look); err != nil {
			return wrap(operation, err)
		}
		if status.SemiSync.Waits() {
			return nil
		}
		if err := s.execAll(ctx, operation, more...); err != nil {
			return err
		}
	}
	return wrap(operation, fmt.Errorf("%w: commits do not wait after it was switched on", ErrNotAsOwned))
}

func (s *Server) stopWaiting(ctx context.Context, soloVersion uint64) error {
	const operation = "stop waiting for acknowledgements"
	if soloVersion == 0 {
		status, err := s.Status(ctx)
		switch {
		case err != nil:
			return wrap(operation, err)
		case !status.SemiSync.SourceEnabled:
			return nil
		case status.IsOpen():
			return wrap(operation, ErrNotClosed)
		case status.SemiSync.WaitSessions > 0:
			return wrap(operation, ErrCommitsWaiting)
		}
	}
	return s.execAll(ctx, operation, "SET GLOBAL rpl_semi_sync_source_enabled = OFF")
}

func (s *Server) releaseApplier(ctx context.Context) error {
	const operation = "release the applier"
	return wrap(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var closed bool
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.super_read_only").Scan(&closed); err != nil {
			return err
		}
		if !closed {
			return ErrNotClosed
		}
		_, err := conn.ExecContext(ctx, "SET GLOBAL rpl_semi_sync_source_enabled = OFF")
		return err
	}))
}

const heartbeatTable = "CREATE TABLE IF NOT EXISTS `" + SchemaOwn + "`.heartbeat (" +
	"ordinal TINYINT UNSIGNED NOT NULL PRIMARY KEY, beats BIGINT UNSIGNED NOT NULL, at TIMESTAMP(6) NOT NULL) ENGINE = InnoDB"

func (s *Server) commitHeartbeat(ctx context.Context, ordinal int) error {
	const operation = "commit heartbeat"
	select {
	case s.heartbeats <- struct{}{}:
	default:
		return wrap(operation, ErrCommitsWaiting)
	}
	defer func() { <-s.heartbeats }()
	beat := func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "INSERT INTO `"+SchemaOwn+"`.heartbeat VALUES (?, 1, NOW(6)) "+
			"ON DUPLICATE KEY UPDATE beats = beats + 1, at = NOW(6)", ordinal)
		return err
	}
	err := s.change(ctx, beat)
	if number := errorNumber(err); number == errNoSuchTable || number == errUnknownDatabase {
		err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
			if err := execEach(ctx, conn, "CREATE DATABASE IF NOT EXISTS `"+SchemaOwn+"`", heartbeatTable); err != nil {
				return err
			}
			return beat(ctx, conn)
		})
	}
	return wrap(operation, err)
}

// waitAppliedOnce looks and, when something is missing, waits in mysqld for
// up to a quarter of a second.
func (s *Server) waitAppliedOnce(ctx context.Context, set interface{ String() string }) (bool, error) {
	var missing int
	err := s.within(ctx, s.pool, s.cfg.Timeouts.Read+time.Second, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 0.25)", set.String()).Scan(&missing)
	})
	if err != nil || missing == 0 {
		return err == nil, err
	}
	status, err := s.Status(ctx)
	if err != nil {
		return false, err
	}
	if failure := status.Channel.ApplierError; failure.Number != 0 && !status.Channel.ApplierRunning {
		return false, fmt.Errorf("%w: %d %s", ErrApplier, failure.Number, failure.Message)
	}
	return false, nil
}
