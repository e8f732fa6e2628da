package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// jobAccounts are those of the Jobs that compare and repair. Unlike ownAccounts they
// count as clients: a member that has sessions of theirs is not closed.
var jobAccounts = []string{UserChecksum, UserRepair}

func (one session) isJob() bool { return slices.Contains(jobAccounts, one.user) }

// EndJobSessions kills every session of the checksum and repair accounts and counts
// them. It is idempotent. A change of roles begins with it: a session of theirs may hold
// a lock that super_read_only or the applier would wait for.
func (s *Server) EndJobSessions(ctx context.Context) (int, error) {
	killed := 0
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		killed, err = killSessions(ctx, conn, choose(all, session.isJob))
		return err
	})
	return killed, wrap("end the sessions of jobs", err)
}

// JobLock is what a session of a job's account holds and others wait for.
type JobLock struct {
	SessionID int64
	User      string
	// Schema and Table are those of a table lock; empty for one of the whole server.
	Schema, Table string
	// Transaction is the one that holds row locks; empty for a table lock.
	Transaction string
}

// JobTableLocks lists the locks that sessions of the checksum and repair accounts hold by
// LOCK TABLES and the like. Cheap, but not for every look: call it while there are such
// sessions (Sessions.Jobs).
func (s *Server) JobTableLocks(ctx context.Context) ([]JobLock, error) {
	return s.jobLocks(ctx, jobTableLocksQuery)
}

// JobRowLocks lists the transactions of these accounts that hold row locks. mysqld makes
// the list again only when nobody has read it for a tenth of a second: ask less often.
func (s *Server) JobRowLocks(ctx context.Context) ([]JobLock, error) {
	return s.jobLocks(ctx, jobRowLocksQuery)
}

func (s *Server) jobLocks(ctx context.Context, query string) ([]JobLock, error) {
	var locks []JobLock
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var one JobLock
			var schema, table sql.NullString
			err := rows.Scan(&one.SessionID, &one.User, &schema, &table, &one.Transaction)
			one.Schema = schema.String
			one.Table = table.String
			locks = append(locks, one)
			return err
		})
	})
	return locks, wrap("list the locks of jobs", err)
}

// jobTableLocksQuery: LOCK TABLES … READ is SHARED_READ_ONLY, stronger ones follow; a plain
// SELECT is SHARED_READ, and a global read lock is SHARED on two objects of its own.
var jobTableLocksQuery = `SELECT t.PROCESSLIST_ID, t.PROCESSLIST_USER, m.OBJECT_SCHEMA, m.OBJECT_NAME, ''
	FROM performance_schema.threads t JOIN performance_schema.metadata_locks m ON m.OWNER_THREAD_ID = t.THREAD_ID
	WHERE t.PROCESSLIST_USER IN ('` + strings.Join(jobAccounts, "', '") + `') AND m.LOCK_STATUS = 'GRANTED' AND (
		m.OBJECT_TYPE = 'TABLE' AND m.LOCK_TYPE IN ('SHARED_READ_ONLY', 'SHARED_NO_WRITE', 'SHARED_NO_READ_WRITE', 'EXCLUSIVE')
		OR m.OBJECT_TYPE IN ('GLOBAL', 'COMMIT') AND m.LOCK_TYPE = 'SHARED')
	ORDER BY 1`

// jobRowLocksQuery: a consistent read locks no row.
var jobRowLocksQuery = `SELECT t.PROCESSLIST_ID, t.PROCESSLIST_USER, NULL, NULL, CAST(x.trx_id AS CHAR)
	FROM information_schema.INNODB_TRX x JOIN performance_schema.threads t ON t.PROCESSLIST_ID = x.trx_mysql_thread_id
	WHERE t.PROCESSLIST_USER IN ('` + strings.Join(jobAccounts, "', '") + `') AND x.trx_rows_locked > 0
	ORDER BY 1`

// WatchJobLocks has mysqld keep the records that JobTableLocks reads, which is its default.
// It is idempotent.
func (s *Server) WatchJobLocks(ctx context.Context) error {
	return s.execAll(ctx, "watch the locks of jobs",
		"UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'wait/lock/metadata/sql/mdl' AND ENABLED <> 'YES'")
}

// EndJobSession kills the session if it is still one of a job's account; gone already is
// success.
func (s *Server) EndJobSession(ctx context.Context, id int64) error {
	return wrap("end the session of a job", s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		_, err = killSessions(ctx, conn, choose(all, func(one session) bool { return one.id == id && one.isJob() }))
		return err
	}))
}

// SetIdempotent has the applier force its way through rows that are there already or
// missing, or stop at them as it should. It acts on the running applier at once and is
// idempotent.
func (s *Server) SetIdempotent(ctx context.Context, on bool) error {
	if on {
		return s.execAll(ctx, "let the applier force rows through", "SET GLOBAL replica_exec_mode = IDEMPOTENT")
	}
	return s.execAll(ctx, "make the applier strict", "SET GLOBAL replica_exec_mode = STRICT")
}

// GrantRepair lets the repair account write the rows of one table. It is idempotent and
// replicates: ErrReadOnly on a member that is not open. Schemas of mysqld and dbpair are
// refused with ErrInvalid.
func (s *Server) GrantRepair(ctx context.Context, schema, table string) error {
	const operation = "let a repair write"
	name, err := repairable(schema, table)
	if err != nil {
		return wrap(operation, err)
	}
	return s.execAll(ctx, operation, "GRANT INSERT, DELETE ON "+name+" TO "+repairAccount)
}

// RevokeRepair takes back what GrantRepair gave but for the table that is kept, if any,
// and reports whether there was anything. It is idempotent and replicates.
func (s *Server) RevokeRepair(ctx context.Context, keepSchema, keepTable string) (bool, error) {
	const operation = "take a repair's rights back"
	var names []string
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, "SELECT Db, Table_name FROM mysql.tables_priv WHERE User = ?", UserRepair)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var schema, table string
			if err := rows.Scan(&schema, &table); err != nil {
				return err
			}
			if schema == keepSchema && table == keepTable {
				return nil
			}
			quotedSchema, err := quoteName(schema)
			if err != nil {
				return err
			}
			quotedTable, err := quoteName(table)
			names = append(names, quotedSchema+"."+quotedTable)
			return err
		})
	})
	for _, name := range names {
		if err == nil {
			err = s.execAll(ctx, operation, "REVOKE IF EXISTS INSERT, DELETE ON "+name+" FROM "+repairAccount)
		}
	}
	return len(names) > 0, wrap(operation, err)
}

const repairAccount = "'" + UserRepair + "'@'%'"

// repairable quotes the name of a table whose rows a repair may write.
func repairable(schema, table string) (string, error) {
	if slices.Contains([]string{"mysql", "sys", "information_schema", "performance_schema", SchemaOwn}, strings.ToLower(schema)) {
		return "", fmt.Errorf("%w: schema %s is not repaired", ErrInvalid, schema)
	}
	quotedSchema, err := quoteName(schema)
	if err != nil {
		return "", fmt.Errorf("schema: %w", err)
	}
	quotedTable, err := quoteName(table)
	if err != nil {
		return "", fmt.Errorf("table: %w", err)
	}
	return quotedSchema + "." + quotedTable, nil
}
