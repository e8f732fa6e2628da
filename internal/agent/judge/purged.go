package judge

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Purged is what the peer has executed and this member can never receive from it, by the peer's
// newest answer. One part is what the peer counts as purged (gtid_purged), since it has that in
// none of its binary logs: SET GLOBAL gtid_purged in a dump leaves such, and PURGE BINARY LOGS.
// The other is what this member wrote itself before its volume went back: a receiver leaves out
// the events of its own server (replicate_same_server_id). Anything else is merely on its way. The
// zero value is that of a peer that has not answered.
type Purged struct {
	said     *agentapi.State // the answer that was taken in
	data     pair.DataID     // the peer's, by that answer
	set      gtid.Set
	executed gtid.Set
}

// Lacks is what the peer cannot send and this member has not received, and the data of the peer
// that this is about. mine must be read after the peer answered. The finding outlives the peer:
// an answer without mysqld's sets changes nothing.
func (p *Purged) Lacks(peer *agentapi.State, mine mysqlops.Status) (gtid.Set, pair.DataID, error) {
	news := peer != nil && peer != p.said
	if news && peer.Server != nil && peer.DataID != "" {
		set, err := gtid.Parse(peer.Server.PurgedGTIDs)
		if err != nil {
			return gtid.Set{}, "", fmt.Errorf("gtid_purged of the peer: %w", err)
		}
		executed, err := gtid.Parse(peer.Server.GTIDExecuted)
		if err != nil {
			return gtid.Set{}, "", fmt.Errorf("gtid_executed of the peer: %w", err)
		}
		p.said = peer
		p.data = peer.DataID
		p.set = set
		p.executed = executed
	}
	own := p.executed.OfServer(mine.ServerUUID)
	return p.set.Union(own).Subtract(mine.Received), p.data, nil
}
