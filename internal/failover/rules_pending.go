package failover

import "fmt"

// replacePendingPod: a pod that no node takes, or whose image is not there, keeps the template
// it was made by, and the StatefulSet does not replace it. No mysqld ever ran in it, so that
// nothing ends with it. The pod that the authority names is left alone.
func replacePendingPod(l *look) (Plan, bool) {
	for i := range l.Members {
		m := &l.Members[i]
		pod := m.Pod
		present := pod.Reading == Read && pod.UID != "" && !pod.Deleting
		outdated := pod.NeverRan && pod.Outdated != ""
		if !present || !outdated {
			continue
		}
		ran := m.heard() || pod.Ended.LastRunning != ""
		needed := pod.UID == l.rec.Holder.PodUID || l.leadsTo(m) || m.ClaimDeleting
		if ran || needed {
			continue
		}
		return act(fmt.Sprintf("mysqld never ran in the pod of %s (%s), which is made by a former %s", m.Name, pod.Problem, pod.Outdated),
			DeletePod{Subject: m.subject()})
	}
	return no()
}
