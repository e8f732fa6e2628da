package sim

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// pod is a pod object, and the container the kubelet keeps for it.
type pod struct {
	uid        pair.PodUID
	member     *memberSim
	node       *node
	created    time.Duration
	deleting   bool
	asked      time.Duration
	fenced     bool
	labels     map[string]string
	shown      map[string]string // the labels as they were read last
	status     podStatus
	agent      *agentSim // the container's process; nil when none runs
	noted      bool      // the kubelet has sent SIGTERM
	byOperator bool      // an operator had it deleted, or took its finalizer off
	ended      bool      // the kubelet has ended it for good
	lastEnd    time.Duration
	// spec is the generation of the template by which it was made.
	spec int
	// shutdown is the grace period of an end that the kubelet decided on by itself, without a
	// deletion; zero for none.
	shutdown time.Duration
}

// podStatus is what the API server knows of the pod's container.
type podStatus struct {
	phase corev1.PodPhase
	// disruption is the reason of the condition DisruptionTarget; empty for none.
	disruption string
	container  string
	running    bool
	terminated bool
	reason     string
	finished   time.Duration
}

// ip is the pod's address; empty when it has none.
func (p *pod) ip() string {
	if p.agent == nil && !p.status.running {
		return ""
	}
	return "10.0.0." + string(p.uid)
}

// object is what a reader of the API server gets, as far as the end of the pod is judged by
// it. Times are in whole seconds.
func (p *pod) object(w *world) *corev1.Pod {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(w.wall(d.Truncate(time.Second))) }
	out := &corev1.Pod{}
	out.UID = types.UID(p.uid)
	out.Status.Phase = p.status.phase
	if p.deleting {
		grace := int64(podGrace / time.Second)
		deadline := at(p.asked + podGrace)
		out.DeletionTimestamp = &deadline
		out.DeletionGracePeriodSeconds = &grace
	}
	if p.status.disruption != "" {
		out.Status.Conditions = []corev1.PodCondition{{
			Type:   corev1.DisruptionTarget,
			Status: corev1.ConditionTrue,
			Reason: p.status.disruption,
		}}
	}
	c := corev1.ContainerStatus{Name: resources.ContainerMysqld, ContainerID: p.status.container}
	switch {
	case p.status.running:
		c.State.Running = &corev1.ContainerStateRunning{}
	case p.status.terminated:
		c.State.Terminated = &corev1.ContainerStateTerminated{
			ContainerID: p.status.container,
			Reason:      p.status.reason,
			FinishedAt:  at(p.status.finished),
		}
		if p.status.reason != "" {
			c.State.Terminated.ContainerID = ""
			c.State.Terminated.FinishedAt = metav1.Time{}
		}
	}
	out.Status.ContainerStatuses = []corev1.ContainerStatus{c}
	return out
}

// podView is the member's pod as this operator reads it.
func (a *apiServer) podView(m *memberSim, o *operator) failover.Pod {
	p := a.pods[m.index]
	if p == nil {
		return failover.Pod{Reading: failover.Missing}
	}
	p.shown = maps.Clone(p.labels)
	var endsAt time.Time
	if p.deleting {
		endsAt = p.object(a.w).DeletionTimestamp.Time
	}
	return p.shownSpec(a.w, failover.Pod{
		Reading:          failover.Read,
		UID:              p.uid,
		Node:             p.node.name,
		IP:               p.ip(),
		CreatedAt:        a.w.wall(p.created),
		Deleting:         p.deleting,
		EndsAt:           endsAt,
		Fenced:           p.fenced,
		Labels:           maps.Clone(p.labels),
		Ended:            o.podFacts(p),
		NodeOutOfService: failover.Known(p.node.outOfService),
	})
}

// podFacts judges a pod by the code that a controller judges it by, with what this operator
// process saw of it before.
func (o *operator) podFacts(p *pod) fencing.PodFacts {
	object := p.object(o.w)
	if o.pods == nil {
		o.pods = map[pair.PodUID]cluster.Seen{}
	}
	o.pods[p.uid] = o.pods[p.uid].Update(object)
	return cluster.PodFacts(object, o.pods[p.uid])
}

// beginDeletion accepts the deletion of a pod.
func (a *apiServer) beginDeletion(p *pod) {
	if p.deleting || a.pods[p.member.index] != p {
		return
	}
	p.deleting = true
	p.asked = a.w.now
	a.w.tracef("pod %s/%s: deletion accepted", p.member.name, p.uid)
	a.collect(p)
	p.member.kubelet()
}

// collect removes a pod that is deleted, ended and free of finalizers.
func (a *apiServer) collect(p *pod) {
	if p.deleting && p.ended && !p.fenced {
		a.remove(p)
	}
}

func (a *apiServer) remove(p *pod) {
	m := p.member
	if a.pods[m.index] != p {
		return
	}
	a.pods[m.index] = nil
	m.dropClaimed(p)
	a.w.tracef("pod %s/%s is gone", m.name, p.uid)
	a.w.after(a.w.between(200*time.Millisecond, 2*time.Second), m.makePod)
}
