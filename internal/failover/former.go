package failover

import (
	"strings"

	"github.com/dbpair/dbpair/internal/fencing"
)

// leadsTo: the Service leads to this member's present pod.
func (l *look) leadsTo(m *Member) bool {
	s := l.Service
	return s.Reading == Read && s.Member == m.Name && (s.Leads == LeadsDoor || m.labelled(s.Epoch)) && m.Pod.IP != ""
}

// standing is the pod that has to go before the Service leads to the course's member: the
// last holder's; or the other member's, to whose mysqld the Service led before a person
// adopted this one.
func (l *look) standing(c course) (fencing.Subject, bool) {
	if c.deleteOld && l.oldPodStands() {
		return fencing.SubjectOf(l.rec.LastHolder.Holder), true
	}
	other := l.other(c.to.Name)
	return other.subject(), other.ledTo() && !other.Pod.Deleting
}

// ledTo: the client Service led to the mysqld of this very pod, or was about to. The key is
// taken off only once the Service leads elsewhere by the key of a later holder.
func (m *Member) ledTo() bool {
	for key, value := range m.Pod.Labels {
		if strings.HasPrefix(key, LabelEpochPrefix) && value == string(LeadsOpen) && m.Pod.Reading == Read && m.Pod.UID != "" {
			return true
		}
	}
	return false
}

// oldPodStands: the last holder's pod is there, or was not read, and its deletion has
// not been accepted.
func (l *look) oldPodStands() bool {
	pod := l.last.Pod
	switch pod.Reading {
	case Missing:
		return false
	case Read:
		return pod.UID == l.rec.LastHolder.Holder.PodUID && !pod.Deleting
	case Unread, Malformed:
	}
	return true
}
