package mysqlops

import "context"

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
