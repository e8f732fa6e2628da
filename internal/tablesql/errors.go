package tablesql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// What a caller can act upon.
var (
	// ErrTableChanged: the definition is not the one the snapshot or the
	// statement was made for, or the table is gone. Load it again.
	ErrTableChanged = errors.New("table changed")
	// ErrLockWait: a lock did not come in time, or a deadlock was resolved
	// against this session.
	ErrLockWait = errors.New("lock wait timed out")
	// ErrKilled: the session or its statement was killed, or the connection went.
	ErrKilled = errors.New("session ended")
	// ErrDenied: a right is missing, or the password is wrong.
	ErrDenied = errors.New("access denied")
	// ErrDuplicate: a unique key refuses the row.
	ErrDuplicate = errors.New("duplicate key")
	// ErrReadOnly: the member takes no writes.
	ErrReadOnly = errors.New("member is read only")
	// ErrNoSuchThread: the session to kill has gone.
	ErrNoSuchThread = errors.New("no such session")
)

var serverErrors = map[uint16]error{
	1412: ErrTableChanged, // table definition has changed
	1054: ErrTableChanged, // unknown column
	1146: ErrTableChanged, // no such table
	1049: ErrTableChanged, // unknown database
	1176: ErrTableChanged, // key does not exist
	1684: ErrTableChanged, // definition is being modified by concurrent DDL
	3572: ErrTableChanged, // statement aborted for concurrent DDL
	1205: ErrLockWait,
	1213: ErrLockWait,
	1317: ErrKilled,
	1053: ErrKilled,
	3169: ErrKilled,
	3032: ErrKilled,
	4031: ErrKilled, // it said nothing for wait_timeout
	1044: ErrDenied,
	1045: ErrDenied,
	1142: ErrDenied,
	1143: ErrDenied,
	1227: ErrDenied,
	1062: ErrDuplicate,
	1290: ErrReadOnly,
	1836: ErrReadOnly,
	1094: ErrNoSuchThread,
}

func (m *Member) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if sentinel := classify(err); sentinel != nil {
		return fmt.Errorf("%s on %s: %w: %w", operation, m.Member, sentinel, err)
	}
	return fmt.Errorf("%s on %s: %w", operation, m.Member, err)
}

// connectionErrors are what the driver and the kernel say when a connection has ended.
var connectionErrors = []error{
	mysql.ErrInvalidConn,
	driver.ErrBadConn,
	sql.ErrConnDone,
	net.ErrClosed,
	syscall.ECONNRESET,
	syscall.EPIPE,
	syscall.ECONNREFUSED,
}

func classify(err error) error {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return serverErrors[server.Number]
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	var network net.Error
	lost := slices.ContainsFunc(connectionErrors, func(one error) bool { return errors.Is(err, one) })
	if lost || errors.As(err, &network) {
		return ErrKilled
	}
	return nil
}
