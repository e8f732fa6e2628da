package failover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// pointTo is the step that leads the client Service to a member's door, or to its mysqld at
// the present epoch, unless it leads there. A door is found by the member's name alone. The
// mysqld is found by the epoch's label, which has to be seen on the pod first: the cluster
// learns of labels and of selectors on different ways, and a selector that comes first
// finds nobody.
func (l *look) pointTo(m *Member, leads Door) (Step, bool) {
	if m == nil || l.Service.Reading != Read {
		return nil, false
	}
	if gone := m.Pod.IP == "" || m.Pod.UID == ""; gone && (leads != LeadsDoor || l.Service.Detached == "") {
		// A detached Service keeps the address of a pod that is gone, at which clients run into
		// timeouts. A door that no pod has refuses them at once.
		return nil, false
	}
	switch {
	case leads == LeadsDoor && l.atDoorOf(m), leads == LeadsOpen && l.leadsOpen(m):
		return nil, false
	case leads == LeadsOpen && !m.labeled(l.e):
		return m.label(l.e), true
	}
	return PointService{
		Version: l.Service.Version,
		Epoch:   l.e,
		Leads:   leads,
		Member:  m.Name,
	}, true
}

// labeled: the Service could lead to this very pod's mysqld at this epoch.
func (m *Member) labeled(e pair.Epoch) bool {
	return m.Pod.Labels[pair.EpochLabel(e)] == string(LeadsOpen)
}

func (m *Member) label(e pair.Epoch) Step {
	return LabelPod{Subject: m.subject(), Set: map[string]string{pair.EpochLabel(e): string(LeadsOpen)}}
}

// labelAhead labels a holder that is about to open, so that nothing but the Service is
// left to be written when it has.
func (l *look) labelAhead(m *Member) (Step, bool) {
	present := m == l.holder && l.holderGone() == ""
	if !present || m.labeled(l.e) || !l.mayLabelAhead(m) {
		return nil, false
	}
	return m.label(l.e), true
}

// mayLabelAhead: the Service leads to this member's door, or for a moment to a pod that
// refuses clients, so that its next move is to this member's mysqld.
func (l *look) mayLabelAhead(m *Member) bool {
	return m.Pod.IP != "" && m.Pod.UID != "" && (l.atDoorOf(m) || (m != l.last && l.rejectionWindow() > 0))
}

// atDoorOf: the Service leads to this member's door. A door refuses alike at every epoch.
func (l *look) atDoorOf(m *Member) bool {
	s := l.Service
	return s.Leads == LeadsDoor && s.PortLeads == LeadsDoor && s.Member == m.Name
}

// serviceFollows derives the client Service from the authority. It leads to mysqld only
// of the holder's own pod, from when that was seen open at this epoch.
func serviceFollows(l *look) (Plan, bool) {
	target, leads := l.clientsBelong()
	var step Step
	ok := false
	if leads == LeadsOpen || l.rejectionWindow() == 0 || l.holdsAt(target) {
		step, ok = l.pointTo(target, leads)
	}
	if !ok && leads == LeadsDoor {
		if step, ok = l.labelAhead(target); ok {
			leads = LeadsOpen
		}
	}
	if !ok {
		return no()
	}
	p, ok := act(fmt.Sprintf("the Service should lead to the %s of %s at epoch %d", doorWord(leads), target.Name, l.e),
		l.withRelease(step, leads)...)
	p.Operation = l.opening()
	return p, ok
}

// clientsBelong is the member that clients should be led to, and to what of it.
func (l *look) clientsBelong() (target *Member, leads Door) {
	target = &l.Members[0]
	leads = LeadsDoor
	if l.holder != nil {
		target = l.holder
		_, stands := l.standing(target)
		opened := (l.open(target) && !stands) || l.leadsOpen(target)
		if opened && l.holderGone() == "" {
			leads = LeadsOpen
		}
	}
	if l.ledAway() && l.candidateTakesClients() {
		target = l.passive
		leads = LeadsDoor
	}
	if target.Pod.IP == "" {
		target = l.other(target.Name)
		leads = LeadsDoor
	}
	return target, leads
}

func doorWord(d Door) string {
	if d == LeadsOpen {
		return "mysqld"
	}
	return "door"
}

// leadsOpen: the Service leads to this member's mysqld at this epoch already. It stays
// while mysqld restarts in place: that refuses clients as fast as the door does.
func (l *look) leadsOpen(m *Member) bool {
	s := l.Service
	return s.Reading == Read && s.Epoch == l.e && s.Leads == LeadsOpen && s.PortLeads == LeadsOpen && s.Member == m.Name && m.labeled(l.e)
}

func finalizerOnHolder(l *look) (Plan, bool) {
	pod := l.holder.Pod
	present := pod.Reading == Read && pod.UID == l.rec.Holder.PodUID
	if !present || pod.Fenced || pod.Deleting {
		return no()
	}
	return act(fmt.Sprintf("the pod of the primary %s lacks the finalizer", l.holder.Name), AddFinalizer{Subject: l.holder.subject()})
}

// releaseEndedPod: another member was appointed with the proof that this pod is closed,
// so its finalizer has done its work.
func releaseEndedPod(l *look) (Plan, bool) {
	if l.holder == nil {
		return releaseStrayPod(l)
	}
	pod := l.passive.Pod
	if l.opensSoon() || l.drains() {
		return no()
	}
	if pod.Reading == Read && pod.Fenced && !l.claimWanted(l.passive) {
		return act(fmt.Sprintf("the pod of %s is not the primary's any more", l.passive.Name), RemoveFinalizer{Subject: l.passive.subject()})
	}
	return releaseStrayPod(l)
}

// releaseStrayPod: a pod that got the finalizer because it was about to be appointed, was
// not, and is being deleted. Nobody waits for its end, and its next pod waits for it. One
// that was the primary's, and in whose place a person adopted the other member, ends first.
func releaseStrayPod(l *look) (Plan, bool) {
	for i := range l.Members {
		m := &l.Members[i]
		held := m.Pod.UID == l.rec.Holder.PodUID
		if l.rec.Holder.Nobody() {
			held = (l.rec.LastHolder != nil && m.Pod.UID == l.rec.LastHolder.Holder.PodUID) || (m.ledTo() && !m.Pod.Ended.Terminated)
		}
		waits := m.Pod.Reading == Read && m.Pod.Fenced && m.Pod.Deleting
		if waits && !held && !l.claimWanted(m) {
			return act(fmt.Sprintf("the pod of %s is being deleted, and its end is not waited for", m.Name), RemoveFinalizer{Subject: m.subject()})
		}
	}
	return no()
}

// toldAtOnce is how long an appointed member has for reading so: anyone who appoints it asks
// it to, and the next look should be at its opening.
const toldAtOnce = 300 * time.Millisecond

func awaitOpening(l *look) (Plan, bool) {
	m := l.holder
	switch {
	case l.open(m):
		return no()
	case !m.heard():
		return wait("the agent of the primary %s does not answer (%s) %s", m.Name, m.Reach, m.Pod.Problem)
	case l.hasData(m) && m.State.KnownEpoch < l.e && l.holderGone() == "" && l.sinceHolder() >= toldAtOnce:
		p, ok := act(fmt.Sprintf("%s may be open at epoch %d and has not read that", m.Name, l.e), ReadLease{Member: m.Name})
		p.Operation = l.opening()
		return p, ok
	}
	p, ok := wait("%s may be open at epoch %d and is %s", m.Name, l.e, m.State.Phase)
	p.After = l.rejectionWindow()
	if left := toldAtOnce - l.sinceHolder(); left > 0 && (p.After == 0 || left < p.After) {
		p.After = left
	}
	return p, ok
}

// soloEntry: the passive does not acknowledge. The trigger is the age of the oldest
// commit that waits, or that the passive has no data any more and has to be copied again.
func soloEntry(l *look) (Plan, bool) {
	why := l.alone()
	if why == "" || (l.Settings.Lossless && !l.Settings.ContinueAlone) {
		return no()
	}
	if missing := l.uncompared(); missing != "" {
		return wait("%s, and %s", why, missing)
	}
	return act(why, l.change(authority.EnterSolo{Member: l.holder.Name}))
}

// semiSyncInterrupted: commits of the primary did not wait though the ledger says that the
// passive has them. It says so no longer, and the passive is shown again to have everything.
func semiSyncInterrupted(l *look) (Plan, bool) {
	lost := l.waitingLost(l.holder) || l.openWithoutWaiting(l.holder)
	if !lost || l.rec.Data[l.passive.Name] == "" {
		return no()
	}
	return act(fmt.Sprintf("commits of %s did not wait for %s: %s may lack acknowledged writes",
		l.holder.Name, l.passive.Name, l.passive.Name),
		l.change(authority.BeginJoining{First: l.holder.Name, Joining: l.passive.Name}))
}

// openWithoutWaiting: the ledger says that the passive has every acknowledged write, and the
// open primary says that its commits do not wait for it. An agent reports that by itself;
// this is for one that does not, such as an older version that goes by a mounted file. What
// mysqld said before it was opened does not count, since a closed one never waits.
func (l *look) openWithoutWaiting(m *Member) bool {
	reportsOpen := m == l.holder && l.open(m) && m.State.Server != nil
	if !l.passiveInSync() || !reportsOpen {
		return false
	}
	said := m.HeardAt.Add(-m.State.ServerAge)
	return !m.State.Server.Waiting && !l.History.OpenedAt.IsZero() && said.After(l.History.OpenedAt)
}

// waitingLost: the member said, be it long ago, that its commits did not wait under a ledger
// from which the present one follows. One that is both follows from the joining before it:
// what was found under that may have come after the passive was compared.
func (l *look) waitingLost(m *Member) bool {
	reported := m.State != nil && m.State.PairUID == l.Settings.UID && m.State.SemiSyncLostAt != 0
	if !l.Settings.Lossless || !reported {
		return false
	}
	switch l.rec.Ledger.State {
	case authority.Both:
		return m.State.SemiSyncLostAt+1 >= l.rec.Ledger.Version
	case authority.Joining:
		return m.State.SemiSyncLostAt >= l.rec.Ledger.Version
	case authority.Solo:
	}
	return false
}

// alone says why the primary should not wait any more.
func (l *look) alone() string {
	if l.rec.Ledger.State == authority.Solo || !l.rec.Ledger.InSync(l.holder.Name) {
		return ""
	}
	if !l.Settings.Lossless {
		return "durability.mode is Async: commits do not wait"
	}
	if !l.open(l.holder) {
		return ""
	}
	server := l.holder.State.Server
	switch {
	case server != nil && l.waitsTooLong(server) && l.sinceHolder() >= l.Settings.DeadAfter:
		return fmt.Sprintf("a commit has waited %s for %s to acknowledge it", server.OldestWait.Round(time.Millisecond), l.passive.Name)
	case l.lostData(l.passive):
		return fmt.Sprintf("%s does not hold the pair's data any more (%s)", l.passive.Name, l.passive.State.Phase)
	}
	return ""
}

// soloForClosedHolder: the holder is closed with commits that its peer may lack, and the
// peer stays away or can never receive them. It has every acknowledged write, so it may go on alone.
func soloForClosedHolder(l *look) (Plan, bool) {
	why := l.closedAlone()
	if why == "" || !l.Settings.ContinueAlone {
		return no()
	}
	if missing := l.uncompared(); missing != "" {
		return wait("%s, and %s", why, missing)
	}
	return act(why, l.change(authority.EnterSolo{Member: l.holder.Name}))
}

// closedAlone says why the closed holder should not wait any more; empty when it should.
func (l *look) closedAlone() string {
	m := l.holder
	up, closed := l.closedFor()
	away := min(l.lostFor(), up)
	lost := max(l.Settings.DeadAfter, l.Settings.PassiveTimeout)
	switch {
	case !closed || l.sinceHolder() < lost:
		return ""
	case !l.lacks(l.passive).IsEmpty() && up >= lost:
		return fmt.Sprintf("%s is up and closed, and cannot wait for %s: %s", m.Name, l.passive.Name, l.lackOf(l.passive))
	case away < lost:
		return ""
	}
	return fmt.Sprintf("%s is up and closed, and %s has not streamed from it for %s", m.Name, l.passive.Name, away.Round(time.Second))
}

// closedFor is how long the holder has been up and closed; false when it is not, or need not wait.
// A passive cannot stream from a mysqld that is down: it counts as away from when this one was up
// to stream from.
func (l *look) closedFor() (time.Duration, bool) {
	m := l.holder
	if !l.Settings.Lossless || l.rec.Ledger.State == authority.Solo || !l.rec.Ledger.InSync(m.Name) {
		return 0, false
	}
	runs := l.hasData(m) && m.State.Mysqld.Running && l.holderGone() == ""
	if !runs || l.open(m) {
		return 0, false
	}
	closed := l.History.Closed
	if m.State.Phase != agentapi.PhaseClosed || closed.Since.IsZero() || closed.Incarnation != m.State.Mysqld.Incarnation {
		return 0, false
	}
	return l.Now.Sub(closed.Since), true
}

// writesBlocked: as asked, writes wait until the passive is back.
func writesBlocked(l *look) (Plan, bool) {
	if !l.Settings.Lossless || l.Settings.ContinueAlone {
		return no()
	}
	why := l.alone()
	if why == "" {
		why = l.closedAlone()
	}
	if why == "" {
		return no()
	}
	if l.lostData(l.passive) {
		return hold(VerbNone,
			"%s; durability.onPassiveLoss is Block: %s can be copied again only while %s goes on alone, so set it to Continue until then",
			why, l.passive.Name, l.holder.Name)
	}
	return hold(VerbNone, "%s; durability.onPassiveLoss is Block: bring %s back, or set it to Continue", why, l.passive.Name)
}

// passiveFoundWritable: the passive's own agent closes it; asking for a fence makes it
// look at once and answers with the proof that it is closed.
func passiveFoundWritable(l *look) (Plan, bool) {
	m := l.passive
	if !m.heard() || m.State.Server == nil || !m.State.Mysqld.Running {
		return no()
	}
	if l.holderGone() == "" && !l.open(l.holder) {
		return no() // an agent on a volume that hangs answers no fence, and clients wait for the opening
	}
	closed := m.State.Server.SuperReadOnly && m.State.Server.ReadOnly && m.State.OpenEpoch == 0
	if closed || l.fencedSince(m) {
		return no()
	}
	if m.State.KnownEpoch < l.e {
		return act(fmt.Sprintf("%s is not the primary, accepts writes and knows only epoch %d", m.Name, m.State.KnownEpoch),
			Fence{Subject: m.subject()})
	}
	return act(fmt.Sprintf("%s is not the primary and was found writable", m.Name), Fence{Subject: m.subject()})
}

func memberProblem(l *look) (Plan, bool) {
	members := []*Member{&l.Members[0], &l.Members[1]}
	if l.holder != nil {
		members = []*Member{l.holder, l.passive}
	}
	for _, m := range members {
		if m.heard() && len(m.State.Problems) > 0 {
			return hold(VerbNone, "%s: %s", m.Name, cmp.Or(l.keptWithoutBinlogs(m), m.State.Problems[0].Message))
		}
	}
	if differs := l.LibraryDifference(); differs != "" {
		return hold(VerbNone, "%s", differs)
	}
	return no()
}

// restartPending names every member that runs by a former template, what is former, and the
// pod to delete first: that of the passive, so that the primary can be taken over from.
func restartPending(l *look) (Plan, bool) {
	members := []*Member{&l.Members[0], &l.Members[1]}
	if l.holder != nil {
		members = []*Member{l.passive, l.holder}
	}
	var facts []string
	first := ""
	for _, m := range members {
		replaced := l.Settings.AutomaticRollout && (m.FormerSpec() || l.toUpgrade(m))
		if m.Pod.Outdated == "" || replaced {
			continue
		}
		facts = append(facts, fmt.Sprintf("%s runs with a former %s", m.Name, m.Pod.Outdated))
		first = cmp.Or(first, string(m.Name))
	}
	if len(facts) == 0 {
		return no()
	}
	return hold(VerbNone, "%s, until its pod is made again: kubectl dbpair restart %s -n %s, or kubectl delete pod %s -n %s, "+
		"one after the other and the passive's first",
		strings.Join(facts, "; "), l.Settings.Name, l.Settings.Namespace, first, l.Settings.Namespace)
}

func agentOutdated(l *look) (Plan, bool) {
	for i := range l.Members {
		if fact := l.otherAgent(&l.Members[i]); fact != "" {
			return hold(VerbNone, "%s", fact)
		}
	}
	return no()
}

// otherAgent says that the member's agent has not the operator's version, and how it is renewed; empty when it has
// it, or is not heard.
func (l *look) otherAgent(m *Member) string {
	if !m.heard() || l.Settings.AgentVersion == "" || m.State.AgentVersion == l.Settings.AgentVersion {
		return ""
	}
	return fmt.Sprintf("the agent of %s is %s, the operator's is %s; %s",
		m.Name, m.State.AgentVersion, l.Settings.AgentVersion, l.Settings.AgentRenewal())
}

// fencedSince: the member has answered a fence at this epoch after what it says of itself
// was seen. A fence cuts its readers off; the same finding does not do that twice.
func (l *look) fencedSince(m *Member) bool {
	seen := m.HeardAt
	if m.State.OpenEpoch == 0 && m.State.Server != nil {
		seen = seen.Add(-m.State.ServerAge)
	}
	return l.closedSince(m, seen)
}

// closedProof: the passive answered "closed" to a question about the present epoch.
func (l *look) closedProof(m *Member) bool { return l.closedSince(m, time.Time{}) }

// closedSince: the member's present pod answered "closed" to a question about the present
// epoch, and not before that instant.
func (l *look) closedSince(m *Member, at time.Time) bool {
	return slices.ContainsFunc(l.Evidence.Proofs(m.subject(), l.e), func(p fencing.Proof) bool {
		return (p.Kind() == fencing.Demoted || p.Kind() == fencing.ProcessStopped) && !p.At().Before(at)
	})
}
