package tablesql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Executed returns the transactions that are visible on the member, in the
// server's notation.
func (s *Session) Executed(ctx context.Context) (string, error) {
	row, err := s.Row(ctx, "SELECT @@GLOBAL.gtid_executed")
	if err != nil {
		return "", err
	}
	return row[0], nil
}

// AwaitExecuted waits until the member has executed set, and reports whether
// it did within limit.
func (s *Session) AwaitExecuted(ctx context.Context, set string, limit time.Duration) (bool, error) {
	row, err := s.Row(ctx, fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %.6f)", Text(set), max(limit, time.Millisecond).Seconds()))
	if err != nil {
		return false, err
	}
	return row[0] == "0", nil
}

// Role is what a member says of itself.
type Role struct {
	UUID string
	// ReadOnly is super_read_only.
	ReadOnly bool
	// Source is the server it replicates from, empty without a channel.
	Source string
	// Applying is whether its applier runs.
	Applying bool
}

// Role looks at the member.
func (s *Session) Role(ctx context.Context) (Role, error) {
	row, err := s.Row(ctx, `SELECT @@GLOBAL.server_uuid, @@GLOBAL.super_read_only,
		(SELECT MAX(SOURCE_UUID) FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = ''),
		(SELECT MAX(SERVICE_STATE) FROM performance_schema.replication_applier_status WHERE CHANNEL_NAME = '')`)
	if err != nil {
		return Role{}, err
	}
	return Role{
		UUID:     row[0],
		ReadOnly: row[1] == "1",
		Source:   row[2],
		Applying: row[3] == "ON",
	}, nil
}

// Failure is why a member's applier stopped; Number is zero while it has not.
type Failure struct {
	Number  int
	Message string
}

// Numbers of the errors at which a strict applier stops and a lenient one goes on.
const (
	noSuchRow    = 1032
	duplicateRow = 1062
)

// IsAboutRowOf reports whether the applier stopped at a row of the table that is missing or
// there already.
func (f Failure) IsAboutRowOf(name TableName) bool {
	return (f.Number == noSuchRow || f.Number == duplicateRow) && strings.Contains(f.Message, " event on table "+name.String()+"; ")
}

// ApplierFailure reads why the applier of the channel stopped.
func (s *Session) ApplierFailure(ctx context.Context) (Failure, error) {
	var failure Failure
	// With several workers the others stop because of the first: its error is the one.
	err := s.Rows(ctx, `SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker w
		JOIN performance_schema.replication_applier_status a USING (CHANNEL_NAME)
		WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0 AND a.SERVICE_STATE = 'OFF'
		ORDER BY LAST_ERROR_NUMBER IN (1032, 1062) DESC, LAST_ERROR_TIMESTAMP LIMIT 1`, func(row []sql.RawBytes) (err error) {
		failure.Message = string(row[1])
		failure.Number, err = strconv.Atoi(string(row[0]))
		return err
	})
	return failure, err
}

// Pressure is how busy a member is.
type Pressure struct {
	// Lag is the age of the oldest received transaction that is not applied.
	Lag time.Duration
	// Active counts sessions of clients that began a statement within the last second or
	// two, or are in one and do not wait in it: for the passive's acknowledgement, for the
	// disk at a commit, for a lock. Root on the socket, which the agent uses all the time,
	// counts only while it is in one.
	Active int
	// History is the length of InnoDB's history list.
	History int64
}

// Pressure looks at the member.
func (s *Session) Pressure(ctx context.Context) (Pressure, error) {
	row, err := s.Row(ctx, `SELECT
		(SELECT IF(GTID_SUBTRACT(MAX(RECEIVED_TRANSACTION_SET), @@GLOBAL.gtid_executed) = '', 0,
			GREATEST(0, COALESCE((SELECT TIMESTAMPDIFF(MICROSECOND, MIN(NULLIF(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, 0)), NOW(6))
				FROM performance_schema.replication_applier_status_by_worker WHERE CHANNEL_NAME = ''), 0)))
			FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = ''),
		(SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_COMMAND NOT IN ('Daemon', 'Binlog Dump', 'Binlog Dump GTID')
			AND CONNECTION_TYPE IS NOT NULL AND PROCESSLIST_USER NOT LIKE 'dbpair\_%'
			AND (PROCESSLIST_COMMAND <> 'Sleep' AND COALESCE(LOWER(PROCESSLIST_STATE), '') NOT LIKE 'waiting%'
				OR PROCESSLIST_TIME <= 1 AND NOT (PROCESSLIST_USER = 'root' AND CONNECTION_TYPE = 'Socket'))),
		(SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len')`)
	if err != nil {
		return Pressure{}, err
	}
	lag, _ := strconv.ParseInt(row[0], 10, 64) // NULL without a channel
	active, err := strconv.Atoi(row[1])
	if err != nil {
		return Pressure{}, fmt.Errorf("read threads of %s: %w", s.member.Member, err)
	}
	history, _ := strconv.ParseInt(row[2], 10, 64) // no row where the metric is switched off
	return Pressure{
		Lag:     time.Duration(lag) * time.Microsecond,
		Active:  active,
		History: history,
	}, nil
}
