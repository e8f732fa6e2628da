package failover

import (
	"cmp"
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
	allowed := l.Settings.AutomaticFailover && !spent
	if fact == "" || !allowed || !l.candidacyOf(l.passive).ok {
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
	stays := l.holderGone() == "" && !m.Pod.Deleting
	if !stays || !m.heard() || !m.State.Ending {
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
	fact := fmt.Sprintf("the volume of %s does not hold its data any more (%s)", l.holder.Name, l.holder.State.Phase)
	return l.failOver(RuleHolderDataLost, cmp.Or(lostBinlogs(l.holder), fact))
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
// its peer's confirmation. With the peer away a new epoch takes the place of that confirmation.
func peerConfirmationMissing(l *look) (Plan, bool) {
	m := l.holder
	if !l.couldGoOn(m) {
		return no()
	}
	if l.closedWithoutReason(m) {
		return l.revoke(RulePeerConfirmationMissing, "", m,
			fmt.Sprintf("%s has not opened at epoch %d for %s and gives no reason", m.Name, l.e, l.sinceHolder().Round(time.Second)))
	}
	if !l.waitsForConfirmation(m) || !l.confirmationOutOfReach(m) || l.sinceHolder() < l.Settings.DeadAfter {
		return no()
	}
	return l.revoke(RulePeerConfirmationMissing, "", m,
		fmt.Sprintf("%s is closed, knows this epoch already and cannot get the confirmation of %s", m.Name, l.passive.Name))
}

// couldGoOn: the holder answers from a pod that stays, and its data is that of the pair, with
// every acknowledged write: at a new epoch it could go on.
func (l *look) couldGoOn(m *Member) bool {
	answers := m.heard() && l.holderGone() == "" && !m.Pod.Deleting
	hasEveryWrite := l.hasData(m) && l.rec.Ledger.InSync(m.Name) && l.rolledBack(m).IsEmpty()
	return answers && hasEveryWrite
}

// closedWithoutReason: the holder knows its epoch, has all it needs, and has not opened in the
// time that any wait of its own may take.
func (l *look) closedWithoutReason(m *Member) bool {
	overdue := !l.History.HolderOpened && l.sinceHolder() >= 2*(l.rec.LeaseDuration+l.Settings.DeadAfter)
	ready := m.readyToOpen() && !m.State.TailUncovered && m.State.KnownEpoch == l.e
	return overdue && ready
}

// readyToOpen: its mysqld runs and is closed.
func (m *Member) readyToOpen() bool {
	return m.State.Phase == agentapi.PhaseClosed && m.State.Mysqld.Running
}

// waitsForConfirmation: nothing but its peer's confirmation keeps the holder from opening. One
// whose commits would have to wait for the peer could not serve without it either.
func (l *look) waitsForConfirmation(m *Member) bool {
	needsPeer := l.Settings.Lossless && l.rec.Ledger.MustWait(m.Name)
	return m.State.NeedsConfirmation && m.readyToOpen() && !needsPeer
}

// confirmationOutOfReach: the holder's peer does not answer it, or has nothing to confirm with.
func (l *look) confirmationOutOfReach(m *Member) bool {
	silent := m.State.PeerSilentFor >= l.Settings.DeadAfter
	return silent || (l.passive.heard() && l.cannotConfirm(l.passive))
}

// cannotConfirm: the agent answers and does not have the data that the authority knows the
// member by, or does not have it yet, so that its confirmation proves nothing.
func (l *look) cannotConfirm(m *Member) bool {
	another := m.State.DataID != l.rec.Data[m.Name]
	notYet := m.State.Phase == agentapi.PhaseSeeding || m.State.Phase == agentapi.PhaseVolumeInUse
	return another || notYet || l.hasNoData(m)
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
	keptBack := l.Settings.AutomaticFailover && l.budgetSpent()
	if why == "" || !keptBack || !l.candidacyOf(l.passive).ok {
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
	return !op.needsConfirmation() || l.confirmationFits(op)
}

// needsConfirmation: the operation may take effect only with the pair's name and epoch in it.
func (o Operation) needsConfirmation() bool {
	switch o.Verb {
	case VerbReseed:
		// What was begun goes on; the primary's data is not given up by it.
		confirms := o.Confirmed >= 0 || o.GiveUp
		return !o.Running && confirms
	case VerbSwitchover:
		return !o.Running && o.ConfirmedPair != ""
	case VerbFailover, VerbFence, VerbRelease, VerbNone:
		return false
	case VerbAdopt, VerbConfirmDead, VerbForcePromote:
	}
	return true
}

// confirmationFits: it names this pair and the present epoch, or the last holder's as long as
// nobody is the holder. What an adoption is about may be an epoch that the Lease does not say.
func (l *look) confirmationFits(op *Operation) bool {
	if op.ConfirmedPair != l.Settings.Name || op.Confirmed < 0 {
		return false
	}
	if op.Confirmed == l.e {
		return true
	}
	if seen, _ := l.seen(); op.Verb == VerbAdopt && (op.Confirmed == seen || op.Confirmed == l.History.Epoch) {
		return true
	}
	vacant := l.rec.LastHolder != nil && l.holder == nil
	return vacant && op.Confirmed == l.rec.LastHolder.Epoch
}
