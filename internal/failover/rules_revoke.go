package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// revoke is the step that begins every change of holder.
func (l *look) revoke(rule RuleName, op string, to *Member, fact string) (Plan, bool) {
	if op == "" {
		op = l.ownOperation(l.e + 1)
	}
	p, ok := act(fact, l.change(authority.Revoke{Intent: authority.Intent{
		Operation: op,
		Target:    to.Name,
		Rule:      string(rule),
	}}))
	p.Operation = &OperationNote{
		Name:    op,
		Verb:    VerbFailover,
		Rule:    rule,
		Phase:   pair.OperationRunning,
		Epoch:   l.e + 1,
		From:    l.holder.Name,
		To:      to.Name,
		Message: fact,
	}
	if s := l.holder.State; s != nil && s.Server != nil {
		p.Operation.GTIDs.Former = s.Server.BinlogGTIDs
	}
	return p, ok
}

// failOver revokes in favor of the passive, if it may be done unasked.
func (l *look) failOver(rule RuleName, fact string) (Plan, bool) {
	if l.holder.ClaimDeleting && !l.Settings.Lossless {
		return no() // the passive may lack writes, and the only copy of them would be deleted
	}
	// The deletion of a pod is planned, and no sign of a pair that flaps.
	spent := l.budgetSpent() && rule != RuleHolderLeaving
	if fact == "" || !l.Settings.AutomaticFailover || spent || !l.candidacyOf(l.passive).ok {
		return no()
	}
	return l.revoke(rule, "", l.passive, fact)
}

func (l *look) budgetSpent() bool {
	return l.Settings.MaxPerHour > 0 && len(l.History.Failovers) >= l.Settings.MaxPerHour
}

// holderGone says that the pod that the authority names is not there any more, or
// another one in its place.
func (l *look) holderGone() string {
	pod := l.holder.Pod
	switch {
	case pod.Reading == Missing:
		return fmt.Sprintf("the pod of the primary %s is gone", l.holder.Name)
	case pod.Reading == Read && pod.UID != "" && pod.UID != l.rec.Holder.PodUID:
		return fmt.Sprintf("the pod of %s is another one than the primary's", l.holder.Name)
	}
	return ""
}

func holderReplaced(l *look) (Plan, bool) {
	gone := l.holderGone()
	if gone == "" {
		return no()
	}
	if p, ok := l.failOver(RuleHolderReplaced, gone); ok {
		return p, ok
	}
	// Nobody can take over: the same data goes on in its new pod, once that answers.
	if l.hasData(l.holder) && l.rec.Ledger.InSync(l.holder.Name) {
		return l.revoke(RuleHolderReplaced, "", l.holder, gone+", and its data goes on in the new pod")
	}
	return wait("%s; the new pod's agent does not answer yet (%s) %s", gone, l.holder.Reach, l.holder.Pod.Problem)
}

// ending says that the agent of the primary was asked to end although nobody deletes its
// pod: the node shuts down, the kubelet evicts the pod, or someone sent SIGTERM.
func (l *look) ending() string {
	m := l.holder
	if !m.heard() || l.holderGone() != "" || m.Pod.Deleting || !m.State.Ending {
		return ""
	}
	return fmt.Sprintf("the container of the primary %s was asked to end, and its pod is not being deleted", m.Name)
}

// primaryPodEnding: the agent keeps the primary open and waits for a failover, which is
// orderly now and costs T when the kubelet has killed the agent.
func primaryPodEnding(l *look) (Plan, bool) {
	fact := l.ending()
	if fact == "" {
		return no()
	}
	if p, ok := l.failOver(RulePrimaryPodEnding, fact); ok {
		return p, ok
	}
	return wait("%s. No failover follows: %s goes on when its container is started again", fact, l.holder.Name)
}

func holderDataLost(l *look) (Plan, bool) {
	if l.holderGone() != "" || !l.lostData(l.holder) {
		return no()
	}
	return l.failOver(RuleHolderDataLost,
		fmt.Sprintf("the volume of %s does not hold its data any more (%s)", l.holder.Name, l.holder.State.Phase))
}

// exited says that the holder's agent reports its mysqld gone. It is a reason to revoke,
// never a proof: the agent may start it again at any time until it is asked not to.
func (l *look) exited() string {
	m := l.holder
	if !m.heard() || l.holderGone() != "" || m.State.Mysqld.Running {
		return ""
	}
	switch m.State.Phase {
	case agentapi.PhaseHeld, agentapi.PhaseFailed, agentapi.PhaseClosing:
		return fmt.Sprintf("mysqld of %s has ended (%s)", m.Name, m.State.Mysqld.LastExit)
	case agentapi.PhaseStarting, agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseEmpty,
		agentapi.PhaseInitializing, agentapi.PhaseSeeding, agentapi.PhaseVoid, agentapi.PhaseRecovering,
		agentapi.PhaseClosed, agentapi.PhaseOpening, agentapi.PhaseOpen, agentapi.PhaseVolumeLost:
	}
	return ""
}

func holderExited(l *look) (Plan, bool) { return l.failOver(RuleHolderExited, l.exited()) }

// longWait is how old a waiting commit is when it is no part of ordinary traffic any
// more: some commit waits at every moment of a busy Lossless pair.
const longWait = time.Second

// hung says that the open mysqld has not answered for too long, although nothing that
// makes an answer slow is known: a recovery, or a commit that waits in vain.
func (l *look) hung() string {
	m := l.holder
	if !l.open(m) || m.State.Server == nil || m.State.ServerAge < l.Settings.DeadAfter {
		return ""
	}
	if m.State.Server.OldestWait >= longWait {
		return ""
	}
	return fmt.Sprintf("mysqld of %s runs and has not answered for %s", m.Name, m.State.ServerAge.Round(time.Millisecond))
}

func holderHung(l *look) (Plan, bool) { return l.failOver(RuleHolderHung, l.hung()) }

// silent says that the holder has not been heard for deadAfter, by the operator and by
// its peer alike. Either alone is a cut link.
func (l *look) silent() string {
	m := l.holder
	peer := l.passive
	if l.silentFor(m) < l.Settings.DeadAfter {
		return ""
	}
	if !l.History.HolderOpened && l.Now.Sub(m.Pod.CreatedAt) < l.Settings.InitialDelay {
		return ""
	}
	if !peer.heard() || peer.State.PeerSilentFor < l.Settings.DeadAfter {
		return ""
	}
	return fmt.Sprintf("%s has not answered the operator for %s and its peer for %s", m.Name,
		l.silentFor(m).Round(time.Millisecond), peer.State.PeerSilentFor.Round(time.Millisecond))
}

func holderSilent(l *look) (Plan, bool) { return l.failOver(RuleHolderSilent, l.silent()) }

// peerConfirmationMissing: an agent that was restarted opens again at an epoch it knew only with
// its peer's word. With the peer away a new epoch takes the place of that word.
func peerConfirmationMissing(l *look) (Plan, bool) {
	m := l.holder
	if !l.rolledBack(m).IsEmpty() || !m.heard() || l.holderGone() != "" || m.Pod.Deleting || !l.hasData(m) || !l.rec.Ledger.InSync(m.Name) {
		return no()
	}
	if !l.History.HolderOpened && l.sinceHolder() >= 2*(l.rec.LeaseDuration+l.Settings.DeadAfter) && m.State.Phase == agentapi.PhaseClosed &&
		m.State.Mysqld.Running && !m.State.TailUncovered && m.State.KnownEpoch == l.e {
		return l.revoke(RulePeerConfirmationMissing, "", m,
			fmt.Sprintf("%s has not opened at epoch %d for %s and gives no reason", m.Name, l.e, l.sinceHolder().Round(time.Second)))
	}
	if !m.State.NeedsConfirmation || m.State.Phase != agentapi.PhaseClosed || !m.State.Mysqld.Running ||
		(l.rec.Ledger.MustWait(m.Name) && l.Settings.Lossless) {
		return no()
	}
	mute := m.State.PeerSilentFor >= l.Settings.DeadAfter || (l.passive.heard() && l.lacksWord(l.passive))
	if !mute || l.sinceHolder() < l.Settings.DeadAfter {
		return no()
	}
	return l.revoke(RulePeerConfirmationMissing, "", m,
		fmt.Sprintf("%s is closed, knows this epoch already and cannot get the confirmation of %s", m.Name, l.passive.Name))
}

// lacksWord: the agent answers and does not have the data that the authority knows the
// member by, so that its confirmation proves nothing.
func (l *look) lacksWord(m *Member) bool {
	return m.State.DataID != l.rec.Data[m.Name] || l.lostData(m) || needsSeed(m) || m.State.Phase == agentapi.PhaseSeeding ||
		m.State.Phase == agentapi.PhaseVolumeInUse
}

// due says why a failover would be called for.
func (l *look) due() string {
	if gone := l.holderGone(); gone != "" {
		return gone
	}
	if l.holder.Pod.Deleting && l.holder.Pod.UID == l.rec.Holder.PodUID {
		return fmt.Sprintf("the pod of the primary %s is being deleted", l.holder.Name)
	}
	if l.lostData(l.holder) {
		return fmt.Sprintf("the volume of %s does not hold its data any more", l.holder.Name)
	}
	for _, why := range []string{l.exited(), l.ending(), l.hung(), l.silent()} {
		if why != "" {
			return why
		}
	}
	if op := l.operation(VerbConfirmDead, l.holder.Name); op != nil {
		return fmt.Sprintf("a person says that %s cannot run any more", l.holder.Name)
	}
	return ""
}

// failoverRequested: asked for in an operation, or due because a person vouches for the
// holder's death. Neither asks for the budget or the mode.
func failoverRequested(l *look) (Plan, bool) {
	op := l.operation(VerbFailover, "")
	if op == nil {
		op = l.operation(VerbConfirmDead, l.holder.Name)
	}
	if op == nil || op.ByOperator || l.carriedOut(op) {
		return no()
	}
	if c := l.candidacyOf(l.passive); !c.ok {
		return hold(VerbNone, "operation %s asks for a failover, but %s", op.Name, c.why)
	}
	return l.revoke(RuleFailoverRequested, op.Name, l.passive, "operation "+op.Name+" asks for it")
}

// carriedOut: a failover that a person asked for was begun at an earlier epoch, and there is a
// holder again. It took place or was given up, and is not begun a second time before that is
// written down.
func (l *look) carriedOut(op *Operation) bool {
	return op.Verb == VerbFailover && op.Running && op.Epoch != 0 && op.Epoch < l.e
}

func failoverDue(l *look) (Plan, bool) {
	why := l.due()
	if why == "" || l.Settings.AutomaticFailover || !l.candidacyOf(l.passive).ok {
		return no()
	}
	return hold(VerbFailover, "%s; failover.mode is Manual: start the failover", why)
}

func flapBudgetSpent(l *look) (Plan, bool) {
	why := l.due()
	if why == "" || !l.Settings.AutomaticFailover || !l.budgetSpent() || !l.candidacyOf(l.passive).ok {
		return no()
	}
	return doubt(VerbFailover, "%s, and there were %d failovers in the last hour (failover.maxPerHour): look why, then start the failover",
		why, len(l.History.Failovers))
}

// holderLost: the holder cannot go on by itself, and no one else may.
func holderLost(l *look) (Plan, bool) {
	c := l.candidacyOf(l.passive)
	if c.ok || !c.lasting {
		return no()
	}
	m := l.holder
	long := max(l.Settings.DeadAfter, l.Settings.InitialDelay)
	switch {
	case l.lostData(m):
		return doubt(VerbForcePromote, "the volume of %s does not hold the pair's data any more (%s), and %s", m.Name, m.State.Phase, c.why)
	case l.silentFor(m) >= long && l.holderGone() == "":
		p, ok := doubt(VerbConfirmDead, "%s has not answered for %s, and %s. %s. To lose what only its volume has: %s",
			m.Name, l.silentFor(m).Round(time.Second), c.why, l.howToProveEnd(m), l.forceCommand(l.passive))
		p.Missing = []fencing.Subject{m.subject()}
		return p, ok
	case l.holderGone() != "" && !m.heard() && l.goneFor(m) >= long:
		return doubt(VerbForcePromote, "%s has not answered for %s, and %s. Bring it back, or lose what only its volume has: %s",
			m.Name, l.silentFor(m).Round(time.Second), c.why, l.forceCommand(l.passive))
	case m.heard() && m.State.Phase == agentapi.PhaseFailed:
		return doubt(VerbForcePromote, "mysqld of %s cannot be started, and %s", m.Name, c.why)
	}
	return no()
}

// goneFor is how long the primary's member has not been heard, and not been open: a pod that
// was just replaced has not been away for as long as this operator runs.
func (l *look) goneFor(m *Member) time.Duration {
	away := l.awayFor(m)
	if open := l.History.HeardOpen; !open.IsZero() {
		away = min(away, l.Now.Sub(open))
	}
	return away
}

func noCandidate(l *look) (Plan, bool) {
	why := l.due()
	if why == "" {
		return no()
	}
	c := l.candidacyOf(l.passive)
	if c.ok {
		return no()
	}
	return hold(VerbNone, "%s, and nobody can take over: %s. It goes on where it is", why, c.why)
}

func holderUnhealthy(l *look) (Plan, bool) {
	if s := l.silentFor(l.holder); s >= l.Settings.WarnAfter && s > 0 {
		return hold(VerbNone, "%s has not answered for %s (%s)", l.holder.Name, s.Round(100*time.Millisecond), l.holder.Reach)
	}
	return no()
}

func fenceRequested(l *look) (Plan, bool) {
	op := l.operation(VerbFence, "")
	if op == nil || l.released(op) {
		return no()
	}
	p, ok := l.revoke(RuleFenceRequested, op.Name, l.holder, "operation "+op.Name+" asks that nobody accepts writes")
	p.Operation.Verb = VerbFence
	p.Operation.To = ""
	return p, ok
}

func forcePromotionRequested(l *look) (Plan, bool) {
	op := l.forcing()
	if op == nil {
		op = l.operation(VerbForcePromote, "")
	}
	if op == nil || op.Target == l.holder.Name {
		return no()
	}
	to := l.member(op.Target)
	if why := l.cannotForce(to); why != "" {
		return hold(VerbNone, "operation %s asks to promote %s, but %s", op.Name, op.Target, why)
	}
	if applierFailed(to) && !op.DiscardUnapplied {
		return hold(VerbForcePromote, "operation %s asks to promote %s, but its applier stopped with error %d (%s) and the operation does not "+
			"allow to discard what it could not apply",
			op.Name, op.Target, to.State.Server.Applier.LastErrno, to.State.Server.Applier.LastError)
	}
	p, ok := l.revoke(RuleForcePromotionRequested, op.Name, to, "operation "+op.Name+" forces the promotion of "+string(op.Target))
	p.Operation.Verb = VerbForcePromote
	return p, ok
}

// cannotForce says why not even an administrator's operation can promote the member.
func (l *look) cannotForce(m *Member) string {
	switch {
	case m == nil:
		return "there is no such member"
	case !m.heard():
		return fmt.Sprintf("its agent does not answer (%s)", m.Reach)
	case !l.hasData(m):
		return fmt.Sprintf("it does not hold data of this pair (%s)", m.State.Phase)
	case !m.State.Mysqld.Running:
		return "its mysqld does not run"
	}
	return ""
}

// operation is the oldest unfinished one of this verb, about this member or any, whose
// confirmation, if it needs one, names the present epoch or the last holder's.
func (l *look) operation(v Verb, target pair.MemberName) *Operation {
	for i := range l.Operations {
		op := &l.Operations[i]
		if op.Verb != v || !l.confirmed(op) {
			continue
		}
		if target != "" && target != op.Target {
			continue
		}
		return op
	}
	return nil
}

// confirmed: the operation is about this very pair, and its confirmation, if it needs one,
// fits.
func (l *look) confirmed(op *Operation) bool {
	if op.OfFormerPair(l.Settings.UID, l.Settings.CreatedAt) != "" {
		return false
	}
	switch op.Verb {
	case VerbReseed:
		if op.Running || (op.Confirmed < 0 && !op.GiveUp) {
			return true // what was begun goes on; the primary's data is not given up by it
		}
	case VerbAdopt, VerbConfirmDead, VerbForcePromote:
	case VerbFailover, VerbFence, VerbRelease, VerbNone:
		return true
	case VerbSwitchover:
		if op.Running || op.ConfirmedPair == "" {
			return true
		}
	}
	if op.ConfirmedPair != l.Settings.Name || op.Confirmed < 0 {
		return false
	}
	seen, _ := l.seen()
	switch {
	case op.Confirmed == l.e, op.Verb == VerbAdopt && op.Confirmed == seen, op.Verb == VerbAdopt && op.Confirmed == l.History.Epoch:
		return true
	case l.rec.LastHolder != nil && l.holder == nil && op.Confirmed == l.rec.LastHolder.Epoch:
		return true
	}
	return false
}
