package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// ErrTableDamaged: CHECK TABLE does not call a table OK.
var ErrTableDamaged = errors.New("tables are damaged")

// namedTables is how many damaged tables an error names.
const namedTables = 5

// CheckTables has mysqld read all its tables, those of the system included, and compare the rows with the
// indexes (CHECK TABLE). It returns their number. It changes nothing, blocks for as long as that takes, bounded
// by ctx only, and calls progress before each table, if it is not nil. The error wraps ErrTableDamaged and
// names the first damaged tables with what mysqld says of them.
func (s *Server) CheckTables(ctx context.Context, progress func(done, total int)) (tables int, err error) {
	const operation = "check tables"
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return 0, wrap(operation, err)
	}
	defer conn.Close()
	names, err := innodbTables(ctx, conn)
	if err != nil {
		return 0, wrap(operation, preferContext(ctx, err))
	}
	var damaged []string
	for i, name := range names {
		if progress != nil {
			progress(i, len(names))
		}
		complaint, err := checkTable(ctx, conn, name)
		if err != nil {
			return 0, wrap(operation+" "+name, preferContext(ctx, err))
		}
		if complaint != "" {
			damaged = append(damaged, name+": "+complaint)
		}
	}
	if more := len(damaged) - namedTables; more > 0 {
		damaged = append(damaged[:namedTables], fmt.Sprintf("and %d more", more))
	}
	if len(damaged) > 0 {
		return 0, fmt.Errorf("%w: %s", ErrTableDamaged, strings.Join(damaged, "; "))
	}
	return len(names), nil
}

// innodbTables are the quoted names of all tables of InnoDB.
func innodbTables(ctx context.Context, conn *sql.Conn) (names []string, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
		WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB' ORDER BY TABLE_SCHEMA, TABLE_NAME`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	err = eachRow(rows, func() error {
		var schema, table string
		err := rows.Scan(&schema, &table)
		names = append(names, backticked(schema)+"."+backticked(table))
		return err
	})
	return names, err
}

// backticked is a name that mysqld itself has said: it may have any character but NUL.
func backticked(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// checkTable is what mysqld complains of in a table; empty when it is in order.
func checkTable(ctx context.Context, conn *sql.Conn, name string) (complaint string, err error) {
	rows, err := conn.QueryContext(ctx, "CHECK TABLE "+name)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var said []string
	status := ""
	err = eachRow(rows, func() error {
		var table, operation, kind, text string
		err := rows.Scan(&table, &operation, &kind, &text)
		if kind == "status" {
			status = text
		} else {
			said = append(said, text)
		}
		return err
	})
	if err != nil || status == "OK" {
		return "", err
	}
	if status != "" {
		said = append(said, status)
	}
	return strings.Join(said, ", "), nil
}
