package fencing

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// matches refuses an answer that is not the one to this request, or that does not say
// that the epoch was made durable.
func matches(req Request, reply agentapi.FenceReply) error {
	switch {
	case req.id == "":
		return notProof("there was no request")
	case req.subject.PodUID == "":
		return notProof("no pod answers for whatever pod of %s", req.subject.Member)
	case reply.RequestID != req.id:
		return notProof("the answer is to request %q, not %q", reply.RequestID, req.id)
	case reply.Member != req.subject.Member || reply.PodUID != req.subject.PodUID:
		return notProof("%s/%s answered", reply.Member, reply.PodUID)
	case reply.Epoch < req.epoch:
		return notProof("the agent made epoch %d durable, asked was %d", reply.Epoch, req.epoch)
	case !reply.Ceased:
		return notProof("the agent did not make the epoch durable: %s", reply.Why)
	}
	return nil
}

// FromReply is the proof that an agent's answer to a fence command is: ProcessStopped
// or Demoted.
func FromReply(req Request, reply agentapi.FenceReply, at time.Time) (Proof, error) {
	if err := matches(req, reply); err != nil {
		return Proof{}, fmt.Errorf("fence %s: %w", req.subject, err)
	}
	switch {
	case reply.ProcessStopped:
		return req.proof(ProcessStopped, at), nil
	case reply.Demoted:
		p := req.proof(Demoted, at)
		p.gtids = reply.BinlogGTIDs
		return p, nil
	}
	return Proof{}, fmt.Errorf("fence %s: %w", req.subject, notProof("neither stopped nor demoted: %s", reply.Why))
}

// FromAckFence is the proof that the candidate, the only one who acknowledges the
// subject's writes, has stopped receiving. req and reply are the candidate's; about is
// the member whose writes nobody acknowledges any more.
func FromAckFence(about Subject, req Request, reply agentapi.FenceReply, at time.Time) (Proof, error) {
	if err := matches(req, reply); err != nil {
		return Proof{}, fmt.Errorf("ack fence by %s: %w", req.subject, err)
	}
	if !reply.ReceiverStopped {
		return Proof{}, fmt.Errorf("ack fence by %s: %w", req.subject, notProof("the receiver is not stopped: %s", reply.Why))
	}
	if about.Member == req.subject.Member {
		return Proof{}, fmt.Errorf("ack fence by %s: %w", req.subject, notProof("a member does not acknowledge its own writes"))
	}
	p := req.proof(AckFenced, at)
	p.subject = about
	return p, nil
}

// PodFacts is what an uncached read of a pod said. The read is made after Book.Ask.
type PodFacts struct {
	UID pair.PodUID
	// Deleting: deletionTimestamp is set. Without it a container starts again in place.
	Deleting bool
	// DeletionAsked is when the deletion was asked for: deletionTimestamp less the grace
	// period.
	DeletionAsked time.Time
	// ContainerID of the mysqld container's present state; empty when the kubelet lost it.
	ContainerID string
	// Terminated: the mysqld container's present state is terminated.
	Terminated bool
	// Reason of that state, such as Completed or ContainerStatusUnknown.
	Reason string
	// FinishedAt of that state.
	FinishedAt time.Time
	// LastRunning is the newest container that was seen running in this pod; empty when
	// none was seen by this operator.
	LastRunning string
	// EndedEarly is the newest container that was seen ended while the pod was not being
	// deleted; empty when none was seen by this operator.
	EndedEarly string
	// KubeletEnded: the phase is Succeeded or Failed and nobody but the kubelet can have
	// said so (no PodGC condition).
	KubeletEnded bool
}

// endedBeforeDeletion: the container may have ended before its kubelet could know of the
// deletion, and another may run in its place. Both times are in whole seconds, so that the
// same second is not after; and they are of two machines' clocks, so that what this
// operator saw itself goes before them.
func (f PodFacts) endedBeforeDeletion() bool {
	return !f.FinishedAt.After(f.DeletionAsked) || (f.EndedEarly != "" && f.EndedEarly == f.ContainerID)
}

// statusUnknown is what a kubelet, or the pod garbage collector, writes when it does not
// know what became of a container.
const statusUnknown = "ContainerStatusUnknown"

// FromPod is the proof that a pod has ended. A pod that is not found proves nothing: a
// forced deletion shows that over a running mysqld.
func FromPod(req Request, pod PodFacts, at time.Time) (Proof, error) {
	var why error
	switch {
	case req.id == "":
		why = notProof("there was no request")
	case req.subject.PodUID == "", pod.UID != req.subject.PodUID:
		why = notProof("the pod there is %s", pod.UID)
	case !pod.Deleting:
		why = notProof("the pod is not being deleted: its container starts again in place")
	case !pod.Terminated:
		why = notProof("the container has not terminated")
	case pod.ContainerID == "" || pod.Reason == statusUnknown:
		why = notProof("the kubelet does not know what became of the container")
	case pod.LastRunning != "" && pod.LastRunning != pod.ContainerID:
		why = notProof("container %s ended, %s was seen running since", pod.ContainerID, pod.LastRunning)
	case pod.endedBeforeDeletion() && !pod.KubeletEnded:
		why = notProof("the container ended before the deletion: another may run since")
	}
	if why != nil {
		return Proof{}, fmt.Errorf("end of pod %s: %w", req.subject, why)
	}
	return req.proof(PodTerminated, at), nil
}

// FromRecord is the end of a pod that was proven before and written into the authority,
// so that its finalizer could be removed. It is of use only for ended pods.
func FromRecord(s Subject, e pair.Epoch, kind Kind, request string) (Proof, error) {
	if !kind.EndsPod() {
		return Proof{}, fmt.Errorf("recorded end of %s: %w", s, notProof("kind %q does not outlive its epoch", kind))
	}
	return Proof{
		kind:    kind,
		subject: s,
		epoch:   e,
		request: request,
	}, nil
}

// Expiry are the facts an expired authority is judged by.
type Expiry struct {
	Subject Subject
	// Voucher is the peer of the subject's member: the only one who could have confirmed
	// it beside the Lease.
	Voucher pair.MemberName
	Epoch   pair.Epoch
	// Lease is T, Margin what is waited beyond.
	Lease, Margin time.Duration
}

// Expired is the proof that the subject's authority has run out: T and the margin have
// passed since this process first saw the revoked epoch and since the only voucher's
// acknowledgement came. remaining is how long that still takes, or -1 while the voucher
// has not acknowledged.
func (b *Book) Expired(x Expiry, now time.Time) (p Proof, remaining time.Duration) {
	from, seen := b.Since(x.Epoch)
	acked, ceased := b.CeasedAt(x.Voucher, x.Epoch)
	asked := x.Subject.Member != "" && x.Lease > 0
	if !asked || !seen || !ceased {
		return Proof{}, -1
	}
	if acked.After(from) {
		from = acked
	}
	if left := from.Add(x.Lease + x.Margin).Sub(now); left >= 0 {
		return Proof{}, max(left, time.Millisecond)
	}
	return Proof{
		kind:    AuthorityExpired,
		subject: x.Subject,
		epoch:   x.Epoch,
		request: "expiry",
		at:      now,
	}, 0
}

// NodeFacts is what a read of a node said.
type NodeFacts struct {
	Name string
	// OutOfService: an admin put the out-of-service taint on it.
	OutOfService bool
}

// FromNode is an admin's assertion, by the out-of-service taint, that the node of the
// subject runs nothing any more. podNode is the node the subject's pod was bound to.
func FromNode(req Request, podNode string, node NodeFacts, at time.Time) (Proof, error) {
	switch {
	case req.id == "":
		return Proof{}, fmt.Errorf("node of %s: %w", req.subject, notProof("there was no request"))
	case req.subject.PodUID == "" || podNode == "" || podNode != node.Name:
		return Proof{}, fmt.Errorf("node of %s: %w", req.subject, notProof("the pod ran on %q, not %q", podNode, node.Name))
	case !node.OutOfService:
		return Proof{}, fmt.Errorf("node of %s: %w", req.subject, notProof("node %s is not marked out of service", node.Name))
	}
	return req.proof(NodeOutOfService, at), nil
}

// Word is an administrator's confirmation that a member cannot run any more, from an operation.
type Word struct {
	Operation string
	Member    pair.MemberName
	// Epoch the confirmation names.
	Epoch pair.Epoch
	// HeldAt is the epoch at which the member last was holder. A confirmation may name it
	// instead of the revoked epoch, since that is what the status showed.
	HeldAt pair.Epoch
}

// FromPerson is that word as a proof.
func FromPerson(req Request, w Word, at time.Time) (Proof, error) {
	switch {
	case req.id == "" || w.Operation == "":
		return Proof{}, fmt.Errorf("word about %s: %w", req.subject, notProof("there was no operation"))
	case w.Member != req.subject.Member:
		return Proof{}, fmt.Errorf("word about %s: %w", req.subject, notProof("the operation is about %s", w.Member))
	case w.Epoch != req.epoch && (w.HeldAt == 0 || w.Epoch != w.HeldAt):
		return Proof{}, fmt.Errorf("word about %s: %w",
			req.subject, notProof("the operation confirms epoch %d, the present one is %d", w.Epoch, req.epoch))
	}
	p := req.proof(HumanAck, at)
	p.request = w.Operation
	return p, nil
}

// FromBeginning is the proof that a member was never appointed: the authority is at
// epoch 0 and knows no data of it.
func FromBeginning(s Subject, e pair.Epoch, known pair.DataID) (Proof, error) {
	if e != 0 || known != "" || s.Member == "" {
		return Proof{}, fmt.Errorf("beginning of %s: %w", s, notProof("epoch %d, data %q", e, known))
	}
	return Proof{
		kind:    NeverHeld,
		subject: s,
		epoch:   e,
		request: "beginning",
	}, nil
}
