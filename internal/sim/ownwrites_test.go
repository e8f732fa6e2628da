package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// ownWrites is what an agent remembers about transactions that someone commits on its passive.
type ownWrites struct {
	judge   judge.OwnWrites
	written int // of the member's own when it was last compared
	watch   int // the newest watch; a former one ends
}

// watchOwnWrites compares a member that follows again when it has written by itself. mine and the
// primary's state are those by which it was compared just now.
func (a *agentSim) watchOwnWrites(act authority.Follow, s *mysqld, mine mysqlops.Status, primary *agentapi.State) {
	a.own.judge.Compared(mine, primary)
	a.own.written = s.data.written
	a.own.watch++
	a.nextOwnWrites(act, s, a.own.watch)
}

func (a *agentSim) nextOwnWrites(act authority.Follow, s *mysqld, watch int) {
	a.later(500*time.Millisecond, func() {
		v := a.machine.View()
		follows := a.mysqld == s && !s.dead && !s.open && v.Record != nil && v.Record.Epoch == act.Epoch &&
			v.Durable.ReceiverStopped < act.Epoch
		if !follows || a.own.watch != watch {
			return
		}
		a.nextOwnWrites(act, s, watch)
		if s.data.written != a.own.written || a.compared.Errant != "" {
			a.compareOwnWrites(act, s)
		}
	})
}

func (a *agentSim) compareOwnWrites(act authority.Follow, s *mysqld) {
	mine := s.status()
	written := s.data.written
	a.askState(func(peer *agentapi.State) {
		if a.mysqld != s || s.dead || s.open || (!a.own.judge.Due(mine, peer) && a.compared.Errant == "") {
			return
		}
		errant, err := judge.Errant(mine, peer, pairUID, act.Epoch)
		if err != nil {
			return
		}
		found := judge.Compare(a.compared, errant, judge.Self{Incarnation: s.inc, DataID: a.m.vol.id}, peer)
		a.compared = &found
		a.own.judge.Compared(mine, peer)
		a.own.written = written
	})
}
