package failover

import (
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// waitsTooLong: a commit has waited for longer than the passive may take, and the passive is not in
// the middle of receiving it: a large transaction takes as long as the network needs for it.
func (l *look) waitsTooLong(server *agentapi.Server) bool {
	return server.OldestWait > l.Settings.PassiveTimeout && !l.goesOnReceiving(l.passive, server.OldestWait)
}

// receivesWithin is how old the news of a passive that receives may be with a shorter
// passiveTimeout: agents look at mysqld and are asked every second.
const receivesWithin = 2 * time.Second

// goesOnReceiving: the member acknowledges, has streamed without a break since a commit began to wait, and
// went on storing what comes until just now.
func (l *look) goesOnReceiving(m *Member, wait time.Duration) bool {
	if !m.heardMysqld() {
		return false
	}
	s := m.State.Server
	storedAgo := l.Now.Sub(m.HeardAt) + s.ReceivedAge
	streamed := l.Now.Sub(m.HeardAt) + s.ReceivingFor
	acknowledges := s.Receiver.Running && s.ReplicaSemiSync && s.ReceivedAge > 0
	return acknowledges && streamed >= wait && storedAgo <= max(l.Settings.PassiveTimeout, receivesWithin)
}
