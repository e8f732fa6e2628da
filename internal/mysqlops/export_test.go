package mysqlops

import (
	"context"
	"database/sql"
)

// What only the suite of this package looks at.

// IsWarm reports whether all sessions of the fence path were there at the last look.
func (s *Server) IsWarm() bool { return s.fence.ready() == fenceSessions }

// CloneState reads the progress of a clone in another session, and after the restart how it ended.
func (s *Server) CloneState(ctx context.Context) (CloneProgress, error) { return s.cloneState(ctx) }

func (f *fencePath) ready() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// CheckTable is what mysqld complains of in one table.
func (s *Server) CheckTable(ctx context.Context, name string) (complaint string, err error) {
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		complaint, err = checkTable(ctx, conn, name)
		return err
	})
	return complaint, err
}
