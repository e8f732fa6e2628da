package failover

import (
	"fmt"
	"maps"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

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
	neverDecided := l.blank() && l.History.Epoch <= 0
	if !neverDecided || l.Settings.Copies || l.Settings.Paused || l.operation(VerbAdopt, "") != nil {
		return no()
	}
	newest, empty, ok := l.foundLedgers()
	if !ok || newest == nil || l.foundTwoPairs() {
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

// foundLedgers is the newest ledger that the volumes of an earlier pair of this name hold,
// and whether one of the volumes holds nothing. It is not ok when one cannot be asked, or
// holds something else than that pair's data with a ledger.
func (l *look) foundLedgers() (newest *agentapi.SeenLedger, empty, ok bool) {
	for i := range l.Members {
		m := &l.Members[i]
		switch {
		case !m.heard():
			return nil, false, false
		case m.State.Phase == agentapi.PhaseEmpty, m.State.Phase == agentapi.PhaseVoid:
			empty = true
			continue
		case l.dataOf(m) == "" || m.State.Found == nil || m.State.Found.Ledger == nil:
			return nil, false, false
		}
		if found := m.State.Found.Ledger; newest == nil || newerLedger(found, newest) {
			newest = found
		}
	}
	return newest, empty, true
}

// newerLedger: a was written after b.
func newerLedger(a, b *agentapi.SeenLedger) bool {
	if a.Epoch != b.Epoch {
		return a.Epoch > b.Epoch
	}
	return a.Version > b.Version
}

// foundTwoPairs: the two volumes, which were asked, are those of two different pairs.
func (l *look) foundTwoPairs() bool {
	a, b := l.Members[0].State.Found, l.Members[1].State.Found
	return a != nil && b != nil && a.PairUID != b.PairUID
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
