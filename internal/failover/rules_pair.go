package failover

import (
	"cmp"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

func deleting(l *look) (Plan, bool) {
	if !l.Settings.Deleting {
		return no()
	}
	p, ok := wait("the pair is being deleted")
	for i := range l.Members {
		if m := &l.Members[i]; m.Pod.Reading == Read && m.Pod.Fenced && m.Pod.Deleting {
			p.Steps = append(p.Steps, RemoveFinalizer{Subject: m.subject()})
		}
	}
	return p, ok
}

func authorityUnreadable(l *look) (Plan, bool) {
	if l.Authority.Reading != Unread {
		return no()
	}
	return wait("the authority could not be read: %s", cmp.Or(l.Authority.Problem, "it was not asked for yet"))
}

// staleObservation: an agent that was heard after the authority was read may know more than
// was read, and would make it look rolled back.
func staleObservation(l *look) (Plan, bool) {
	if l.Authority.Reading != Read {
		return no()
	}
	for i := range l.Members {
		m := &l.Members[i]
		if m.heard() && m.State.KnownEpoch > l.e && m.HeardAt.After(l.Authority.AskedAt) {
			return wait("%s knows epoch %d, and answered after epoch %d was read", m.Name, m.State.KnownEpoch, l.e)
		}
		if l.knowsNewerLedger(m) && m.HeardAt.After(l.Authority.AskedAt) {
			return wait("%s knows ledger version %d, and answered after version %d was read", m.Name, m.State.ActedLedger, l.rec.Ledger.Version)
		}
	}
	return no()
}

// knowsNewerLedger: the member's agent has a newer ledger of this pair on its volume than
// the Lease has.
func (l *look) knowsNewerLedger(m *Member) bool {
	return m.heard() && m.State.PairUID == l.Settings.UID && m.State.ActedLedger > l.rec.Ledger.Version
}

// seen are the highest epoch and ledger version that any volume or memory knows.
func (l *look) seen() (e pair.Epoch, v pair.LedgerVersion) {
	e = max(l.History.Epoch, l.e)
	v = l.rec.Ledger.Version
	if r := l.History.Accepted; r != nil {
		e = max(e, r.Epoch)
		v = max(v, r.Ledger.Version)
	}
	for _, m := range l.Members {
		if m.State == nil {
			continue
		}
		e = max(e, m.State.KnownEpoch)
		v = max(v, m.State.ActedLedger)
		if m.State.Ledger != nil {
			v = max(v, m.State.Ledger.Version)
		}
		if f := m.State.Found; f != nil && l.oursOnce(f) {
			e = max(e, f.KnownEpoch)
			if f.Ledger != nil {
				v = max(v, f.Ledger.Version)
			}
		}
	}
	labeled, _ := l.labeled()
	return max(e, labeled), v
}

// labeled is the highest epoch by which this pair's Service or a pod of it goes, and which
// of them says so. They were written after the Lease. What is older than the pair is of a former one of
// its name, and on its way out.
func (l *look) labeled() (e pair.Epoch, by string) {
	s := l.Service
	current := s.Reading == Read && !s.CreatedAt.Before(l.Settings.CreatedAt)
	if current && s.Epoch > 0 && l.credible(s.Epoch) {
		e = s.Epoch
		by = "the client Service leads by"
	}
	for i := range l.Members {
		pod := l.Members[i].Pod
		if pod.Reading != Read || pod.CreatedAt.Before(l.Settings.CreatedAt) {
			continue
		}
		for key := range pod.Labels {
			n, ok := pair.EpochOfLabel(key)
			if ok && n > e && l.credible(n) {
				e = n
				by = fmt.Sprintf("the pod of %s is labeled for", l.Members[i].Name)
			}
		}
	}
	return e, by
}

// oursOnce: the volume belonged to an earlier pair of this name in this namespace.
func (l *look) oursOnce(f *agentapi.FoundVolume) bool {
	return f.Pair == l.Settings.Name && f.Namespace == l.Settings.Namespace && f.PairUID != l.Settings.UID
}

// past says what shows that the pair has a history; empty when nothing does.
func (l *look) past() string {
	if l.History.Epoch > 0 {
		return fmt.Sprintf("its status says epoch %d", l.History.Epoch)
	}
	if e, by := l.labeled(); e > 0 {
		return fmt.Sprintf("%s epoch %d", by, e)
	}
	if l.History.Accepted != nil && !l.History.Accepted.Blank() {
		return "this operator has read it before"
	}
	for i := range l.Members {
		m := &l.Members[i]
		if !m.heard() {
			continue
		}
		switch {
		case m.State.KnownEpoch > 0:
			return fmt.Sprintf("%s knows epoch %d", m.Name, m.State.KnownEpoch)
		case m.State.DataID != "":
			return fmt.Sprintf("%s holds data %s", m.Name, m.State.DataID)
		case m.State.Found != nil && l.oursOnce(m.State.Found) && m.State.Found.DataID != "":
			return fmt.Sprintf("%s holds data of an earlier pair of this name", m.Name)
		}
	}
	return ""
}

// blank: there is no authority, or one that never decided anything.
func (l *look) blank() bool {
	return l.Authority.Reading == Missing || (l.Authority.Reading == Read && l.rec.Blank() && l.rec.PairUID == l.Settings.UID)
}

func authorityMissing(l *look) (Plan, bool) {
	if !l.blank() {
		return no()
	}
	why := l.past()
	if why == "" {
		return no()
	}
	for i := range l.Members {
		if m := &l.Members[i]; m.Pod.Reading == Missing {
			// Once both volumes can be asked, most often no person has to decide.
			return wait("there is no record of who may be primary, but the pair has a history: "+
				"%s. The pod of %s does not exist yet, and its volume may tell", why, m.Name)
		}
	}
	if l.Settings.Copies {
		why += ". By spec.bootstrap nothing is copied onto volumes that hold data: make the pair without it, or delete the volume claims"
	}
	return doubt(VerbAdopt,
		"there is no record of who may be primary, but the pair has a history: %s. Name the authoritative member", why)
}

func authorityMalformed(l *look) (Plan, bool) {
	switch l.Authority.Reading {
	case Malformed:
		return doubt(VerbAdopt, "the Lease makes no sense: %s. Name the authoritative member", l.Authority.Problem)
	case Read:
		if why := l.notOfThisPair(); why != "" {
			return doubt(VerbAdopt, "%s", why)
		}
	default:
	}
	return no()
}

// notOfThisPair says what a record that was read has that no operator can have written about
// this pair and its members; empty when there is nothing of that kind.
func (l *look) notOfThisPair() string {
	holder := l.rec.Holder
	held := !holder.Nobody()
	last := l.rec.LastHolder
	switch {
	case l.rec.PairUID != l.Settings.UID:
		return fmt.Sprintf("the Lease belongs to pair %s, this one is %s", l.rec.PairUID, l.Settings.UID)
	case held && l.holder == nil:
		return fmt.Sprintf("the Lease names %s, who is no member", holder)
	case held && l.rec.Data[holder.Member] == "":
		return fmt.Sprintf("the Lease names %s and no data of it", holder)
	case held && !l.rec.Ledger.InSync(holder.Member):
		return fmt.Sprintf("the Lease names %s as holder, and a ledger %s(%s) without it", holder, l.rec.Ledger.State, l.rec.Ledger.First)
	case last != nil && l.member(last.Holder.Member) == nil:
		return fmt.Sprintf("the Lease names %s as last holder, who is no member", last.Holder)
	case l.e > 0 && l.holder == nil && l.last == nil:
		return fmt.Sprintf("the Lease names neither a holder nor a last holder at epoch %d", l.e)
	}
	return ""
}

func authorityRolledBack(l *look) (Plan, bool) {
	if l.Authority.Reading != Read {
		return no()
	}
	for i := range l.Members {
		m := &l.Members[i]
		if m.heard() && m.State.PairUID == l.Settings.UID && m.State.KnownEpoch > l.e {
			return doubt(VerbAdopt, "%s knows epoch %d, the Lease says %d: it was restored from an older state. "+
				"Name the authoritative member", m.Name, m.State.KnownEpoch, l.e)
		}
		if l.knowsNewerLedger(m) {
			return doubt(VerbAdopt,
				"%s knows ledger version %d, the Lease says %d: it was restored from an older state. Name the authoritative member",
				m.Name, m.State.ActedLedger, l.rec.Ledger.Version)
		}
	}
	if e, by := l.labeled(); e > l.e {
		return doubt(VerbAdopt, "%s epoch %d, the Lease says %d: it was restored from an older state. Name the authoritative member",
			by, e, l.e)
	}
	if l.History.Epoch > l.e {
		return doubt(VerbAdopt, "the pair's status says epoch %d, the Lease %d: "+
			"it was restored from an older state. Name the authoritative member", l.History.Epoch, l.e)
	}
	return no()
}

// authorityChangedByOthers lasts as long as its cause: the history accepts no record that
// does not follow, and agents keep what they read first of an epoch and a ledger version.
func authorityChangedByOthers(l *look) (Plan, bool) {
	if l.Authority.Reading == NotAuthentic {
		return doubt(VerbAdopt, "the Lease was modified externally: %s. Agents ignore it. Name the authoritative member",
			l.Authority.Problem)
	}
	if l.Authority.Reading != Read {
		return no()
	}
	why := l.modified()
	if why == "" {
		return no()
	}
	return doubt(VerbAdopt, "the Lease was modified externally: %s. Name the authoritative member", why)
}

// modified says what shows that no operator wrote the record; empty when nothing does.
func (l *look) modified() string {
	if l.holder != nil && !l.rec.Proven() {
		return fmt.Sprintf("it names %s at epoch %d, and no appointment wrote that", l.rec.Holder, l.e)
	}
	if was := l.History.Refused; was != nil && was.Follows(l.rec) && l.rec.Follows(*was) {
		return l.History.RefusedWhy
	}
	if was := l.History.Accepted; was != nil && !was.Follows(l.rec) {
		return fmt.Sprintf("%s came after %s", described(l.rec), described(*was))
	}
	for i := range l.Members {
		m := &l.Members[i]
		if !m.heard() || m.State.PairUID != l.Settings.UID || m.State.Ledger == nil {
			continue
		}
		if why := contradicts(m.State.Ledger, l.rec); why != "" {
			return fmt.Sprintf("%s has read %s", m.Name, why)
		}
	}
	return ""
}

func described(r authority.Record) string {
	return fmt.Sprintf("epoch %d of %s, ledger %s(%s) at version %d, leaseDuration %s",
		r.Epoch, r.Holder, r.Ledger.State, r.Ledger.First, r.Ledger.Version, r.LeaseDuration)
}

// contradicts says what an agent has read that cannot stand beside this record: one epoch has
// one holder, one version of the ledger one content.
func contradicts(seen *agentapi.SeenLedger, r authority.Record) string {
	sameEpoch := seen.Epoch == r.Epoch && r.Epoch > 0
	if sameEpoch && seen.Holder != "" && seen.Holder != r.Holder.String() {
		return fmt.Sprintf("that epoch %d is that of %s, the Lease says %s", r.Epoch, seen.Holder, r.Holder)
	}
	was := authority.Ledger{
		Version:      seen.Version,
		State:        authority.LedgerState(seen.State),
		First:        seen.First,
		Incarnations: seen.Incarnations,
	}
	if was.Version == r.Ledger.Version && was.Version > 0 && !was.Same(r.Ledger) {
		return fmt.Sprintf("the ledger %s(%s) at version %d, the Lease says %s(%s)",
			was.State, was.First, was.Version, r.Ledger.State, r.Ledger.First)
	}
	return ""
}

func paused(l *look) (Plan, bool) {
	if !l.Settings.Paused {
		return no()
	}
	return hold(VerbNone, "spec.paused is set: nothing is changed; a primary that loses its authority still closes itself")
}

func createAuthority(l *look) (Plan, bool) {
	if l.Authority.Reading != Missing {
		return no()
	}
	return act("the pair is new", CreateAuthority{Record: authority.Fresh(l.Settings.UID, l.Settings.LeaseDuration)})
}
