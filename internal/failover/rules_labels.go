package failover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// labelsFollow keeps role, readability and epoch labels of both pods. The epoch's key
// stays on the pod that the Service selects, and goes from every other one.
func labelsFollow(l *look) (Plan, bool) {
	if l.holder == nil || l.opensSoon() {
		return no()
	}
	for i := range l.Members {
		m := &l.Members[i]
		if m.Pod.Reading != Read || m.Pod.UID == "" || m.Pod.Labels == nil {
			continue
		}
		set, remove := l.labelsOf(m)
		if len(set) == 0 && len(remove) == 0 {
			continue
		}
		return act(fmt.Sprintf("the labels of %s are not what they should be", m.Name), LabelPod{
			Subject: m.subject(),
			Set:     set,
			Remove:  remove,
		})
	}
	return no()
}

func (l *look) labelsOf(m *Member) (set map[string]string, remove []string) {
	want := map[string]string{pair.LabelRole: pair.RolePassive}
	if m.Pod.UID == l.rec.Holder.PodUID {
		want[pair.LabelRole] = pair.RolePrimary
	}
	if l.readable(m) {
		want[pair.LabelReadable] = "true"
	}
	selected := l.Service.Reading == Read && l.Service.Epoch == l.e && l.Service.Member == m.Name
	set = map[string]string{}
	for key, value := range want {
		if m.Pod.Labels[key] != value {
			set[key] = value
		}
	}
	for key := range m.Pod.Labels {
		stale := strings.HasPrefix(key, pair.LabelEpochPrefix) && (key != pair.EpochLabel(l.e) || !selected)
		unreadable := key == pair.LabelReadable && want[pair.LabelReadable] == ""
		led := l.Service.Reading == Read && l.Service.Epoch == l.e
		if (stale && led) || unreadable {
			remove = append(remove, key)
		}
	}
	slices.Sort(remove)
	return set, remove
}

// readable: the passive Service may lead to this member.
func (l *look) readable(m *Member) bool {
	if m == l.passive {
		return l.fitForReads(m)
	}
	return l.Settings.FallbackToPrimary && l.open(m) && !l.fitForReads(l.passive)
}

func (l *look) fitForReads(m *Member) bool {
	if m == nil || m.Pod.Deleting {
		return false
	}
	if !l.hasData(m) || !streams(m) {
		return false
	}
	lag := m.State.Server.LagSeconds
	return lag >= 0 && time.Duration(lag)*time.Second <= l.Settings.PassiveMaxLag && m.State.Server.Applier.Running
}
