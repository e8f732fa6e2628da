package mysqlops

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// What a caller can act upon. Everything else is an error without a sentinel.
var (
	// ErrRefused: nobody listens, so mysqld is not up (yet, or any more).
	ErrRefused = errors.New("mysqld does not listen")
	// ErrDeadline: no answer in time. The statement may still run, and while
	// commits wait for an acknowledgement this is not a sign of a hung mysqld.
	ErrDeadline = errors.New("no answer from mysqld in time")
	// ErrConnectionLost: the session ended before the answer came.
	ErrConnectionLost = errors.New("session with mysqld lost")
	// ErrNotWarm: the fence path has no session left and opens none.
	ErrNotWarm = errors.New("no warm session")
	// ErrAccessDenied: wrong password or missing right.
	ErrAccessDenied = errors.New("access denied")
	// ErrOffline: mysqld is in offline mode and the account has no right to pass it.
	ErrOffline = errors.New("mysqld is in offline mode")
	// ErrReadOnly: the member is closed for writes.
	ErrReadOnly = errors.New("member is read only")
	// ErrLockWait: a lock did not come in time, for super_read_only a commit
	// that is still open.
	ErrLockWait = errors.New("lock wait timed out")
	// ErrTooManyConnections: max_connections is reached.
	ErrTooManyConnections = errors.New("too many connections")
	// ErrNoSuchObject: a table, schema, account, variable or thread is not there.
	ErrNoSuchObject = errors.New("no such object")
	// ErrCommitsWaiting: commits wait for an acknowledgement and the asked
	// thing would say OK to their clients.
	ErrCommitsWaiting = errors.New("commits wait for an acknowledgement")
	// ErrUnapplied: received transactions are not applied yet and the asked
	// thing would throw them away.
	ErrUnapplied = errors.New("received transactions are not applied")
	// ErrReceiving: the asked thing needs a receiver that is stopped.
	ErrReceiving = errors.New("the receiver runs")
	// ErrApplying: the asked thing needs an applier that is stopped.
	ErrApplying = errors.New("the applier runs")
	// ErrNotAsOwned: a setting that dbpair owns has another value; the error
	// is a *DriftError.
	ErrNotAsOwned = errors.New("owned settings differ")
	// ErrNotClosed: the asked thing needs a closed member.
	ErrNotClosed = errors.New("member is not closed")
	// ErrHistory: the member has transactions where none may be.
	ErrHistory = errors.New("member has a transaction history")
	// ErrInvalid: an argument that no server could honor.
	ErrInvalid = errors.New("invalid argument")
	// ErrNoChannel: replication is not configured.
	ErrNoChannel = errors.New("no replication channel")
	// ErrApplier: the applier stopped with an error.
	ErrApplier = errors.New("applier stopped with an error")
	// ErrPasswordPolicy: a rule for passwords, as component_validate_password has them, refuses the new one.
	ErrPasswordPolicy = errors.New("mysqld's rules for passwords refuse it")
	// ErrClone: the clone failed on its way.
	ErrClone = errors.New("clone failed")
)

// serverErrors gives MySQL's error numbers their meaning; nothing outside
// this file knows one.
var serverErrors = map[uint16]error{
	1040: ErrTooManyConnections,
	1044: ErrAccessDenied,
	1045: ErrAccessDenied,
	1142: ErrAccessDenied,
	1227: ErrAccessDenied,
	1094: ErrNoSuchObject,
	1049: ErrNoSuchObject,
	1141: ErrNoSuchObject,
	1146: ErrNoSuchObject,
	1193: ErrNoSuchObject,
	1396: ErrNoSuchObject,
	1200: ErrNoChannel,
	1205: ErrLockWait,
	1290: ErrReadOnly,
	1819: ErrPasswordPolicy,
	1836: ErrReadOnly,
	3032: ErrOffline,
	3074: ErrNoChannel,
	3024: ErrDeadline,
	1053: ErrConnectionLost,
	1317: ErrConnectionLost,
	3862: ErrClone,
	3863: ErrClone,
	3864: ErrClone,
	3865: ErrClone,
	3866: ErrClone,
	3867: ErrClone,
	3868: ErrClone,
	3869: ErrClone,
	3870: ErrClone,
	3871: ErrClone,
	3872: ErrClone,
	3873: ErrClone,
	3874: ErrClone,
}

const (
	errNoSuchThread    = 1094
	errRestartRefused  = 3707
	errUnknownVariable = 1193
	errNoSuchTable     = 1146
	errUnknownDatabase = 1049
	errHostNotAllowed  = 1130
	errSecureTransport = 3159
)

// wrap names the operation and adds the sentinel, if there is one.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	if sentinel := classify(err); sentinel != nil && !errors.Is(err, sentinel) {
		return fmt.Errorf("%s: %w: %w", operation, sentinel, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// wrapSecret is wrap for statements that hold a secret: MySQL's syntax errors
// quote the statement, so that only the number of the error is kept.
func wrapSecret(operation string, err error) error {
	if err == nil {
		return nil
	}
	if number := errorNumber(err); number != 0 {
		if sentinel := classify(err); sentinel != nil {
			return fmt.Errorf("%s: %w (MySQL error %d)", operation, sentinel, number)
		}
		return fmt.Errorf("%s: MySQL error %d", operation, number)
	}
	return wrap(operation, err)
}

func classify(err error) error {
	if number := errorNumber(err); number != 0 {
		return serverErrors[number]
	}
	var network net.Error
	var dial *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return ErrDeadline
	case errors.As(err, &dial) && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)):
		return ErrRefused // the port or the socket; a missing file elsewhere is something else
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, sql.ErrConnDone), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE):
		return ErrConnectionLost
	case errors.As(err, &network) && network.Timeout():
		return ErrDeadline
	}
	return nil
}

func errorNumber(err error) uint16 {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
}
