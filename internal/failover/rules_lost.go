package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
)

// oldPodEnds: the last holder's pod is being deleted, and is there still.
func (l *look) oldPodEnds() bool {
	return l.oldPodIsThere() && l.last.Pod.Deleting
}

func (l *look) oldPodIsThere() bool {
	pod := l.last.Pod
	return pod.Reading == Read && pod.UID == l.rec.LastHolder.Holder.PodUID
}

// oldPodLost: the last holder's pod is there, silent, and someone says that it cannot run
// any more. It is deleted once that is a proof, so that its data can go on in another one.
func (l *look) oldPodLost() bool {
	return l.oldPodIsThere() && l.silentFor(l.last) >= l.Settings.DeadAfter && l.saidLost(l.last) != ""
}

// saidLost is who says that the member's present pod cannot run any more; empty for nobody.
func (l *look) saidLost(m *Member) string {
	if m.Pod.Reading == Read && m.Pod.NodeOutOfService == Yes {
		return fmt.Sprintf("node %s is marked out of service", m.Pod.Node)
	}
	if op := l.operation(VerbConfirmDead, m.Name); op != nil {
		return fmt.Sprintf("operation %s says that %s cannot run any more", op.Name, m.Name)
	}
	return ""
}

// holderNodeLost: the primary is silent, nobody can take over, and someone says that its pod
// cannot run any more. Its volume is whole: it is revoked for its own next pod.
func holderNodeLost(l *look) (Plan, bool) {
	m := l.holder
	said := l.saidLost(m)
	lost := said != "" && l.silentFor(m) >= l.Settings.DeadAfter
	if !lost || l.holderGone() != "" || !l.rec.Ledger.InSync(m.Name) {
		return no()
	}
	if c := l.candidacyOf(l.passive); c.ok || !c.lasting {
		return no()
	}
	fact := fmt.Sprintf("%s, and nobody can take over from %s: its data goes on in the next pod", said, m.Name)
	return l.revoke(RuleHolderNodeLost, l.ownOperation(l.e+1), m, fact)
}

// recordable is a proof that the last holder's pod has ended for good; its kind is empty
// when there is none.
func (l *look) recordable(old fencing.Subject) fencing.Proof {
	for _, p := range l.Evidence.Proofs(old, l.e) {
		if p.Kind().EndsPod() {
			return p
		}
	}
	return fencing.Proof{}
}

// endIsProven: the last holder's pod has ended, or accepts no writes by any authority it
// knows, so that nobody waits for its object any more.
func (l *look) endIsProven(old fencing.Subject) bool {
	expired, _ := l.expired(old)
	return l.rec.LastHolder.Ended != "" || l.recordable(old).Kind() != "" || expired.Kind() != ""
}

// endOldPod proves the end of the last holder's pod, writes it down and lets it go. An
// authority that has run out lets it go as well: that can be shown again at any time.
func (l *look) endOldPod(old fencing.Subject) (Plan, bool) {
	fact := fmt.Sprintf("the pod %s is ending", old)
	pod := l.last.Pod
	ended := l.rec.LastHolder.Ended != ""
	if proof := l.recordable(old); !ended && proof.Kind() != "" {
		return act(fact, l.change(authority.RecordEnd{Proof: proof}))
	}
	switch door := l.doorTo(l.peer); {
	case ended && !pod.Deleting && l.leadsTo(l.last) && len(door) > 0:
		return act(fact, door...)
	case ended && !pod.Deleting:
		return act(fact, DeletePod{Subject: old})
	case pod.Fenced && pod.Deleting && l.endIsProven(old):
		return act(fact, RemoveFinalizer{Subject: old})
	case !ended:
		if steps := l.proveEndSteps(old, door); len(steps) > 0 {
			p, ok := act(fact, together(steps)...)
			p.After = time.Second
			return p, ok
		}
	}
	if l.endsWithoutItsNode(old) {
		return no()
	}
	p, ok := wait("%s", fact)
	p.Steps = l.doorTo(l.peer)
	return p, ok
}

// proveEndSteps are the questions that can prove the end of the last holder's pod, and what is
// done for clients beside them.
func (l *look) proveEndSteps(old fencing.Subject, door []Step) []Step {
	steps := l.evidenceSteps(old)
	if l.rejectionWindow() == 0 {
		// Nobody refuses clients at the old pod, whose address may not even answer.
		steps = append(steps, door...)
	}
	return steps
}

// endsWithoutItsNode: the pod's end is proven, and Kubernetes has waited for its node for longer
// than a pod takes to end: that node may never come back.
func (l *look) endsWithoutItsNode(old fencing.Subject) bool {
	long := l.rec.LeaseDuration + l.margin() + max(l.Settings.InitialDelay, l.Settings.DeadAfter)
	return l.endIsProven(old) && l.sinceEpoch() > long
}

// howToProveEnd says what a person can do about a pod whose end nobody can prove.
func (l *look) howToProveEnd(m *Member) string {
	node := ""
	if m.Pod.Node != "" {
		node = fmt.Sprintf("kubectl taint node %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, which also frees its volume; or ",
			m.Pod.Node)
	}
	return fmt.Sprintf("If it cannot run any more, because its machine is off, nothing is lost by saying so: "+
		"%skubectl dbpair confirm-dead %s %s -n %s",
		node, l.Settings.Name, m.Name, l.Settings.Namespace)
}
