package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// purge removes old binary logs. What the peer has not received stays, unless this primary
// is alone in the ledger and the logs have reached their limit: a peer that stays away would
// fill the primary's volume and end its writes. Such a peer is copied when it is back, which
// is said when half of the limit is reached.
func (a *Agent) purge(ctx context.Context) {
	config := a.settings.get()
	limit := a.binlogLimit(config.BinlogMaxSize)
	alone := a.isAlone()
	received, recent, receives := a.peerReceived()
	without := alone && !receives
	purged, err := a.ops.PurgeBinlogs(ctx, mysqlops.PurgeLimits{
		MaxBytes:    limit,
		MaxAge:      config.BinlogRetention,
		Received:    received,
		WithoutPeer: without,
		KeepAll:     !recent && !without,
	})
	if err != nil {
		a.log.V(1).Info("cannot purge binary logs", "reason", err.Error())
		return
	}
	if purged.Files > 0 {
		a.log.Info("binary logs purged", "files", purged.Files, "bytes", purged.Bytes, "left", purged.Left, "withoutPeer", without)
	}
	if receives || limit == 0 || purged.Lacking < limit/2 {
		a.state.resolve(agentapi.ProblemBinlogsLacking)
		return
	}
	a.state.problem(agentapi.ProblemBinlogsLacking, lackingMessage(a, limit, alone))
}

// lackingMessage has no figure that changes all the time: a new message is a new event.
func lackingMessage(a *Agent, limit int64, alone bool) string {
	text := fmt.Sprintf("binary logs that %s has not received take more than half of the %d MiB of spec.mysql.binlogMaxSize",
		a.env.Peer, limit>>20)
	if !alone {
		return text + "; they are kept until it has them and may fill the volume: bring it back"
	}
	return text + fmt.Sprintf("; from that limit on they are removed, and %s is copied when it is back: "+
		"bring it back before, or raise the limit", a.env.Peer)
}

// isAlone: this member is open, and the ledger that it acts on says that it needs no peer.
func (a *Agent) isAlone() bool {
	view := a.state.view()
	if view.Serving != authority.Serves || view.Record == nil {
		return false
	}
	ledger := view.Record.Ledger
	return ledger.State == authority.Solo && ledger.First == a.env.PodName && ledger.Version == view.ActedLedger
}

// peerReceived is what the peer said last that it has received, whether that is recent
// enough to rely on, and whether it goes on receiving.
func (a *Agent) peerReceived() (received gtid.Set, recent, receives bool) {
	peer, silent := a.peer.last()
	if peer == nil || peer.Server == nil || peer.PairUID != a.env.PairUID {
		return gtid.Set{}, false, false
	}
	received, err := gtid.Parse(peer.Server.GTIDReceived)
	recent = err == nil && silent <= time.Minute
	return received, recent, recent && peer.Server.Receiver.Running
}
