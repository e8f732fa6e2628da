package failover

import (
	"fmt"
	"strings"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

// reseedDiverged: the passive has transactions that the primary lacks, no rewind takes them away,
// and it is shown that none of them was acknowledged to a client. As spec.rejoin.onDivergence
// asks for, they go to its quarantine and it is copied again. Every other divergence is left to a
// person: see diverged and rewindTail.
func reseedDiverged(l *look) (Plan, bool) {
	m := l.passive
	if !l.Settings.ReseedsDiverged || l.reseed() != nil || !l.open(l.holder) {
		return no()
	}
	errant := l.toGiveUp(m)
	if errant.IsEmpty() || l.mayBeAcknowledged(m, errant) != "" || !purgedOf(m).Intersect(errant).IsEmpty() {
		return no()
	}
	if why := l.cannotCopyNow(&Operation{GiveUp: true}, m); why != "" {
		return hold(VerbNone, "%s is to be copied again: %s", m.Name, why)
	}
	fact := fmt.Sprintf("%s has %d transactions that %s lacks and that were never acknowledged, such as %.200s: "+
		"they are saved in its quarantine, and it is copied again", m.Name, errant.Count(), l.holder.Name, errant)
	switch {
	case l.rec.Ledger.State != authority.Solo:
		return act(fact, l.change(authority.EnterSolo{Member: l.holder.Name}))
	case l.FreshID == "":
		return wait("%s", fact)
	}
	data := pair.DataID(l.FreshID)
	p, ok := act(fact, l.change(authority.ForgetData{Member: m.Name, NewData: data}))
	p.Operation = l.ownReseedNote(m, data, fact)
	return p, ok
}

// toGiveUp is what the passive has, the primary lacks, and a rewind does not take away; empty when
// that is nothing, or not known for the present runs and data of both.
func (l *look) toGiveUp(m *Member) gtid.Set {
	if !l.hasData(m) || l.seeding() != "" {
		return gtid.Set{}
	}
	held := m.State.Phase == agentapi.PhaseHeld && m.State.KnownEpoch >= l.e && l.refusesRewind(m)
	switch {
	case held:
		return parsed(m.State.TailKept)
	case m.State.Phase == agentapi.PhaseClosed && l.comparedByAgent(m, l.holder):
		return l.compare(m).errant
	}
	return gtid.Set{}
}

// purgedOf is what is in no binary log of the member any more, so that no quarantine would have it.
func purgedOf(m *Member) gtid.Set {
	if m.State == nil || m.State.Server == nil {
		return gtid.Set{}
	}
	return parsed(m.State.Server.PurgedGTIDs)
}

// mayBeAcknowledged says why a client may have been told that the errant transactions of the member
// are stored, so that only a person gives them up; empty when it is shown that none was.
func (l *look) mayBeAcknowledged(m *Member, errant gtid.Set) string {
	holder := l.holder.State
	if !l.Settings.Lossless || holder == nil || holder.Server == nil {
		return "durability.mode is not Lossless, or the primary is not heard"
	}
	left := l.rec.Left
	leftIts := left != nil && left.Member == m.Name && left.DataID == m.State.DataID
	ofHolder := errant.OfServer(gtid.ServerUUID(strings.ToLower(holder.Server.ServerUUID)))
	switch {
	case l.rec.Ledger.Incarnations[l.holder.Name] != holder.Mysqld.Incarnation:
		return fmt.Sprintf("mysqld of %s is not the run that the ledger names: its disk may have gone back", l.holder.Name)
	case !ofHolder.IsEmpty():
		return fmt.Sprintf("%s wrote some of them itself", l.holder.Name)
	case leftIts && !left.Clean:
		return fmt.Sprintf("%s lost the authority without it being certain that its tail holds nothing acknowledged (%s)", m.Name, left.Proof)
	case m.State.UncleanAt != 0 && (!leftIts || left.Epoch != m.State.UncleanAt):
		return fmt.Sprintf("%s ended uncleanly at epoch %d, of which the authority says nothing", m.Name, m.State.UncleanAt)
	}
	return ""
}
