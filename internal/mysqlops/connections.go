package mysqlops

import (
	"context"
	"database/sql"
)

// ConnectionLimit reads max_connections. It has no effect.
func (s *Server) ConnectionLimit(ctx context.Context) (limit int, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT @@GLOBAL.max_connections").Scan(&limit)
	})
	return limit, wrap("read max_connections", err)
}

// SetConnectionLimit sets max_connections until mysqld ends; sessions that are there stay. It is
// idempotent.
func (s *Server) SetConnectionLimit(ctx context.Context, limit int) error {
	return wrap("set max_connections", s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "SET GLOBAL max_connections = ?", limit)
		return err
	}))
}
