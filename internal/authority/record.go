package authority

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// LedgerState says which members hold every acknowledged write, and whether the primary
// must wait for the other before it acknowledges.
type LedgerState string

// The states of the ledger.
const (
	// Both: either member has every acknowledged write; the primary waits.
	Both LedgerState = "both"
	// Solo: only Ledger.First has every acknowledged write; it need not wait.
	Solo LedgerState = "solo"
	// Joining: only Ledger.First has every acknowledged write, but it waits already, so
	// that the other can be verified to have caught up. The other is not promotable.
	Joining LedgerState = "joining"
)

// Ledger names the members that hold every acknowledged write.
type Ledger struct {
	// Version grows by one with every change. Agents act on the newest they have seen.
	Version pair.LedgerVersion `json:"version"`
	// State of the ledger.
	State LedgerState `json:"state"`
	// First is X of solo(X) and joining(X,Y). Empty in Both.
	First pair.MemberName `json:"first,omitempty"`
	// Incarnations are the mysqld runs for which the state was established.
	Incarnations map[pair.MemberName]pair.Incarnation `json:"incarnations,omitempty"`
}

// InSync reports whether the member is known to hold every acknowledged write.
func (l Ledger) InSync(m pair.MemberName) bool {
	return l.State == Both || (l.First == m && m != "")
}

// Same reports whether two ledgers say the same, at the same version.
func (l Ledger) Same(other Ledger) bool {
	for _, m := range append(slices.Collect(maps.Keys(l.Incarnations)), slices.Collect(maps.Keys(other.Incarnations))...) {
		if l.Incarnations[m] != other.Incarnations[m] {
			return false
		}
	}
	return l.Version == other.Version && l.State == other.State && l.First == other.First
}

// MustWait reports whether an open member may acknowledge a write only after its peer
// has it. Unknown states wait.
func (l Ledger) MustWait(m pair.MemberName) bool {
	return l.State != Solo || l.First != m
}

// LastHolder is the holder that the revoking change removed.
type LastHolder struct {
	// Holder is written as text, by package lease.
	Holder pair.Holder `json:"-"`
	DataID pair.DataID `json:"data"`
	Epoch  pair.Epoch  `json:"epoch"`
	// Ended is the kind of the proof that this pod has ended for good, once there is one;
	// EndedBy is the request it answered. They outlive pod and operator.
	Ended   fencing.Kind `json:"ended,omitempty"`
	EndedBy string       `json:"endedBy,omitempty"`
}

// Appointed is written by the change that appoints a holder, and by no other: a holder
// that it does not name was written by someone else.
type Appointed struct {
	// Holder is written as text, by package lease.
	Holder pair.Holder `json:"-"`
	Epoch  pair.Epoch  `json:"epoch"`
	// Proofs that the appointment rested on, one for each pod that had to be closed.
	Proofs []Used `json:"proofs,omitempty"`
	// Operation that it was a part of, and the rule that began that; from the intent. Like
	// that they are only told, and nothing safe depends on them.
	Operation string `json:"operation,omitempty"`
	Rule      string `json:"rule,omitempty"`
	// Demoted: the last holder's mysqld was demoted and stays, in its pod, as the passive.
	Demoted bool `json:"demoted,omitempty"`
}

// ProofOf is the kind of the proof about a pod that the appointment rested on; empty for
// none.
func (a Appointed) ProofOf(s fencing.Subject) fencing.Kind {
	for _, u := range a.Proofs {
		if u.Subject == s.String() {
			return u.Kind
		}
	}
	return ""
}

// Used is a proof that an appointment rested on.
type Used struct {
	// Subject is "<member>/<pod UID>".
	Subject string       `json:"subject"`
	Kind    fencing.Kind `json:"kind"`
	// Request that was answered.
	Request string `json:"request"`
}

// Proven reports whether the holder was appointed at this epoch by a change that had its
// proofs.
func (r Record) Proven() bool {
	return r.Appointed != nil && r.Appointed.Holder == r.Holder && r.Appointed.Epoch == r.Epoch
}

// Left records how a member lost the authority. It is written by the promoting change
// and stays until that member is in sync again: without it nobody could tell later
// whether the member's tail may be cut off.
type Left struct {
	Member pair.MemberName `json:"member"`
	DataID pair.DataID     `json:"data"`
	// Epoch at which the member last was holder.
	Epoch pair.Epoch `json:"epoch"`
	// Clean: the ledger was both, the candidate's incarnation was the entered one, and
	// the proof was not an administrator's confirmation.
	Clean bool `json:"clean"`
	// Proof used.
	Proof fencing.Kind `json:"proof"`
}

// Intent tells the successor of a crashed operator which change of holder was under way,
// from the revocation to the appointment. It is only a hint: nothing safe depends on it.
type Intent struct {
	// Operation is the name of the record of this change.
	Operation string `json:"operation"`
	// Target is the member that was to become the holder.
	Target pair.MemberName `json:"target,omitempty"`
	// Rule is the name of the rule that revoked.
	Rule string `json:"rule,omitempty"`
}

// Seeding is the copy that a member was asked for. It outlives changes of the holder: a
// member that finishes its copy after the holder was appointed again would otherwise hold
// data that the authority does not know.
type Seeding struct {
	Member pair.MemberName `json:"member"`
	// DataID is the name that the member's new data will have.
	DataID pair.DataID `json:"data"`
}

// Record is the whole authority of one pair. Its parts are written as their tags say, each into
// an annotation of the Lease: what is in clusters has to stay readable.
type Record struct {
	// PairUID is the pair it belongs to.
	PairUID pair.UID
	// Epoch of the record.
	Epoch pair.Epoch
	// Holder may be open; nobody when zero.
	Holder pair.Holder
	// LeaseDuration is T: how long a confirmation counts, from before it was asked for.
	LeaseDuration time.Duration
	// Ledger of the pair.
	Ledger Ledger
	// Data holds the data each member is known by. A member that is not here has data
	// nobody vouches for.
	Data map[pair.MemberName]pair.DataID
	// Bootstrap is the member that may initialize its empty volume, with the name its
	// data will have. Only before any data is known.
	Bootstrap *Bootstrap
	// LastHolder is set while nobody is the holder, and kept until the next revocation.
	LastHolder *LastHolder
	// Appointed is set while someone is the holder.
	Appointed *Appointed
	// Left is set from a promotion until the former holder is in sync again.
	Left *Left
	// Intent is the change of holder that is under way.
	Intent *Intent
	// Seeding is set from the moment a member's data is given up until its copy is named.
	Seeding *Seeding
	// Signed is what was signed about this record as it was read; the zero value for none.
	// A change of the record does not change it: what is written is signed again.
	Signed pair.SignedEpoch
}

// CheckRange says which number of the record no pair can have; nil for none. Such a record
// is neither written nor taken for an authority.
func (r Record) CheckRange() error {
	const most = time.Duration(1<<31-1) * time.Second
	switch {
	case !r.Epoch.Valid():
		return fmt.Errorf("epoch %d is out of range", r.Epoch)
	case !r.Ledger.Version.Valid():
		return fmt.Errorf("ledger version %d is out of range", r.Ledger.Version)
	case r.LeaseDuration < time.Second || r.LeaseDuration > most:
		return fmt.Errorf("lease duration %s is out of range", r.LeaseDuration)
	case r.LastHolder != nil && !r.LastHolder.Epoch.Valid():
		return fmt.Errorf("epoch %d of the last holder is out of range", r.LastHolder.Epoch)
	case r.Appointed != nil && !r.Appointed.Epoch.Valid():
		return fmt.Errorf("epoch %d of the appointment is out of range", r.Appointed.Epoch)
	case r.Left != nil && !r.Left.Epoch.Valid():
		return fmt.Errorf("epoch %d of the member that left is out of range", r.Left.Epoch)
	}
	return nil
}

// Bootstrap allows one member to initialize its empty volume.
type Bootstrap struct {
	Member pair.MemberName `json:"member"`
	DataID pair.DataID     `json:"data"`
}
