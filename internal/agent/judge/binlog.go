package judge

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Snapshot is what this member's binlog holds up to its end, waiting commits included,
// with the facts that say whether the answer is of use. There is no answer while the
// applier is in the middle of a transaction: whether that ends up in this binlog is not
// known, and what the peer keeps, or counts as shared, is decided by the answer.
func Snapshot(c agentapi.Command, s mysqlops.Status, run pair.Incarnation, acted pair.LedgerVersion) (agentapi.SnapshotReply, error) {
	if !s.Applying.IsEmpty() {
		return agentapi.SnapshotReply{}, fmt.Errorf("the applier of this member has not finished %.200s, which its peer wrote", s.Applying)
	}
	return agentapi.SnapshotReply{
		RequestID:       c.RequestID,
		LedgerVersion:   acted,
		Incarnation:     run,
		Waiting:         s.SemiSync.Waits(),
		SemiSyncClients: s.SemiSync.Clients,
		BinlogGTIDs:     s.Binlog.String(),
	}, nil
}

// Covers says whether this member has received what is asked about.
func Covers(c agentapi.CoversRequest, s mysqlops.Status, run pair.Incarnation) (agentapi.CoversReply, error) {
	set, err := gtid.Parse(c.GTIDs)
	if err != nil {
		return agentapi.CoversReply{}, fmt.Errorf("gtids: %w", err)
	}
	missing := set.Subtract(s.Received)
	return agentapi.CoversReply{
		RequestID:   c.RequestID,
		Covers:      missing.IsEmpty(),
		Incarnation: run,
		Missing:     missing.String(),
		Errant:      s.Binlog.Subtract(set).String(),
	}, nil
}

// Errant is what this member has and the holder has not, by the holder's binlog as it is
// after this member's was read: commits that wait there count, since a semi-sync replica
// receives them before the primary's clients are answered.
func Errant(s mysqlops.Status, holder *agentapi.State, uid pair.UID, e pair.Epoch) (gtid.Set, error) {
	if holder.PairUID != uid || holder.Server == nil || holder.KnownEpoch > e {
		return gtid.Set{}, errors.New("the peer does not say what it has at this epoch")
	}
	if holder.Server.ApplyingGTIDs != "" {
		return gtid.Set{}, fmt.Errorf("the applier of the primary has not finished %.200s yet", holder.Server.ApplyingGTIDs)
	}
	theirs, err := gtid.Parse(holder.Server.BinlogGTIDs)
	if err != nil {
		return gtid.Set{}, err
	}
	return s.Binlog.Union(s.Received).Subtract(theirs), nil
}

// Self is this member when its status was read.
type Self struct {
	Incarnation pair.Incarnation
	DataID      pair.DataID
}

// Compare is what is published of a comparison that found errant. What the holder itself
// wrote and lacks was lost with its disk, and its server gives the same numbers to other
// transactions from then on: such a finding of the former comparison stays while both
// members have the same data.
func Compare(former *agentapi.Comparison, errant gtid.Set, self Self, holder *agentapi.State) agentapi.Comparison {
	c := agentapi.Comparison{
		DataID:            self.DataID,
		Incarnation:       self.Incarnation,
		HolderDataID:      holder.DataID,
		HolderIncarnation: holder.Mysqld.Incarnation,
	}
	sameData := former != nil && former.DataID == c.DataID && former.HolderDataID == c.HolderDataID
	if sameData && holder.Server != nil {
		if lost, err := gtid.Parse(former.Errant); err == nil {
			errant = errant.Union(lost.OfServer(gtid.ServerUUID(strings.ToLower(holder.Server.ServerUUID))))
		}
	}
	c.Errant = errant.String()
	return c
}

// Reverse is the state of the pair as an open member sees it before it opens the channel
// from its peer.
type Reverse struct {
	PairUID pair.UID
	Epoch   pair.Epoch
	// Peer as it answered now.
	Peer *agentapi.State
}

// closed says why the peer does not count as closed at this epoch, with no commit that
// waits; nil when it does.
func (r Reverse) closed() error {
	s := r.Peer.Server
	switch {
	case r.Peer.PairUID != r.PairUID || r.Peer.KnownEpoch != r.Epoch || r.Peer.Phase != agentapi.PhaseClosed || s == nil:
		return errors.New("the peer has not answered closed at this epoch")
	case !s.SuperReadOnly || s.WaitSessions > 0 || s.Waiting:
		return errors.New("the peer is not closed for writes, or commits wait there")
	}
	return nil
}

// MayOpen says why the channel from the peer stays shut; nil when it may be opened.
// mine is read after the peer's answer.
func (r Reverse) MayOpen(mine mysqlops.Status) error {
	if err := r.closed(); err != nil {
		return err
	}
	theirs, err := gtid.Parse(r.Peer.Server.BinlogGTIDs)
	if err != nil {
		return err
	}
	if !mine.Executed.Covers(theirs) {
		return errors.New("the peer has transactions that are not here")
	}
	return nil
}

// EndedApplying reports whether nothing is received any more, all that was received is
// applied, and no thread is left that could hold a transaction received by half.
func EndedApplying(s mysqlops.Status) bool {
	receives := s.Channel.Receiver == mysqlops.ReceiverStreaming || s.Channel.Receiver == mysqlops.ReceiverConnecting
	return !receives && !s.Channel.ApplierRunning && s.Applying.IsEmpty() && s.Executed.Covers(s.Received)
}

// CopyFinished reports whether mysqld has ended as it does after a copy (CLONE) that is
// complete: it asks its supervisor for a restart then. The session that ordered the copy
// cannot tell, since it ends with mysqld, whatever ended that.
func CopyFinished(exitCode int) bool {
	const restartWanted = 16
	return exitCode == restartWanted
}
