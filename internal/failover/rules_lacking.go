package failover

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// lacks is what the member's agent found that the other one, which is or was the primary, has
// executed and cannot send; empty for nothing, and for data that is not the pair's any more.
func (l *look) lacks(m *Member) gtid.Set {
	if m == nil || m.State == nil || m.State.Lacks == nil {
		return gtid.Set{}
	}
	found := m.State.Lacks
	other := l.other(m.Name)
	mine := found.DataID != "" && found.DataID == m.State.DataID && found.DataID == l.rec.Data[m.Name]
	if !mine || found.PeerDataID != l.rec.Data[other.Name] {
		return gtid.Set{}
	}
	return parsed(found.GTIDs)
}

// lackOf says what the member lacks, and how that comes.
func (l *look) lackOf(m *Member) string {
	missing := l.lacks(m)
	other := l.other(m.Name).Name
	return fmt.Sprintf("%s lacks %d transactions that %s has executed and cannot send to it, such as %.200s: a dump was imported with "+
		"SET GTID_PURGED, binary logs were purged, or they are of %s itself and its volume went back. What they wrote is on %s alone",
		m.Name, missing.Count(), other, missing, m.Name, other)
}

// copyAgain is how the passive is replaced by a copy of the primary.
func (l *look) copyAgain(m *Member) string {
	return fmt.Sprintf("To copy %s again: kubectl dbpair reseed %s %s -n %s", m.Name, l.Settings.Name, m.Name, l.Settings.Namespace)
}

// passiveLacksData: the primary has transactions that its passive can never receive. The ledger
// says so at once, so that the next operator does not promote the passive either, and says that
// both members have everything only when that was verified. A passive that is alone in having
// nothing of its own is copied by itself: see seedPassive.
func passiveLacksData(l *look) (Plan, bool) {
	m := l.passive
	if l.lacks(m).IsEmpty() || (l.rec.Ledger.State == authority.Solo && l.cannotCatchUp(m)) {
		return no()
	}
	if l.Settings.Lossless && l.rec.Ledger.State == authority.Both {
		return act(l.lackOf(m), l.change(authority.BeginJoining{First: l.holder.Name, Joining: m.Name}))
	}
	return hold(VerbReseed, "%s", l.lackOf(m))
}
