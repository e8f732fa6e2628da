package agent

import (
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// describeServer is what is published of what mysqld said.
func describeServer(s mysqlops.Status) *agentapi.Server {
	text := func(set gtid.Set) string { return set.String() }
	c := s.Channel
	failed := applierError(s)
	return &agentapi.Server{
		ServerUUID:     string(s.ServerUUID),
		SuperReadOnly:  s.SuperReadOnly,
		ReadOnly:       s.ReadOnly,
		OfflineMode:    s.OfflineMode,
		GTIDExecuted:   text(s.Executed),
		GTIDReceived:   text(s.Received),
		BinlogGTIDs:    text(s.Binlog),
		ApplyingGTIDs:  text(s.Applying),
		PurgedGTIDs:    text(s.Purged),
		ClientSessions: s.Sessions.Clients,
		Receiver: agentapi.ChannelThread{
			Running:   c.Receiver == mysqlops.ReceiverStreaming,
			LastErrno: c.ReceiverError.Number,
			LastError: plain(c.ReceiverError.Message),
		},
		Applier: agentapi.ChannelThread{
			Running:   c.ApplierRunning,
			LastErrno: failed.Number,
			LastError: plain(failed.Message),
		},
		SourceHost:      c.SourceHost,
		LagSeconds:      int64(c.Lag / time.Second),
		LagTransactions: int64(c.LagTransactions),
		Waiting:         s.SemiSync.SourceEnabled,
		WaitSessions:    s.SemiSync.WaitSessions,
		OldestWait:      s.SemiSync.OldestWait,
		SemiSyncClients: s.SemiSync.Clients,
		ReplicaSemiSync: s.SemiSync.ReplicaActive,
		BinlogReaders:   describeReaders(s.DumpThreads),
	}
}

// applierError is the error that keeps what was received from being applied; empty when
// there is none. Where the receiver is stopped and all that was received is applied, what
// the applier failed at is the beginning of a transaction whose rest never came. That
// beginning is thrown away before the member opens, so that it stands in the way of
// nothing. (mysqld reports error 13121, an unreadable relay log, when its coordinator is
// ended in the middle of a transaction, which is how it is thrown away.)
func applierError(s mysqlops.Status) mysqlops.ChannelError {
	if s.Channel.Receiver == mysqlops.ReceiverStopped && s.Executed.Covers(s.Received) {
		return mysqlops.ChannelError{}
	}
	return s.Channel.ApplierError
}

// endedApplying publishes the mysqld whose applier has applied everything and was stopped,
// with every owned setting right; empty when it runs again.
func (b *board) endedApplying(run pair.Incarnation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = run
}
