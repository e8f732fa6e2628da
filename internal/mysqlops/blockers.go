package mysqlops

import (
	"context"
	"database/sql"
)

// blockersQuery lists the sessions of others that hold, or queue for, something that the
// applier waits for: a metadata lock (a transaction that has read a table, LOCK TABLES, a
// global read lock, a backup lock), or a row lock.
const blockersQuery = `WITH applier AS (
	SELECT THREAD_ID FROM performance_schema.threads WHERE NAME IN ('thread/sql/replica_worker', 'thread/sql/replica_sql'))
	SELECT t.PROCESSLIST_ID FROM performance_schema.metadata_locks w
		JOIN performance_schema.metadata_locks h ON h.OBJECT_TYPE = w.OBJECT_TYPE AND h.OBJECT_SCHEMA <=> w.OBJECT_SCHEMA
			AND h.OBJECT_NAME <=> w.OBJECT_NAME AND h.OWNER_THREAD_ID <> w.OWNER_THREAD_ID
		JOIN performance_schema.threads t ON t.THREAD_ID = h.OWNER_THREAD_ID
		WHERE w.LOCK_STATUS = 'PENDING' AND w.OWNER_THREAD_ID IN (SELECT THREAD_ID FROM applier)
	UNION SELECT t.PROCESSLIST_ID FROM performance_schema.data_lock_waits w
		JOIN performance_schema.threads t ON t.THREAD_ID = w.BLOCKING_THREAD_ID
		WHERE w.REQUESTING_THREAD_ID IN (SELECT THREAD_ID FROM applier)`

// EndBlockers ends the sessions of clients, privileged ones included, that the applier waits
// for now, and counts them. The applier may wait for the next one then: call it again until
// it has applied everything. It is idempotent.
func (s *Server) EndBlockers(ctx context.Context) (int, error) {
	killed := 0
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, blockersQuery)
		if err != nil {
			return err
		}
		blocking := make(map[int64]bool)
		err = eachRow(rows, func() error {
			var id sql.NullInt64 // a thread of mysqld has none
			err := rows.Scan(&id)
			blocking[id.Int64] = id.Valid
			return err
		})
		if err != nil || len(blocking) == 0 {
			return err
		}
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		killed, err = killSessions(ctx, conn, choose(all, func(one session) bool { return blocking[one.id] && one.isClient() }))
		return err
	})
	return killed, wrap("end the sessions that the applier waits for", err)
}
