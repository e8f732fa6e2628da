package failover

import (
	"cmp"
	"fmt"

	"github.com/dbpair/dbpair/internal/pair"
)

// claimDeleting: the volume claim of a member is being deleted. Kubernetes removes it, and
// with most storage classes the data, as soon as the member's pod is gone.
func claimDeleting(l *look) (Plan, bool) {
	members := []*Member{l.holder, l.passive}
	if l.holder == nil {
		members = []*Member{&l.Members[0], &l.Members[1]}
	}
	for _, m := range members {
		if m.ClaimDeleting {
			p, ok := hold(VerbNone, "%s", l.claimFact(m))
			p.Topic = p.Fact // it names what to do next, step by step
			return p, ok
		}
	}
	return no()
}

func (l *look) claimFact(m *Member) string {
	fact := fmt.Sprintf("the volume claim %s is being deleted: "+
		"it is removed, with %s when the pod of %s ends. That cannot be taken back", m.deletingClaim(), m.goesWithClaim(), m.Name)
	retain := fmt.Sprintf("To keep the volume: kubectl patch pv "+
		"$(kubectl get pvc %s -n %s -o jsonpath={.spec.volumeName}) -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'",
		m.deletingClaim(), l.Settings.Namespace)
	switch {
	case m == l.holder && l.passive != nil && l.passive.ClaimDeleting:
		return l.bothClaimsFact(retain)
	case m == l.passive && m.Pod.Fenced && m.Pod.Deleting && l.claimWanted(m):
		return fact + fmt.Sprintf(". It may hold acknowledged writes that %s lacks, so its pod is kept. %s. Then, or to do without them, "+
			"let the pod go: kubectl patch pod %s -n %s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'",
			l.holder.Name, retain, m.Name, l.Settings.Namespace)
	case m == l.passive:
		return fact + fmt.Sprintf(". To have %s copied from %s to a new volume now: kubectl delete pod %s -n %s",
			m.Name, l.holder.Name, m.Name, l.Settings.Namespace)
	case m == l.holder && l.candidacyOf(l.passive).ok:
		return fact + fmt.Sprintf(". %s has every acknowledged write: let it take over with kubectl dbpair failover %s -n %s",
			l.passive.Name, l.Settings.Name, l.Settings.Namespace)
	}
	return fact + fmt.Sprintf(". Keep the pod until %s is in sync. %s", l.other(m.Name).Name, retain)
}

// deletingClaim is the claim that is being deleted.
func (m *Member) deletingClaim() string { return cmp.Or(m.DeletingClaim, pair.DataClaim(m.Name)) }

// goesWithClaim is what the volume of the claim holds.
func (m *Member) goesWithClaim() string {
	if m.deletingClaim() == pair.BinlogClaim(m.Name) {
		return "its binary logs, without which its data is not used,"
	}
	return "its data,"
}

// bothClaimsFact: the primary's volume is the copy that the passive's next volume is made of, so the passive's goes first.
func (l *look) bothClaimsFact(retain string) string {
	namespace := l.Settings.Namespace
	return fmt.Sprintf("the volume claims %s and %s are being deleted: each is removed, with its data, when its pod ends. "+
		"That cannot be taken back. Keep the pod of the primary %s. %s. "+
		"Then have %s copied from it to a new volume: kubectl delete pod %s -n %s. "+
		"When %s is in sync, let it take over: kubectl dbpair failover %s -n %s",
		l.holder.deletingClaim(), l.passive.deletingClaim(), l.holder.Name, retain, l.passive.Name, l.passive.Name, namespace,
		l.passive.Name, l.Settings.Name, namespace)
}

// claimWanted: the member's volume goes with its pod, and it may hold acknowledged writes
// that the other one lacks.
func (l *look) claimWanted(m *Member) bool {
	if m == nil || !m.ClaimDeleting || l.Settings.Deleting {
		return false
	}
	left := l.rec.Left
	if l.holder == nil {
		return l.last == m && l.rec.Ledger.InSync(m.Name) && !l.candidacyOf(l.peer).ok
	}
	return m == l.holder || (left != nil && left.Member == m.Name && left.DataID == l.rec.Data[m.Name] && !left.Clean)
}

// lastClaimDeleting: the last primary's pod ends, and its volume, the only complete copy,
// would go with it. The finalizer stays on the pod, which keeps the claim.
func lastClaimDeleting(l *look) (Plan, bool) {
	if !l.oldPodEnds() || !l.claimWanted(l.last) {
		return no()
	}
	if _, ok := l.chosen(); ok {
		return no()
	}
	p, ok := doubt(VerbForcePromote,
		"%s; it may be the only copy of acknowledged writes, so its pod is kept. To go on without them, promote %s by force",
		l.claimFact(l.last), l.peer.Name)
	p.Steps = l.doorTo(l.peer)
	return p, ok
}
