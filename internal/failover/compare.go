package failover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// comparison is what a member has that the other one, which is or was the primary, lacks.
// known: the present runs of both were compared, or nothing about them has to be.
type comparison struct {
	known  bool
	errant gtid.Set
}

// compare gathers what was found, by the member's own agent and before a joining, and takes
// away what is not so any more: a transaction that the other one has by now, such as an
// empty one with the same GTID, or that is gone from this member.
func (l *look) compare(m *Member) comparison {
	var c comparison
	other := l.other(m.Name)
	if m.State == nil {
		return c
	}
	if l.comparedByAgent(m, other) {
		c.known = true
		c.errant = parsed(m.State.Compared.Errant)
	} else {
		c.errant, c.known = l.comparedAtRest(m, other)
	}
	if found, ok := l.History.Errant[m.Name]; ok {
		sameRun := found.DataID == m.State.DataID && found.Incarnation == m.State.Mysqld.Incarnation
		if sameRun {
			c.errant = c.errant.Union(parsed(found.GTIDs))
		}
	}
	if l.knownData(other) && other.State.Server != nil {
		// A primary that lost transactions of its own gives their numbers to others: those
		// stay.
		own := c.errant.OfServer(gtid.ServerUUID(strings.ToLower(other.State.Server.ServerUUID)))
		c.errant = c.errant.Subtract(parsed(other.State.Server.BinlogGTIDs)).Union(own)
	}
	if has := transactionsOf(m); !has.IsEmpty() {
		c.errant = c.errant.Intersect(has)
	}
	return c
}

// comparedByAgent: the member's agent compared the present runs and data of both.
func (l *look) comparedByAgent(m, other *Member) bool {
	c := m.State.Compared
	if c == nil || c.DataID != m.State.DataID || c.Incarnation != m.State.Mysqld.Incarnation {
		return false
	}
	return l.knownData(other) && c.HolderDataID == other.State.DataID && c.HolderIncarnation == other.State.Mysqld.Incarnation
}

// comparedAtRest compares by what both agents published, which is of use only while neither
// binlog grows: the other member is closed, and this one receives nothing. Two members that
// cannot reach each other are compared like that.
func (l *look) comparedAtRest(m, other *Member) (errant gtid.Set, known bool) {
	otherRests := other.heard() && l.knownData(other) && other.State.Phase == agentapi.PhaseClosed
	if !m.heard() || !otherRests {
		return errant, false
	}
	mine := m.State.Server
	theirs := other.State.Server
	if mine == nil || theirs == nil {
		return errant, false
	}
	// An empty set is one that was not read, and no binlog without transactions.
	bothRead := mine.BinlogGTIDs != "" && theirs.BinlogGTIDs != ""
	atRest := !mine.Receiver.Running && mine.SuperReadOnly && theirs.SuperReadOnly
	if !bothRead || !atRest {
		return errant, false
	}
	return transactionsOf(m).Subtract(parsed(theirs.BinlogGTIDs)), true
}

// knownData: the last answer of the member is of the data that the authority knows.
func (l *look) knownData(m *Member) bool {
	return m.State != nil && m.State.DataID != "" && m.State.DataID == l.rec.Data[m.Name] && m.State.Mysqld.Incarnation != ""
}

// transactionsOf is what the member has, received transactions included; empty when unknown.
func transactionsOf(m *Member) gtid.Set {
	if m.State == nil || m.State.Server == nil {
		return gtid.Set{}
	}
	return parsed(m.State.Server.BinlogGTIDs).Union(parsed(m.State.Server.GTIDReceived))
}

// parsed is a set as an agent published it; empty when it makes no sense, which only an
// agent of another version can cause.
func parsed(text string) gtid.Set {
	set, err := gtid.Parse(text)
	if err != nil {
		return gtid.Set{}
	}
	return set
}

// errantOf is what the member has and the other one lacks, as text; empty for nothing.
func (l *look) errantOf(m *Member) string {
	if errant := l.compare(m).errant; !errant.IsEmpty() {
		return errant.String()
	}
	return ""
}

// restartedInSync: the ledger says that both members have every acknowledged write, and the
// mysqld of this one is another run than the one that was shown to. Its disk may have come
// back older.
func (l *look) restartedInSync(m *Member) bool {
	return l.rec.Ledger.State == authority.Both && m.State != nil && m.State.Mysqld.Incarnation != l.rec.Ledger.Incarnations[m.Name]
}

// rolledBack is what the primary has lost: transactions of its own that the other member
// has, or, when the primary was restarted and has not opened since, any that could have been
// acknowledged. Empty when nothing shows that.
func (l *look) rolledBack(primary *Member) gtid.Set {
	if primary == nil {
		return gtid.Set{}
	}
	peer := l.other(primary.Name)
	if l.hasNoData(peer) {
		return gtid.Set{} // nobody has any more what was lost
	}
	c := l.compare(peer)
	if !c.known || primary.State.Server == nil {
		return l.remembered(primary, peer)
	}
	if l.Settings.Lossless && l.restartedInSync(primary) && !l.open(primary) {
		return c.errant
	}
	return c.errant.OfServer(gtid.ServerUUID(strings.ToLower(primary.State.Server.ServerUUID)))
}

// remembered is what was found about the data that both still have.
func (l *look) remembered(primary, peer *Member) gtid.Set {
	r := l.History.RolledBack
	if r.Primary != primary.Name || r.DataID != l.rec.Data[primary.Name] || r.PeerDataID != l.rec.Data[peer.Name] {
		return gtid.Set{}
	}
	return parsed(r.GTIDs)
}

// observed is the history with what this observation shows of the primary: what it was found
// to have lost, and since when it has been up and closed. Without an authority that was read
// nothing changes.
func observed(o Observation) History {
	h := o.History
	if o.Authority.Reading != Read {
		return h
	}
	l := newLook(o)
	h.Closed = l.closed()
	h.Unheard = l.unheard()
	h.RolledBack = l.findRolledBack()
	return h
}

// closed: not to be heard at one observation changes nothing, another run of mysqld does.
func (l *look) closed() Closed {
	m := l.holder
	former := l.History.Closed
	switch {
	case m == nil:
		return Closed{}
	case !m.heard():
		return former
	case !m.State.Mysqld.Running || m.State.Phase != agentapi.PhaseClosed:
		return Closed{}
	case former.Incarnation != m.State.Mysqld.Incarnation:
		return Closed{Since: l.Now, Incarnation: m.State.Mysqld.Incarnation}
	}
	return former
}

func (l *look) unheard() Unheard {
	if l.passive == nil || l.passive.heard() {
		return Unheard{}
	}
	return l.History.Unheard.next(l.Now, l.Settings.DeadAfter)
}

func (l *look) findRolledBack() RolledBack {
	primary := l.holder
	if primary == nil {
		primary = l.last
	}
	lost := l.rolledBack(primary)
	if lost.IsEmpty() {
		return RolledBack{}
	}
	return RolledBack{
		Primary:    primary.Name,
		DataID:     l.rec.Data[primary.Name],
		PeerDataID: l.rec.Data[l.other(primary.Name).Name],
		GTIDs:      lost.String(),
	}
}

// primaryDataRolledBack: the primary lacks transactions that it wrote, or that were
// acknowledged while it was the primary. It is neither opened nor left alone: the passive
// takes over if it is in sync, else a person has to choose.
func primaryDataRolledBack(l *look) (Plan, bool) {
	lost := l.rolledBack(l.holder)
	if lost.IsEmpty() {
		return no()
	}
	fact := fmt.Sprintf("%s lacks %d transactions that %s has, such as %.200s: the volume of %s was restored from an older state",
		l.holder.Name, lost.Count(), l.passive.Name, lost, l.holder.Name)
	if p, ok := l.failOver(RulePrimaryDataRolledBack, fact); ok {
		return p, ok
	}
	return l.chooseData(fact, l.holder, l.passive)
}

// lastDataRolledBack is the same while nobody is the primary: the last one is not appointed
// again.
func lastDataRolledBack(l *look) (Plan, bool) {
	lost := l.rolledBack(l.last)
	if lost.IsEmpty() || l.candidacyOf(l.peer).ok {
		return no()
	}
	fact := fmt.Sprintf("%s, the last primary, lacks %d transactions that %s has, such as %.200s: "+
		"the volume of %s was restored from an older state",
		l.last.Name, lost.Count(), l.peer.Name, lost, l.last.Name)
	p, ok := l.chooseData(fact, l.last, l.peer)
	p.Steps = l.doorTo(l.peer)
	return p, ok
}

func (l *look) chooseData(fact string, primary, passive *Member) (Plan, bool) {
	if l.candidacyOf(passive).ok {
		return doubt(VerbFailover, "%s. %s has every acknowledged write: let it take over", fact, passive.Name)
	}
	return doubt(VerbForcePromote, "%s. To keep them and lose what only %s has, promote %s by force; "+
		"to lose them, delete the volume claim and the pod of %s, which is then copied again",
		fact, primary.Name, passive.Name, passive.Name)
}

// uncompared says why the primary may lack acknowledged writes that the passive has, so that
// it must not go on alone yet; empty when it cannot, or when the passive cannot be asked.
func (l *look) uncompared() string {
	m := l.passive
	if !l.Settings.Lossless || !l.restartedInSync(l.holder) {
		return ""
	}
	if !m.heard() {
		if away := min(l.awayFor(m), l.History.Unheard.For); away < l.Settings.DeadAfter {
			return fmt.Sprintf("the agent of %s may answer yet (%s)", m.Name, m.Reach)
		}
		return ""
	}
	if l.lostData(m) || needsSeed(m) {
		return ""
	}
	c := l.compare(m)
	switch {
	case c.known && c.errant.IsEmpty():
		return ""
	case c.known:
		return fmt.Sprintf("%s has transactions that %s lacks", m.Name, l.holder.Name)
	case m.State.Mysqld.Running:
		return fmt.Sprintf("what %s has is not compared with %s yet", m.Name, l.holder.Name)
	}
	switch m.State.Phase {
	case agentapi.PhaseStarting, agentapi.PhaseRecovering, agentapi.PhaseClosing, agentapi.PhaseClosed, agentapi.PhaseInitializing:
		if l.lostFor() < max(l.Settings.DeadAfter, l.Settings.InitialDelay) {
			return fmt.Sprintf("%s is %s, and what it has is not compared with %s yet", m.Name, m.State.Phase, l.holder.Name)
		}
	case agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseVolumeLost, agentapi.PhaseEmpty, agentapi.PhaseSeeding,
		agentapi.PhaseVoid, agentapi.PhaseHeld, agentapi.PhaseOpening, agentapi.PhaseOpen, agentapi.PhaseFailed:
	}
	return ""
}

// lostFor is how long the passive has not been streaming, as this process saw it.
func (l *look) lostFor() time.Duration {
	if l.History.LostSince.IsZero() {
		return 0
	}
	return max(0, l.Now.Sub(l.History.LostSince))
}
