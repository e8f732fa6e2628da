package judge

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Stall times how long commits wait while nothing is acknowledged. The zero value is that of
// a mysqld in which nothing waits. mysqld tells the age of
// a wait by its session, and a commit of the event scheduler has none: when such a commit is
// the first to wait, everything queues behind it and no session shows any wait.
type Stall struct {
	since        authority.Instant // 0 while nothing waits
	acknowledged int
}

// OldestWait is the larger of what mysqld says and what this stall has lasted, of what was
// asked at this instant. It is short by at most the time between two observations.
func (s *Stall) OldestWait(now mysqlops.SemiSync, asked authority.Instant) time.Duration {
	switch {
	case now.WaitSessions == 0:
		*s = Stall{}
		return now.OldestWait
	case s.since == 0 || s.acknowledged != now.Acknowledged:
		*s = Stall{since: asked, acknowledged: now.Acknowledged}
	}
	return max(now.OldestWait, asked.Sub(s.since))
}
