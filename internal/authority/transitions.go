package authority

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// ErrNotAllowed is wrapped by every refusal of a change.
var ErrNotAllowed = errors.New("change of the authority not allowed")

// ErrConflict is wrapped when a write's condition did not hold: the record is not the
// one that was looked at. Nothing was written.
var ErrConflict = errors.New("changed since it was looked at")

// ChangeName names a change in logs, failpoints and timelines.
type ChangeName string

// The changes. There are no others.
const (
	ChangeBootstrap        ChangeName = "Bootstrap"
	ChangeRestartBootstrap ChangeName = "RestartBootstrap"
	ChangeNameData         ChangeName = "NameData"
	ChangeForgetData       ChangeName = "ForgetData"
	ChangeRevoke           ChangeName = "Revoke"
	ChangeRecordEnd        ChangeName = "RecordEnd"
	ChangeAppoint          ChangeName = "Appoint"
	ChangeEnterSolo        ChangeName = "EnterSolo"
	ChangeBeginJoining     ChangeName = "BeginJoining"
	ChangeConcludeBoth     ChangeName = "ConcludeBoth"
	ChangeAdopt            ChangeName = "Adopt"
)

// Change is one of the named changes of a record. Apply returns the changed copy, or an
// error that wraps ErrNotAllowed; it never modifies its argument.
type Change interface {
	Name() ChangeName
	Apply(Record) (Record, error)
}

func refuse(c ChangeName, format string, args ...any) (Record, error) {
	return Record{}, fmt.Errorf("%w: %s: %s", ErrNotAllowed, c, fmt.Sprintf(format, args...))
}

// Clone is a deep copy.
func (r Record) Clone() Record {
	r.Ledger.Incarnations = maps.Clone(r.Ledger.Incarnations)
	r.Data = maps.Clone(r.Data)
	r.Bootstrap = clonePtr(r.Bootstrap)
	r.LastHolder = clonePtr(r.LastHolder)
	r.Appointed = clonePtr(r.Appointed)
	r.Left = clonePtr(r.Left)
	r.Intent = clonePtr(r.Intent)
	r.Seeding = clonePtr(r.Seeding)
	return r
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// Fresh is the record of a pair that has no history: epoch 0, nobody, no data.
func Fresh(uid pair.UID, lease time.Duration) Record {
	return Record{
		PairUID:       uid,
		LeaseDuration: wholeSeconds(lease),
		Ledger:        Ledger{State: Joining},
		Data:          map[pair.MemberName]pair.DataID{},
	}
}

// wholeSeconds rounds up: the Lease holds seconds.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1) / time.Second * time.Second
}

// Blank reports whether nothing was ever decided by this record.
func (r Record) Blank() bool {
	return r.Epoch == 0 && r.Holder.Nobody() && len(r.Data) == 0 && r.Bootstrap == nil && r.LastHolder == nil
}

// StartBootstrap lets one member initialize its empty volume.
type StartBootstrap Bootstrap

// Name of the change.
func (StartBootstrap) Name() ChangeName { return ChangeBootstrap }

// Apply implements Change.
func (c StartBootstrap) Apply(r Record) (Record, error) {
	if r.Epoch != 0 || len(r.Data) != 0 || r.Bootstrap != nil {
		return refuse(c.Name(), "epoch %d with data of %d members is no beginning", r.Epoch, len(r.Data))
	}
	if c.Member == "" || c.DataID == "" {
		return refuse(c.Name(), "member and data id are needed")
	}
	n := r.Clone()
	b := Bootstrap(c)
	n.Bootstrap = &b
	return n, nil
}

// RestartBootstrap lets a member initialize its empty volume in place of the one on which the pair
// was to begin. It is for an authority that nobody ever held, so that nothing was ever
// acknowledged under it. What the other one may have initialized is not the pair's any more.
type RestartBootstrap Bootstrap

// Name of the change.
func (RestartBootstrap) Name() ChangeName { return ChangeRestartBootstrap }

// Apply implements Change.
func (c RestartBootstrap) Apply(r Record) (Record, error) {
	held := !r.Holder.Nobody() || r.LastHolder != nil || r.Appointed != nil
	if held || r.Epoch != 0 {
		return refuse(c.Name(), "at epoch %d someone may have held it", r.Epoch)
	}
	if c.Member == "" || c.DataID == "" {
		return refuse(c.Name(), "member and data id are needed")
	}
	if (r.Bootstrap != nil && r.Bootstrap.DataID == c.DataID) || slices.Contains(slices.Collect(maps.Values(r.Data)), c.DataID) {
		return refuse(c.Name(), "data id %s is taken", c.DataID)
	}
	n := r.Clone()
	b := Bootstrap(c)
	n.Bootstrap = &b
	n.Data = map[pair.MemberName]pair.DataID{}
	return n, nil
}

// NameData makes a member's data known to the authority: after it was initialized as
// Bootstrap allowed, or after it was seeded under the name that ForgetData gave.
type NameData struct {
	Member pair.MemberName
	DataID pair.DataID
}

// Name of the change.
func (NameData) Name() ChangeName { return ChangeNameData }

// Apply implements Change.
func (c NameData) Apply(r Record) (Record, error) {
	initialized := r.Bootstrap != nil && r.Bootstrap.Member == c.Member && r.Bootstrap.DataID == c.DataID
	seeded := r.Seeding != nil && *r.Seeding == Seeding(c)
	switch {
	case c.Member == "" || c.DataID == "":
		return refuse(c.Name(), "member and data id are needed")
	case r.Data[c.Member] != "":
		return refuse(c.Name(), "%s is known by other data", c.Member)
	case !initialized && !seeded:
		return refuse(c.Name(), "nobody asked %s for data %s", c.Member, c.DataID)
	case r.Epoch > 0 && r.Ledger.InSync(c.Member):
		return refuse(c.Name(), "%s is in sync", c.Member)
	}
	n := r.Clone()
	if n.Data == nil {
		n.Data = map[pair.MemberName]pair.DataID{}
	}
	n.Data[c.Member] = c.DataID
	if initialized {
		n.Bootstrap = nil
	}
	if seeded {
		n.Seeding = nil
	}
	return n, nil
}

// ForgetData gives up a member's data before it is seeded again and names the data it
// will have. The member must not be in sync, and another must be the holder.
type ForgetData struct {
	Member  pair.MemberName
	NewData pair.DataID
}

// Name of the change.
func (ForgetData) Name() ChangeName { return ChangeForgetData }

// Apply implements Change.
func (c ForgetData) Apply(r Record) (Record, error) {
	switch {
	case c.Member == "" || c.NewData == "":
		return refuse(c.Name(), "member and new data id are needed")
	case r.Holder.Nobody() || r.Holder.Member == c.Member:
		return refuse(c.Name(), "the holder is %q", r.Holder)
	case r.Ledger.State != Solo || r.Ledger.First != r.Holder.Member:
		return refuse(c.Name(), "the ledger is %s: the data of %s may still be wanted", r.Ledger.State, c.Member)
	}
	n := r.Clone()
	delete(n.Data, c.Member)
	n.Seeding = &Seeding{Member: c.Member, DataID: c.NewData}
	return n, nil
}

// Revoke takes the authority from its holder. Nobody is the holder until Appoint.
type Revoke struct{ Intent Intent }

// Name of the change.
func (Revoke) Name() ChangeName { return ChangeRevoke }

// Apply implements Change.
func (c Revoke) Apply(r Record) (Record, error) {
	if r.Holder.Nobody() {
		return refuse(c.Name(), "nobody is the holder")
	}
	n := r.Clone()
	n.LastHolder = &LastHolder{
		Holder: r.Holder,
		DataID: r.Data[r.Holder.Member],
		Epoch:  r.Epoch,
	}
	n.Holder = pair.Holder{}
	n.Appointed = nil
	n.Epoch++
	n.Intent = &c.Intent
	return n, nil
}

// RecordEnd writes down that the last holder's pod is proven ended, so that the proof
// outlives the operator and the pod's finalizer can go.
type RecordEnd struct{ Proof fencing.Proof }

// Name of the change.
func (RecordEnd) Name() ChangeName { return ChangeRecordEnd }

// Apply implements Change.
func (c RecordEnd) Apply(r Record) (Record, error) {
	if !r.Holder.Nobody() || r.LastHolder == nil {
		return refuse(c.Name(), "the authority is not between two holders")
	}
	s := fencing.SubjectOf(r.LastHolder.Holder)
	if !c.Proof.Kind().EndsPod() || !c.Proof.Closes(s, r.Epoch) {
		return refuse(c.Name(), "%s does not prove the end of %s", c.Proof, s)
	}
	n := r.Clone()
	n.LastHolder.Ended = c.Proof.Kind()
	n.LastHolder.EndedBy = c.Proof.RequestID()
	return n, nil
}

// EndProof is the recorded end of the last holder's pod; the zero value without one.
func (r Record) EndProof() fencing.Proof {
	if r.LastHolder == nil || r.LastHolder.Ended == "" {
		return fencing.Proof{}
	}
	p, err := fencing.FromRecord(fencing.SubjectOf(r.LastHolder.Holder), r.Epoch, r.LastHolder.Ended, r.LastHolder.EndedBy)
	if err != nil {
		return fencing.Proof{}
	}
	return p
}
