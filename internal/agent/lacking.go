package agent

import (
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// judgeLack publishes what the peer has executed and cannot send to this member. The peer
// answered before status was read. The finding is kept while the peer is away, since it is what
// a failover to this member would lose.
func (w *watch) judgeLack(peer *agentapi.State, status mysqlops.Status, view authority.View) {
	a := w.a
	if view.Serving == authority.Serves {
		a.state.lacks(nil)
		return
	}
	if view.Serving != authority.Shut {
		return
	}
	if peer != nil && peer.PairUID != a.env.PairUID {
		peer = nil
	}
	missing, of, err := w.purged.Lacks(peer, status)
	switch {
	case err != nil:
		a.log.V(1).Info("what this member lacks is not known", "reason", err.Error())
	case missing.IsEmpty():
		a.state.lacks(nil)
	default:
		a.state.lacks(&agentapi.Lack{
			DataID:     a.data.id(),
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
