package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbpair/dbpair/internal/mycnf"
)

// KeepOwned sets those variables of want right again that differ, and returns what it had
// found, sorted by name. What could not be set right is the error, a *DriftError joined with
// the reasons; found says all the same what was wrong. When a variable on which the
// durability of commits depends was wrong on a member closed for writes, everything written
// until then is forced to the disk. It is idempotent; with nothing to correct it is one
// statement.
func (s *Server) KeepOwned(ctx context.Context, want []mycnf.Expectation) (found []Difference, err error) {
	const operation = "keep owned settings"
	if found, err = s.ownedDrift(ctx, want); err != nil || len(found) == 0 {
		return found, wrap(operation, err)
	}
	var failures []error
	for _, one := range found {
		if one.Missing {
			continue
		}
		statement, err := setGlobal(one.Variable, one.Want)
		if err == nil {
			err = s.execAll(ctx, "set "+one.Variable, statement)
		}
		failures = append(failures, err)
	}
	if slices.ContainsFunc(found, durable) {
		failures = append(failures, s.forceToDisk(ctx))
	}
	left, err := s.ownedDrift(ctx, want)
	if err == nil && len(left) > 0 {
		err = &DriftError{Differences: left}
	}
	return found, wrap(operation, errors.Join(append([]error{err}, failures...)...))
}

// durable: commits that were made while it was wrong may be in memory only.
func durable(d Difference) bool {
	return d.Variable == "sync_binlog" || d.Variable == "innodb_flush_log_at_trx_commit"
}

// forceToDisk writes InnoDB's log and the binlog to the disk. An open member needs no
// rotation: its next commit writes the whole file, and with commits waiting a rotation hangs.
func (s *Server) forceToDisk(ctx context.Context) error {
	return s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if err := execEach(ctx, conn, "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS"); err != nil {
			return err
		}
		var closed bool
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.super_read_only").Scan(&closed); err != nil || !closed {
			return err
		}
		return execEach(ctx, conn, "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")
	})
}

// ownedDrift reads all variables in one statement, since it is made at every observation.
func (s *Server) ownedDrift(ctx context.Context, want []mycnf.Expectation) ([]Difference, error) {
	if len(want) == 0 {
		return nil, nil
	}
	names := make([]string, len(want))
	for i, one := range want {
		if !isVariable(one.Variable) {
			return nil, fmt.Errorf("%w: variable %q", ErrInvalid, one.Variable)
		}
		names[i] = "@@GLOBAL." + one.Variable
	}
	values := make(map[string]string, len(want))
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		row := make([]sql.NullString, len(want))
		into := make([]any, len(want))
		for i := range row {
			into[i] = &row[i]
		}
		err := conn.QueryRowContext(ctx, "SELECT "+strings.Join(names, ", ")).Scan(into...)
		for i, one := range want {
			values[one.Variable] = row[i].String
		}
		return err
	})
	if errorNumber(err) == errUnknownVariable {
		return s.verifyOwned(ctx, want) // it says which
	}
	if err != nil {
		return nil, err
	}
	return compareOwned(values, want), nil
}

func setGlobal(name, value string) (string, error) {
	if _, err := strconv.ParseInt(value, 10, 64); err == nil {
		return "SET GLOBAL " + name + " = " + value, nil
	}
	quoted, err := quote(value)
	return "SET GLOBAL " + name + " = " + quoted, err
}
