package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// look is one observation with what follows from it at once.
type look struct {
	Observation
	rec authority.Record
	e   pair.Epoch
	// holder and passive are the members by role; nil while nobody is the holder.
	holder, passive *Member
	// last and peer are the last holder's member and the other one, while nobody is.
	last, peer *Member
}

func newLook(o Observation) *look {
	if o.Evidence == nil {
		o.Evidence = fencing.NewBook()
	}
	l := &look{
		Observation: o,
		rec:         o.Authority.Record,
		e:           o.Authority.Record.Epoch,
	}
	l.dropImpossible()
	if m := l.member(l.rec.Holder.Member); m != nil {
		l.holder = m
		l.passive = l.other(m.Name)
	}
	if l.rec.Holder.Nobody() && l.rec.LastHolder != nil {
		if m := l.member(l.rec.LastHolder.Holder.Member); m != nil {
			l.last = m
			l.peer = l.other(m.Name)
		}
	}
	return l
}

func (l *look) member(name pair.MemberName) *Member {
	for i := range l.Members {
		if l.Members[i].Name == name && name != "" {
			return &l.Members[i]
		}
	}
	return nil
}

func (l *look) other(name pair.MemberName) *Member {
	if l.Members[0].Name == name {
		return &l.Members[1]
	}
	return &l.Members[0]
}

// subject is the member's present pod; its UID is empty when there is none.
func (m *Member) subject() fencing.Subject {
	return fencing.Subject{Member: m.Name, PodUID: m.Pod.UID}
}

// heard: the agent of the pod that is there now answered the last attempt.
func (m *Member) heard() bool {
	return m.Heard() && m.State.PodUID == m.Pod.UID && m.Pod.UID != ""
}

// heardMysqld: the member's agent answered the last attempt, with what its mysqld said.
func (m *Member) heardMysqld() bool {
	return m.heard() && m.State.Server != nil
}

// passiveInSync: the ledger says that the passive has every acknowledged write.
func (l *look) passiveInSync() bool {
	return l.Settings.Lossless && l.rec.Ledger.State == authority.Both
}

// silentFor is how long no attempt succeeded; zero when the last one did or none was
// made. Not having tried is not silence.
func (l *look) silentFor(m *Member) time.Duration {
	if m.heard() || m.SilentSince.IsZero() {
		return 0
	}
	return max(0, l.Now.Sub(m.SilentSince))
}

// hasData: the member's volume holds the data the authority knows it by.
func (l *look) hasData(m *Member) bool {
	if !m.heard() || m.State.DataID == "" || m.State.DataID != l.rec.Data[m.Name] {
		return false
	}
	switch m.State.Phase {
	case agentapi.PhaseHeld, agentapi.PhaseRecovering, agentapi.PhaseClosed, agentapi.PhaseOpening,
		agentapi.PhaseOpen, agentapi.PhaseClosing, agentapi.PhaseFailed, agentapi.PhaseStarting:
		return true
	case agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseEmpty, agentapi.PhaseInitializing,
		agentapi.PhaseSeeding, agentapi.PhaseVoid, agentapi.PhaseVolumeLost:
		return false
	}
	return false
}

// lostData: the agent says that its volume does not hold the data it should. Not hearing
// it is not that.
func (l *look) lostData(m *Member) bool {
	if !m.heard() || l.rec.Data[m.Name] == "" {
		return false
	}
	switch m.State.Phase {
	case agentapi.PhaseEmpty, agentapi.PhaseVoid, agentapi.PhaseForeign, agentapi.PhaseVolumeLost:
		return true
	case agentapi.PhaseClosed, agentapi.PhaseOpen, agentapi.PhaseHeld:
		return m.State.DataID != l.rec.Data[m.Name]
	case agentapi.PhaseStarting, agentapi.PhaseVolumeInUse, agentapi.PhaseInitializing, agentapi.PhaseSeeding,
		agentapi.PhaseRecovering, agentapi.PhaseOpening, agentapi.PhaseClosing, agentapi.PhaseFailed:
		return false
	}
	return false
}

// open: the agent of this very pod says that it is open at the present epoch.
func (l *look) open(m *Member) bool {
	return m.heard() && m.State.Phase == agentapi.PhaseOpen && m.State.OpenEpoch == l.e
}

// streams: the member's receiver runs and it acknowledges what it receives.
func streams(m *Member) bool {
	return m.answersQueries() && m.State.Server.Receiver.Running && m.State.Server.ReplicaSemiSync
}

// lag is the age of what the member has received and not applied; zero when unknown.
func (m *Member) lag() time.Duration {
	if m.State == nil || m.State.Server == nil {
		return 0
	}
	return max(0, time.Duration(m.State.Server.LagSeconds)*time.Second)
}

// candidacy says whether a member may be promoted, and why not. lasting: it will not
// become one by waiting a little.
type candidacy struct {
	ok      bool
	why     string
	lasting bool
}

func not(lasting bool, format string, args ...any) candidacy {
	return candidacy{why: fmt.Sprintf(format, args...), lasting: lasting}
}

// hasNoData: the member's agent says that it holds no data to be promoted with.
func (l *look) hasNoData(m *Member) bool {
	return m.heard() && (l.lostData(m) || needsSeed(m))
}

// candidacyOf judges a member as the one to take over from the other.
func (l *look) candidacyOf(m *Member) candidacy {
	if why := l.mayLackWrites(m); why != "" {
		return not(true, "%s", why)
	}
	if !m.heard() {
		return not(l.silentFor(m) >= l.Settings.DeadAfter, "%s", m.Silence())
	}
	if why := l.cannotServe(m); why != "" {
		return not(true, "%s", why)
	}
	if l.foreignTransactions(m) {
		return not(true, "%s has transactions that are not the pair's", m.Name)
	}
	if l.Settings.Lossless {
		if entered := l.rec.Ledger.Incarnations[m.Name]; m.State.Mysqld.Incarnation != entered {
			return not(true, "mysqld of %s was restarted since it was last in sync", m.Name)
		}
		return candidacy{ok: true}
	}
	return l.asyncCandidacy(m)
}

// mayLackWrites says why the member may lack acknowledged writes, by what is known without
// asking it now; empty when nothing shows that.
func (l *look) mayLackWrites(m *Member) string {
	switch {
	case !l.lacks(m).IsEmpty():
		return l.lackOf(m)
	case l.Settings.Lossless && l.rec.Ledger.State != authority.Both:
		return fmt.Sprintf("the ledger is %s(%s): %s may lack acknowledged writes", l.rec.Ledger.State, l.rec.Ledger.First, m.Name)
	case l.waitingLost(l.other(m.Name)), l.openWithoutWaiting(l.other(m.Name)):
		return fmt.Sprintf("commits of %s did not wait: %s may lack acknowledged writes", l.other(m.Name).Name, m.Name)
	case l.rec.Data[m.Name] == "":
		return fmt.Sprintf("nobody vouches for the data of %s", m.Name)
	}
	return ""
}

// cannotServe says why a member whose agent answers could not be opened, or would not stay;
// empty when nothing stands against it.
func (l *look) cannotServe(m *Member) string {
	switch {
	case !l.hasData(m):
		return fmt.Sprintf("%s does not hold the data it is known by (%s)", m.Name, m.State.Phase)
	case !m.State.Mysqld.Running || m.State.Server == nil:
		return fmt.Sprintf("mysqld of %s does not answer", m.Name)
	case m.Pod.Deleting:
		return fmt.Sprintf("the pod of %s is being deleted", m.Name)
	case m.ClaimDeleting:
		return fmt.Sprintf("the volume claim of %s is being deleted: its data goes when its pod ends", m.Name)
	case m.State.Ending:
		return fmt.Sprintf("the agent of %s was asked to end", m.Name)
	case m.State.Server.Applier.LastErrno != 0:
		return fmt.Sprintf("the applier of %s stopped with error %d", m.Name, m.State.Server.Applier.LastErrno)
	case len(m.State.WrongSettings) > 0:
		return fmt.Sprintf("%s cannot be opened with its settings (%s)", m.Name, m.State.WrongSettings[0])
	}
	return ""
}

// foreignTransactions: the member has some that the pair never acknowledged. What a primary
// that was restarted lacks may have been acknowledged: in Lossless the ledger says that the
// other one, if it runs on, has all of it.
func (l *look) foreignTransactions(m *Member) bool {
	mayBeThePairs := l.Settings.Lossless && l.restartedInSync(l.other(m.Name))
	return l.errantOf(m) != "" && !mayBeThePairs
}

// asyncCandidacy bounds what a promotion in Async may lose: the applier's lag, and the
// time the receiver had been away before the primary fell silent.
func (l *look) asyncCandidacy(m *Member) candidacy {
	if m.State.Server.LagSeconds < 0 {
		return not(true, "the lag of %s is unknown", m.Name)
	}
	lag := time.Duration(m.State.Server.LagSeconds) * time.Second
	if since := l.History.LostSince; !since.IsZero() {
		until := l.Now
		if o := l.other(m.Name); !o.SilentSince.IsZero() && !o.heard() {
			until = o.SilentSince
		}
		lag += max(0, until.Sub(since))
	}
	if lag > l.Settings.AsyncMaxLag {
		return not(true, "%s lags by %s, more than failover.async.maxLag %s", m.Name, lag, l.Settings.AsyncMaxLag)
	}
	return candidacy{ok: true}
}

// intendedFor: the intent, a hint, names this member as the next holder.
func (l *look) intendedFor(m *Member) bool {
	return m != nil && l.rec.Intent != nil && l.rec.Intent.Target == m.Name
}

// sinceEpoch is how long this process has known the present epoch.
func (l *look) sinceEpoch() time.Duration {
	at, ok := l.Evidence.Since(l.e)
	if !ok {
		return 0
	}
	return l.Now.Sub(at)
}

// sinceHolder is how long this process has seen the present holder.
func (l *look) sinceHolder() time.Duration {
	if l.History.HolderSince.IsZero() {
		return 0
	}
	return l.Now.Sub(l.History.HolderSince)
}

func (l *look) change(c authority.Change) Step {
	return ChangeAuthority{
		From:    l.rec,
		Version: l.Authority.Version,
		Change:  c,
	}
}
