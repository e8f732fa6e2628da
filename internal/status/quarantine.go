package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// quarantine is what a member's agent says of its quarantine. The last removal outlives the agent
// that made it, and what is not known yet stays as it was.
func quarantine(use *agentapi.QuarantineUse, old *v1alpha1.MemberQuarantine) *v1alpha1.MemberQuarantine {
	if use == nil {
		return old
	}
	out := &v1alpha1.MemberQuarantine{
		Entries: int32(use.Entries),
		Bytes:   use.Bytes,
		Kept:    clip(use.Kept),
	}
	switch {
	case use.Removal != nil:
		out.LastRemoval = removal(*use.Removal)
	case old != nil:
		out.LastRemoval = old.LastRemoval
	}
	if out.Entries == 0 && out.LastRemoval == nil {
		return nil
	}
	return out
}

func removal(r agentapi.QuarantineRemoval) *v1alpha1.QuarantineRemoval {
	out := &v1alpha1.QuarantineRemoval{
		// The API keeps seconds; a finer time would differ from what it has.
		Time:  metav1.NewTime(r.At.Truncate(1e9)),
		Total: int32(r.Total),
		Bytes: r.Bytes,
	}
	for _, entry := range r.Entries[:min(len(r.Entries), agentapi.MostRemoved)] {
		out.Entries = append(out.Entries, entry.Name)
	}
	return out
}

// HasRemoval says whether a status names this removal already.
func HasRemoval(p *v1alpha1.DatabasePair, member string, r agentapi.QuarantineRemoval) bool {
	for _, m := range p.Status.Members {
		if m.Name == member {
			known := m.Quarantine != nil && m.Quarantine.LastRemoval != nil
			return known && !m.Quarantine.LastRemoval.Time.Time.Before(r.At.Truncate(1e9))
		}
	}
	return false
}
