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

// tellVolumeLow raises an event when the free space of a member's volume falls below the next
// share.
func (r *PairReconciler) tellVolumeLow(v *visit, m *failover.Member) {
	if m.State == nil {
		return
	}
	if m.State.VolumeLow == 0 {
		v.session.warned.isNews(string(m.Name)+"/"+reasonVolumeLow, "") // so that the next time is news
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: v.name.Namespace,
		Name:      string(m.Name),
		UID:       types.UID(m.Pod.UID),
	}}
	r.warnOnce(v, pod, reasonVolumeLow, fmt.Sprintf(
		"%s: less than %d %% of its volume is free; raise spec.storage.size or remove data before mysqld waits for room",
		m.Name, m.State.VolumeLow))
}
