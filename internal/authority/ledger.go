package authority

import (
	"maps"

	"github.com/dbpair/dbpair/internal/pair"
)

// EnterSolo says that only one member counts from now on and need not wait. The member
// must be in sync; it is the holder, open or closed, or the last one while nobody is.
type EnterSolo struct{ Member pair.MemberName }

// Name of the change.
func (EnterSolo) Name() ChangeName { return ChangeEnterSolo }

// Apply implements Change.
func (c EnterSolo) Apply(r Record) (Record, error) {
	switch {
	case r.Holder.Member != c.Member || c.Member == "":
		return refuse(c.Name(), "%s is not the holder", c.Member)
	case !r.Ledger.InSync(c.Member):
		return refuse(c.Name(), "%s is not in sync", c.Member)
	case r.Ledger.State == Solo:
		return refuse(c.Name(), "the ledger is solo already")
	}
	n := r.Clone()
	n.Ledger = Ledger{
		Version:      r.Ledger.Version + 1,
		State:        Solo,
		First:        c.Member,
		Incarnations: only(r.Ledger.Incarnations, c.Member),
	}
	return n, nil
}

// BeginJoining makes the holder wait again, so that the other member can be shown to
// have caught up. The other is not promotable meanwhile.
type BeginJoining struct{ First, Joining pair.MemberName }

// Name of the change.
func (BeginJoining) Name() ChangeName { return ChangeBeginJoining }

// Apply implements Change.
func (c BeginJoining) Apply(r Record) (Record, error) {
	switch {
	case r.Holder.Member != c.First || c.First == "" || c.Joining == "" || c.First == c.Joining:
		return refuse(c.Name(), "%s is not the holder, or %q not its peer", c.First, c.Joining)
	case !r.Ledger.InSync(c.First):
		return refuse(c.Name(), "%s is not in sync", c.First)
	case r.Data[c.Joining] == "":
		return refuse(c.Name(), "nobody vouches for the data of %s", c.Joining)
	}
	n := r.Clone()
	n.Ledger = Ledger{
		Version:      r.Ledger.Version + 1,
		State:        Joining,
		First:        c.First,
		Incarnations: only(r.Ledger.Incarnations, c.First),
	}
	return n, nil
}

// ConcludeBoth says that either member has every acknowledged write, in these
// incarnations. It follows Joining at the version under which the check was made.
type ConcludeBoth struct {
	First, Joined pair.MemberName
	// Version of the joining ledger under which the check was made.
	Version      pair.LedgerVersion
	Incarnations map[pair.MemberName]pair.Incarnation
}

// Name of the change.
func (ConcludeBoth) Name() ChangeName { return ChangeConcludeBoth }

// Apply implements Change.
func (c ConcludeBoth) Apply(r Record) (Record, error) {
	switch {
	case r.Ledger.State != Joining || r.Ledger.First != c.First || r.Ledger.Version != c.Version:
		return refuse(c.Name(), "the ledger is %s(%s) at version %d", r.Ledger.State, r.Ledger.First, r.Ledger.Version)
	case r.Holder.Member != c.First:
		return refuse(c.Name(), "%s is not the holder", c.First)
	case r.Data[c.Joined] == "" || c.Incarnations[c.First] == "" || c.Incarnations[c.Joined] == "":
		return refuse(c.Name(), "data and incarnations of both members are needed")
	}
	n := r.Clone()
	n.Ledger = Ledger{
		Version:      r.Ledger.Version + 1,
		State:        Both,
		Incarnations: maps.Clone(c.Incarnations),
	}
	if n.Left != nil && n.Left.Member == c.Joined {
		n.Left = nil
	}
	return n, nil
}

func only(all map[pair.MemberName]pair.Incarnation, m pair.MemberName) map[pair.MemberName]pair.Incarnation {
	out := map[pair.MemberName]pair.Incarnation{}
	if all[m] != "" {
		out[m] = all[m]
	}
	return out
}

// Adopt makes one member's data authoritative, by an administrator's decision or because it is
// provable from volumes that were taken up again. It starts above every epoch and ledger
// version that was seen and leaves nobody the holder: the appointment then goes the
// ordinary way, with its proofs.
type Adopt struct {
	PairUID pair.UID
	// Target's data becomes the truth; Holder is its present pod.
	Target pair.Holder
	// Data of the members that are known to belong to the pair.
	Data map[pair.MemberName]pair.DataID
	// AboveEpoch and AboveLedger are the highest that were seen anywhere.
	AboveEpoch  pair.Epoch
	AboveLedger pair.LedgerVersion
	// Fallback is the record to start from when there is none.
	Fallback Record
}

// Name of the change.
func (Adopt) Name() ChangeName { return ChangeAdopt }

// Apply implements Change. r may be the zero Record: there was none.
func (c Adopt) Apply(r Record) (Record, error) {
	data := c.Data[c.Target.Member]
	named := c.PairUID != "" && c.Target.Member != "" && c.Target.PodUID != ""
	if !named || data == "" {
		return refuse(c.Name(), "a member, its pod and its data are needed")
	}
	if r.PairUID == "" {
		r = c.Fallback
	}
	n := r.Clone()
	n.PairUID = c.PairUID
	n.Epoch = max(r.Epoch, c.AboveEpoch) + 1
	n.Holder = pair.Holder{}
	n.Bootstrap = nil
	n.Appointed = nil
	n.Left = nil
	n.Intent = nil
	n.Seeding = nil
	n.Data = maps.Clone(c.Data)
	// The pod is not the one that held: nothing is known of that one, so its place is
	// taken by the present pod and the other member's proof has to do.
	n.LastHolder = &LastHolder{
		Holder: c.Target,
		DataID: data,
		Epoch:  max(r.Epoch, c.AboveEpoch),
	}
	n.Ledger = Ledger{
		Version:      max(r.Ledger.Version, c.AboveLedger) + 1,
		State:        Solo,
		First:        c.Target.Member,
		Incarnations: map[pair.MemberName]pair.Incarnation{},
	}
	return n, nil
}

// Follows reports whether next can be a later state of the same authority as r: what
// this operator's own kind writes. A foreign write or a restored store breaks it.
func (r Record) Follows(next Record) bool {
	switch {
	case next.PairUID != r.PairUID || next.Epoch < r.Epoch || next.Ledger.Version < r.Ledger.Version:
		return false
	case next.Epoch == r.Epoch && (next.Holder != r.Holder || next.LeaseDuration != r.LeaseDuration),
		next.Epoch == r.Epoch+1 && !next.Holder.Nobody() && !r.Holder.Nobody():
		// Between two holders there is an epoch of nobody, and T changes with the holder.
		return false
	case next.Ledger.Version == r.Ledger.Version && !next.Ledger.Same(r.Ledger):
		return false
	}
	return true
}
