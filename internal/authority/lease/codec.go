package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// ErrMalformed is wrapped by every error about a Lease that is not a record.
var ErrMalformed = errors.New("the Lease is not a valid authority")

// Annotations of the Lease; each value is JSON.
const (
	AnnotationPairUID    = "dbpair.io/pair-uid"
	AnnotationLedger     = "dbpair.io/ledger"
	AnnotationData       = "dbpair.io/data"
	AnnotationLastHolder = "dbpair.io/last-holder"
	AnnotationAppointed  = "dbpair.io/appointed"
	AnnotationLeft       = "dbpair.io/left"
	AnnotationIntent     = "dbpair.io/intent"
	AnnotationSeeding    = "dbpair.io/seeding"
	AnnotationBootstrap  = "dbpair.io/bootstrap"
	// AnnotationSignature is "v1:" and the base64 of a signature by the pair's CA of all that
	// the Lease says.
	AnnotationSignature = "dbpair.io/signature"
)

// Keys lists every annotation the codec owns.
var Keys = []string{
	AnnotationPairUID, AnnotationLedger, AnnotationData, AnnotationLastHolder,
	AnnotationAppointed, AnnotationLeft, AnnotationIntent, AnnotationSeeding, AnnotationBootstrap,
}

// holderText is a holder as it is written: "<member>/<pod UID>".
type holderText struct {
	Holder string `json:"holder"`
}

// lastHolderText and appointedText are parts of a record that name a holder.
type lastHolderText struct {
	holderText
	*authority.LastHolder
}

type appointedText struct {
	holderText
	*authority.Appointed
}

// Render writes the record into a Lease. It touches the holder, the epoch, T and the
// annotations in Keys; everything else stays.
func Render(r authority.Record, into *coordinationv1.Lease) error {
	if err := r.CheckRange(); err != nil {
		return fmt.Errorf("render authority of pair %s: %w", r.PairUID, err)
	}
	epoch := int32(r.Epoch)
	seconds := int32(r.LeaseDuration / time.Second)
	into.Spec.LeaseTransitions = &epoch
	into.Spec.LeaseDurationSeconds = &seconds
	into.Spec.HolderIdentity = nil
	if !r.Holder.Nobody() {
		holder := r.Holder.String()
		into.Spec.HolderIdentity = &holder
	}
	values := map[string]any{
		AnnotationPairUID: r.PairUID,
		AnnotationLedger:  r.Ledger,
		AnnotationData:    r.Data,
	}
	if r.Data == nil {
		values[AnnotationData] = map[pair.MemberName]pair.DataID{}
	}
	if h := r.LastHolder; h != nil {
		values[AnnotationLastHolder] = lastHolderText{holderText{h.Holder.String()}, h}
	}
	if a := r.Appointed; a != nil {
		values[AnnotationAppointed] = appointedText{holderText{a.Holder.String()}, a}
	}
	if r.Left != nil {
		values[AnnotationLeft] = r.Left
	}
	if r.Intent != nil {
		values[AnnotationIntent] = r.Intent
	}
	if r.Seeding != nil {
		values[AnnotationSeeding] = r.Seeding
	}
	if r.Bootstrap != nil {
		values[AnnotationBootstrap] = r.Bootstrap
	}
	return annotate(&into.ObjectMeta, values)
}

func annotate(meta *metav1.ObjectMeta, values map[string]any) error {
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	for _, key := range Keys {
		value, ok := values[key]
		if !ok {
			delete(meta.Annotations, key)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("render annotation %s: %w", key, err)
		}
		meta.Annotations[key] = string(text)
	}
	return nil
}

// Parse reads the record of a Lease. An error wraps ErrMalformed and names the part. Whether
// an operator signed it is not looked at: ask authority.Verify.Authentic.
func Parse(l *coordinationv1.Lease) (authority.Record, error) {
	r, err := parse(l)
	if err == nil {
		err = check(r)
	}
	if err != nil {
		return authority.Record{}, fmt.Errorf("%w: Lease %s/%s: %w", ErrMalformed, l.Namespace, l.Name, err)
	}
	r.Signed = signedOf(l, r)
	return r, nil
}

func parse(l *coordinationv1.Lease) (authority.Record, error) {
	var r authority.Record
	if l.Spec.LeaseTransitions == nil || l.Spec.LeaseDurationSeconds == nil {
		return r, errors.New("spec.leaseTransitions and spec.leaseDurationSeconds are needed")
	}
	r.Epoch = pair.Epoch(*l.Spec.LeaseTransitions)
	r.LeaseDuration = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	if l.Spec.HolderIdentity != nil {
		holder, err := pair.ParseHolder(*l.Spec.HolderIdentity)
		if err != nil {
			return r, fmt.Errorf("spec.holderIdentity: %w", err)
		}
		r.Holder = holder
	}
	if err := part(l, AnnotationPairUID, true, &r.PairUID); err != nil {
		return r, err
	}
	if err := part(l, AnnotationLedger, true, &r.Ledger); err != nil {
		return r, err
	}
	if err := part(l, AnnotationData, true, &r.Data); err != nil {
		return r, err
	}
	return r, optionalParts(l, &r)
}

func optionalParts(l *coordinationv1.Lease, r *authority.Record) error {
	var (
		last *lastHolderText
		made *appointedText
	)
	err := errors.Join(
		part(l, AnnotationLastHolder, false, &last),
		part(l, AnnotationAppointed, false, &made),
		part(l, AnnotationLeft, false, &r.Left),
		part(l, AnnotationIntent, false, &r.Intent),
		part(l, AnnotationSeeding, false, &r.Seeding),
		part(l, AnnotationBootstrap, false, &r.Bootstrap),
	)
	if err != nil {
		return err
	}
	if last != nil {
		holder, err := pair.ParseHolder(last.holderText.Holder)
		if err != nil || holder.Nobody() {
			return fmt.Errorf("annotation %s: holder %q", AnnotationLastHolder, last.holderText.Holder)
		}
		r.LastHolder = orZero(last.LastHolder)
		r.LastHolder.Holder = holder
	}
	if made != nil {
		holder, err := pair.ParseHolder(made.holderText.Holder)
		if err != nil {
			return fmt.Errorf("annotation %s: holder %q", AnnotationAppointed, made.holderText.Holder)
		}
		r.Appointed = orZero(made.Appointed)
		r.Appointed.Holder = holder
	}
	return nil
}

// orZero is p, or a new zero value: nothing but the holder was given.
func orZero[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

func part(l *coordinationv1.Lease, key string, needed bool, into any) error {
	text, ok := l.Annotations[key]
	if !ok {
		if needed {
			return fmt.Errorf("annotation %s is missing", key)
		}
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("annotation %s: %w", key, err)
	}
	return nil
}

// check refuses what no sequence of changes can have made.
func check(r authority.Record) error {
	if r.PairUID == "" {
		return fmt.Errorf("annotation %s is empty", AnnotationPairUID)
	}
	if err := r.CheckRange(); err != nil {
		return err
	}
	if err := checkLedger(r); err != nil {
		return err
	}
	return checkHolder(r)
}

func checkLedger(r authority.Record) error {
	l := r.Ledger
	switch {
	case l.State != authority.Both && l.State != authority.Solo && l.State != authority.Joining:
		return fmt.Errorf("ledger state %q", l.State)
	case r.Epoch > 0 && l.State != authority.Both && l.First == "":
		return fmt.Errorf("ledger %s names no member", l.State)
	case l.State == authority.Both && (l.First != "" || len(l.Incarnations) != 2):
		return fmt.Errorf("ledger %s with first %q and %d incarnations", l.State, l.First, len(l.Incarnations))
	}
	return nil
}

func checkHolder(r authority.Record) error {
	switch {
	case r.Epoch == 0 && !r.Holder.Nobody():
		return fmt.Errorf("holder %s at epoch 0", r.Holder)
	case r.Epoch > 0 && r.Holder.Nobody() && r.LastHolder == nil:
		return fmt.Errorf("nobody is the holder at epoch %d, and no last holder is named", r.Epoch)
	case !r.Holder.Nobody() && r.Data[r.Holder.Member] == "":
		return fmt.Errorf("no data is named of the holder %s", r.Holder)
	}
	return nil
}
