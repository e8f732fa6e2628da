package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// operationRefused answers an operation whose confirmation is about another pair or
// another epoch: a manifest that was kept and is replayed does nothing.
func operationRefused(l *look) (Plan, bool) {
	if l.Settings.Paused {
		return no()
	}
	for i := range l.Operations {
		op := &l.Operations[i]
		why := op.OfFormerPair(l.Settings.UID, l.Settings.CreatedAt)
		switch {
		case why != "", op.ByOperator, op.Running:
		case !l.confirmed(op):
			why = fmt.Sprintf("its confirmation is not %s/%d", l.Settings.Name, l.e)
		case op.Target != "" && l.member(op.Target) == nil:
			why = fmt.Sprintf("%s is no member", op.Target)
		case l.refusedByHibernation(op) != "":
			why = l.refusedByHibernation(op)
		case l.refusedSwitchover(op) != "":
			why = l.refusedSwitchover(op)
		case op.Verb == VerbAdopt && !l.adoptable():
			why = "there is no doubt about the authority: nothing to adopt"
		case op.Verb == VerbReseed:
			why = l.cannotReseed(op)
		}
		if why != "" {
			note := OperationNote{
				Name:    op.Name,
				Verb:    op.Verb,
				Rule:    RuleOperationRefused,
				Phase:   pair.OperationFailed,
				Epoch:   l.e,
				To:      op.Target,
				Message: why,
			}
			return act("operation "+op.Name+": "+why, NoteOperation{Note: note})
		}
	}
	return no()
}

// OfFormerPair says why the operation is not about the pair of this UID, made then, but
// about another one that had its name; empty when it is about this one. Such an operation
// does nothing to this pair and says nothing about it.
func (o Operation) OfFormerPair(uid pair.UID, made time.Time) string {
	switch {
	case o.PairUID != "" && o.PairUID != uid:
		return fmt.Sprintf("spec.pairRef.uid is %s: it is about another pair of this name, this one is %s", o.PairUID, uid)
	case o.CreatedAt.Before(made):
		return "it is older than this pair: it was meant for a former one of this name"
	}
	return ""
}

// operationFinished ends operations that have done their work: once someone is the
// holder again, and releases once nothing is fenced.
func operationFinished(l *look) (Plan, bool) {
	if l.opensSoon() {
		return no()
	}
	for i := range l.Operations {
		op := &l.Operations[i]
		if op.OfFormerPair(l.Settings.UID, l.Settings.CreatedAt) != "" {
			continue
		}
		phase, why := l.ended(op)
		if phase == "" {
			continue
		}
		note := OperationNote{
			Name:    op.Name,
			Verb:    op.Verb,
			Rule:    RuleOperationFinished,
			Phase:   phase,
			Epoch:   l.e,
			From:    op.From,
			Message: why,
		}
		if op.Verb.leadsToHolder() {
			note.To = l.rec.Holder.Member
		}
		if op.Epoch != 0 && op.Verb.movesRoles() {
			note.WriteGap = l.writeGap()
			note.Discarded = discarded(l.member(op.Target), op.Name)
			note.Held = l.heldAtItsDoor()
		}
		if op.Verb == VerbReseed {
			note.Discarded = l.gaveUp(op)
		}
		if a, last := l.rec.Appointed, l.rec.LastHolder; a != nil && last != nil && a.Operation == op.Name {
			// The operator that appointed may not have lived to note it.
			note.Proof = a.ProofOf(fencing.SubjectOf(last.Holder))
		}
		return act("operation "+op.Name+": "+why, NoteOperation{Note: note})
	}
	return no()
}

// leadsToHolder: what the operation has led to is the present holder.
func (v Verb) leadsToHolder() bool {
	return v != VerbFence && v != VerbRelease && v != VerbReseed
}

// recordedWithin is what the record of an appointment may take to be seen: it is written
// beside the failover, by the operator that appointed.
const recordedWithin = 3 * time.Second

// operationLost: the present holder was appointed in an operation of the operator's own
// that nobody knows of. The operator that did it has ended before it had written that down;
// the authority knows what is needed for it, and the flap budget counts it.
func operationLost(l *look) (Plan, bool) {
	a := l.rec.Appointed
	last := l.rec.LastHolder
	if a == nil || last == nil {
		return no()
	}
	own := a.Operation == l.ownOperation(l.e-1)
	if !own || l.History.Recorded == a.Operation {
		return no()
	}
	if !l.serves() || l.sinceHolder() < recordedWithin {
		return no()
	}
	fact := fmt.Sprintf("the operator that appointed %s at epoch %d ended before it had recorded that", l.rec.Holder.Member, l.e)
	return act(fact, NoteOperation{Note: OperationNote{
		Name:    a.Operation,
		Verb:    VerbFailover,
		Rule:    RuleName(a.Rule),
		Phase:   pair.OperationRunning,
		Epoch:   l.e - 1,
		From:    last.Holder.Member,
		To:      l.rec.Holder.Member,
		Proof:   a.ProofOf(fencing.SubjectOf(last.Holder)),
		Message: fact,
	}})
}

// ownOperation is the name of the operator's own record of what it did at an epoch.
func (l *look) ownOperation(e pair.Epoch) string {
	return fmt.Sprintf("%s-failover-%d", l.Settings.Name, e)
}

// opensSoon: the holder was just appointed and clients are not led to it yet. What there
// is to write down waits for that.
func (l *look) opensSoon() bool {
	return l.holder != nil && !l.leadsOpen(l.holder) && l.sinceHolder() < l.Settings.WarnAfter
}

// ended says whether an operation has done its work, or cannot do it any more, and why;
// the phase is empty as long as it goes on.
func (l *look) ended(op *Operation) (pair.OperationPhase, string) {
	if l.e == 0 || l.Authority.Reading != Read {
		return "", ""
	}
	switch op.Verb {
	case VerbFence:
		return l.fenceEnded(op)
	case VerbRelease:
		return l.releaseEnded()
	case VerbFailover:
		return l.failedOver(op)
	case VerbSwitchover:
		return l.switchedOver(op)
	case VerbForcePromote:
		return l.forcePromotionEnded(op)
	case VerbConfirmDead:
		return l.confirmDeadEnded(op)
	case VerbAdopt:
		if op.Running && !l.adoptable() {
			return pair.OperationSucceeded, "the authority stands again"
		}
	case VerbReseed:
		return l.reseeded(op)
	case VerbNone:
		return pair.OperationFailed, "this operator does not know what to do"
	}
	return "", ""
}

// fenceEnded: a fence lasts until it is released and someone is the holder again.
func (l *look) fenceEnded(op *Operation) (pair.OperationPhase, string) {
	if l.holder == nil || !l.released(op) {
		return "", ""
	}
	return pair.OperationSucceeded, fmt.Sprintf("released: %s is the primary again", l.rec.Holder.Member)
}

// releaseEnded: a release ends once no fence is left that it could be about.
func (l *look) releaseEnded() (pair.OperationPhase, string) {
	if l.holder == nil || l.operation(VerbFence, "") != nil {
		return "", ""
	}
	return pair.OperationSucceeded, "nothing is fenced"
}

// forcePromotionEnded: a forced promotion ends when its member serves, when that member has
// no data to be promoted with, or when the other one has become the primary meanwhile.
func (l *look) forcePromotionEnded(op *Operation) (pair.OperationPhase, string) {
	promoted := l.holder != nil && l.holder.Name == op.Target
	if promoted && l.serves() {
		return pair.OperationSucceeded, fmt.Sprintf("%s is the primary", op.Target)
	}
	if m := l.member(op.Target); m != nil && l.hasNoData(m) {
		return pair.OperationFailed, fmt.Sprintf("%s %s", m.Name, l.cannotForce(m))
	}
	another := l.holder != nil && l.holder.Name != op.Target
	if another && op.Running && !l.confirmed(op) {
		return pair.OperationAbandoned, fmt.Sprintf("%s is the primary", l.holder.Name)
	}
	return "", ""
}

// confirmDeadEnded: the statement that a member cannot run any more has served once the other
// one is the holder. When the member itself is, at an epoch that it is not about, it is void.
func (l *look) confirmDeadEnded(op *Operation) (pair.OperationPhase, string) {
	if l.holder == nil {
		return "", ""
	}
	if l.holder.Name != op.Target {
		return pair.OperationSucceeded, fmt.Sprintf("%s is the primary", l.rec.Holder.Member)
	}
	if op.Running && !l.confirmed(op) {
		return pair.OperationAbandoned, fmt.Sprintf("%s goes on", op.Target)
	}
	return "", ""
}

// released: a release was asked for after this fence. It needs no note before it takes
// effect: one that has outlived its fence has succeeded, and so has one that found none.
func (l *look) released(fence *Operation) bool {
	op := l.operation(VerbRelease, "")
	return op != nil && !op.CreatedAt.Before(fence.CreatedAt)
}

// failedOver: a failover ends when the new primary serves, or when the authority has gone
// on without that.
func (l *look) failedOver(op *Operation) (pair.OperationPhase, string) {
	if !op.Running || op.Epoch == 0 || op.Epoch >= l.e {
		return "", ""
	}
	holder := l.rec.Holder.Member
	goneOn := l.e > op.Epoch+1
	if goneOn && l.last != nil {
		holder = l.last.Name
	}
	switch {
	case holder == "", !goneOn && !l.serves():
		return "", ""
	case holder == op.From:
		return pair.OperationAbandoned, fmt.Sprintf("%s goes on", op.From)
	}
	return pair.OperationSucceeded, fmt.Sprintf("%s is the primary", holder)
}

// serves: the holder is open at this epoch, and clients are led to it.
func (l *look) serves() bool {
	return l.holder != nil && l.open(l.holder) && l.leadsOpen(l.holder)
}

// writeGap is how long no member accepted writes between the former primary and this one: as
// their agents measured it, or, with the former one's agent gone, from when this process or the
// peer heard it last. Zero when it did not hear both.
func (l *look) writeGap() time.Duration {
	h := l.History
	if !h.AcceptedUntil.IsZero() && h.AcceptsSince.After(h.AcceptedUntil) {
		return h.AcceptsSince.Sub(h.AcceptedUntil)
	}
	heardBoth := !h.OpenedAt.IsZero() && !h.LastOpen.IsZero()
	if !heardBoth || !h.OpenedAt.After(h.LastOpen) {
		return 0
	}
	return h.OpenedAt.Sub(h.LastOpen)
}

// heldAtItsDoor is the account of the clients who waited at the door of the present primary.
func (l *look) heldAtItsDoor() *Held {
	if l.holder == nil || !l.holder.heard() || l.holder.State.Door == nil {
		return nil
	}
	door := l.holder.State.Door
	if door.HeldInAll == 0 || door.Released != l.e {
		return nil
	}
	return &Held{Clients: door.HeldInAll, Longest: door.LongestHold}
}

// opening is the failover that has appointed the present holder and is not finished; its
// report holds the steps until clients are led to the new primary.
func (l *look) opening() *OperationNote {
	for i := range l.Operations {
		op := &l.Operations[i]
		appointed := op.Epoch != 0 && l.e == op.Epoch+1 && l.holder != nil
		if !appointed || !op.Running || !op.Verb.movesRoles() {
			continue
		}
		return &OperationNote{
			Name:    op.Name,
			Verb:    op.Verb,
			Phase:   pair.OperationRunning,
			Epoch:   op.Epoch,
			From:    op.From,
			To:      l.holder.Name,
			Message: fmt.Sprintf("%s was appointed at epoch %d", l.holder.Name, l.e),
		}
	}
	return nil
}
