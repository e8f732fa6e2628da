package judge

import (
	"strings"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// OwnWrites finds out that a passive has executed transactions which are not of the primary's
// server since it was last compared. Replication brings it few of those, and a person who switches
// super_read_only off writes them; they are errant unless the primary has them as well. The zero
// value is that of a member that was never compared.
type OwnWrites struct {
	known gtid.Set // when it was last compared
	seen  bool     // new ones were there at the last look
}

// Compared takes in what the member had, at the latest, when it was compared.
func (o *OwnWrites) Compared(mine mysqlops.Status, primary *agentapi.State) {
	o.known = notOf(primary, mine)
	o.seen = false
}

// Due reports whether the member has to be compared again: new ones were there at two looks in a
// row, and the primary is not about to receive them. What it receives by now may be on its way.
func (o *OwnWrites) Due(mine mysqlops.Status, primary *agentapi.State) bool {
	if primary == nil || primary.Server == nil {
		return false
	}
	before := o.seen
	o.seen = !o.known.Covers(notOf(primary, mine))
	arrives := primary.Server.Receiver.Running && primary.Server.Applier.Running
	return before && o.seen && !arrives
}

// notOf are the transactions of this member that another server than the primary's began.
func notOf(primary *agentapi.State, mine mysqlops.Status) gtid.Set {
	if primary == nil || primary.Server == nil {
		return gtid.Set{}
	}
	return mine.Executed.Subtract(mine.Executed.OfServer(gtid.ServerUUID(strings.ToLower(primary.Server.ServerUUID))))
}
