package agent

import (
	"context"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

// tailCheck finds out whether the peer has received all that this binlog holds, for a primary
// that recovered in place.
type tailCheck struct {
	pairUID pair.UID
	ops     statusReader
	mysqld  *instance
	state   *board
	peer    peerSource
	post    func(authority.Event)
}

// check compares this binlog with what the peer has received, in this order: what
// the peer says after our own reading can only be more.
func (t *tailCheck) check(ctx context.Context) {
	incarnation := t.mysqld.newest()
	status, err := t.ops.Status(ctx)
	if err != nil {
		return
	}
	peer, err := t.peer.ask(ctx, t.state.view().LeaseDuration/4, true)
	if err != nil || peer.PairUID != t.pairUID || peer.Server == nil || !peer.Mysqld.Running || !peer.Server.Receiver.Running {
		return
	}
	received, err := gtid.Parse(peer.Server.GTIDReceived)
	if err != nil || !received.Covers(status.Binlog) {
		return
	}
	t.post(authority.TailCovered{At: process.Now(), Incarnation: incarnation})
}
