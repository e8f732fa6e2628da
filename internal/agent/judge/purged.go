package judge

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Purged is what the peer counts as purged (gtid_purged), by its newest answer: transactions
// that it has executed and has in none of its binary logs, so that it never sends them. SET
// GLOBAL gtid_purged in a dump leaves such, and PURGE BINARY LOGS. What is merely on its way is
// in a binary log. The zero value is that of a peer that has not answered.
type Purged struct {
	said *agentapi.State // the answer that was taken in
	data pair.DataID     // the peer's, by that answer
	set  gtid.Set
}

// Lacks is what the peer has purged and this member has not received, and the data of the peer
// that this is about. mine must be read after the peer answered. The finding outlives the peer:
// an answer without mysqld's sets changes nothing.
func (p *Purged) Lacks(peer *agentapi.State, mine mysqlops.Status) (gtid.Set, pair.DataID, error) {
	if peer != nil && peer != p.said && peer.Server != nil && peer.DataID != "" {
		set, err := gtid.Parse(peer.Server.PurgedGTIDs)
		if err != nil {
			return gtid.Set{}, "", fmt.Errorf("gtid_purged of the peer: %w", err)
		}
		p.said = peer
		p.data = peer.DataID
		p.set = set
	}
	return p.set.Subtract(mine.Received), p.data, nil
}
