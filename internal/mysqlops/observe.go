package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

// Status looks at the member once, in five short statements on one session.
// All of them answer while commits wait for an acknowledgement: they read
// global variables and mysqld's own tables, never the binlog or the accounts.
func (s *Server) Status(ctx context.Context) (Status, error) {
	var status Status
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, look := range []func(context.Context, *sql.Conn, *Status) error{
			observeGlobals, observeCounters, observeReceiver, observeApplier, s.observeSessions,
		} {
			if err := look(ctx, conn, &status); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Status{}, wrap("read status", err)
	}
	return status, nil
}

// observeGlobals reads gtid_owned before gtid_executed: a transaction moves
// from the first to the second in one step when it commits, so that in this
// order none that is in the binlog is missed in both.
func observeGlobals(ctx context.Context, conn *sql.Conn, status *Status) error {
	var owned, executed, purged, uuid string
	var appliers sql.NullString
	if err := conn.QueryRowContext(ctx, ownedQuery).Scan(&owned, &appliers); err != nil {
		return err
	}
	err := conn.QueryRowContext(ctx, `SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged, @@GLOBAL.version, @@GLOBAL.server_uuid,
		@@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.offline_mode, @@GLOBAL.event_scheduler = 'ON'`).
		Scan(&executed, &purged, &status.Version, &uuid,
			&status.ReadOnly, &status.SuperReadOnly, &status.OfflineMode, &status.EventScheduler)
	if err != nil {
		return err
	}
	if status.ServerUUID, err = gtid.ParseServerUUID(uuid); err != nil {
		return err
	}
	if status.Executed, err = gtid.Parse(executed); err != nil {
		return err
	}
	if status.Purged, err = gtid.Parse(purged); err != nil {
		return err
	}
	committing, applying, err := splitOwned(owned, appliers.String)
	if err != nil {
		return err
	}
	status.Binlog = status.Executed.Union(committing)
	status.Applying = applying
	status.Received = status.Executed
	return nil
}

// ownedQuery reads the GTIDs that sessions own, and which of the sessions are threads of
// the applier. An applier owns the GTID of a transaction from its first event on, long
// before it is in the binlog, and for good when the rest of it never comes.
const ownedQuery = `SELECT @@GLOBAL.gtid_owned, (SELECT JSON_ARRAYAGG(PROCESSLIST_ID) FROM performance_schema.threads
	WHERE NAME IN ('thread/sql/replica_worker', 'thread/sql/replica_sql') AND PROCESSLIST_ID IS NOT NULL)`

// observeCounters reads semi-sync. The settings do not come from
// performance_schema.global_variables: that table does not answer while a
// CREATE USER waits for its acknowledgement.
func observeCounters(ctx context.Context, conn *sql.Conn, status *Status) error {
	rows, err := conn.QueryContext(ctx, `SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME IN
		('Uptime', 'Threads_running', 'Rpl_semi_sync_source_status', 'Rpl_semi_sync_source_clients', 'Rpl_semi_sync_source_wait_sessions',
		'Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_yes_tx', 'Rpl_semi_sync_replica_status')`)
	if err != nil {
		return err
	}
	values := make(map[string]string)
	err = eachRow(rows, func() error {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		values[name] = value
		return nil
	})
	if err != nil {
		return err
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(values[name]) // a variable that is not there counts nothing
		return n
	}
	status.Uptime = time.Duration(number("Uptime")) * time.Second
	status.Sessions.ThreadsRunning = number("Threads_running")
	status.SemiSync.SourceActive = values["Rpl_semi_sync_source_status"] == "ON"
	status.SemiSync.ReplicaActive = values["Rpl_semi_sync_replica_status"] == "ON"
	status.SemiSync.WaitSessions = number("Rpl_semi_sync_source_wait_sessions")
	status.SemiSync.Clients = number("Rpl_semi_sync_source_clients")
	status.SemiSync.Acknowledged = number("Rpl_semi_sync_source_yes_tx")
	status.SemiSync.Interruptions = number("Rpl_semi_sync_source_no_times")
	err = conn.QueryRowContext(ctx, `SELECT @@GLOBAL.rpl_semi_sync_source_enabled, @@GLOBAL.rpl_semi_sync_replica_enabled,
		@@GLOBAL.rpl_semi_sync_source_timeout = `+infiniteWait+` AND @@GLOBAL.rpl_semi_sync_source_wait_no_replica
			AND @@GLOBAL.rpl_semi_sync_source_wait_for_replica_count = 1 AND @@GLOBAL.rpl_semi_sync_source_wait_point = 'AFTER_SYNC'`).
		Scan(&status.SemiSync.SourceEnabled, &status.SemiSync.ReplicaEnabled, &status.SemiSync.SourceStrict)
	if errorNumber(err) == errUnknownVariable {
		return nil // a server without the plugins waits for nobody
	}
	return err
}

func observeReceiver(ctx context.Context, conn *sql.Conn, status *Status) error {
	channel := &status.Channel
	var service, uuid, received string
	var failed, heartbeat sql.NullTime
	err := conn.QueryRowContext(ctx, `SELECT c.HOST, c.PORT, c.USER, s.SERVICE_STATE, s.SOURCE_UUID, s.RECEIVED_TRANSACTION_SET,
		s.LAST_ERROR_NUMBER, s.LAST_ERROR_MESSAGE, `+timeOrNull("s.LAST_ERROR_TIMESTAMP")+`,
		s.COUNT_RECEIVED_HEARTBEATS, `+timeOrNull("s.LAST_HEARTBEAT_TIMESTAMP")+`
		FROM performance_schema.replication_connection_configuration c
		JOIN performance_schema.replication_connection_status s USING (CHANNEL_NAME) WHERE c.CHANNEL_NAME = ''`).
		Scan(&channel.SourceHost, &channel.SourcePort, &channel.SourceUser, &service, &uuid, &received,
			&channel.ReceiverError.Number, &channel.ReceiverError.Message, nullTime{&failed},
			&channel.Heartbeats, nullTime{&heartbeat})
	if errors.Is(err, sql.ErrNoRows) || (err == nil && channel.SourceHost == "") {
		*channel = ChannelStatus{Receiver: ReceiverStopped}
		return nil
	}
	if err != nil {
		return err
	}
	channel.Configured = true
	channel.ReceiverError.Time = failed.Time
	channel.LastHeartbeat = heartbeat.Time
	channel.Receiver = map[string]ReceiverState{"ON": ReceiverStreaming, "CONNECTING": ReceiverConnecting}[service]
	if channel.Receiver == "" {
		channel.Receiver = ReceiverStopped
	}
	if uuid != "" {
		if channel.SourceUUID, err = gtid.ParseServerUUID(uuid); err != nil {
			return err
		}
	}
	set, err := gtid.Parse(received)
	if err != nil {
		return err
	}
	status.Received = status.Executed.Union(set)
	return nil
}

// observeApplier reads how far the applier is. Its age is that of the oldest transaction that a worker
// applies, or of the one that the coordinator hands out when no worker has one at that moment.
func observeApplier(ctx context.Context, conn *sql.Conn, status *Status) error {
	if !status.Channel.Configured {
		return nil
	}
	rows, err := conn.QueryContext(ctx, `SELECT a.SERVICE_STATE = 'ON', e.LAST_ERROR_NUMBER, e.LAST_ERROR_MESSAGE,
		`+timeOrNull("e.LAST_ERROR_TIMESTAMP")+`,
		TIMESTAMPDIFF(MICROSECOND, COALESCE(
			(SELECT MIN(NULLIF(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, 0))
				FROM performance_schema.replication_applier_status_by_worker WHERE CHANNEL_NAME = ''),
			(SELECT NULLIF(PROCESSING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, 0)
				FROM performance_schema.replication_applier_status_by_coordinator WHERE CHANNEL_NAME = '')), NOW(6))
		FROM performance_schema.replication_applier_status a LEFT JOIN (
			SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE, LAST_ERROR_TIMESTAMP FROM performance_schema.replication_applier_status_by_worker
				WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0
			UNION ALL SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE, LAST_ERROR_TIMESTAMP
				FROM performance_schema.replication_applier_status_by_coordinator
				WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0) e ON TRUE
		WHERE a.CHANNEL_NAME = '' LIMIT 1`)
	if err != nil {
		return err
	}
	channel := &status.Channel
	left := status.Received.Subtract(status.Executed)
	channel.LagTransactions = left.Count()
	return eachRow(rows, func() error {
		var number, age sql.NullInt64
		var message sql.NullString
		var failed sql.NullTime
		if err := rows.Scan(&channel.ApplierRunning, &number, &message, nullTime{&failed}, &age); err != nil {
			return err
		}
		channel.ApplierError = ChannelError{
			Number:  int(number.Int64),
			Message: message.String,
			Time:    failed.Time,
		}
		if channel.LagTransactions > 0 && age.Int64 > 0 {
			channel.Lag = time.Duration(age.Int64) * time.Microsecond
		}
		return nil
	})
}

// ackWait matches the stage of a commit that waits for its acknowledgement,
// under the names of all supported versions.
const ackWait = "'stage/semisync/Waiting for semi-sync ACK from replica', 'stage/semisync/Waiting for semi-sync ACK from slave'"

// observeSessions tells four kinds apart: readers of the binlog, this agent,
// the accounts of dbpair, and clients. Rows of mysqld's own threads have no
// session or no account.
func (s *Server) observeSessions(ctx context.Context, conn *sql.Conn, status *Status) error {
	rows, err := conn.QueryContext(ctx, sessionsQuery, s.nonce)
	if err != nil {
		return err
	}
	readers := false
	err = eachRow(rows, func() error {
		one, err := scanSession(rows)
		if err != nil {
			return err
		}
		readers = readers || (one.isDump() && one.user != UserReplication)
		status.SemiSync.OldestWait = max(status.SemiSync.OldestWait, one.ackWait)
		switch {
		case one.isDump():
			status.DumpThreads = append(status.DumpThreads, one.dumpThread())
		case one.isClient():
			status.Sessions.Clients++
			if one.busy {
				status.Sessions.InTransaction++
			}
			if one.isJob() {
				status.Sessions.Jobs++
			}
		}
		return nil
	})
	if err != nil || !readers {
		return err
	}
	return observeReaders(ctx, conn, status)
}

// observeReaders reads of the readers of the binary logs what is not in the table threads.
func observeReaders(ctx context.Context, conn *sql.Conn, status *Status) error {
	rows, err := conn.QueryContext(ctx, `SELECT ID, COALESCE(HOST, ''), COALESCE(TIME, 0), COALESCE(STATE, '')
		FROM performance_schema.processlist WHERE COMMAND LIKE 'Binlog Dump%'`)
	if err != nil {
		return err
	}
	return eachRow(rows, func() error {
		var id, seconds int64
		var host, state string
		if err := rows.Scan(&id, &host, &seconds, &state); err != nil {
			return err
		}
		i := slices.IndexFunc(status.DumpThreads, func(d DumpThread) bool { return d.SessionID == id })
		if i < 0 {
			return nil
		}
		d := &status.DumpThreads[i]
		if _, port, err := net.SplitHostPort(host); err == nil {
			d.Port, _ = strconv.Atoi(port) // mysqld's own text
		}
		d.Since = time.Duration(seconds) * time.Second
		d.CaughtUp = strings.Contains(state, "has sent all binlog")
		return nil
	})
}

func eachRow(rows *sql.Rows, scan func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// timeOrNull turns MySQL's zero timestamp into NULL.
func timeOrNull(column string) string {
	return fmt.Sprintf("NULLIF(%s, 0)", column)
}

// nullTime scans MySQL's text form of a UTC timestamp.
type nullTime struct{ into *sql.NullTime }

// Scan implements sql.Scanner.
func (t nullTime) Scan(value any) error {
	text, ok := value.([]byte)
	if !ok {
		return nil
	}
	parsed, err := time.ParseInLocation("2006-01-02 15:04:05", string(text), time.UTC)
	if err != nil {
		return err
	}
	*t.into = sql.NullTime{Time: parsed, Valid: true}
	return nil
}
