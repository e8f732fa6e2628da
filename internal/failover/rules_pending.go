package failover

import "fmt"

// replacePendingPod: a pod that no node takes, or whose image is not there, keeps the template
// it was made by, and the StatefulSet does not replace it. No mysqld ever ran in it, so that
// nothing ends with it. The pod that the authority names is left alone.
func replacePendingPod(l *look) (Plan, bool) {
	for i := range l.Members {
		m := &l.Members[i]
		pod := m.Pod
		if pod.Reading != Read || pod.UID == "" || !pod.NeverRan || pod.Outdated == "" || pod.Deleting {
			continue
		}
		if pod.UID == l.rec.Holder.PodUID || m.heard() || pod.Ended.LastRunning != "" || l.leadsTo(m) || m.ClaimDeleting {
			continue
		}
		return act(fmt.Sprintf("mysqld never ran in the pod of %s (%s), which is made by a former %s", m.Name, pod.Problem, pod.Outdated),
			DeletePod{Subject: m.subject()})
	}
	return no()
}
