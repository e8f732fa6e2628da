package failover

import (
	"fmt"
	"strings"

	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// leadsTo: the Service leads to this member's present pod.
func (l *look) leadsTo(m *Member) bool {
	s := l.Service
	return s.Reading == Read && s.Member == m.Name && (s.Leads == LeadsDoor || m.labeled(s.Epoch)) && m.Pod.IP != ""
}

// standing is the pod that has to go before the Service leads to the mysqld of this member:
// the last holder's, if that was the other one; or the other one's, to whose mysqld the
// Service led before a person adopted this one.
func (l *look) standing(to *Member) (fencing.Subject, bool) {
	if a := l.rec.Appointed; a != nil && a.Demoted && l.rec.Holder.Member == to.Name {
		return fencing.Subject{}, false // it was demoted, and is the passive now
	}
	if last := l.rec.LastHolder; last != nil && last.Holder.Member != to.Name && l.oldPodStands() {
		return fencing.SubjectOf(last.Holder), true
	}
	other := l.other(to.Name)
	return other.subject(), other.ledTo() && !other.Pod.Deleting
}

// deleteStanding deletes that pod once the Service has been led away from it. Not beside the
// step that leads away: an operator that ends between the two would leave the Service with
// a pod that is gone.
func (l *look) deleteStanding(to *Member) []Step {
	s, stands := l.standing(to)
	if !stands || l.leadsTo(l.member(s.Member)) {
		return nil
	}
	return []Step{DeletePod{Subject: s}}
}

// deleteFormerPrimaryPod: a member was appointed beside the deletion of the pod that clients were led
// to before, and that has not been accepted. It is asked for, again if need be, before the
// Service leads to the new primary's mysqld.
func deleteFormerPrimaryPod(l *look) (Plan, bool) {
	steps := l.deleteStanding(l.holder)
	if len(steps) == 0 || l.leadsOpen(l.holder) {
		return no()
	}
	s, _ := l.standing(l.holder)
	p, ok := act(fmt.Sprintf("the pod %s has to go before the Service leads to the mysqld of %s", s, l.holder.Name), steps...)
	p.Operation = l.opening()
	return p, ok
}

// ledTo: the client Service led to the mysqld of this very pod, or was about to. The key is
// taken off only once the Service leads elsewhere by the key of a later holder.
func (m *Member) ledTo() bool {
	if m.Pod.Reading != Read || m.Pod.UID == "" {
		return false
	}
	for key, value := range m.Pod.Labels {
		if strings.HasPrefix(key, pair.LabelEpochPrefix) && value == string(LeadsOpen) {
			return true
		}
	}
	return false
}

// oldPodStands: the last holder's pod is there, or was not read, and its deletion has
// not been accepted.
func (l *look) oldPodStands() bool {
	last := l.member(l.rec.LastHolder.Holder.Member)
	if last == nil {
		return false
	}
	pod := last.Pod
	switch pod.Reading {
	case Missing:
		return false
	case Read:
		return pod.UID == l.rec.LastHolder.Holder.PodUID && !pod.Deleting
	case Unread, Malformed, NotAuthentic:
	}
	return true
}
