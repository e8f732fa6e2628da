package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/failover"
)

// reasonVolumeLow is the reason of the event about little free space on a member's volume.
const reasonVolumeLow = "VolumeLow"

// reasonBinlogVolumeLow is that about the volume of its binary logs.
const reasonBinlogVolumeLow = "BinlogVolumeLow"

// tellVolumeLow raises an event when the free space of a member's volume falls below the next
// share.
func (r *PairReconciler) tellVolumeLow(v *visit, m *failover.Member) {
	if m.State == nil {
		return
	}
	r.tellLow(v, m, reasonVolumeLow, m.State.VolumeLow,
		"its volume is free; raise spec.storage.size or remove data before mysqld waits for room")
	r.tellLow(v, m, reasonBinlogVolumeLow, m.State.BinlogVolumeLow,
		"the volume of its binary logs is free; raise spec.storage.binlog.size, or lower spec.mysql.binlogMaxSize, before mysqld waits for room")
}

func (r *PairReconciler) tellLow(v *visit, m *failover.Member, reason string, low int, of string) {
	if low == 0 {
		v.session.warned.isNews(string(m.Name)+"/"+reason, "") // so that the next time is news
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: v.name.Namespace,
		Name:      string(m.Name),
		UID:       types.UID(m.Pod.UID),
	}}
	r.warnOnce(v, pod, reason, fmt.Sprintf("%s: less than %d %% of %s", m.Name, low, of))
}
