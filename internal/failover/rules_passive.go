package failover

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

func passiveAway(l *look) (Plan, bool) {
	m := l.passive
	if !m.heard() {
		return hold(VerbNone, "the agent of %s does not answer (%s) %s", m.Name, m.Reach, m.Pod.Problem)
	}
	switch m.State.Phase {
	case agentapi.PhaseStarting, agentapi.PhaseRecovering, agentapi.PhaseInitializing, agentapi.PhaseClosing:
		return wait("%s is %s", m.Name, m.State.Phase)
	case agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseFailed, agentapi.PhaseVolumeLost:
		return hold(VerbNone, "%s is %s: %s", m.Name, m.State.Phase, firstProblem(m))
	case agentapi.PhaseEmpty, agentapi.PhaseSeeding, agentapi.PhaseVoid, agentapi.PhaseHeld, agentapi.PhaseClosed,
		agentapi.PhaseOpening, agentapi.PhaseOpen:
	}
	return no()
}

func firstProblem(m *Member) string {
	if len(m.State.Problems) > 0 {
		return m.State.Problems[0].Message
	}
	return "see its log"
}

// seeding is the name that a seed under way gives the passive's data.
func (l *look) seeding() pair.DataID {
	if s := l.rec.Seeding; s != nil && s.Member == l.passive.Name {
		return s.DataID
	}
	return ""
}

func needsSeed(m *Member) bool {
	return m.heard() && (m.State.Phase == agentapi.PhaseEmpty || m.State.Phase == agentapi.PhaseVoid)
}

// cannotCatchUp: the primary has removed binary logs that the passive has not received, and
// the passive, whose agent has compared them in this run, has nothing that the primary lacks.
// What it has not received its agent says, which reads its own set after the primary's answer:
// two sets that were published at different times would miss what it received in between.
func (l *look) cannotCatchUp(m *Member) bool {
	passiveClosed := m.heardMysqld() && m.State.Phase == agentapi.PhaseClosed
	primaryOpen := l.open(l.holder) && l.holder.State.Server != nil
	if !passiveClosed || !primaryOpen {
		return false
	}
	if l.lacks(m).IsEmpty() {
		return false
	}
	c := m.State.Compared
	compared := c != nil && c.DataID == m.State.DataID && c.Incarnation == m.State.Mysqld.Incarnation &&
		c.HolderDataID == l.holder.State.DataID
	return compared && c.Errant == "" && l.errantOf(m) == ""
}

// isGivenUp: the Lease says that the data on the passive's volume is given up for a copy.
func (l *look) isGivenUp(m *Member) bool {
	id := l.seeding()
	return m.heard() && id != "" && l.rec.Data[m.Name] == "" && m.State.DataID != id && replaceable(m)
}

// seedPassive: the passive's volume is empty, or was given up, or it cannot catch up. Its entry goes first, so
// that a command that arrives late finds an authority that says what it says.
func seedPassive(l *look) (Plan, bool) {
	m := l.passive
	if !needsSeed(m) && !l.isGivenUp(m) && !l.cannotCatchUp(m) {
		return no()
	}
	if why := l.keptWithoutBinlogs(m); why != "" {
		return hold(VerbNone, "%s", why)
	}
	if !l.open(l.holder) {
		return wait("%s is to be copied from %s, which is not open", m.Name, l.holder.Name)
	}
	if l.rec.Ledger.State != authority.Solo {
		return wait("%s is to be copied from %s once the ledger lets %s go on alone", m.Name, l.holder.Name, l.holder.Name)
	}
	if op := l.copiesBackup(); op != nil {
		return l.seedByBackup(op)
	}
	id := l.seeding()
	if id == "" || l.rec.Data[m.Name] != "" {
		if l.FreshID == "" {
			return wait("%s is to be copied from %s", m.Name, l.holder.Name)
		}
		fact := fmt.Sprintf("the volume of %s is %s", m.Name, m.State.Phase)
		if !needsSeed(m) {
			fact = fmt.Sprintf("%s lacks transactions that %s cannot send to it, and has none that %s lacks", m.Name, l.holder.Name, l.holder.Name)
		} else if lost := lostBinlogs(m); lost != "" {
			fact = lost
		}
		return act(fact, l.change(authority.ForgetData{Member: m.Name, NewData: pair.DataID(l.FreshID)}))
	}
	return act(fmt.Sprintf("%s is to be copied from %s", m.Name, l.holder.Name),
		Seed{
			Member: m.Name,
			Donor:  l.holder.Name,
			Target: m.State.DataID,
			DataID: id,
		})
}

func awaitSeed(l *look) (Plan, bool) {
	m := l.passive
	if !m.heard() || m.State.Phase != agentapi.PhaseSeeding {
		return no()
	}
	switch s := m.State.Seed; {
	case s != nil && s.Estimated > 0:
		from := cmp.Or(s.Donor, l.holder.Name)
		return wait("%s is being copied from %s: %s, %d of %d MiB%s", m.Name, from, s.Stage, s.Bytes>>20, s.Estimated>>20, pace(s))
	case s != nil && l.copiesBackup() != nil && s.Stage != "":
		return wait("%s is being copied from a backup: %s", m.Name, s.Stage)
	}
	return wait("%s is being copied from %s", m.Name, l.holder.Name)
}

// pace says how fast the copy goes, and what it still takes; empty when that is not known.
func pace(s *agentapi.SeedProgress) string {
	if s.BytesPerSecond == 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f MiB/s, %s left", float64(s.BytesPerSecond)/(1<<20), s.Remaining.Round(time.Second))
}

func nameSeededData(l *look) (Plan, bool) {
	m := l.passive
	id := l.seeding()
	copied := m.heard() && id != "" && m.State.DataID == id && m.State.Phase == agentapi.PhaseClosed
	if !copied || l.rec.Data[m.Name] != "" {
		return no()
	}
	return act(string(m.Name)+" has been copied", l.change(authority.NameData{Member: m.Name, DataID: id}))
}

// rewindTail: the passive was the primary and ended uncleanly. A tail that was never
// acknowledged, and that no mysqld has touched, is cut before mysqld starts. Any other is kept,
// and a member without a tail goes on whatever is known about its end.
func rewindTail(l *look) (Plan, bool) {
	m := l.passive
	if !l.hasData(m) || m.State.Phase != agentapi.PhaseHeld {
		return no()
	}
	if m.Pod.Deleting {
		return no() // its next pod will start mysqld, this one does not any more
	}
	keep := l.keepsTail(m)
	switch {
	case m.State.KnownEpoch < l.e:
		return act(fmt.Sprintf("%s waits to hear who is the primary", m.Name), ReadLease{Member: m.Name})
	case l.refusesRewind(m) && keep != "":
		return hold(VerbReseed, "%s, and %s: its data is kept as it is", keep, m.State.RewindRefused)
	case l.refusesRewind(m):
		return hold(VerbReseed, "the tail of %s cannot be cut (%s): its data is kept as it is", m.Name, m.State.RewindRefused)
	case !l.open(l.holder):
		return wait("the tail of %s is to be compared with %s, which is not open", m.Name, l.holder.Name)
	case l.rec.Ledger.State != authority.Solo:
		return wait("%s is to be compared with %s once the ledger lets %s go on alone", m.Name, l.holder.Name, l.holder.Name)
	}
	fact := keep
	if keep == "" {
		fact = fmt.Sprintf("%s may have a tail that was never acknowledged", m.Name)
	}
	return act(fact,
		Rewind{
			Member:   m.Name,
			Holder:   l.holder.Name,
			Target:   m.State.DataID,
			KeepTail: keep != "",
		})
}

// keepsTail says why what the held member may have beyond the primary must not be cut; empty
// when it may be.
func (l *look) keepsTail(m *Member) string {
	left := l.rec.Left
	switch {
	case left == nil || left.Member != m.Name || left.DataID != m.State.DataID || left.Epoch != m.State.UncleanAt:
		return fmt.Sprintf("%s ended uncleanly at epoch %d and the authority does not say that its tail holds nothing acknowledged",
			m.Name, m.State.UncleanAt)
	case !left.Clean:
		return fmt.Sprintf("%s lost the authority without it being certain that its tail holds nothing acknowledged (%s)", m.Name, left.Proof)
	case m.State.TailCommitted:
		return fmt.Sprintf("mysqld of %s was started after its unclean end, or its commits had not waited: "+
			"its tail is committed and cannot be cut", m.Name)
	}
	return ""
}

// refusesRewind: the member's agent has found a tail that is not cut, and the primary still
// lacks some of it.
func (l *look) refusesRewind(m *Member) bool {
	if m.State.RewindRefused == "" {
		return false
	}
	kept := parsed(m.State.TailKept)
	return kept.IsEmpty() || l.holder.State == nil || l.holder.State.Server == nil ||
		!parsed(l.holder.State.Server.BinlogGTIDs).Covers(kept)
}

// diverged: the passive's data is not a part of the primary's, or nobody knows it. One that streams
// goes on acknowledging, so that no commit waits in vain, and the ledger says at once that it is not
// promotable: the next operator does not promote it either.
func diverged(l *look) (Plan, bool) {
	m := l.passive
	if !m.heard() || m.State.DataID == "" {
		return no()
	}
	undecided := m.State.Phase == agentapi.PhaseSeeding || m.State.Phase == agentapi.PhaseHeld
	if undecided || needsSeed(m) {
		return no()
	}
	const keep = "Its data is kept as it is"
	switch {
	case m.State.DataID == l.seeding() && l.rec.Data[m.Name] == "":
		return no()
	case m.State.DataID != l.rec.Data[m.Name]:
		return hold(VerbReseed, "%s holds data %s, which the authority does not know (%q). %s", m.Name, m.State.DataID, l.rec.Data[m.Name], keep)
	case l.errantOf(m) == "":
		return no()
	}
	fact := fmt.Sprintf("%s has %s, which %s has not. %s; what each side changed, and the ways out: kubectl dbpair divergence %s -n %s",
		m.Name, l.errantOf(m), l.holder.Name, keep, l.Settings.Name, l.Settings.Namespace)
	certain := l.open(l.holder) && !l.restartedInSync(l.holder)
	if l.Settings.Lossless && l.rec.Ledger.State == authority.Both && certain && streams(m) {
		return act(fact, l.change(authority.BeginJoining{First: l.holder.Name, Joining: m.Name}))
	}
	return hold(VerbReseed, "%s", fact)
}

// ready: the passive holds its data, is closed and runs, so that its place in the ledger
// can be talked about.
func (l *look) ready(m *Member) bool {
	return l.hasData(m) && m.State.Phase == agentapi.PhaseClosed && m.State.Mysqld.Running && l.errantOf(m) == ""
}

func awaitStreaming(l *look) (Plan, bool) {
	m := l.passive
	if !l.ready(m) || streams(m) {
		return no()
	}
	if s := m.State.Server; s != nil && s.Receiver.LastErrno != 0 {
		return hold(VerbNone, "%s does not receive from %s: error %d %s", m.Name, l.holder.Name, s.Receiver.LastErrno, s.Receiver.LastError)
	}
	if m.State.KnownEpoch < l.e || m.State.ActedLedger < l.rec.Ledger.Version {
		p, ok := act(fmt.Sprintf("%s has not read the present authority yet", m.Name), ReadLease{Member: m.Name})
		p.After = time.Second
		return p, ok
	}
	return wait("%s does not stream from %s yet", m.Name, l.holder.Name)
}

func (l *look) subjectsForJoining() (Step, bool) {
	streaming := l.ready(l.passive) && streams(l.passive) && l.open(l.holder)
	needsCopy := !l.lacks(l.passive).IsEmpty() || l.awaitsReseed()
	if !streaming || needsCopy || leaving(l.passive) {
		return nil, false
	}
	if !l.closedProof(l.passive) {
		return Fence{Subject: l.passive.subject()}, true
	}
	return BeginJoining{
		From:    l.rec,
		Version: l.Authority.Version,
		Primary: l.holder.subject(),
		Passive: l.passive.subject(),
	}, true
}

// leaving: the member's mysqld is about to end. A primary that waited for it again would wait
// in vain as soon as it has.
func leaving(m *Member) bool {
	return m.Pod.Deleting || (m.heard() && m.State.Ending)
}

// incarnationChanged: what a restarted mysqld had received may be gone with its former
// run, so it counts as in sync only once that is shown again.
func incarnationChanged(l *look) (Plan, bool) {
	m := l.passive
	if !l.passiveInSync() || !m.heard() || m.State.Mysqld.Incarnation == "" {
		return no()
	}
	if m.State.Mysqld.Incarnation == l.rec.Ledger.Incarnations[m.Name] {
		return no()
	}
	step, ok := l.subjectsForJoining()
	if !ok {
		return no()
	}
	return act(fmt.Sprintf("mysqld of %s was restarted since it was shown to be in sync", m.Name), step)
}

func beginJoining(l *look) (Plan, bool) {
	if !l.Settings.Lossless || l.rec.Ledger.State != authority.Solo {
		return no()
	}
	step, ok := l.subjectsForJoining()
	if !ok {
		return no()
	}
	if l.holder.State.ActedLedger < l.rec.Ledger.Version {
		// Commits that wait are released when it acts on the ledger. To join before that would
		// make them wait on, and the ledger solo again by the same commits.
		p, ok := act(fmt.Sprintf("%s has not read yet that it need not wait", l.holder.Name), ReadLease{Member: l.holder.Name})
		p.After = time.Second
		return p, ok
	}
	return act(fmt.Sprintf("%s streams from %s again", l.passive.Name, l.holder.Name), step)
}

// awaitSemiSyncEnabled: the primary has to act on the joining ledger before the passive can be
// verified to have everything.
func awaitSemiSyncEnabled(l *look) (Plan, bool) {
	joining := l.Settings.Lossless && l.rec.Ledger.State == authority.Joining
	if !joining || !l.open(l.holder) || l.acts() {
		return no()
	}
	p, ok := act(fmt.Sprintf("%s has not switched waiting on yet", l.holder.Name), ReadLease{Member: l.holder.Name})
	p.After = time.Second
	return p, ok
}

// acts: the open holder acts on the present ledger version, and waits.
func (l *look) acts() bool {
	s := l.holder.State
	return s != nil && s.ActedLedger == l.rec.Ledger.Version && s.Server != nil && s.Server.Waiting
}

func concludeJoining(l *look) (Plan, bool) {
	joining := l.Settings.Lossless && l.rec.Ledger.State == authority.Joining
	if !joining || !l.open(l.holder) || !l.acts() {
		return no()
	}
	if !l.ready(l.passive) || !streams(l.passive) || !l.lacks(l.passive).IsEmpty() {
		return no()
	}
	if !l.closedProof(l.passive) {
		return act(fmt.Sprintf("%s has not answered that it is closed", l.passive.Name), Fence{Subject: l.passive.subject()})
	}
	p, ok := act(fmt.Sprintf("%s is being verified to have received every transaction", l.passive.Name),
		ConcludeJoining{
			From:    l.rec,
			Version: l.Authority.Version,
			Primary: l.holder.subject(),
			Passive: l.passive.subject(),
		})
	p.After = time.Second
	return p, ok
}

func lagging(l *look) (Plan, bool) {
	m := l.passive
	if !l.ready(m) || m.State.Server == nil {
		return no()
	}
	if s := m.State.Server; s.Applier.LastErrno != 0 {
		return hold(VerbNone, "the applier of %s stopped with error %d: %s", m.Name, s.Applier.LastErrno, s.Applier.LastError)
	} else if lag := time.Duration(s.LagSeconds) * time.Second; lag > l.Settings.PassiveMaxLag && l.Settings.PassiveMaxLag > 0 {
		return hold(VerbNone, "%s lags by %s", m.Name, lag)
	}
	return no()
}

func inSync(l *look) (Plan, bool) {
	if !l.Settings.Lossless || l.rec.Ledger.State != authority.Both || !l.open(l.holder) {
		return no()
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return hold(VerbNone, "%s", c.why)
	}
	return Plan{Kind: Settled, Fact: fmt.Sprintf("%s is the primary, %s is in sync", l.holder.Name, l.passive.Name)}, true
}

// replicating is the settled state without a second copy that counts: Async, or solo
// while the passive is on its way.
func replicating(l *look) (Plan, bool) {
	if !l.open(l.holder) {
		return no()
	}
	if l.Settings.Lossless {
		switch l.rec.Ledger.State {
		case authority.Both:
			return no()
		case authority.Joining:
			return wait("%s is the primary; %s is not verified to have every transaction yet", l.holder.Name, l.passive.Name)
		case authority.Solo:
		}
		return wait("%s is the primary, and the only one with every acknowledged write", l.holder.Name)
	}
	return Plan{Kind: Settled, Fact: fmt.Sprintf("%s is the primary, %s follows", l.holder.Name, l.passive.Name)}, true
}
