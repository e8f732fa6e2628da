package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/status"
)

// reasonPruned is the reason of the event about entries that were removed from a quarantine.
const reasonPruned = "QuarantinePruned"

// tellPruned raises an event for what a member's agent removed from its quarantine, unless the
// status names that already: so a new operator does not report it again.
func (r *PairReconciler) tellPruned(v *visit, m *failover.Member) {
	if m.State == nil || m.State.Quarantine == nil || m.State.Quarantine.Removal == nil {
		return
	}
	removal := *m.State.Quarantine.Removal
	note := prunedNote(m, removal)
	isNews := v.session.warned.isNews(string(m.Name)+"/"+reasonPruned, note)
	if !isNews || status.HasRemoval(v.pair, string(m.Name), removal) {
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: v.name.Namespace,
		Name:      string(m.Name),
		UID:       types.UID(m.Pod.UID),
	}}
	r.event(v.pair, pod, normal, reasonPruned, note)
}

func prunedNote(m *failover.Member, removal agentapi.QuarantineRemoval) string {
	note := fmt.Sprintf("%s: removed %d entries of %d bytes from its quarantine by spec.rejoin.quarantineRetention",
		m.Name, removal.Total, removal.Bytes)
	separator := ": "
	for _, entry := range removal.Entries {
		note += fmt.Sprintf("%s%s (%s, saved %s", separator, entry.Name, entry.Kind, entry.SavedAt.UTC().Format("2006-01-02"))
		if entry.GTIDs != "" {
			note += ", " + entry.GTIDs
		}
		note += ")"
		separator = "; "
	}
	return note
}
