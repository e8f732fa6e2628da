package authority

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// Grounds says by what right a member is appointed.
type Grounds string

// The grounds of an appointment.
const (
	// GroundsFirst: the member initialized the pair's data.
	GroundsFirst Grounds = "First"
	// GroundsPromote: the member is in sync and takes over.
	GroundsPromote Grounds = "Promote"
	// GroundsReturn: the last holder's data goes on, in its present pod; the ledger stays.
	GroundsReturn Grounds = "Return"
	// GroundsLag: Async; the member may lack writes, by no more than the lag allowed.
	GroundsLag Grounds = "Lag"
	// GroundsForced: a person forced it; acknowledged writes may be missing.
	GroundsForced Grounds = "Forced"
)

// Appoint makes a member the holder. Every other pod that could be open must be proven
// closed at the record's epoch: the last holder's, and the other member's present one. With
// neither of the other member known, that member as such: a record that was restored from
// an older state names the wrong last holder.
type Appoint struct {
	To      pair.Holder
	Grounds Grounds
	// Others are the present pods of the other member, and of this member if its pod was
	// replaced; without a pod UID while it has none. The last holder is added by the record
	// itself.
	Others []fencing.Subject
	Proofs []fencing.Proof
	// Incarnation of the candidate's running mysqld; GroundsPromote compares it.
	Incarnation pair.Incarnation
	// AckFencedIsEnough: spec.failover.promoteOn is AckFenced.
	AckFencedIsEnough bool
	// Lease is T from now on; it changes only here, so that no holder lives by another T
	// than the one its expiry is counted with. The very pod that was the last holder is the
	// only one that needs no proof, so that it may be open still by the former T: that one
	// does not get a shorter T.
	Lease time.Duration
	// Demoted is the run of the last holder's mysqld that was proven demoted, with nothing
	// that this member lacks, and that stays as the passive; empty when its pod goes. With a
	// ledger both that names it and this member's run, both members go on having every
	// acknowledged write, so that the ledger stays.
	Demoted pair.Incarnation
}

// Name of the change.
func (Appoint) Name() ChangeName { return ChangeAppoint }

// Subjects are the pods that must be proven closed before to may be appointed. A member
// without a pod is one itself, unless a pod of it is among them: by its own history this
// record knows every pod that ever was appointed, but it may be an older one, restored.
func (r Record) Subjects(to pair.Holder, others []fencing.Subject) []fencing.Subject {
	var out []fencing.Subject
	add := func(s fencing.Subject) {
		covered := slices.ContainsFunc(out, func(have fencing.Subject) bool {
			return have == s || (s.PodUID == "" && r.Epoch > 0 && have.Member == s.Member)
		})
		if !covered && s != fencing.SubjectOf(to) {
			out = append(out, s)
		}
	}
	if r.LastHolder != nil {
		add(fencing.SubjectOf(r.LastHolder.Holder))
	}
	for _, s := range others {
		add(s)
	}
	return out
}

// Missing are the subjects without a sufficient proof.
func (c Appoint) Missing(r Record) []fencing.Subject {
	var out []fencing.Subject
	for _, s := range r.Subjects(c.To, c.Others) {
		if !c.proven(r, s) {
			out = append(out, s)
		}
	}
	return out
}

func (c Appoint) proven(r Record, s fencing.Subject) bool {
	if r.EndProof().Closes(s, r.Epoch) {
		return true
	}
	for _, p := range c.Proofs {
		if p.Closes(s, r.Epoch) && (p.Kind() != fencing.AckFenced || c.ackFenceCounts(r)) {
			return true
		}
	}
	return false
}

// ackFenceCounts: the fence of acknowledgements stands for a fence only while the ledger
// obliged the former holder to wait for exactly this candidate.
func (c Appoint) ackFenceCounts(r Record) bool {
	return c.AckFencedIsEnough && c.Grounds == GroundsPromote && r.Ledger.State == Both
}

// Apply implements Change.
func (c Appoint) Apply(r Record) (Record, error) {
	if err := c.check(r); err != nil {
		return Record{}, err
	}
	n := r.Clone()
	n.Epoch++
	n.Holder = c.To
	n.Appointed = &Appointed{
		Holder: c.To,
		Epoch:  n.Epoch,
		Proofs: c.Used(r),
	}
	if r.Intent != nil {
		n.Appointed.Operation = r.Intent.Operation
		n.Appointed.Rule = r.Intent.Rule
	}
	n.Intent = nil
	if c.Lease > 0 {
		n.LeaseDuration = wholeSeconds(c.Lease)
		if last := r.LastHolder; last != nil && last.Holder == c.To {
			n.LeaseDuration = max(n.LeaseDuration, r.LeaseDuration)
		}
	}
	n.Appointed.Demoted = c.Demoted != ""
	if c.Grounds == GroundsReturn || c.keepsBoth(r) {
		return n, nil
	}
	n.Ledger = Ledger{
		Version:      r.Ledger.Version + 1,
		State:        Solo,
		First:        c.To.Member,
		Incarnations: map[pair.MemberName]pair.Incarnation{c.To.Member: c.Incarnation},
	}
	if last := r.LastHolder; last != nil && last.Holder.Member != c.To.Member {
		n.Left = &Left{
			Member: last.Holder.Member,
			DataID: last.DataID,
			Epoch:  last.Epoch,
			Clean:  c.clean(r),
			Proof:  c.proofOf(r),
		}
	}
	return n, nil
}

// Used are the proofs that are written down: the strongest about each pod.
func (c Appoint) Used(r Record) []Used {
	var out []Used
	for _, s := range r.Subjects(c.To, c.Others) {
		if p := c.best(r, s); p.Kind() != "" {
			out = append(out, Used{s.String(), p.Kind(), p.RequestID()})
		}
	}
	return out
}

func (c Appoint) check(r Record) error {
	why := c.whyNotNow(r)
	if why == "" {
		why = c.whyNotOnGrounds(r)
	}
	if why == "" {
		return nil
	}
	_, err := refuse(c.Name(), "%s", why)
	return err
}

// whyNotNow says what stands against any appointment of this member; empty for nothing.
func (c Appoint) whyNotNow(r Record) string {
	switch {
	case !r.Holder.Nobody():
		return fmt.Sprintf("%s is the holder", r.Holder)
	case c.To.Member == "" || c.To.PodUID == "":
		return "a member and its pod are needed"
	case r.Data[c.To.Member] == "":
		return fmt.Sprintf("nobody vouches for the data of %s", c.To.Member)
	case len(c.Missing(r)) > 0:
		return fmt.Sprintf("no proof that %v is closed at epoch %d", c.Missing(r), r.Epoch)
	case !slices.ContainsFunc(c.Others, func(s fencing.Subject) bool { return s.Member != c.To.Member }):
		return fmt.Sprintf("the member beside %s is not named", c.To.Member)
	}
	return ""
}

// whyNotOnGrounds says why the grounds of the appointment do not hold; empty when they do.
func (c Appoint) whyNotOnGrounds(r Record) string {
	switch {
	case c.Grounds == GroundsFirst && r.Epoch != 0:
		return fmt.Sprintf("epoch %d is not the first", r.Epoch)
	case c.Grounds != GroundsFirst && r.Epoch == 0:
		return fmt.Sprintf("%s at epoch 0", c.Grounds)
	case c.Grounds == GroundsReturn && !c.returns(r):
		return fmt.Sprintf("%s is not the last holder with its data, in sync", c.To)
	case c.Demoted != "" && !c.isDemoted(r):
		return "the last holder is not proven demoted, or is not passed over for another member in order"
	case c.Grounds == GroundsPromote && !c.inSync(r):
		return fmt.Sprintf("%s is not in sync in its present incarnation", c.To)
	}
	return ""
}

// returns: the member is the last holder, still has the data that it held with, and has every
// acknowledged write.
func (c Appoint) returns(r Record) bool {
	last := r.LastHolder
	if last == nil || last.Holder.Member != c.To.Member {
		return false
	}
	return last.DataID == r.Data[c.To.Member] && r.Ledger.InSync(c.To.Member)
}

// inSync: the ledger names both members, and this one in the run of mysqld that is to open.
func (c Appoint) inSync(r Record) bool {
	return r.Ledger.State == Both && c.Incarnation != "" && r.Ledger.Incarnations[c.To.Member] == c.Incarnation
}

// isDemoted: there is a proof that the last holder's pod, of the other member, is demoted, which
// is more than that it accepts no writes: its mysqld has been read back since.
func (c Appoint) isDemoted(r Record) bool {
	another := r.LastHolder != nil && r.LastHolder.Holder.Member != c.To.Member
	inOrder := c.Grounds == GroundsPromote || c.Grounds == GroundsLag
	if !another || !inOrder {
		return false
	}
	return slices.ContainsFunc(c.Proofs, func(p fencing.Proof) bool {
		return p.Kind() == fencing.Demoted && p.Closes(fencing.SubjectOf(r.LastHolder.Holder), r.Epoch)
	})
}

// keepsBoth: either member has every acknowledged write, in the runs that the ledger names.
func (c Appoint) keepsBoth(r Record) bool {
	return c.Demoted != "" && c.Grounds == GroundsPromote && r.Ledger.State == Both &&
		r.Ledger.Incarnations[r.LastHolder.Holder.Member] == c.Demoted
}

// clean: the former holder's tail holds nothing that was acknowledged.
func (c Appoint) clean(r Record) bool {
	return c.Grounds == GroundsPromote && c.proofOf(r) != fencing.HumanAck
}

// proofOf is the kind that is written down: that of the last holder's pod.
func (c Appoint) proofOf(r Record) fencing.Kind {
	if r.LastHolder == nil {
		return fencing.NeverHeld
	}
	return c.best(r, fencing.SubjectOf(r.LastHolder.Holder)).Kind()
}

// best is the strongest proof about a pod; the zero value without one.
func (c Appoint) best(r Record, s fencing.Subject) fencing.Proof {
	var best fencing.Proof
	for _, p := range append([]fencing.Proof{r.EndProof()}, c.Proofs...) {
		if p.Closes(s, r.Epoch) && p.Kind().StrongerThan(best.Kind()) {
			best = p
		}
	}
	return best
}
