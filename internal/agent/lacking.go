package agent

import (
	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// lacking finds what the peer has executed and cannot send to this member.
type lacking struct {
	pairUID pair.UID
	log     logr.Logger
	state   *board
	data    *dataset
	purged  judge.Purged
}

// look publishes what this member lacks. The peer answered before status was read. The finding is
// kept while the peer is away, since it is what a failover to this member would lose.
func (l *lacking) look(peer *agentapi.State, status mysqlops.Status, serving authority.Serving) {
	if serving == authority.Serves {
		l.state.lacks(nil)
		return
	}
	if serving != authority.Shut {
		return
	}
	if peer != nil && peer.PairUID != l.pairUID {
		peer = nil
	}
	missing, of, err := l.purged.Lacks(peer, status)
	switch {
	case err != nil:
		l.log.V(1).Info("what this member lacks is not known", "reason", err.Error())
	case missing.IsEmpty():
		l.state.lacks(nil)
	default:
		l.state.lacks(&agentapi.Lack{
			DataID:     l.data.id(),
			PeerDataID: of,
			GTIDs:      missing.String(),
		})
	}
}

// lacks publishes what the peer cannot send to this member; nil for nothing.
func (b *board) lacks(found *agentapi.Lack) {
	b.mu.Lock()
	former := b.lack
	b.lack = found
	b.mu.Unlock()
	switch {
	case former == nil && found == nil, former != nil && found != nil && *former == *found:
		return
	case found == nil:
		b.log.Info("this member lacks nothing any more that its peer cannot send")
	default:
		b.log.Info("this member lacks transactions that its peer cannot send", "gtids", found.GTIDs)
	}
	b.bump()
}
