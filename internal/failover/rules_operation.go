package failover

import (
	"fmt"
	"maps"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
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
		if op.Verb != VerbFence && op.Verb != VerbRelease && op.Verb != VerbReseed {
			note.To = l.rec.Holder.Member
		}
		if op.Epoch != 0 && op.Verb.movesRoles() {
			note.WriteGap = l.writeGap()
			note.Discarded = discarded(l.member(op.Target), op.Name)
		}
		if a, last := l.rec.Appointed, l.rec.LastHolder; a != nil && last != nil && a.Operation == op.Name {
			// The operator that appointed may not have lived to note it.
			note.Proof = a.ProofOf(fencing.SubjectOf(last.Holder))
		}
		return act("operation "+op.Name+": "+why, NoteOperation{Note: note})
	}
	return no()
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
	if a == nil || last == nil || a.Operation != l.ownOperation(l.e-1) || l.History.Recorded == a.Operation {
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

func (l *look) ended(op *Operation) (pair.OperationPhase, string) {
	if l.e == 0 || l.Authority.Reading != Read {
		return "", ""
	}
	switch op.Verb {
	case VerbFence:
		if l.holder != nil && l.released(op) {
			return pair.OperationSucceeded, fmt.Sprintf("released: %s is the primary again", l.rec.Holder.Member)
		}
	case VerbRelease:
		if l.holder != nil && l.operation(VerbFence, "") == nil {
			return pair.OperationSucceeded, "nothing is fenced"
		}
	case VerbFailover:
		return l.failedOver(op)
	case VerbSwitchover:
		return l.switchedOver(op)
	case VerbForcePromote:
		if l.holder != nil && l.holder.Name == op.Target && l.serves() {
			return pair.OperationSucceeded, fmt.Sprintf("%s is the primary", op.Target)
		}
		if m := l.member(op.Target); m != nil && m.heard() && (l.lostData(m) || needsSeed(m)) {
			return pair.OperationFailed, fmt.Sprintf("%s %s", m.Name, l.cannotForce(m))
		}
		if op.Running && l.holder != nil && l.holder.Name != op.Target && !l.confirmed(op) {
			return pair.OperationAbandoned, fmt.Sprintf("%s is the primary", l.holder.Name)
		}
	case VerbConfirmDead:
		if l.holder != nil && l.holder.Name != op.Target {
			return pair.OperationSucceeded, fmt.Sprintf("%s is the primary", l.rec.Holder.Member)
		}
		if op.Running && l.holder != nil && !l.confirmed(op) {
			return pair.OperationAbandoned, fmt.Sprintf("%s goes on", op.Target)
		}
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
	if h.OpenedAt.IsZero() || h.LastOpen.IsZero() || !h.OpenedAt.After(h.LastOpen) {
		return 0
	}
	return h.OpenedAt.Sub(h.LastOpen)
}

// opening is the failover that has appointed the present holder and is not finished; its
// report holds the steps until clients are led to the new primary.
func (l *look) opening() *OperationNote {
	for i := range l.Operations {
		op := &l.Operations[i]
		if !op.Verb.movesRoles() || !op.Running || op.Epoch == 0 || l.e != op.Epoch+1 || l.holder == nil {
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

// adoptable: the authority is in doubt, so that a person's choice is asked for.
func (l *look) adoptable() bool {
	for _, doubtful := range []func(*look) (Plan, bool){authorityMissing, authorityMalformed, authorityRolledBack, authorityChangedByOthers} {
		if _, ok := doubtful(l); ok {
			return true
		}
	}
	return false
}

// dataOf is the data a member's agent says it holds, of this pair or of an earlier one of
// its name.
func (l *look) dataOf(m *Member) pair.DataID {
	if !m.heard() {
		return ""
	}
	if f := m.State.Found; f != nil && m.State.Phase == agentapi.PhaseForeign {
		if l.oursOnce(f) && f.Member == m.Name && !f.Void {
			return f.DataID
		}
		return ""
	}
	if m.State.Phase == agentapi.PhaseVoid || m.State.PairUID != l.Settings.UID {
		return ""
	}
	return m.State.DataID
}

func (l *look) adoption(target *Member) (Step, error) {
	data := map[pair.MemberName]pair.DataID{}
	if l.rec.PairUID == l.Settings.UID {
		maps.Copy(data, l.rec.Data)
	}
	for i := range l.Members {
		if d := l.dataOf(&l.Members[i]); d != "" {
			data[l.Members[i].Name] = d
		} else if l.Members[i].heard() {
			delete(data, l.Members[i].Name)
		}
	}
	e, v := l.seen()
	c := authority.Adopt{
		PairUID:     l.Settings.UID,
		Target:      pair.Holder(target.subject()),
		Data:        data,
		AboveEpoch:  e,
		AboveLedger: v,
		Fallback:    authority.Fresh(l.Settings.UID, l.Settings.LeaseDuration),
	}
	if l.Authority.Reading == Missing {
		made, err := c.Apply(authority.Record{})
		if err != nil {
			return nil, err
		}
		return CreateAuthority{Record: made}, nil
	}
	from := l.rec
	if l.Authority.Reading == Malformed || l.Authority.Reading == NotAuthentic {
		from = authority.Record{}
	}
	if _, err := c.Apply(from); err != nil {
		return nil, err
	}
	return ChangeAuthority{
		From:    from,
		Version: l.Authority.Version,
		Change:  c,
	}, nil
}

// adoptRequested makes the data of the member that a person named the truth.
func adoptRequested(l *look) (Plan, bool) {
	op := l.operation(VerbAdopt, "")
	if op == nil || l.Settings.Paused || !l.adoptable() {
		return no()
	}
	m := l.member(op.Target)
	if m == nil || !m.heard() {
		return hold(VerbNone, "operation %s: the agent of %s does not answer", op.Name, op.Target)
	}
	step, err := l.adoption(m)
	if err != nil {
		return hold(VerbNone, "operation %s: %v", op.Name, err)
	}
	p, ok := act("operation "+op.Name+" makes the data of "+string(m.Name)+" the truth", step)
	e, _ := l.seen()
	// The write of the authority is all that was asked for, and it is recorded only once it
	// was made. At the next observation there is no doubt to adopt anything for.
	p.Operation = &OperationNote{
		Name:    op.Name,
		Verb:    VerbAdopt,
		Rule:    RuleAdoptRequested,
		Phase:   pair.OperationSucceeded,
		Epoch:   e + 1,
		To:      m.Name,
		Message: "the data of " + string(m.Name) + " is the authoritative one",
	}
	return p, ok
}

// adoptVolumes takes up the volumes of a deleted pair of this name, where it can be
// proven which of them has every acknowledged write: both volumes must be there to be
// asked, and the newer ledger of the two names the member.
func adoptVolumes(l *look) (Plan, bool) {
	if !l.blank() || l.Settings.Paused || l.History.Epoch > 0 || l.operation(VerbAdopt, "") != nil {
		return no()
	}
	var newest *agentapi.SeenLedger
	empty := false
	for i := range l.Members {
		m := &l.Members[i]
		switch {
		case !m.heard():
			return no()
		case m.State.Phase == agentapi.PhaseEmpty, m.State.Phase == agentapi.PhaseVoid:
			empty = true
			continue
		case l.dataOf(m) == "" || m.State.Found == nil || m.State.Found.Ledger == nil:
			return no()
		}
		found := m.State.Found.Ledger
		if newest == nil || found.Epoch > newest.Epoch || (found.Epoch == newest.Epoch && found.Version > newest.Version) {
			newest = found
		}
	}
	if newest == nil || (l.Members[0].State.Found != nil && l.Members[1].State.Found != nil &&
		l.Members[0].State.Found.PairUID != l.Members[1].State.Found.PairUID) {
		return no()
	}
	if empty && authority.LedgerState(newest.State) != authority.Solo {
		// The volume that is gone may have seen a later ledger: its member may have taken over
		// from this one, and gone on alone.
		return no()
	}
	m := l.member(l.provenOf(newest))
	if m == nil || l.dataOf(m) == "" {
		return no()
	}
	step, err := l.adoption(m)
	if err != nil {
		return no()
	}
	return act(fmt.Sprintf("the volumes are those of an earlier pair of this name, and %s has every acknowledged write", m.Name), step)
}

// provenOf is the member that has every acknowledged write by this ledger: the one it
// names, or the holder when both have.
func (l *look) provenOf(s *agentapi.SeenLedger) pair.MemberName {
	if authority.LedgerState(s.State) != authority.Both {
		return s.First
	}
	holder, err := pair.ParseHolder(s.Holder)
	if err != nil {
		return ""
	}
	return holder.Member
}
