package status

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// accepted is the record as the status keeps it; nil for none.
func accepted(r *authority.Record) *v1alpha1.AuthorityStatus {
	if r == nil {
		return nil
	}
	out := &v1alpha1.AuthorityStatus{
		Epoch:         int64(r.Epoch),
		Holder:        r.Holder.String(),
		LeaseDuration: metav1.Duration{Duration: r.LeaseDuration},
		Ledger:        string(r.Ledger.State),
		LedgerVersion: int64(r.Ledger.Version),
		LedgerFirst:   string(r.Ledger.First),
	}
	for m, run := range r.Ledger.Incarnations {
		if out.Incarnations == nil {
			out.Incarnations = map[string]string{}
		}
		out.Incarnations[string(m)] = string(run)
	}
	return out
}

// Accepted is the record that the status keeps, as far as it keeps it: enough to say whether a
// Lease can follow from it. It is nil for none, and an error says what makes no sense.
func Accepted(p *v1alpha1.DatabasePair) (*authority.Record, error) {
	s := p.Status.Authority
	if s == nil {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	holder, err := pair.ParseHolder(s.Holder)
	if err != nil {
		return nil, fmt.Errorf("status.authority.holder: %w", err)
	}
	r := &authority.Record{
		PairUID:       pair.UID(p.UID),
		Epoch:         pair.Epoch(s.Epoch),
		Holder:        holder,
		LeaseDuration: s.LeaseDuration.Duration,
		Ledger: authority.Ledger{
			Version: pair.LedgerVersion(s.LedgerVersion),
			State:   authority.LedgerState(s.Ledger),
			First:   pair.MemberName(s.LedgerFirst),
		},
	}
	if len(s.Incarnations) > 0 {
		r.Ledger.Incarnations = map[pair.MemberName]pair.Incarnation{}
	}
	for m, run := range s.Incarnations {
		r.Ledger.Incarnations[pair.MemberName(m)] = pair.Incarnation(run)
	}
	return r, nil
}
