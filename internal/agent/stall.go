package agent

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// stall times how long commits wait while nothing is acknowledged. mysqld tells the age of
// a wait by its session, and a commit of the event scheduler has none: when such a commit is
// the first to wait, everything queues behind it and no session shows any wait.
type stall struct {
	since        authority.Instant // 0 while nothing waits
	acknowledged int
}

// oldestWait is the larger of what mysqld says and what this stall has lasted, of what was
// asked at this instant. It is short by at most the time between two observations.
func (s *stall) oldestWait(now mysqlops.SemiSync, asked authority.Instant) time.Duration {
	switch {
	case now.WaitSessions == 0:
		*s = stall{}
		return now.OldestWait
	case s.since == 0 || s.acknowledged != now.Acknowledged:
		*s = stall{since: asked, acknowledged: now.Acknowledged}
	}
	return max(now.OldestWait, asked.Sub(s.since))
}
