package agent

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// purging removes old binary logs.
type purging struct {
	pairUID  pair.UID
	self     pair.MemberName
	peerName pair.MemberName
	root     string // of the volume of the binary logs
	log      logr.Logger
	ops      purgeServer
	state    *board
	peer     peerSource
	archived *archived
	full     func(root string) bool // nearlyFull
	config   func() agentapi.Config
}

// purgeServer is what the removal of binary logs needs of mysqld.
type purgeServer interface {
	PurgeBinlogs(ctx context.Context, limits mysqlops.PurgeLimits) (mysqlops.Purged, error)
}

// purge removes old binary logs. What the peer has not received stays, unless this primary
// is alone in the ledger and the logs have reached their limit: a peer that stays away would
// fill the primary's volume and end its writes. Such a peer is copied when it is back, which
// is said when half of the limit is reached. What is not archived stays up to a size of its own,
// unless the volume is nearly full: a commit must never wait for an archive.
func (p *purging) purge(ctx context.Context) {
	config := p.config()
	limit := binlogLimit(config.BinlogMaxSize, p.root)
	alone := p.isAlone()
	received, recent, receives := p.peerReceived()
	without := alone && !receives
	limits := mysqlops.PurgeLimits{
		MaxBytes:    limit,
		MaxAge:      config.BinlogRetention,
		Received:    received,
		WithoutPeer: without,
		KeepAll:     !recent && !without,
	}
	if config.BinlogBacklog != "" && !p.full(p.root) {
		limits.Backlog = binlogLimit(config.BinlogBacklog, p.root)
		limits.Archived = p.archived.get()
	}
	purged, err := p.ops.PurgeBinlogs(ctx, limits)
	if err != nil {
		p.log.V(1).Info("cannot purge binary logs", "reason", err.Error())
		return
	}
	if purged.Files > 0 {
		p.log.Info("binary logs purged", "files", purged.Files, "bytes", purged.Bytes, "left", purged.Left, "withoutPeer", without)
	}
	if receives || limit == 0 || purged.Lacking < limit/2 {
		p.state.resolve(agentapi.ProblemBinlogsLacking)
		return
	}
	p.state.problem(agentapi.ProblemBinlogsLacking, p.lackingMessage(limit, alone))
}

// lackingMessage has no figure that changes all the time: a new message is a new event.
func (p *purging) lackingMessage(limit int64, alone bool) string {
	text := fmt.Sprintf("binary logs that %s has not received take more than half of the %d MiB of spec.mysql.binlogMaxSize",
		p.peerName, limit>>20)
	if !alone {
		return text + "; they are kept until it has them and may fill the volume: bring it back"
	}
	return text + fmt.Sprintf("; from that limit on they are removed, and %s is copied when it is back: "+
		"bring it back before, or raise the limit", p.peerName)
}

// isAlone: this member is open, and the ledger that it acts on says that it needs no peer.
func (p *purging) isAlone() bool {
	view := p.state.view()
	if view.Serving != authority.Serves || view.Record == nil {
		return false
	}
	ledger := view.Record.Ledger
	return ledger.State == authority.Solo && ledger.First == p.self && ledger.Version == view.ActedLedger
}

// peerReceived is what the peer said last that it has received, whether that is recent
// enough to rely on, and whether it goes on receiving.
func (p *purging) peerReceived() (received gtid.Set, recent, receives bool) {
	peer, silent := p.peer.last()
	if peer == nil || peer.Server == nil || peer.PairUID != p.pairUID {
		return gtid.Set{}, false, false
	}
	received, err := gtid.Parse(peer.Server.GTIDReceived)
	recent = err == nil && silent <= time.Minute
	return received, recent, recent && peer.Server.Receiver.Running
}

// nearlyFull: less than a tenth of the volume at root is free, or that is not known.
func nearlyFull(root string) bool {
	const share = 10
	var fs unix.Statfs_t
	return unix.Statfs(root, &fs) != nil || fs.Bavail < fs.Blocks/share
}

// binlogLimit is a quantity, or a share of the volume at root; 0 for no limit.
func binlogLimit(text, root string) int64 {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.Atoi(share)
		var fs unix.Statfs_t
		if err != nil || unix.Statfs(root, &fs) != nil {
			return 0
		}
		return int64(fs.Blocks) / 100 * int64(percent) * fs.Bsize
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0
	}
	return quantity.Value()
}
